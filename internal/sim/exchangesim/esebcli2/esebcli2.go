package esebcli2

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
)

// ErrNoCompiler is returned by Compile where the library cannot be made.
var ErrNoCompiler = errors.New("esebcli2: no C compiler of MinGW for the stand-in")

//go:embed src
var sources embed.FS

// Compile makes the library for windows/amd64 in dir and returns its path.
func Compile(ctx context.Context, dir string) (string, error) {
	const compiler = "x86_64-w64-mingw32-gcc"
	cc, err := exec.LookPath(compiler)
	if err != nil {
		return "", fmt.Errorf("%w: %s is not installed", ErrNoCompiler, compiler)
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
	lib := filepath.Join(dir, "esebcli2.dll")
	args := []string{"-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-o", lib}
	out, err := exec.CommandContext(ctx, cc, append(append(args, names...), "-ladvapi32")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("esebcli2: %s: %w\n%s", cc, err, out)
	}
	return lib, nil
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
