package libnotes_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/sim/dominosim/libnotes"
)

func Example() {
	dir, err := os.MkdirTemp("", "libnotes")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	lib, err := libnotes.Compile(context.Background(), dir)
	if err != nil {
		return // no compiler here
	}
	_ = lib // to be loaded, with "=" and Server.IniPath() as an argument of NotesInitExtended
}

func TestBuild(t *testing.T) {
	t.Parallel()
	lib := libnotes.Build(t)
	assert.FileExists(t, lib)
	assert.Equal(t, libnotes.Name(), filepath.Base(lib))
	entries, err := os.ReadDir(filepath.Dir(lib))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing else is left")
}

func TestNoCompiler(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("CC", "")
	_, err := libnotes.Compile(t.Context(), t.TempDir())
	assert.ErrorIs(t, err, libnotes.ErrNoCompiler)
}
