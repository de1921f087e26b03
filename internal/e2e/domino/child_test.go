package domino

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/sim/dominosim/libnotes"
)

// Both are made once for the test binary: the program quiesce-notes as an operator builds it, and the library it loads.
var (
	child   func() (path string, err error)
	library func() (path string, err error)
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "domino-e2e")
	if err != nil {
		panic(err)
	}
	child = sync.OnceValues(func() (string, error) { return buildChild(dir) })
	library = sync.OnceValues(func() (string, error) { return libnotes.Compile(context.Background(), dir) })
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

func buildChild(dir string) (string, error) {
	path := filepath.Join(dir, "quiesce-notes")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	cmd := exec.CommandContext(context.Background(), "go", "build", "-o", path, "./domino/quiesce-notes")
	cmd.Dir = filepath.Join("..", "..", "..") // the module that has all it needs
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build quiesce-notes: %w\n%s", err, out)
	}
	return path, nil
}

// programs are the child and the stand-in for libnotes; the test is skipped where one cannot be made.
func programs(t *testing.T) (path, lib string) {
	t.Helper()
	lib, err := library()
	if errors.Is(err, libnotes.ErrNoCompiler) {
		t.Skip(err)
	}
	require.NoError(t, err)
	return childProgram(t), lib
}

func childProgram(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("quiesce-notes cannot be built here: ", err)
	}
	path, err := child()
	require.NoError(t, err)
	return path
}
