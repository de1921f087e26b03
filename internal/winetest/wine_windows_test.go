package winetest

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWindows runs under Wine, or on Windows.
func TestWindows(t *testing.T) {
	assert.Equal(t, "windows", runtime.GOOS)
	b := make([]byte, 32)
	_, err := rand.Read(b)
	require.NoError(t, err)
	assert.NotEqual(t, make([]byte, 32), b)
	path := filepath.Join(TempDir(t), "x")
	require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
	assert.FileExists(t, path)
	t.Log("greeting: ", os.Getenv("WINETEST_GREETING"))
}
