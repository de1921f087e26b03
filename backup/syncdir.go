package backup

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/quiesce-go/quiesce/internal/atomicfile"
)

// syncStageDir makes a new stage survive a power cut: its directory, that of its job, and the one above, in which that may be new. One
// that we may not read was not made by us.
func syncStageDir(path string) error {
	for range 3 {
		if err := atomicfile.SyncDir(path); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
		path = filepath.Dir(path)
	}
	return nil
}
