package sink

import (
	"errors"
	"os"
	"syscall"
)

// syncDir does nothing: Windows has no fsync of directories; NTFS and ReFS keep names in a journal.
func syncDir(string) error { return nil }

// openShared opens a file in a way that lets others replace it. os.Open does not share deletion, and a rename over the file would fail
// for as long as somebody reads it.
func openShared(path string) (*os.File, error) {
	p, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	h, err := syscall.CreateFile(p, syscall.GENERIC_READ,
		syscall.FILE_SHARE_READ|syscall.FILE_SHARE_WRITE|syscall.FILE_SHARE_DELETE,
		nil, syscall.OPEN_EXISTING, syscall.FILE_ATTRIBUTE_NORMAL|syscall.FILE_FLAG_BACKUP_SEMANTICS, 0) // the flag lets directories open, and be told apart
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// isDiskFull reports whether a write failed for want of space: ERROR_HANDLE_DISK_FULL, ERROR_DISK_FULL.
func isDiskFull(err error) bool {
	return errors.Is(err, syscall.Errno(39)) || errors.Is(err, syscall.Errno(112))
}
