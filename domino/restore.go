package domino

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/notes"
)

// Restore implements backup.Restorer; doc.go says how.
func (s *capiSource) Restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	o, err := parseRestoreOptions(r.Options)
	if err != nil {
		return s.fail(ctx, "restore", "", err)
	}
	if o.server {
		return s.fail(ctx, "restore the server", "", s.restoreServer(ctx, r, set, o))
	}
	return s.fail(ctx, "restore", "", s.restoreInto(ctx, r, set, o))
}

// restoreInto restores into the server that runs here.
func (s *capiSource) restoreInto(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet, o restoreOptions) error {
	return s.with(ctx, func(calls context.Context, t *thread) error {
		data, err := t.DataDirectory(calls)
		if err != nil {
			return fmt.Errorf("ask for the data directory: %w", err)
		}
		c, err := s.newCourse(r, set, o, filepath.Clean(data))
		if err != nil {
			return err
		}
		x := &restoring{s: s, r: r, set: set, c: c, t: t, calls: calls}
		if err := x.mend(ctx); err != nil {
			return err
		}
		there, err := c.occupied()
		if err != nil {
			return err
		}
		if len(there) > 0 && !r.Overwrite {
			return &backup.Error{Op: "restore", App: application, Instance: s.opt.Instance, Artifact: there[0], Err: fmt.Errorf("%d of the files are there: %w", len(there), backup.ErrExists),
				Advice: "restore under another name or into another directory (to=DIR), or allow overwriting"}
		}
		err = x.all(ctx)
		if err == nil || errors.Is(err, backup.ErrPartial) {
			x.told()
		}
		return err
	})
}

// restoring carries a course out.
type restoring struct {
	s     *capiSource
	r     backup.RestoreRequest
	set   *backup.RestoreSet
	c     *course
	t     *thread
	calls context.Context
	// attachmentBase is where objects of the attachment store go.
	attachmentBase string
	failed         []error
}

func (x *restoring) all(ctx context.Context) error {
	x.set.Expect(len(x.c.targets) + len(x.c.files) + len(x.c.attachments))
	for _, f := range x.c.plainFiles() {
		if err := x.plain(ctx, f); err != nil {
			return err
		}
	}
	for range x.c.files {
		x.set.ItemDone()
	}
	if !x.exact() {
		if err := x.attachments(ctx); err != nil {
			return err
		}
	}
	defer x.sweep()
	if err := x.recoverAll(ctx); err != nil {
		return err
	}
	var settled []string
	for _, t := range x.c.targets {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := x.settle(ctx, t); err != nil {
			if !isStatus(err) {
				return x.s.fail(ctx, "put in place", t.item, err)
			}
			x.failed = append(x.failed, x.s.fail(ctx, "put in place", t.item, err))
			continue
		}
		settled = append(settled, t.as)
		x.set.ItemDone()
	}
	return errors.Join(append(x.failed, x.references(ctx, settled))...)
}

// sweep removes what was not put in place.
func (x *restoring) sweep() {
	for _, t := range x.c.targets {
		_ = os.Remove(t.temp)
	}
}

// plain puts a file back. notes.ini is left alone where there is one: the server lives by it.
func (x *restoring) plain(ctx context.Context, f *plainFile) error {
	is, err := f.there()
	switch {
	case err != nil:
		return err
	case is == identical:
		return nil
	case is == different && f.ini:
		x.set.Warn(fmt.Sprintf("%s differs from the one in the backup and was left alone; compare it with %s of backup %s", f.to, f.entry.Name, f.step.ID))
		return nil
	}
	mode := fs.FileMode(0o640)
	if m, err := strconv.ParseUint(f.entry.Meta["mode"], 8, 32); err == nil && m != 0 {
		mode = fs.FileMode(m).Perm()
	}
	return x.create(ctx, f.placed, f.to, f.to+unfinished, mode)
}

