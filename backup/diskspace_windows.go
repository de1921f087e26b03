package backup

import (
	"errors"
	"syscall"
)

// isDiskFull reports ERROR_HANDLE_DISK_FULL (39) or ERROR_DISK_FULL (112), numbers of winerror.h.
func isDiskFull(err error) bool {
	var n syscall.Errno
	return errors.As(err, &n) && (n == 39 || n == 112)
}
