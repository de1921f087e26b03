//go:build unix

package backup

import (
	"errors"
	"syscall"
)

// isDiskFull reports a full disk or an exhausted user quota.
func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}
