//go:build linux || darwin

package diskroom

import (
	"strconv"
	"syscall"
)

func at(dir string) (Volume, bool) {
	var room syscall.Statfs_t
	var file syscall.Stat_t
	if syscall.Statfs(dir, &room) != nil || syscall.Stat(dir, &file) != nil {
		return Volume{}, false
	}
	// The widths of these fields differ between systems.
	return Volume{ID: strconv.FormatUint(uint64(file.Dev), 10), FreeBytes: int64(room.Bavail) * int64(room.Bsize)}, true //nolint:unconvert,gosec // as said
}
