//go:build !linux

package exchange_test

import "testing"

// tinyDisk skips the test.
func tinyDisk(t *testing.T) string {
	t.Skip("a small file system can be mounted on Linux only")
	return ""
}
