package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// claim keeps standard input and output for itself and gives others to the library, which asks for them when it is loaded: the one empty, the other standard error.
func claim() (*stdio, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	if err := windows.SetStdHandle(windows.STD_INPUT_HANDLE, windows.Handle(null.Fd())); err != nil {
		return nil, err
	}
	if err := windows.SetStdHandle(windows.STD_OUTPUT_HANDLE, windows.Handle(os.Stderr.Fd())); err != nil {
		return nil, err
	}
	return &stdio{in: os.Stdin, out: os.Stdout, spare: null}, nil
}
