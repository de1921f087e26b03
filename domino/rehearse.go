package domino

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/notes"
)

func (s *capiSource) rehearse(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet, o restoreOptions) error {
	return s.with(ctx, func(calls context.Context, t *thread) (err error) {
		data, err := t.DataDirectory(calls)
		if err != nil {
			return fmt.Errorf("ask for the data directory: %w", err)
		}
		c, err := s.newCourse(r, set, o, filepath.Clean(data))
		if err != nil {
			return err
		}
		dir := filepath.Join(c.data, filepath.FromSlash(o.to))
		made, err := emptyScratch(dir)
		if err != nil {
			return s.refuse("rehearse", dir, "name a directory below the data directory that is empty or does not exist", "%v", err)
		}
		x := &restoring{s: s, r: r, set: set, c: c, t: t, calls: calls}
		defer func() { err = errors.Join(err, x.clear(ctx, dir, made)) }()
		return x.prove(ctx)
	})
}

// emptyScratch makes the directory, and returns what had to be made.
func emptyScratch(dir string) (made []string, err error) {
	entries, err := os.ReadDir(dir)
	switch {
	case err == nil && len(entries) > 0:
		return nil, fmt.Errorf("it holds %s", entries[0].Name())
	case err == nil:
		return nil, nil
	case !os.IsNotExist(err):
		return nil, err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); err == nil {
			break
		}
		made = append(made, at)
	}
	return made, os.MkdirAll(dir, 0o750)
}

// prove restores what can be a new replica, opens it, and reads the rest.
func (x *restoring) prove(ctx context.Context) error {
	for _, steps := range [][]*backup.RestoreStep{x.c.files, x.c.attachments} {
		for _, step := range steps {
			v := &verifying{src: x.s, set: x.set, step: step}
			if err := v.all(ctx); err != nil {
				return err
			}
		}
	}
	read := 0
	for _, t := range slices.Clone(x.c.targets) {
		if t.rolled {
			continue
		}
		v := &verifying{src: x.s, set: x.set, step: t.copy.step}
		if err := v.copy(ctx, t.copy.entry, io.Discard); err != nil {
			return err
		}
		read++
		x.c.targets = slices.DeleteFunc(x.c.targets, func(other *target) bool { return other == t })
	}
	if err := x.recoverAll(ctx); err != nil {
		return err
	}
	if err := errors.Join(x.failed...); err != nil {
		return err
	}
	for _, t := range x.c.targets {
		if err := x.open(ctx, t); err != nil {
			return x.s.fail(ctx, "open what was rehearsed of", t.item, err)
		}
	}
	x.set.Note("databases recovered and opened", fmt.Sprint(len(x.c.targets)))
	x.set.Note("databases read only", fmt.Sprint(read))
	return nil
}

// open puts a recovered database in place, and asks Domino what it knows of it.
func (x *restoring) open(ctx context.Context, t *target) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := x.settle(ctx, t); err != nil {
		return err
	}
	info, err := logInfo(x.calls, x.t, t.to)
	if err != nil {
		return err
	}
	if info.DBIID.String() == t.copy.entry.Meta[metaDBIID] {
		return fmt.Errorf("it has the instance id of its original, %s", info.DBIID)
	}
	return nil
}

// clear removes what a rehearsal made: each database is taken from the server first.
func (x *restoring) clear(ctx context.Context, dir string, made []string) error {
	undo, stop := x.s.undoing(ctx)
	defer stop()
	var errs []error
	dirs := append([]string{dir}, made...)
	for _, t := range x.c.targets {
		if _, err := os.Stat(t.to); err == nil {
			if err := x.t.TakeOffline(undo, t.to, x.s.opt.OfflineWait); err != nil && !said(err, notes.StatusDBOffline) {
				errs = append(errs, fmt.Errorf("take %s offline: %w", t.to, err))
			}
		}
		for at := filepath.Dir(t.to); at != dir && len(at) > len(dir); at = filepath.Dir(at) {
			dirs = append(dirs, at)
		}
		_ = os.Remove(t.temp)
		if err := os.Remove(t.to); err != nil && !os.IsNotExist(err) {
			errs = append(errs, err)
		}
	}
	slices.SortFunc(dirs, func(a, b string) int { return len(b) - len(a) })
	for _, at := range slices.Compact(dirs) {
		if at == dir && !slices.Contains(made, dir) {
			continue // it was there
		}
		if err := os.Remove(at); err != nil && !os.IsNotExist(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
