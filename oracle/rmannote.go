package oracle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/atomicfile"
)

// rmanNote is the durable note of one run of RMAN: on disk before it begins, removed once nothing is left of it. By it the next run removes what a dead one left, the files and what the control file knows of them,
// and nothing that has another tag.
type rmanNote struct {
	Format int       `json:"format"`
	Job    string    `json:"job"`
	ID     backup.ID `json:"id"`
	DBID   uint64    `json:"dbid"`
	Tag    string    `json:"tag"`
	// Folder is where the pieces are made, as this process names it, and Prefix how their names begin.
	Folder string `json:"folder"`
	Prefix string `json:"prefix"`
	// Older is the tag of the full before, which is of no use to the server any more once this one, if it is a full, is durable.
	Older string `json:"older,omitempty"`

	path string
}

// rmanTag names the backup of a run in the control file: 30 bytes at most, capital letters, digits and '_'.
func rmanTag(job string, id backup.ID) string {
	return defaultPrefix + "_" + short(job, 8) + "_" + short(string(id), 12)
}

func (s *Source) rmanNotes(job string, dbid uint64) string {
	return filepath.Join(s.opt.StateDir, fmt.Sprintf("oracle-rman-%s-%d-", short(job, 16), dbid))
}

// notes are those of a job that are on disk.
func (s *Source) notes(job string, dbid uint64) ([]*rmanNote, error) {
	begin := s.rmanNotes(job, dbid)
	all, err := os.ReadDir(s.opt.StateDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []*rmanNote
	for _, e := range all {
		path := filepath.Join(s.opt.StateDir, e.Name())
		if !strings.HasPrefix(path, begin) || !strings.HasSuffix(path, ".json") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		n := &rmanNote{}
		if err := json.Unmarshal(text, n); err != nil {
			return nil, fmt.Errorf("read the note of a run of RMAN, %s: %w", path, err)
		}
		if n.Job != job || n.DBID != dbid || n.Tag != rmanTag(n.Job, n.ID) || n.Prefix == "" {
			return nil, fmt.Errorf("%s is a note of job %q, database %d and tag %s", path, n.Job, n.DBID, n.Tag)
		}
		n.path = path
		out = append(out, n)
	}
	return out, nil
}

func (n *rmanNote) save() error {
	text, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return err
	}
	if err := atomicfile.Write(n.path, append(text, '\n')); err != nil {
		return &backup.Error{Op: "note what RMAN is to make in", App: application, Artifact: n.path, Err: err, Advice: "let Options.StateDir be a directory that this process may write to, with room"}
	}
	return nil
}

func (n *rmanNote) drop() error { return markers{n.path}.drop() }

// clean removes what RMAN made with the tag of a note: its channels, when they outlived it, its records and its files. base: it is a full that is durable, so the records of its data files stay, as a differential needs them, and
// those of the full before go.
func (s *Source) clean(ctx context.Context, n *rmanNote, base bool) error {
	if err := s.endChannels(ctx, n.Tag); err != nil {
		return s.fail(ctx, "end the channels of", n.Tag, err)
	}
	errs := []error{s.forget(ctx, n.Tag, base), n.removeFiles()}
	if base && n.Older != "" && n.Older != n.Tag {
		errs = append(errs, s.forget(ctx, n.Older, false))
	}
	if err := errors.Join(errs...); err != nil {
		return s.fail(ctx, "remove what RMAN made with tag", n.Tag, err)
	}
	return n.drop()
}

// removeFiles removes the pieces, the unfinished ones too.
func (n *rmanNote) removeFiles() error {
	all, err := os.ReadDir(n.Folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range all {
		if !strings.HasPrefix(e.Name(), n.Prefix) {
			continue
		}
		if err := os.Remove(filepath.Join(n.Folder, e.Name())); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// endChannels ends the sessions of RMAN that work for a tag: they have it as their command id. RMAN itself is dead.
func (s *Source) endChannels(ctx context.Context, tag string) error {
	return s.with(ctx, func(c *session) error {
		var kill []string
		err := c.each(ctx, queryChannels, func(r row) {
			if id, _, _ := strings.Cut(r.text("CLIENT_INFO"), ","); id == "id="+tag {
				kill = append(kill, fmt.Sprintf("ALTER SYSTEM KILL SESSION '%d,%d' IMMEDIATE", r.int("SID"), r.int("SERIAL#")))
			}
		})
		if err != nil {
			return err
		}
		var errs []error
		for _, statement := range kill {
			if err := c.exec(ctx, statement); !said(err, oraNoSession, oraMarkedForKill) {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	})
}

const (
	oraNoSession     = 30 // it is gone
	oraMarkedForKill = 31 // it goes as soon as it can
)

// forget takes the records of a tag out of the control file, one by its name after the other, so that no record of another tag can be meant.
func (s *Source) forget(ctx context.Context, tag string, keepBase bool) error {
	commands, err := s.forgetting(ctx, tag, keepBase)
	if err != nil || commands == "" {
		return err
	}
	if _, err := s.rman(ctx, func() {}, commands); err != nil {
		return err
	}
	if commands, err = s.forgetting(ctx, tag, keepBase); err == nil && commands != "" {
		err = fmt.Errorf("the server still knows them: %s", strings.TrimSpace(commands))
	}
	return err
}

// forgetting are the commands that do so; empty when nothing is known.
func (s *Source) forgetting(ctx context.Context, tag string, keepBase bool) (string, error) {
	var known *records
	err := s.with(ctx, func(c *session) (err error) {
		known, err = c.records(ctx)
		return err
	})
	if err != nil {
		return "", err
	}
	known = known.tagged(tag)
	base := func(f fileRecord) bool { return keepBase && f.file > 0 && f.level == 0 }
	var b strings.Builder
	for _, p := range known.pieces {
		if !slices.ContainsFunc(known.files, func(f fileRecord) bool { return base(f) && !f.copied() && f.set == p.set }) {
			fmt.Fprintf(&b, "CHANGE BACKUPPIECE %s UNCATALOG;\n", quoteText(p.handle))
		}
	}
	for _, f := range known.files {
		switch {
		case !f.copied() || base(f):
		case f.file == 0:
			fmt.Fprintf(&b, "CHANGE CONTROLFILECOPY %s UNCATALOG;\n", quoteText(f.name))
		default:
			fmt.Fprintf(&b, "CHANGE DATAFILECOPY %s UNCATALOG;\n", quoteText(f.name))
		}
	}
	return b.String(), nil
}

// endOfRMAN removes what dead runs of a job left. When the backup of one is at the target after all, its data files stay known to the server.
func (s *Source) endOfRMAN(ctx context.Context, job string, dbid uint64, h backup.History) error {
	notes, err := s.notes(job, dbid)
	if err != nil {
		return &backup.Error{Op: "recover", App: application, Instance: s.instance, Artifact: job, Err: err,
			Advice: "look at V$BACKUP_PIECE and V$DATAFILE_COPY for that tag: take it out by CHANGE ... UNCATALOG, remove its files, then the note"}
	}
	for _, n := range notes {
		b, durable := h.Find(n.ID)
		full := durable && slices.ContainsFunc(b.Items, func(it backup.Item) bool { return it.Kind == backup.Full && !it.Failed() })
		if err := s.clean(ctx, n, full); err != nil {
			return err
		}
	}
	return nil
}
