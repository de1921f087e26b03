//go:build (linux || darwin) && (amd64 || arm64)

package capi

import (
	"runtime"

	"github.com/ebitengine/purego"
)

func load(path string) (find func(name string) (uintptr, error), err error) {
	lib, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, err
	}
	return func(name string) (uintptr, error) { return purego.Dlsym(lib, name) }, nil
}

func libraryName() string {
	if runtime.GOOS == "darwin" {
		return "libnotes.dylib"
	}
	return "libnotes.so"
}

// newCallback makes a C function of f. It is never freed.
func newCallback(f any) uintptr { return purego.NewCallback(f) }
