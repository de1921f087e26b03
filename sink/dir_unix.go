//go:build !windows

package sink

import (
	"errors"
	"os"
	"syscall"
)

// syncDir brings the entries of a directory to disk.
func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// openShared opens a file in a way that lets others replace it.
func openShared(path string) (*os.File, error) { return os.Open(path) }

// isDiskFull reports whether a write failed for want of space or quota.
func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
