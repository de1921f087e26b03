package libnotes

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
)

// ErrNoCompiler is returned by Compile where the library cannot be made: no C compiler, or a system it was not written for.
var ErrNoCompiler = errors.New("libnotes: no C compiler for the stand-in")

//go:embed src
var sources embed.FS

// Name is what the library is called on this system.
func Name() string {
	if runtime.GOOS == "darwin" {
		return "libnotes.dylib"
	}
	return "libnotes.so"
}

// Compile makes the library in dir and returns its path.
func Compile(ctx context.Context, dir string) (string, error) {
	if runtime.GOOS == "windows" {
		return "", fmt.Errorf("%w: it needs POSIX threads and locks", ErrNoCompiler)
	}
	cc, err := compiler()
	if err != nil {
		return "", err
	}
	src, err := os.MkdirTemp(dir, "src")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(src)
	names, err := unpack(src)
	if err != nil {
		return "", err
	}
	lib := filepath.Join(dir, Name())
	args := []string{"-std=c99", "-D_DEFAULT_SOURCE", "-D_DARWIN_C_SOURCE", "-D_XOPEN_SOURCE=700", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-fvisibility=hidden", "-shared", "-o", lib}
	out, err := exec.CommandContext(ctx, cc, append(append(args, names...), "-lpthread")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("libnotes: %s: %w\n%s", cc, err, out)
	}
	return lib, nil
}

func compiler() (string, error) {
	for _, name := range [...]string{os.Getenv("CC"), "cc", "gcc", "clang"} {
		if name == "" {
			continue
		}
		if p, err := exec.LookPath(name); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("%w: neither cc, gcc nor clang is in PATH", ErrNoCompiler)
}

// unpack writes the sources to dir and returns those that are to be compiled.
func unpack(dir string) (names []string, err error) {
	entries, err := sources.ReadDir("src")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		b, err := sources.ReadFile(path.Join("src", e.Name()))
		if err != nil {
			return nil, err
		}
		name := filepath.Join(dir, e.Name())
		if err := os.WriteFile(name, b, 0o600); err != nil {
			return nil, err
		}
		if filepath.Ext(name) == ".c" {
			names = append(names, name)
		}
	}
	return names, nil
}

// TB is the part of a test that Build needs.
type TB interface {
	Helper()
	Context() context.Context
	TempDir() string
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Build makes the library in a directory of the test's own and returns its path. The test is skipped where there is no compiler, and told so.
func Build(t TB) string {
	t.Helper()
	lib, err := Compile(t.Context(), t.TempDir())
	if errors.Is(err, ErrNoCompiler) {
		t.Skipf("%v", err)
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
	return lib
}
