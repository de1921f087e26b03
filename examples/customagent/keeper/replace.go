package keeper

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace puts the file from in the place of the database at to, with all that belonged to it. It fails, as Busy tells, while somebody has that open.
func (k *Keeper) Replace(ctx context.Context, to, from string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.release()
	if _, err := os.Lstat(to); err == nil {
		// Only a database that nobody else has open can leave WAL mode. A damaged one fails otherwise, and may go.
		old, err := Open(to, "mode=rw")
		if err != nil {
			return err
		}
		_, err = old.ExecContext(ctx, "PRAGMA journal_mode=DELETE")
		if err := errors.Join(err, old.Close()); Busy(err) {
			return err
		}
	}
	// A log left beside the new database would be taken for its own.
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(to + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	if dir, err := os.Open(filepath.Dir(to)); err == nil {
		_ = dir.Sync() // makes the new name durable, where directories can be synced
		_ = dir.Close()
	}
	return nil
}

// Intact lets SQLite check a database that nobody has open, without changing anything.
func Intact(ctx context.Context, path string) error {
	db, err := Open(path, "mode=ro&immutable=1")
	if err != nil {
		return err
	}
	defer db.Close()
	var found string
	err = db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&found)
	if err == nil && found != "ok" {
		err = errors.New("integrity check: " + found)
	}
	return err
}
