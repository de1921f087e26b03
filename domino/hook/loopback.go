package hook

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/quiesce-go/quiesce/backup"
)

const tokenName = "hook.json"

// address is the content of the token's file.
type address struct {
	Address string `json:"address"`
	Token   string `json:"token"`
}

// listenLoopback waits at a port of the loopback interface for callers that know the token, which lies in a file that private leaves to this account.
func listenLoopback(dir string, private func(path string) error) (*Listener, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if conn, _, err := dialLoopback(context.Background(), dir); err == nil {
		_ = conn.Close()
		return nil, &backup.Error{Op: "use", Artifact: dir, Err: fmt.Errorf("%w: another process waits there", backup.ErrBusy), Advice: "let the other run end; each job needs a directory of its own"}
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := address{l.Addr().String(), rand.Text()}
	path := filepath.Join(dir, tokenName)
	if err := a.save(path, private); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &Listener{l, a.Token, func() error {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}}, nil
}

// save writes the file under another name, made private while it is empty.
func (a address) save(path string, private func(path string) error) error {
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = private(temp)
	if err == nil {
		_, err = f.Write(text)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temp, path)
	}
	return err
}

func dialLoopback(ctx context.Context, dir string) (net.Conn, string, error) {
	text, err := os.ReadFile(filepath.Join(dir, tokenName))
	if err != nil {
		return nil, "", err
	}
	var a address
	if err := json.Unmarshal(text, &a); err != nil {
		return nil, "", err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp4", a.Address)
	return conn, a.Token, err
}
