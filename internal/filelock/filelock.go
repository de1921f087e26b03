// Package filelock tells whether the process that made a file is still alive: it holds a lock on the file that the
// operating system gives back when the process ends, however it ends.
package filelock

import (
	"errors"
	"os"
)

// ErrHeld is returned by Take while another holder has the lock.
var ErrHeld = errors.New("file is locked by another process")

// Lock is a lock held by this process.
type Lock struct{ f *os.File }

// Take creates the file at path if need be and locks it, or fails with ErrHeld. It does not wait.
func Take(path string) (*Lock, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	return &Lock{f}, nil
}

// Release gives the lock back and leaves the file. It is idempotent.
func (l *Lock) Release() error {
	if l == nil || l.f == nil {
		return nil
	}
	f := l.f
	l.f = nil
	return errors.Join(unlock(f), f.Close())
}
