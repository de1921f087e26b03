package oracle

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// chunked is a file that is read in pieces, several at a time.
type chunked struct {
	size   func(ctx context.Context) (int64, error)
	readAt func(ctx context.Context, offset int64, p []byte) (int, error)
	// bytes is the length of a piece, and ahead how many lie in memory at most.
	bytes, ahead int
}

// piece is one part of the file, in its turn.
type piece struct {
	data []byte
	n    int
	err  error
}

// chunks hands the pieces out in order while the next ones are being read.
type chunks struct {
	ctx    context.Context // of open: reading lives within one call of Backup
	cancel context.CancelFunc
	from   chunked
	// turns holds, in order, where each piece will arrive; its length bounds what is in memory.
	turns chan chan piece
	free  sync.Pool
	work  sync.WaitGroup

	current piece
	unread  []byte
	err     error
}

// newChunks begins to read size bytes. When they are through, the file is asked for its length again, and what has grown is read too: a data file in backup mode may be extended, and its header, which
// may already say so, was read later than its length.
func newChunks(ctx context.Context, from chunked, size int64) *chunks {
	ctx, cancel := context.WithCancel(ctx)
	c := &chunks{ctx: ctx, cancel: cancel, from: from, turns: make(chan chan piece, max(1, from.ahead-1))}
	c.free.New = func() any { return make([]byte, from.bytes) }
	c.work.Go(func() { c.produce(size) })
	return c
}

// produce starts the pieces one after the other, as room comes free, until the file is at its end.
func (c *chunks) produce(size int64) {
	defer close(c.turns)
	for offset := int64(0); ; {
		for offset < size {
			n := min(int64(c.from.bytes), size-offset)
			turn := make(chan piece, 1)
			select {
			case c.turns <- turn:
			case <-c.ctx.Done():
				return
			}
			from := offset
			c.work.Go(func() { turn <- c.read(from, int(n)) })
			offset += n
		}
		now, err := c.from.size(c.ctx)
		if err == nil && now <= size {
			return
		}
		if err != nil {
			turn := make(chan piece, 1)
			turn <- piece{err: err}
			select {
			case c.turns <- turn:
			case <-c.ctx.Done():
			}
			return
		}
		size = now
	}
}

// read fills one piece. A file that has become shorter is no file to keep.
func (c *chunks) read(offset int64, n int) piece {
	p := piece{data: c.free.Get().([]byte)}
	for p.n < n {
		k, err := c.from.readAt(c.ctx, offset+int64(p.n), p.data[p.n:n])
		if err == nil && k == 0 {
			err = fmt.Errorf("the file ends at byte %d, and had %d more: it was made smaller while it was read", offset+int64(p.n), n-p.n)
		}
		if err != nil {
			p.err = err
			return p
		}
		p.n += k
	}
	return p
}

// Read implements io.Reader.
func (c *chunks) Read(p []byte) (int, error) {
	for len(c.unread) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		if c.current.data != nil {
			c.free.Put(c.current.data) //nolint:staticcheck // a slice header is little against the piece
			c.current = piece{}
		}
		c.next()
	}
	n := copy(p, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

func (c *chunks) next() {
	select {
	case turn, ok := <-c.turns:
		if !ok {
			c.err = io.EOF
			if c.ctx.Err() != nil {
				c.err = context.Cause(c.ctx)
			}
			return
		}
		c.current = <-turn // a read ends when the context does
		c.unread, c.err = c.current.data[:c.current.n], c.current.err
	case <-c.ctx.Done():
		c.err = context.Cause(c.ctx)
	}
}

// Close stops what is being read and waits for it.
func (c *chunks) Close() error {
	c.cancel()
	c.work.Wait()
	return nil
}
