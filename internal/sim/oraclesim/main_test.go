package oraclesim

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain makes the test binary the fake programs when it is started by a link with their name: the program's name and the socket say so.
func TestMain(m *testing.M) {
	socket := os.Getenv(SocketVariable)
	if socket == "" {
		os.Exit(m.Run())
	}
	exit, err := Program(context.Background(), socket, os.Args, os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		exit = 1
	}
	os.Exit(exit)
}

func TestProgramsAreProcesses(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	dir := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	rman, socket, script := filepath.Join(dir, "rman"), filepath.Join(dir, "s"), filepath.Join(dir, "x")
	require.NoError(t, os.Symlink(self, rman))
	wait, err := l.Listen(t.Context(), socket)
	require.NoError(t, err)
	t.Cleanup(func() { wait() })
	require.NoError(t, os.WriteFile(script, []byte("RESTORE DATABASE VALIDATE;\n"), 0o600))
	cmd := exec.CommandContext(t.Context(), rman, "target", "/", "@"+script)
	cmd.Env = append(os.Environ(), SocketVariable+"="+socket)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, string(out))
	assert.Equal(t, 1, exit.ExitCode())
	assert.Contains(t, string(out), "RMAN-00569")
	require.NoError(t, os.WriteFile(script, []byte("BACKUP DATABASE FORMAT '"+dir+"/%U';\nRESTORE DATABASE VALIDATE;\n"), 0o600))
	cmd = exec.CommandContext(t.Context(), rman, "target", "/", "cmdfile", script)
	cmd.Env = append(os.Environ(), SocketVariable+"="+socket)
	out, err = cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}
