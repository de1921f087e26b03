package exchange_test

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// tinyDisk mounts a file system of a few hundred KiB, or skips the test.
func tinyDisk(t *testing.T) string {
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=200k"); err != nil {
		t.Skipf("a file system in memory can be mounted by root only: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	return dir
}
