package notes

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// ErrGone: the process in which the Notes C API runs has ended, and with it all threads and handles. What was under way in Domino is as it left it.
var ErrGone = errors.New("the process of the Notes C API is gone")

// errClosed: Close was called.
var errClosed = fmt.Errorf("%w: closed", ErrGone)

// peer is the other side of a connection.
type peer interface {
	io.ReadWriter
	// end brings the connection to its end after reading has failed, and says what has happened.
	end(reading error) error
	// Close ends it in order. It may be called while others read and write.
	Close() error
}

// client is the parent's side: an API over a connection.
type client struct {
	peer  peer
	grace time.Duration
	out   chan *frame
	// life ends, with its cause, when nothing is answered any more. It is no caller's context.
	life context.Context
	gone sync.WaitGroup

	mu      sync.Mutex
	calls   map[uint64]chan *frame // waiting for an answer
	last    uint64                 // the number of the last call
	threads uint64
	closing bool
}

// newClient speaks with p. When ctx ends before p has said hello, the connection is ended.
func newClient(ctx context.Context, p peer, grace time.Duration) (*client, error) {
	c := &client{peer: p, grace: grace, out: make(chan *frame), calls: map[uint64]chan *frame{}}
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	c.life = life
	hello := make(chan *frame, 1)
	c.calls[0] = hello // the hello is the answer to nothing
	c.gone.Go(func() { end(c.read()) })
	c.gone.Go(c.write)
	select {
	case f := <-hello:
		if err := greet(f); err != nil {
			_ = c.Close() // that it failed is known
			return nil, err
		}
		return c, nil
	case <-c.life.Done():
		return nil, context.Cause(c.life)
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), c.Close())
	}
}

// greet judges the first frame.
func greet(f *frame) error {
	switch {
	case f.Kind != kindHello:
		return fmt.Errorf("%w: %q before a greeting", errFrame, f.Kind)
	case f.Protocol != protocol:
		return fmt.Errorf("the child speaks version %d of the protocol, this program %d: build both from the same release", f.Protocol, protocol)
	}
	return f.Failure.toError("")
}

// read hands each frame to the call it belongs to, until there are none, and says why.
func (c *client) read() error {
	r := bufio.NewReaderSize(c.peer, 64<<10)
	for {
		f, err := readFrame(r)
		if err == nil {
			err = c.dispatch(f)
		}
		if err != nil {
			cause := c.peer.end(err)
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.closing {
				return errClosed
			}
			return cause
		}
	}
}

func (c *client) dispatch(f *frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	wait, ok := c.calls[f.ID]
	switch {
	case f.Kind != kindHello && f.Kind != kindAnswer && f.Kind != kindPut, f.ID > c.last, (f.Kind == kindHello) != (f.ID == 0):
		return fmt.Errorf("%w: %q for call %d", errFrame, f.Kind, f.ID)
	case !ok && f.Kind == kindPut: // its Recover has been given up
		c.gone.Go(func() {
			_ = c.send(c.life, placed(f, errLost)) // a connection that has ended wants nothing
		})
		return nil
	case !ok: // the same; nobody wants to know
		return nil
	}
	select {
	case wait <- f:
		return nil
	default:
		return fmt.Errorf("%w: call %d is answered twice", errFrame, f.ID)
	}
}

// write sends what is queued, so that a child that does not read holds up no caller for ever.
func (c *client) write() {
	for {
		select {
		case f := <-c.out:
			if writeFrame(c.peer, f) != nil {
				// The reading side knows more, and ends life.
				c.peer.Close()
				return
			}
		case <-c.life.Done():
			return
		}
	}
}

// send queues f. It fails when ctx or the connection ends first.
func (c *client) send(ctx context.Context, f *frame) error {
	select {
	case c.out <- f:
		return nil
	case <-c.life.Done():
		return context.Cause(c.life)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// expect makes room for the answers to a new call.
func (c *client) expect() (id uint64, answers chan *frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	answers = make(chan *frame, 1)
	c.calls[c.last] = answers
	return c.last, answers
}

func (c *client) forget(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, id)
}

// placer places an extent that a recovery wants.
type placer func(ctx context.Context, id UNID, number uint32, path string) error

// errLost: ctx ended during a call that Domino then did not answer in time.
var errLost = errors.New("the thread is lost in a call that was given up")

// call sends f and waits for its answer. lost: it was sent, and what became of it is not known.
func (c *client) call(ctx context.Context, f *frame, put placer) (answer *frame, lost bool, err error) {
	if ctx.Err() != nil {
		return nil, false, context.Cause(ctx)
	}
	if _, err := f.encode(); err != nil {
		return nil, false, err
	}
	id, answers := c.expect()
	defer c.forget(id)
	f.ID = id
	if err := c.send(ctx, f); err != nil {
		return nil, false, err
	}
	ended := ctx.Done()
	var over <-chan time.Time
	var putErr error
	for {
		select {
		case got := <-answers:
			if got.Kind != kindPut {
				return got, false, joinPut(got.Failure.toError(f.Call), putErr)
			}
			putErr = c.place(ctx, got, put)
			if err := c.send(context.WithoutCancel(ctx), placed(got, putErr)); err != nil {
				return nil, true, errors.Join(err, putErr)
			}
		case <-ended:
			ended, over = nil, time.After(c.grace)
		case <-over:
			return nil, true, fmt.Errorf("%s: %w; %w", f.Call, context.Cause(ctx), errLost)
		case <-c.life.Done():
			select {
			case got := <-answers: // it was answered in time
				if got.Kind != kindPut {
					return got, false, joinPut(got.Failure.toError(f.Call), putErr)
				}
			default:
			}
			return nil, true, fmt.Errorf("%s: %w", f.Call, context.Cause(c.life))
		}
	}
}

// leave has the other side end a lost thread when its call has come back, whenever that is.
func (c *client) leave(thread uint64) {
	id, _ := c.expect()
	c.forget(id)
	c.gone.Go(func() {
		_ = c.send(c.life, &frame{head: head{Kind: kindCall, ID: id, Thread: thread, Call: callTerm, In: &input{}}}) // a connection that has ended has ended the thread
	})
}

// joinPut adds to a recovery's error why an extent could not be placed, which Domino does not tell.
func joinPut(err, putErr error) error {
	if err == nil || putErr == nil {
		return err
	}
	return fmt.Errorf("%w: %w", err, putErr)
}

// place runs put for the extent that f wants, with a context that ends with the connection too.
func (c *client) place(ctx context.Context, f *frame, put placer) error {
	if put == nil || f.Out == nil {
		return errors.New("no extents were to be asked for")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.life, func() { cancel(context.Cause(c.life)) })()
	e := f.Out.Extent
	return put(ctx, e.LogID, e.Number, e.Path)
}

// placed answers a wish for an extent.
func placed(f *frame, err error) *frame {
	return &frame{head: head{Kind: kindPlaced, ID: f.ID, Failure: toFailure(err)}}
}

// Thread begins a thread.
func (c *client) Thread(ctx context.Context) (Thread, error) {
	c.mu.Lock()
	c.threads++
	t := &thread{client: c, number: c.threads}
	c.mu.Unlock()
	if _, _, err := t.call(ctx, callInit, input{}, nil); err != nil {
		return nil, err
	}
	return t, nil
}

// Close ends the other side and waits for it. It may be called more than once.
func (c *client) Close() error {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	err := c.peer.Close()
	c.gone.Wait()
	return err
}
