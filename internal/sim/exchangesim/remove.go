package exchangesim

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// removeTree removes a folder with all that is in it, one by one: os.RemoveAll does not work where a Windows program runs under wine. What is gone is no error.
func removeTree(dir string) error {
	var paths []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		paths = append(paths, path)
		return err
	})
	for _, path := range slices.Backward(paths) {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}
