package domino

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/notes"
)

// defaultLogDir is where the log is when notes.ini does not say.
const defaultLogDir = "logdir"

// restoreServer brings back a whole server by the documented procedure [UG]: notes.ini and files, the extents into an empty log directory, the databases; then, with the server not started, all databases are
// recovered in a process of Notes that has the new data directory, which rebuilds the control file of the log first.
func (s *capiSource) restoreServer(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet, o restoreOptions) error {
	c, err := s.newCourse(r, set, o, filepath.Clean(o.data))
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(c.data)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if len(entries) > 0 && !r.Overwrite {
		return &backup.Error{Op: "restore the server into", App: application, Instance: s.opt.Instance, Artifact: c.data, Err: fmt.Errorf("it holds %s: %w", entries[0].Name(), backup.ErrExists),
			Advice: "name an empty directory, or allow overwriting to repeat a restore that broke off"}
	}
	x := &restoring{s: s, r: r, set: set, c: c}
	if err := x.foundation(ctx); err != nil {
		return err
	}
	defer x.sweep()
	err = s.with(ctx, func(calls context.Context, t *thread) error {
		x.t, x.calls = t, calls
		if err := x.meets(); err != nil {
			return err
		}
		return x.databases(ctx)
	})
	if err != nil {
		return fmt.Errorf("files, log and attachments are in %s, the databases are not: %w", c.data, err)
	}
	set.Warn("start the server, and take a full at once: every database that was recovered is a new instance")
	return nil
}

// foundation puts in place what needs no Notes: files, notes.ini, attachments and the log.
func (x *restoring) foundation(ctx context.Context) error {
	x.set.Expect(len(x.c.targets) + len(x.c.files) + len(x.c.attachments))
	for _, f := range x.c.plainFiles() {
		if err := x.plain(ctx, f); err != nil {
			return err
		}
	}
	n, err := x.switches()
	if err != nil {
		return err
	}
	x.attachmentBase = below(x.c.data, n.get("DAOSBasePath"), "")
	if len(x.c.attachments) > 0 && x.attachmentBase == "" {
		x.attachmentBase = filepath.Join(x.c.data, "DAOS")
		x.set.Warn("notes.ini says nothing of DAOSBasePath; the objects of the attachment store are in " + x.attachmentBase)
	}
	if err := x.attachments(ctx); err != nil {
		return err
	}
	return x.logDirectory(ctx, below(x.c.data, n.get("TRANSLOG_Path"), defaultLogDir))
}

// below is a directory of notes.ini, which may be relative to the data directory.
func below(data, value, otherwise string) string {
	if value == "" {
		value = otherwise
	}
	if dir := fromSlash(value); value == "" || filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(data, fromSlash(value))
}

// switches tells Domino in notes.ini how to begin with a log that it did not write itself.
func (x *restoring) switches() (*ini, error) {
	for _, p := range x.c.ini {
		if filepath.Base(p.entry.Name) != "notes.ini" {
			continue
		}
		at := x.c.iniPlace(p.entry)
		text, err := os.ReadFile(at)
		if err != nil {
			return nil, err
		}
		line := "TRANSLOG_Recreate_Logctrl=1"
		if x.c.opt.other {
			line = "TRANSLOG_MEDIAONLY=1"
		}
		if err := replaceINI(at, text, line); err != nil {
			return nil, err
		}
		n, _, err := readINI(at)
		if err == nil && n.get("Directory") != "" && filepath.Clean(fromSlash(n.get("Directory"))) != x.c.data {
			x.set.Warn(fmt.Sprintf("notes.ini names the data directory %s, and was restored into %s: correct Directory, and every other path in it", n.get("Directory"), x.c.data))
		}
		return n, err
	}
	return nil, fmt.Errorf("%w: a whole server needs notes.ini, which is in no backup of this plan; restore all items, without a selection", backup.ErrRefused)
}

// replaceINI sets one line.
func replaceINI(path string, text []byte, line string) error {
	name, _, _ := strings.Cut(line, "=")
	var out []string
	for l := range strings.Lines(string(bytes.TrimRight(text, "\r\n"))) {
		l = strings.TrimRight(l, "\r\n")
		if key, _, ok := strings.Cut(l, "="); !ok || !strings.EqualFold(strings.TrimSpace(key), name) {
			out = append(out, l)
		}
	}
	out = append(out, line, "")
	if err := os.WriteFile(path+unfinished, []byte(strings.Join(out, "\n")), 0o640); err != nil {
		return err
	}
	return os.Rename(path+unfinished, path)
}

// logDirectory puts the extents into the log directory, which must hold no log of its own.
func (x *restoring) logDirectory(ctx context.Context, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	for _, e := range entries {
		if strings.EqualFold(e.Name(), "nlogctrl.lfh") || strings.EqualFold(filepath.Ext(e.Name()), ".txn") && !x.r.Overwrite {
			return x.s.refuse("restore the log into", dir, "move what is in the log directory away: Domino rebuilds its control file from the extents that are restored", "it holds %s", e.Name())
		}
	}
	for _, id := range sortedIDs(x.c.extents) {
		for _, p := range x.c.extents[id] {
			name := filepath.Base(p.entry.Meta[metaFile])
			if !strings.EqualFold(filepath.Ext(name), ".txn") {
				return fmt.Errorf("%w: extent %s has no name", backup.ErrCorrupt, p.entry.Name)
			}
			to := filepath.Join(dir, name)
			if err := x.create(ctx, p, to, to+unfinished, 0o640); err != nil {
				return err
			}
		}
	}
	return nil
}

func sortedIDs(m map[notes.UNID]map[uint32]placed) []notes.UNID {
	var ids []notes.UNID
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b notes.UNID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

// meets makes sure that the process of Notes works in the directory that was filled.
func (x *restoring) meets() error {
	data, err := x.t.DataDirectory(x.calls)
	if err != nil {
		return fmt.Errorf("ask for the data directory: %w", err)
	}
	if filepath.Clean(data) != x.c.data {
		return x.s.refuse("recover the databases of", x.c.data, "let the settings of the job name the notes.ini in that directory, and restore again, allowing to overwrite",
			"the process of Notes works in %s", data)
	}
	return nil
}

// databases recovers and settles them.
func (x *restoring) databases(ctx context.Context) error {
	if err := x.recoverAll(ctx); err != nil {
		return err
	}
	for _, t := range x.c.targets {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		t.exists = false // the server is not started
		if err := x.settle(ctx, t); err != nil {
			x.failed = append(x.failed, x.s.fail(ctx, "put in place", t.item, err))
			continue
		}
		x.set.ItemDone()
	}
	return errors.Join(x.failed...)
}
