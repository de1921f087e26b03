package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/ese"
	"github.com/quiesce-go/quiesce/internal/filelock"
)

// Restore implements backup.Restorer; doc.go says how.
func (s *Source) Restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	o, err := parseRestoreOptions(r.Options)
	if err != nil {
		return s.fail(ctx, "restore", "", err)
	}
	c, err := s.newCourse(r, set, o)
	if err != nil {
		return s.fail(ctx, "restore", "", err)
	}
	x := &restoring{s: s, r: r, set: set, c: c}
	return s.fail(ctx, "restore", "", x.all(ctx))
}

// restoring carries a course out.
type restoring struct {
	s   *Source
	r   backup.RestoreRequest
	set *backup.RestoreSet
	c   *course
	// proving: every page is read afterwards.
	proving bool
	proved  pageProof
}

// all refuses first, then restores one group after the other. One that fails does not keep the others from being restored.
func (x *restoring) all(ctx context.Context) error {
	if len(x.c.system) > 0 && x.c.opt.to == "" {
		return x.s.refuse("restore", itemSystem, "name a folder (to=DIR); the tool of Windows that puts it back is told then, and a person runs it", "the system state of a running server is not replaced by copying files")
	}
	places, err := x.s.locate(ctx, x.c)
	if err != nil {
		return err
	}
	for _, p := range places {
		if !there(groupPath(x.s.opt.StateDir, x.s.opt.Instance, p.key(), noteSwap)) { // else what is in the way is told with what a dead restore left
			if err := x.s.occupied(p, x.r.Overwrite); err != nil {
				return err
			}
		}
	}
	for _, p := range places {
		if err := x.s.ready(p, x.c.opt); err != nil {
			return err
		}
	}
	swaps, err := x.take(places)
	defer func() {
		for _, w := range swaps {
			_ = w.close() // the process holds it no longer than itself
		}
	}()
	if err != nil {
		return err
	}
	for _, p := range places {
		if err := x.s.occupied(p, x.r.Overwrite); err != nil {
			return err
		}
	}
	if err := x.room(places); err != nil {
		return err
	}
	x.set.Expect(len(places) + len(x.c.system))
	for _, step := range x.c.system {
		if err := x.systemState(ctx, step); err != nil {
			return x.s.fail(ctx, "restore", itemSystem, err)
		}
		x.set.ItemDone()
	}
	var errs []error
	for i, p := range places {
		if ctx.Err() != nil {
			return errors.Join(append(errs, context.Cause(ctx))...)
		}
		if err := x.group(ctx, p, swaps[i]); err != nil {
			errs = append(errs, x.s.fail(ctx, "restore", p.item, err))
			continue
		}
		x.set.ItemDone()
	}
	return errors.Join(errs...)
}

// take takes the groups for this process, and ends what dead restores left at their places.
func (x *restoring) take(places []*place) (swaps []*swap, err error) {
	for _, p := range places {
		w, err := x.s.openSwap(p.key())
		if errors.Is(err, filelock.ErrHeld) {
			return swaps, &backup.Error{Op: "restore", App: application, Instance: x.s.opt.Instance, Artifact: p.item, Advice: "let the other restore of it end first", Err: fmt.Errorf("%w: another restore of it runs", backup.ErrBusy)}
		}
		if err != nil {
			return swaps, err
		}
		swaps = append(swaps, w)
		m, err := w.mend(x.r.Overwrite, p.mounted())
		if err != nil {
			return swaps, err
		}
		for _, text := range m.told {
			x.set.Warn(text)
		}
		if len(m.both) > 0 {
			return swaps, &backup.Error{Op: "restore", App: application, Instance: x.s.opt.Instance, Artifact: p.item,
				Advice: "allow overwriting: then what was there before is put back first, or kept when what was restored is mounted; or look at both, put the wanted one in place and delete the other and " + w.path,
				Err:    fmt.Errorf("a restore of it died while it replaced files: %s is what it restored, and %s what was there before: %w", m.both[0].To, m.both[0].Aside, backup.ErrExists)}
		}
	}
	return swaps, nil
}

// room compares what is written with the room there is. What is there already stays until the end.
func (x *restoring) room(places []*place) error {
	type need struct {
		dir   string
		bytes int64
		free  int64
	}
	needs := map[string]*need{}
	add := func(dir string, bytes int64) {
		v, ok := x.s.room(dir)
		if !ok {
			return
		}
		if needs[v.ID] == nil {
			needs[v.ID] = &need{dir: dir, free: v.FreeBytes}
		}
		needs[v.ID].bytes += bytes
	}
	for _, p := range places {
		var logs int64
		for _, l := range p.logs.logs {
			logs += l.entry.Size
		}
		dirs := map[string]bool{}
		for _, t := range p.targets {
			for to, f := range t.files() {
				add(filepath.Dir(x.s.reach(p, to)), f.entry.Size)
			}
			dirs[filepath.Dir(x.s.reach(p, t.edb))] = true
		}
		switch {
		case p.dir == "" && p.unmanaged():
			// where logs go is known when the restore is open
		case p.dir == "" && (p.way == WayESE || x.c.opt.recover != byEngine):
			add(x.s.reach(p, p.group.LogDir), logs)
		default:
			for dir := range dirs {
				add(dir, logs)
			}
		}
	}
	for _, step := range x.c.system {
		for _, e := range step.Entries {
			add(x.c.opt.to, e.Size)
		}
	}
	for _, n := range needs {
		if n.bytes > n.free {
			return x.s.refuse("restore", n.dir, "make room, or restore into a folder elsewhere (to=DIR): what is there now is kept until the restore is through",
				"the volume of %s has %d MiB free, and the restore needs %d MiB", n.dir, n.free>>20, n.bytes>>20+1)
		}
	}
	return nil
}

