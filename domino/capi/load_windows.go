//go:build amd64 || 386

package capi

import "syscall"

// load finds what nnotes.dll needs beside it, because the program directory is in PATH since before the start of the process.
func load(path string) (find func(name string) (uintptr, error), err error) {
	dll := syscall.NewLazyDLL(path)
	if err := dll.Load(); err != nil {
		return nil, err
	}
	return func(name string) (uintptr, error) {
		p := dll.NewProc(name)
		if err := p.Find(); err != nil {
			return 0, err
		}
		return p.Addr(), nil
	}, nil
}

func libraryName() string { return "nnotes.dll" }

// newCallback makes a C function of f, stdcall where that differs. It is never freed.
func newCallback(f any) uintptr { return syscall.NewCallback(f) }
