package diskroom

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAFolderThatIsNotThereIsOnTheVolumeAboveIt(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" && runtime.GOOS != "windows" {
		_, ok := At(t.TempDir())
		assert.False(t, ok)
		return
	}
	dir := t.TempDir()
	have, ok := At(dir)
	require.True(t, ok)
	assert.Positive(t, have.FreeBytes)
	below, ok := At(filepath.Join(dir, "a", "b"))
	require.True(t, ok)
	assert.Equal(t, have.ID, below.ID)
	assert.NoDirExists(t, filepath.Join(dir, "a"), "looking makes nothing")
}

func TestNothingIsToldOfAFolderBelowAFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, ok := At(filepath.Join(file, "folder"))
	if runtime.GOOS != "windows" { // there it is a path that does not exist, like any other
		assert.False(t, ok)
	}
}
