//go:build aix || solaris

package filelock

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// open uses fcntl(2) record locks, which exclude other processes only.
func open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	err = syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &lock)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		return nil, ErrHeld
	}
	return nil, &os.PathError{Op: "fcntl", Path: path, Err: err}
}

// unlock has nothing to do: the lock ends when the process closes the file.
func unlock(*os.File) error { return nil }
