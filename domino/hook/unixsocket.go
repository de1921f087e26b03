//go:build !windows

package hook

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/quiesce-go/quiesce/backup"
)

const socketName = "hook.sock"

// listen makes a socket in a directory that is for this account alone: whoever may enter it may say what Domino says.
func listen(dir string) (*Listener, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, &backup.Error{Op: "use", Artifact: dir, Err: fmt.Errorf("%w: others may enter it (mode %o)", backup.ErrRefused, info.Mode().Perm()),
			Advice: "name a directory of its own, with mode 700, for calls of Domino"}
	}
	path := filepath.Join(dir, socketName)
	if conn, err := net.Dial("unix", path); err == nil {
		_ = conn.Close()
		return nil, &backup.Error{Op: "use", Artifact: dir, Err: fmt.Errorf("%w: another process waits there", backup.ErrBusy), Advice: "let the other run end; each job needs a directory of its own"}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("%w (a path of this length may be too long for a socket: %d bytes)", err, len(path))
	}
	return &Listener{l, "", func() error { return nil }}, nil // closing it removes the socket
}

func dial(ctx context.Context, dir string) (net.Conn, string, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", filepath.Join(dir, socketName))
	return conn, "", err
}