// group restores one group.
func (x *restoring) group(ctx context.Context, p *place, w *swap) (err error) {
	x.r.Log.Info("restore", "group", p.item, "way", p.way, "databases", len(p.targets), "first log", p.logs.first(), "last log", p.logs.last(), "left out", len(p.logs.left))
	if p.way == WayESE && !(p.dir != "" && x.c.opt.recover == byPeople) {
		err = x.stream(ctx, p, w)
	} else {
		err = x.files(ctx, p, w)
	}
	if err == nil {
		x.told(p)
	}
	return err
}

// told says what people must know of a restore that is through.
func (x *restoring) told(p *place) {
	if x.proving {
		return
	}
	x.set.Warn("restored " + p.summary())
	if p.dir != "" || p.elsewhere {
		return
	}
	x.set.Warn(fmt.Sprintf("%q was restored, and its log goes on as another history: the next run takes a full of it; take one at once", p.item))
	for _, t := range p.targets {
		var others []string
		for _, c := range t.db.Copies {
			if !c.Active {
				others = append(others, c.Server)
			}
		}
		if len(others) > 0 {
			x.set.Warn(fmt.Sprintf("database %q has copies on %s, which are of the time before the restore: seed them anew (Update-MailboxDatabaseCopy -DeleteExistingFiles)", t.db.Name, strings.Join(others, ", ")))
		}
	}
	if !x.c.opt.mount {
		x.set.Warn(fmt.Sprintf("the databases of %q were not mounted: mount=true does that, or Mount-Database", p.item))
	}
}

// dismount takes the databases from their users, when that was told, and lets their files be replaced.
func (x *restoring) dismount(ctx context.Context, p *place, w *swap) error {
	for _, t := range p.targets {
		if t.db.Mounted {
			w.note.Dismounted = append(w.note.Dismounted, t.db.Name)
		}
	}
	if err := w.save(); err != nil {
		return err
	}
	for _, t := range p.targets {
		if t.db.Mounted {
			if err := x.s.opt.Tools.Management.Dismount(ctx, t.db); err != nil {
				return fmt.Errorf("dismount %q: %w", t.db.Name, err)
			}
		}
		if !t.db.AllowRestore && !t.db.Recovery && !p.unmanaged() {
			if err := x.s.opt.Tools.Management.AllowRestore(ctx, t.db); err != nil {
				return fmt.Errorf("allow the files of %q to be replaced: %w", t.db.Name, err)
			}
		}
	}
	return nil
}

// remount mounts what dismount dismounted, after a failure that left everything as it was.
func (x *restoring) remount(ctx context.Context, p *place) error {
	undo, stop := context.WithTimeout(context.WithoutCancel(ctx), x.s.opt.EndTimeout)
	defer stop()
	var errs []error
	for _, t := range p.targets {
		if t.db.Mounted {
			if err := x.s.opt.Tools.Management.Mount(undo, t.db); err != nil {
				errs = append(errs, fmt.Errorf("mount %q again, which was mounted before: %w", t.db.Name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// mount mounts what was restored.
func (x *restoring) mount(ctx context.Context, p *place) error {
	for _, t := range p.targets {
		if err := x.s.opt.Tools.Management.Mount(ctx, t.db); err != nil {
			return fmt.Errorf("mount %q: %w", t.db.Name, err)
		}
	}
	return nil
}

// create writes an artifact to a file that must not be there, durably.
func (x *restoring) create(ctx context.Context, step *backup.RestoreStep, e backup.Entry, to string) (err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		return err
	}
	in, err := x.set.Open(ctx, step, e)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it was read to its end, or its error is known
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, in)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// header reads what the header of a database says.
func header(ctx context.Context, path string) (*ese.Database, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ese.ReadDatabaseHeader(ctx, f)
}

// settled makes sure that a recovered database is whole and needs no log, and with proving that every page is.
func (x *restoring) settled(ctx context.Context, path string) error {
	d, err := header(ctx, path)
	if err == nil && !d.Clean() {
		err = damaged("after recovery it is in %s, and needs the logs of generation %s", d.State, generations(d.RequiredFirst, d.RequiredLast))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if x.proving {
		return x.prove(ctx, path)
	}
	return nil
}

// sortedKeys makes the order of files the same in every run.
func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

var _ backup.Restorer = (*Source)(nil)
