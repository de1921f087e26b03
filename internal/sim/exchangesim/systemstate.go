package exchangesim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
)

// systemState saves the system state of the model: a few files whose content names the server and the moment.
type systemState struct{ c *Client }

// Name is the tool that the version would have.
func (t *systemState) Name() string {
	if t.c.s.cfg.Version <= 2003 {
		return "ntbackup"
	}
	return "wbadmin"
}

// Save writes the files.
func (t *systemState) Save(ctx context.Context, dir string) (saved []exchange.SavedFile, err error) {
	begun := false
	err = t.c.call(ctx, "SystemState.Save", []string{dir}, func() error {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		if len(entries) > 0 {
			return fmt.Errorf("%s is not empty: %w", dir, esebcli.HrInvalidArgument)
		}
		begun = true
		names := []string{"WindowsImageBackup/" + t.c.s.cfg.Name + "/Catalog/GlobalCatalog", "WindowsImageBackup/" + t.c.s.cfg.Name + "/SystemStateBackup/Volume.vhd"}
		if t.c.s.cfg.Version <= 2003 {
			names = []string{"systemstate.bkf"}
		}
		for _, n := range names {
			path := filepath.Join(dir, filepath.FromSlash(n))
			text := fmt.Sprintf("%s of %s at %s\n", n, t.c.s.cfg.Name, t.c.s.cfg.Now().UTC())
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
				return err
			}
			saved = append(saved, exchange.SavedFile{Name: n, Path: path})
		}
		return nil
	})
	if begun && err != nil && !errors.Is(err, ErrDead) {
		return nil, errors.Join(err, clearDir(dir))
	}
	return saved, err
}

// Remove removes them.
func (t *systemState) Remove(ctx context.Context, dir string) error {
	return t.c.call(ctx, "SystemState.Remove", []string{dir}, func() error { return clearDir(dir) })
}

func clearDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		err = errors.Join(err, removeTree(filepath.Join(dir, e.Name())))
	}
	return err
}

// Check tells whether Save could work.
func (t *systemState) Check(ctx context.Context, dir string) error {
	return t.c.call(ctx, "SystemState.Check", []string{dir}, func() error { return nil })
}

var _ exchange.SystemState = (*systemState)(nil)
