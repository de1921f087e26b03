package exchange

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// openElsewhere reports whether another process has a file open in a way that lets nobody else write it, as the engine has a database that is attached. Nothing is written.
func openElsewhere(path string) (bool, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	switch {
	case err == nil:
		return false, f.Close()
	case errors.Is(err, windows.ERROR_SHARING_VIOLATION), errors.Is(err, windows.ERROR_LOCK_VIOLATION):
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	}
	return false, err
}
