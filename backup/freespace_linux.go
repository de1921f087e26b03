package backup

import "syscall"

// freeSpace returns the bytes an unprivileged writer may still use below dir; ok is false where that cannot be told.
func freeSpace(dir string) (free int64, ok bool) {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true //nolint:unconvert // Bsize is 32 bits wide on some platforms
}
