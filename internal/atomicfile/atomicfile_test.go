package atomicfile_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/atomicfile"
)

func TestWriteReplacesAndLeavesNothingBeside(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "state")
	path := filepath.Join(dir, "note")
	for _, content := range []string{"first", "second, and longer", ""} {
		require.NoError(t, atomicfile.Write(path, []byte(content)))
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, content, string(got))
		names, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Len(t, names, 1)
	}
}

func TestWriteThatFailsKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "taken")
	require.NoError(t, os.MkdirAll(filepath.Join(path, "by a directory"), 0o700))
	require.Error(t, atomicfile.Write(path, []byte("x")))
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, names, 1, "no temporary file stays")
	assert.DirExists(t, filepath.Join(path, "by a directory"))
}

func TestSyncDirNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	require.ErrorIs(t, atomicfile.SyncDir(filepath.Join(t.TempDir(), "gone")), fs.ErrNotExist)
}
