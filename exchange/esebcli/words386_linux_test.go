package esebcli_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAs386 runs the tests that need no Windows as a program of 32 bits, whose words and structures are those of Exchange 2000 and 2003.
func TestAs386(t *testing.T) {
	t.Parallel()
	if runtime.GOARCH != "amd64" {
		t.Skip("programs for 386 run on amd64 only")
	}
	exe := filepath.Join(t.TempDir(), "esebcli.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", exe, ".")
	build.Env = append(os.Environ(), "GOARCH=386", "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = exec.CommandContext(t.Context(), exe, "-test.v", "-test.skip=^(TestUnderWine|TestAs386)$").CombinedOutput()
	if errors.Is(err, syscall.ENOEXEC) {
		t.Skip("this kernel runs no programs of 32 bits")
	}
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: TestArgumentsOfCalls")
}
