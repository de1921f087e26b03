package hook

import (
	"bufio"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

const (
	// maxMessage bounds a line of the connection.
	maxMessage = 64 << 10
	// introduction is how long a caller may take to say what it wants.
	introduction = 10 * time.Second
)

// message is what the program sends: one line of JSON. The answer is one too.
type message struct {
	Token string `json:"token,omitempty"`
	Call  Call   `json:"call"`
}

// Listener is the agent's side. Only one can exist for a directory.
type Listener struct {
	listener net.Listener
	token    string
	remove   func() error
}

// Listen begins to wait for calls at dir, an absolute path, which is created for this account alone when it is not there. Whatever is not the last word of a dead agent there is backup.ErrBusy.
func Listen(dir string) (*Listener, error) {
	l, err := listen(dir)
	if err != nil {
		return nil, fmt.Errorf("wait for calls of Domino at %s: %w", dir, err)
	}
	return l, nil
}

// Serve answers calls with what handle returns, each on a goroutine of its own, until ctx ends or the Listener is closed; then it waits for those that are under way. The context of a call ends with ctx, and when
// the program that made it is gone. handle returns the reference to print, or the reason why nothing was processed.
func (l *Listener) Serve(ctx context.Context, handle func(context.Context, Call) (reference string, err error)) error {
	stop := context.AfterFunc(ctx, func() { _ = l.listener.Close() }) // the accept below says so
	defer stop()
	var calls sync.WaitGroup
	defer calls.Wait()
	for {
		conn, err := l.listener.Accept()
		switch {
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case err != nil:
			return err
		}
		calls.Go(func() { l.one(ctx, conn, handle) })
	}
}

// one answers a single connection. Its errors are the caller's: what is not answered is an error there.
func (l *Listener) one(ctx context.Context, conn net.Conn, handle func(context.Context, Call) (string, error)) {
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(introduction)) //nolint:forbidigo // deadlines of connections are by the machine's clock
	in := bufio.NewReader(io.LimitReader(conn, maxMessage))
	var m message
	line, err := in.ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &m) != nil {
		return
	}
	if subtle.ConstantTimeCompare([]byte(m.Token), []byte(l.token)) != 1 {
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { // the program sends nothing more: this ends when it is gone, or with the connection
		_, _ = in.ReadByte()
		cancel(errors.New("the program that Domino called is gone"))
	}()
	var a Answer
	if err = m.Call.whole(); err == nil {
		a.Reference, err = handle(ctx, m.Call)
	}
	if err != nil {
		a = Answer{Error: err.Error()}
		if hint := backup.Hint(err); hint != "" {
			a.Error += " (" + hint + ")"
		}
	}
	text, err := json.Marshal(a)
	if err != nil {
		return
	}
	_, _ = conn.Write(append(text, '\n'))
}

// Close stops waiting and removes what Listen made.
func (l *Listener) Close() error {
	err := l.listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return errors.Join(err, l.remove())
}
