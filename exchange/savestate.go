package exchange

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/quiesce-go/quiesce/backup"
)

// systemState takes the system state. That it fails costs only its item. Its error ends the run.
func (r *run) systemState(ctx context.Context) (backup.Item, error) {
	k := &task{target: &target{Group: Group{Name: itemSystem}}, kind: backup.Full}
	at := r.s.opt.Now()
	err := r.saveState(ctx)
	if ctx.Err() != nil || stagingError(err) != nil {
		return backup.Item{}, r.s.fail(ctx, "back up", itemSystem, err)
	}
	if err != nil {
		return r.failed(ctx, k, err), nil
	}
	return backup.Item{Name: itemSystem, Kind: backup.Full, ByName: true, Window: backup.Window{From: at, To: at}}, nil
}

func (r *run) saveState(ctx context.Context) (err error) {
	tool, dir := r.s.opt.Tools.SystemState, r.s.stateDir(r.req.Job)
	if err := r.s.dropState(ctx, dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	defer func() {
		undo, stop := r.s.undoing(ctx)
		defer stop()
		if derr := r.s.dropState(undo, dir); derr != nil {
			if err != nil {
				err = errors.Join(err, derr)
				return
			}
			r.warn("what was saved of the system state is still on the server: %v", derr)
		}
	}()
	var files []SavedFile
	err = r.atWork(func() (err error) {
		files, err = tool.Save(ctx, dir)
		return err
	})
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return damaged("%s saved nothing", tool.Name())
	}
	for _, f := range files {
		if err := r.stateFile(ctx, f, tool.Name()); err != nil {
			return fmt.Errorf("copy %s: %w", f.Name, err)
		}
	}
	return nil
}

func (r *run) stateFile(ctx context.Context, f SavedFile, tool string) error {
	in, size, err := live().open(ctx, f.Path)
	if err != nil {
		return err
	}
	defer in.Close()
	a := backup.Artifact{Name: itemSystem + "/" + f.Name, Item: itemSystem, Role: roleOf(fileState), Meta: map[string]string{metaKind: fileState, "tool": tool}}
	n, err := r.store(ctx, a, in, plain)
	if err == nil && n != size {
		err = damaged("%d of its %d bytes could be read", n, size)
	}
	return err
}

// dropState removes what a save made, and its folder. What is gone is no error.
func (s *Source) dropState(ctx context.Context, dir string) error {
	if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := s.opt.Tools.SystemState.Remove(ctx, dir); err != nil {
		return err
	}
	return removeDir(dir)
}

// removeDir removes a folder of the agent's own with the files in it.
func removeDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		at := join(dir, e.Name())
		if e.IsDir() {
			err = errors.Join(err, removeDir(at))
		} else if rerr := os.Remove(at); !errors.Is(rerr, os.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	if rerr := os.Remove(dir); !errors.Is(rerr, os.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}