// create writes an artifact to a file, checked and durable, under a temporary name first where that is another one.
func (x *restoring) create(ctx context.Context, p placed, to, temp string, mode fs.FileMode) (err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		return err
	}
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp)
		}
	}()
	v := &verifying{src: x.s, set: x.set, step: p.step}
	err = v.copy(ctx, p.entry, f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil || to == temp {
		return err
	}
	if err := os.Rename(temp, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

// attachments completes the attachment store: objects that are missing are put back, none is overwritten. Then all that the backup lists are looked for.
func (x *restoring) attachments(ctx context.Context) error {
	if len(x.c.attachments) == 0 {
		return nil
	}
	base, err := x.store()
	if err != nil {
		return err
	}
	if base == "" {
		x.set.Warn("the server has no attachment store (DAOSBasePath in notes.ini), and its objects were not restored")
		return nil
	}
	for _, step := range x.c.attachments {
		for _, e := range step.Entries {
			name, ok := strings.CutPrefix(e.Name, attachmentPrefix)
			if !ok {
				continue
			}
			to := filepath.Join(base, filepath.FromSlash(name))
			info, err := os.Stat(to)
			switch {
			case err == nil && info.Size() == e.Size:
				continue
			case err == nil:
				x.set.Warn(fmt.Sprintf("object %s of the attachment store has %d bytes, and %d in the backup; it was left alone: delete it and restore again", name, info.Size(), e.Size))
				continue
			case !os.IsNotExist(err):
				return err
			}
			if err := x.create(ctx, placed{step, e}, to, to+unfinished, 0o640); err != nil {
				return err
			}
		}
		x.set.ItemDone()
	}
	return nil
}

// store is the directory of the attachment store; empty where the server has none.
func (x *restoring) store() (string, error) {
	if x.attachmentBase != "" {
		return x.attachmentBase, nil
	}
	value, ok, err := x.t.Environment(x.calls, "DAOSBasePath")
	if err != nil {
		return "", fmt.Errorf("ask for DAOSBasePath: %w", err)
	}
	if !ok || value == "" {
		return "", nil
	}
	dir := fromSlash(value)
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(x.c.data, dir)
	}
	return dir, nil
}

// settle replaces what is at the place of a database by the recovered one. Until it is whole again what was there is kept.
func (x *restoring) settle(ctx context.Context, t *target) (err error) {
	old := t.to + replaced
	if !t.exists {
		if err := os.Rename(t.temp, t.to); err != nil {
			return err
		}
		if err := syncDir(filepath.Dir(t.to)); err != nil {
			return err
		}
		return x.online(ctx, t)
	}
	if err := x.t.TakeOffline(x.calls, t.to, x.s.opt.OfflineWait); err != nil && !said(err, notes.StatusDBOffline) {
		err = fmt.Errorf("take it offline: %w", err)
		if !isStatus(err) { // the process died, and it may be offline
			err = errors.Join(err, x.online(ctx, t))
		}
		return err
	}
	if err := os.Rename(t.to, old); err != nil {
		return errors.Join(err, x.online(ctx, t))
	}
	if err := os.Rename(t.temp, t.to); err != nil {
		return errors.Join(err, os.Rename(old, t.to), x.online(ctx, t))
	}
	if err := errors.Join(syncDir(filepath.Dir(t.to)), x.online(ctx, t)); err != nil {
		return fmt.Errorf("%s is restored, and what was there before is %s until it is online: %w", t.to, old, err)
	}
	return os.Remove(old)
}

// online brings a database online, on a context of its own, and in another process when that of the restore has died: what is offline is of no use to anybody.
func (x *restoring) online(ctx context.Context, t *target) error {
	undo, stop := x.s.undoing(ctx)
	defer stop()
	err := x.t.BringOnline(undo, t.to)
	if err != nil && !isStatus(err) && undo.Err() == nil {
		err = x.s.with(undo, func(calls context.Context, other *thread) error { return other.BringOnline(calls, t.to) })
	}
	if err != nil {
		return fmt.Errorf("bring it online: %w", err)
	}
	return nil
}

// told says what is to be done after a restore.
func (x *restoring) told() {
	var plain, offline []string
	rolled := false
	for _, t := range x.c.targets {
		rolled = rolled || t.rolled
		switch {
		case wayOf(t.copy.step) == Offline:
			offline = append(offline, t.item)
		case !t.rolled:
			plain = append(plain, t.item)
		}
	}
	if len(offline) > 0 {
		x.set.Warn(fmt.Sprintf("%d databases are plain copies of a stopped server or a snapshot (way: %s), without log: %s. Run \"load fixup -f NAME\" on each before it is used, and take a full at once", len(offline), Offline, abbreviated(offline)))
	}
	if rolled {
		x.set.Warn("databases that were recovered are new instances (DBIID): the next run takes a full of each, and until then the log since now serves none of them; take one at once")
	}
	if len(plain) > 0 {
		x.set.Warn(fmt.Sprintf("%d databases were put back as they were when their full began, without log: %s. Take a full at once", len(plain), abbreviated(plain)))
	}
	switch {
	case len(x.c.targets) > 0 && len(x.s.opt.Console) > 0: // it was asked
	case len(x.c.targets) > 0 && len(x.c.attachments) == 0:
		if _, ok, err := x.t.Environment(x.calls, "DAOSBasePath"); err == nil && ok {
			x.set.Warn(`attachments were not among what was restored: "tell daosmgr listnlo -o out.txt MISSING DATABASE" names objects that are gone; restore the item "attachments" to complete them, then "tell daosmgr resync"`)
		}
	case len(x.c.attachments) > 0:
		x.set.Warn(`the attachment store was completed: let the server count again with "tell daosmgr resync", and look with "tell daosmgr listnlo -o out.txt MISSING DATABASE" for objects that are missing all the same`)
	}
}

func abbreviated(names []string) string {
	if n := len(names); n > maxNamed {
		return strings.Join(names[:maxNamed], ", ") + fmt.Sprintf(" and %d more", n-maxNamed)
	}
	return strings.Join(names, ", ")
}

// place of an extent, as Domino asks for it during a recovery.
func (x *restoring) put(ctx context.Context, id notes.UNID, number uint32, to string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p, ok := x.c.extents[id][number]
	if !ok {
		return x.s.refuse("restore", itemLog, "restore to an earlier time, or from a later full", "Domino asks for extent %d of log %s, which is not in the backups of this plan", number, id)
	}
	x.r.Log.Debug("extent", "log", id, "number", number, "to", to, "bytes", p.entry.Size)
	x.set.Moved()
	return x.create(ctx, p, to, to+unfinished, 0o640)
}

// fetch brings the copy of a database to its temporary name, with its change information applied.
func (x *restoring) fetch(ctx context.Context, t *target) error {
	if err := x.create(ctx, t.copy, t.temp, t.temp, 0o640); err != nil {
		return err
	}
	if t.delta == nil {
		return nil
	}
	in, err := x.set.Open(ctx, t.delta.step, t.delta.entry)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it was read to its end, or its error is known
	return applying(ctx, x.calls, x.s, x.t, t.temp, t.delta.entry.Size, func(do func([]byte) error) error {
		buf := make([]byte, changeBlock)
		for {
			n, err := io.ReadFull(in, buf)
			if n > 0 {
				if err := do(buf[:n]); err != nil {
					return err
				}
			}
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
}
