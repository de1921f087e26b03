package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/examples/customagent/keeper"
)

// Restore implements backup.Restorer. The database is built beside its place and takes it in one step.
func (s *Source) Restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	return s.fail(ctx, "restore", "", s.restore(ctx, r, set))
}

func (s *Source) restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	for name := range r.Options {
		return fmt.Errorf("option %q is not known", name)
	}
	to := s.k.Path()
	for _, sel := range r.Target.Select {
		if sel.As != "" && !filepath.IsLocal(sel.As) {
			return fmt.Errorf("restore as %q: want the name of a file beside the database", sel.As)
		}
		if sel.As != "" {
			to = filepath.Join(filepath.Dir(to), sel.As)
		}
	}
	if _, err := os.Lstat(to); err == nil && !r.Overwrite {
		return fmt.Errorf("%s: %w", to, backup.ErrExists)
	}
	defer os.Remove(to + "-restoring") // it is gone when all went well
	if err := build(ctx, set, to+"-restoring"); err != nil {
		return err
	}
	return s.k.Replace(ctx, to, to+"-restoring")
}

// build makes a database of the steps of a set and lets SQLite check it.
func build(ctx context.Context, set *backup.RestoreSet, name string) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	var reached, size int64
	for _, step := range set.Steps() {
		at := reached
		err := read(ctx, set, step, func(p keeper.Page) error {
			// Logs may overlap, and the last one is applied up to a time.
			if step.Item.Kind == backup.Log && p.Pos <= reached || !step.Until.IsZero() && p.Time.After(step.Until) {
				return nil
			}
			at, size = p.Pos, int64(p.Size)*int64(len(p.Data))
			_, err := f.WriteAt(p.Data, int64(p.No-1)*int64(len(p.Data)))
			return err
		})
		if err != nil {
			return fmt.Errorf("%s %s: %w", step.Item.Kind, step.ID, err)
		}
		reached = at
	}
	if err := errors.Join(f.Truncate(size), f.Sync(), f.Close()); err != nil {
		return err
	}
	return keeper.Intact(ctx, name)
}

// Verify implements backup.Verifier.
func (s *Source) Verify(ctx context.Context, set *backup.RestoreSet) error {
	for _, step := range set.Steps() {
		if err := read(ctx, set, step, func(keeper.Page) error { return nil }); err != nil {
			return s.fail(ctx, "verify", step.ID, err)
		}
	}
	return nil
}

// Rehearse implements backup.Rehearser. scratch is a directory.
func (s *Source) Rehearse(ctx context.Context, _ backup.RestoreRequest, set *backup.RestoreSet, scratch string) error {
	dir, err := os.MkdirTemp(scratch, "sqlite-")
	if err == nil {
		err = errors.Join(build(ctx, set, filepath.Join(dir, s.name)), os.RemoveAll(dir))
	}
	return s.fail(ctx, "rehearse", "", err)
}
