package domino

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// Script implements backup.Scripter. Domino has no command that recovers a database, so what it writes are the steps for a person with the files that Pipeline.Fetch wrote, and the function of the C API for each step that
// needs one.
func (s *capiSource) Script(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet, w io.Writer) error {
	o, err := parseRestoreOptions(r.Options)
	if err != nil {
		return s.fail(ctx, "write the steps", "", err)
	}
	c, err := s.newCourse(r, set, o, filepath.Clean("/data"))
	if err != nil {
		return s.fail(ctx, "write the steps", "", err)
	}
	p := &steps{c: c, from: o.files}
	if p.from == "" {
		p.from = "FILES"
	}
	if o.server {
		p.server(o)
	}
	p.plain()
	p.databases()
	p.log()
	p.recover()
	p.after()
	_, err = io.WriteString(w, p.text.String())
	return err
}

// steps is a script being written.
type steps struct {
	c    *course
	from string
	n    int
	text strings.Builder
}

func (p *steps) step(format string, args ...any) {
	p.n++
	fmt.Fprintf(&p.text, "%d. %s\n", p.n, fmt.Sprintf(format, args...))
}

func (p *steps) line(format string, args ...any) {
	fmt.Fprintf(&p.text, "   %s\n", fmt.Sprintf(format, args...))
}

// path is where Fetch has put an artifact.
func (p *steps) path(a placed) string { return p.from + "/" + a.step.Path(a.entry) }

// below is where something goes, as it is named below the data directory.
func (p *steps) below(at string) string {
	rel, err := filepath.Rel(p.c.data, at)
	if err != nil {
		return at
	}
	return filepath.ToSlash(rel)
}

func (p *steps) server(o restoreOptions) {
	p.step("Install Domino of the same release with the same directories, and do not start it. The data directory is %s.", o.data)
	line := "TRANSLOG_Recreate_Logctrl=1"
	if o.other {
		line = "TRANSLOG_MEDIAONLY=1, and let TRANSLOG_Path name the log directory"
	}
	p.step("Put the saved notes.ini in place, correct its paths, and set %s.", line)
	p.step("Empty the log directory; the control file NLOGCTRL.LFH must not be there: Domino rebuilds it.")
}

func (p *steps) plain() {
	files := p.c.plainFiles()
	if len(files) == 0 && len(p.c.attachments) == 0 {
		return
	}
	p.step("Copy the plain files into the data directory.")
	for _, f := range files {
		p.line("%s -> %s", p.path(f.placed), p.below(f.to))
	}
	for _, step := range p.c.attachments {
		for _, e := range step.Entries {
			if name, ok := strings.CutPrefix(e.Name, attachmentPrefix); ok {
				p.line("%s -> %s, below DAOSBasePath, if it is missing", p.path(placed{step, e}), name)
			}
		}
	}
}

func (p *steps) databases() {
	if len(p.c.targets) == 0 {
		return
	}
	p.step("Take each database that is in the way offline: NSFTakeDatabaseOffline with OFFLINE_NODELETE, and rename its file. Copy the databases; let nobody open one before it is recovered, or it is a recoverable backup no longer.")
	for _, t := range p.c.targets {
		p.line("%s -> %s", p.path(t.copy), p.below(t.to))
		if t.delta != nil {
			p.line("  apply %s to it: NSFBackupStartApplyChangeInfo with its size, NSFBackupApplyNextChangeInfo in blocks of %d bytes, NSFBackupEndApplyChangeInfo", p.path(*t.delta), changeBlock)
		}
	}
}

func (p *steps) log() {
	var lines []string
	for _, id := range sortedIDs(p.c.extents) {
		for n, e := range p.c.extents[id] {
			lines = append(lines, fmt.Sprintf("log %s, extent %010d: %s, then named %s", id, n, p.path(e), e.entry.Meta[metaFile]))
		}
	}
	if len(lines) == 0 {
		return
	}
	slices.Sort(lines)
	if p.c.opt.server {
		p.step("Copy the extents into the log directory under the names they had.")
	} else {
		p.step("Keep the extents at hand: the callback of the recovery asks for each by log and number, and says where to put it.")
	}
	for _, l := range lines {
		p.line("%s", l)
	}
}

func (p *steps) recover() {
	order, groups := groupsOf(p.c.targets)
	for _, g := range order {
		flags := "DBRECOVER_POINT_IN_TIME"
		if p.c.opt.replica {
			flags += " | DBRECOVER_ZAP_REPLICAID"
		}
		p.step("Recover in one call of NSFRecoverDatabases, with %s and the time %s:", flags, g.until.UTC().Format(time.RFC3339Nano))
		for _, t := range groups[g] {
			p.line("%s", p.below(t.to))
		}
	}
}

func (p *steps) after() {
	if len(p.c.targets) > 0 {
		p.step("Bring each database online: NSFBringDatabaseOnline.")
	}
	if p.c.opt.server {
		p.step("Start the server.")
	}
	if len(p.c.attachments) > 0 {
		p.step(`On the console: "tell daosmgr resync".`)
	}
	p.step("Take a full backup at once.")
}

var _ backup.Scripter = (*capiSource)(nil)
