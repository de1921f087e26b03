package domino

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/atomicfile"
)

// Check implements backup.Checker. It says which way is used and, where that cannot work, which other one this machine would allow. It starts the process of Notes, looks at the data directory, opens a database to ask what the log knows of it, asks for the log to archive and writes into the state
// directory. Nothing is put into backup, and nothing is marked as archived.
func (s *capiSource) Check(ctx context.Context, _ backup.StageDir) (out []backup.Finding) {
	note := func(what string, err error) bool {
		err = s.fail(ctx, "check", "", err)
		out = append(out, backup.Finding{What: what, Err: err, Hint: backup.Hint(err)})
		return err == nil
	}
	out = append(out, s.way())
	started := false
	err := s.with(ctx, func(calls context.Context, t *thread) error {
		started = true
		inv, err := s.look(ctx, calls, t)
		if !note("the Notes C API answers, and the data directory can be read", err) {
			out = append(out, s.otherWays(ctx)...)
			return nil
		}
		note(told(inv), nil)
		for _, w := range inv.warnings {
			note(w, nil)
		}
		s.checkLog(ctx, calls, t, note)
		s.checkDatabase(calls, t, inv, note)
		s.checkAttachments(inv, note)
		return nil
	})
	if !started && !note("the Notes C API answers", err) {
		out = append(out, s.otherWays(ctx)...)
	}
	if len(s.opt.Console) > 0 {
		_, err := exec.LookPath(s.opt.Console[0])
		note("command that has the server do console commands can be run: "+s.opt.Console[0], err)
	}
	note("state directory can be written to: "+s.opt.StateDir, s.checkState())
	return out
}

// told says what a full would take.
func told(inv *inventory) string {
	var bytes int64
	for _, db := range inv.databases {
		bytes += db.size
	}
	return fmt.Sprintf("%d databases to back up, %d MiB, %d left out as asked, and %d other files in %s", len(inv.databases), bytes>>20, len(inv.left), len(inv.files), inv.data)
}

func (s *capiSource) checkLog(ctx, calls context.Context, t *thread, note func(string, error) bool) {
	style, err := t.LogStyle(calls)
	if said(err, notes.StatusServerNotTransLogged) || err == nil && style != notes.LogArchive {
		note("the server "+styleName(style, err)+": only fulls can be taken; "+adviceStyle, nil)
		return
	}
	if !note("the style of the log can be asked for", err) {
		return
	}
	var o *offer
	err = archiving(ctx, calls, s, t, func() (err error) {
		o, err = list(ctx, calls, s, t)
		return err
	})
	if said(err, notes.StatusTransLogArchiveInProgress) {
		note("the log is kept in archive style, and another program archives it now: until it ends, log runs fail; "+adviceArchiving, nil)
		return
	}
	if note("the log is kept in archive style and can be archived", err) {
		note(fmt.Sprintf("%d extents of log %s wait to be archived", len(o.full), o.id()), nil)
	}
}

func (s *capiSource) checkDatabase(calls context.Context, t *thread, inv *inventory, note func(string, error) bool) {
	if len(inv.databases) == 0 {
		note("there is a database to back up", s.refuse("check", "", "look at the patterns in include and exclude, and whether notes.ini is that of the server", "none is in %s", inv.data))
		return
	}
	// One that is damaged or in use costs the others nothing, and is named by the run.
	var err error
	for i, db := range inv.databases {
		if i == maxNamed {
			break
		}
		var info notes.LogInfo
		if info, err = logInfo(calls, t, db.name); err == nil {
			var f *os.File
			if f, err = os.Open(db.path); err == nil {
				_ = f.Close()
				what := "databases can be opened and read: " + db.name
				if !info.Logged {
					what += ", which is not logged"
				}
				note(what, nil)
				return
			}
		}
		if !isStatus(err) {
			break
		}
	}
	note("databases can be opened and read", err)
}

// checkAttachments reminds of what nobody can see in the files: how long deleted objects stay.
func (s *capiSource) checkAttachments(inv *inventory, note func(string, error) bool) {
	if inv.attachments == "" || s.opt.SkipAttachments {
		return
	}
	if !directoryThere(inv.attachments) {
		note("attachment store can be read: "+inv.attachments, s.refuse("check", "", "correct DAOSBasePath in notes.ini", "it is not there"))
		return
	}
	note("attachment store is backed up: "+inv.attachments+"; its deferred deletion interval must be at least as long as backups are kept, or restored databases refer to objects that are gone", nil)
}

// checkState writes where notes are kept.
func (s *capiSource) checkState() error {
	path := filepath.Join(s.opt.StateDir, fmt.Sprintf("domino-check-%d", os.Getpid()))
	err := atomicfile.Write(path, []byte("check\n"))
	if err == nil {
		err = dropState(path)
	}
	if err != nil {
		return &backup.Error{Op: "write to the state directory of", App: application, Instance: s.opt.Instance, Artifact: s.opt.StateDir, Err: err, Advice: adviceState}
	}
	return nil
}

// Estimate implements backup.Estimator.
func (s *capiSource) Estimate(ctx context.Context, req backup.Request) (bytes int64, err error) {
	err = s.with(ctx, func(calls context.Context, t *thread) error {
		inv, err := s.look(ctx, calls, t)
		if err != nil {
			return err
		}
		if req.Kind == backup.Full {
			for _, f := range append(inv.databases, inv.files...) {
				bytes += f.size
			}
			bytes += storeSize(inv)
		}
		style, err := t.LogStyle(calls)
		if err != nil || style != notes.LogArchive {
			if said(err, notes.StatusServerNotTransLogged) {
				err = nil
			}
			return err
		}
		err = archiving(ctx, calls, s, t, func() error {
			o, err := list(ctx, calls, s, t)
			if err != nil {
				return err
			}
			all := o.full
			if o.current != nil {
				all = append(all, *o.current)
			}
			for _, e := range all {
				if info, err := os.Stat(e.Path); err == nil {
					bytes += info.Size()
				}
			}
			return nil
		})
		if said(err, notes.StatusTransLogArchiveInProgress) {
			return nil // the run says so
		}
		return err
	})
	return bytes, s.fail(ctx, "estimate", "", err)
}

// storeSize is what lies in the attachment store.
func storeSize(inv *inventory) (bytes int64) {
	if inv.attachments == "" {
		return 0
	}
	_ = filepath.WalkDir(inv.attachments, func(_ string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			if info, err := e.Info(); err == nil {
				bytes += info.Size()
			}
		}
		return nil
	}) // an estimate leaves out what it cannot see
	return bytes
}
