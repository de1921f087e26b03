package winetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/filelock"
)

// Run builds the tests of pkg, a package path or "." for that of the calling test, for windows/amd64, and runs those whose name matches the regular expression match under Wine. env is added to the environment, as NAME=value.
func Run(t *testing.T, pkg, match string, env ...string) {
	t.Helper()
	tools, err := findTools()
	if err != nil {
		if os.Getenv("QUIESCE_WINE_REQUIRED") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := t.TempDir()
	exe := filepath.Join(dir, "package.test.exe")
	source, err := goTool(t.Context(), nil, "list", "-f", "{{.Dir}}", pkg)
	require.NoError(t, err)
	_, err = goTool(t.Context(), []string{"GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0"}, "test", "-c", "-o", exe, pkg)
	require.NoError(t, err)

	prefix := tools.prefix(t, dir)
	cmd := tools.command(t.Context(), prefix, exe, "-test.v", "-test.run="+match, "-test.timeout=8m")
	cmd.Dir = source
	cmd.Env = append(cmd.Env, env...)
	output, err := cmd.CombinedOutput()
	report(t, strings.ReplaceAll(string(output), "\r\n", "\n"), err)
}

// Compiler is the C compiler of MinGW for windows/amd64, or an error that says what to install.
func Compiler() (string, error) {
	return look("x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64")
}

// tools are what must be installed.
type tools struct{ wine, wineserver, compiler string }

func findTools() (tools, error) {
	var found tools
	var errs [3]error
	// Debian's package wine64 puts them where no search finds them, and its package wine adds names of its own.
	found.wine, errs[0] = look("wine64", "wine64", "/usr/lib/wine/wine64")
	found.wineserver, errs[1] = look("wineserver64", "wine64", "/usr/lib/wine/wineserver64", "wineserver")
	found.compiler, errs[2] = Compiler()
	return found, errors.Join(errs[:]...)
}

func look(name, debian string, others ...string) (string, error) {
	for _, n := range append([]string{name}, others...) {
		if path, err := exec.LookPath(n); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed (package %s of Debian)", name, debian)
}

func (w tools) command(ctx context.Context, prefix, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, w.wine, append([]string{name}, args...)...)
	cmd.Env = w.env(prefix)
	cmd.WaitDelay = 10 * time.Second // processes of Windows that outlive it keep its output open
	return cmd
}

func (w tools) env(prefix string) []string {
	// Neither messages of its own, nor a desktop, nor a question whether to install Mono and Gecko.
	return append(os.Environ(), "WINEPREFIX="+prefix, "WINESERVER="+w.wineserver, "WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml=;winemenubuilder.exe=d", "DISPLAY=")
}

// prefix makes a prefix that lives as long as the test, or the shared one, which is locked that long.
func (w tools) prefix(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "wine")
	if shared := os.Getenv("QUIESCE_WINEPREFIX"); shared != "" {
		path = shared
		lock(t, shared+".lock")
	}
	t.Cleanup(func() { w.end(t, path) }) // before the lock is given back and the directory is removed
	ready := filepath.Join(path, "quiesce-ready")
	if _, err := os.Stat(ready); err == nil {
		return path
	}
	require.NoError(t, os.MkdirAll(path, 0o700))
	out, err := w.command(t.Context(), path, "wineboot", "--init").CombinedOutput()
	require.NoErrorf(t, err, "make a Wine prefix: %s", out)
	out, err = exec.CommandContext(t.Context(), w.compiler, "-O2", "-Wall", "-Werror", "-shared", "-o",
		filepath.Join(path, "drive_c", "windows", "system32", "bcryptprimitives.dll"), "-x", "c", w.source(t, dir), "-ladvapi32").CombinedOutput()
	require.NoErrorf(t, err, "compile bcryptprimitives.dll: %s", out)
	require.NoError(t, os.WriteFile(ready, nil, 0o600))
	return path
}

// processPrng forwards to what Windows had before it.
const processPrng = `#include <windows.h>
BOOLEAN WINAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE p, SIZE_T n)
{
	while (n > 0) {
		ULONG part = n > 0x40000000 ? 0x40000000 : (ULONG)n;
		if (!SystemFunction036(p, part))
			return FALSE;
		p += part;
		n -= part;
	}
	return TRUE;
}
`

func (w tools) source(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "processprng.c")
	require.NoError(t, os.WriteFile(path, []byte(processPrng), 0o600))
	return path
}

// end stops what still runs in a prefix and waits for it.
func (w tools) end(t *testing.T, prefix string) {
	t.Helper()
	for _, how := range [...]string{"-k", "-w"} {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		cmd := exec.CommandContext(ctx, w.wineserver, how)
		cmd.Env = w.env(prefix)
		_ = cmd.Run() // it fails when none runs
		cancel()
	}
}

// lock waits until no other test binary works in the shared prefix.
func lock(t *testing.T, path string) {
	t.Helper()
	for {
		l, err := filelock.Take(path)
		if err == nil {
			t.Cleanup(func() { l.Release() })
			return
		}
		require.ErrorIs(t, err, filelock.ErrHeld)
		select {
		case <-t.Context().Done():
			t.Fatal("the Wine prefix is held by another test: ", path)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func goTool(ctx context.Context, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// Path is a path of the host as a Windows program under Wine names it: "Z:\tmp\x".
func Path(host string) string { return `Z:` + strings.ReplaceAll(host, "/", `\`) }

// TempDir is a directory for a test under Wine, which is removed file by file when the test ends.
func TempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "winetest")
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := RemoveAll(dir); err != nil {
			t.Errorf("remove %s: %v", dir, err)
		}
	})
	return dir
}

// RemoveAll is os.RemoveAll with plain removals only.
func RemoveAll(dir string) error {
	var paths []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			paths = append(paths, path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, path := range slices.Backward(paths) { // what is in a directory before itself
		errs = append(errs, os.Remove(path))
	}
	return errors.Join(errs...)
}
