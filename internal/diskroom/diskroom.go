// Package diskroom tells how much room there is where files are about to be written.
package diskroom

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Volume is the file system that holds a folder.
type Volume struct {
	// ID is the same for folders of one file system, and means nothing else.
	ID string
	// FreeBytes is what this user may still write.
	FreeBytes int64
}

// At returns the volume of a folder, or, while it is not there, that of the nearest folder above it, where it would be made. ok is false where that cannot be told.
func At(dir string) (v Volume, ok bool) {
	for {
		_, err := os.Stat(dir)
		if err == nil {
			return at(dir)
		}
		up := filepath.Dir(dir)
		if !errors.Is(err, fs.ErrNotExist) || up == dir {
			return Volume{}, false
		}
		dir = up
	}
}
