package capi

import (
	"context"
	"errors"
	"io"

	"github.com/quiesce-go/quiesce/domino/notes"
)

// Config says which Domino.
type Config struct {
	// Program is Domino's program directory. Required.
	Program string
	// INI is the full path of notes.ini. Default: where Domino looks for it.
	INI string
	// Library is the path of the library. Default: libnotes.so, libnotes.dylib or nnotes.dll in Program.
	Library string
}

// ErrPlatform: this build cannot load the library of a Domino.
var ErrPlatform = errors.New("the Notes C API is there on Linux and macOS (amd64, arm64) and on Windows (amd64, 386) only")

// Serve loads Domino as c says and serves one parent over conn: it is the whole of the program quiesce-notes. When Domino cannot be loaded, the parent is told, and Serve returns the error.
func Serve(ctx context.Context, conn io.ReadWriteCloser, c Config) error {
	api, err := Open(c)
	if err != nil {
		err = errors.Join(err, notes.Refuse(conn, err))
		conn.Close()
		return err
	}
	return errors.Join(notes.Serve(ctx, conn, api), api.Close())
}
