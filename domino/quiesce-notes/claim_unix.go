//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// claim moves standard input and output away: the one is then empty, what is printed goes to standard error.
func claim() (*stdio, error) {
	in, err := move(0, "stdin")
	if err != nil {
		return nil, err
	}
	out, err := move(1, "stdout")
	if err != nil {
		return nil, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	if err := unix.Dup2(int(null.Fd()), 0); err != nil {
		return nil, err
	}
	return &stdio{in: in, out: out, spare: null}, unix.Dup2(2, 1)
}

// move is the file of a descriptor under another number, which no child inherits, and which can be closed while it is read.
func move(fd int, name string) (*os.File, error) {
	moved, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(moved, true); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(moved), name), nil
}
