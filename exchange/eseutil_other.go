//go:build !windows

package exchange

// exchangeFolders: Exchange runs on Windows only.
func exchangeFolders() []string { return nil }
