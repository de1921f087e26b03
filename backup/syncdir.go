package backup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// syncDir brings the names in a directory to disk. Windows has no call for that; its file systems keep names in a journal.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// syncStageDir makes a new stage survive a power cut: its directory, that of its job, and the one above, in which that may be new. One
// that we may not read was not made by us.
func syncStageDir(path string) error {
	for range 3 {
		if err := syncDir(path); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
		path = filepath.Dir(path)
	}
	return nil
}
