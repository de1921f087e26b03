package blockfile

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// firstBytes and bufferBytes are the memory of one verification, before and after it is known that there is more to read. Both hold whole blocks of
// any size, the first block 0 and block 1.
const (
	firstBytes  = 64 << 10
	bufferBytes = 512 << 10
)

// chunks reads a file from its start to its end through one buffer.
type chunks struct {
	ctx context.Context // of the one verification that this serves
	r   io.Reader
	buf []byte
	at  int64 // bytes handed out
	end bool
}

func read(ctx context.Context, r io.Reader) *chunks {
	return &chunks{ctx: ctx, r: r, buf: make([]byte, firstBytes)}
}

// next returns the next bytes, fewer than there is room for only at the end of the file, and none behind it. They are valid until the next call.
func (c *chunks) next() ([]byte, error) {
	if c.end {
		return nil, nil
	}
	if err := context.Cause(c.ctx); err != nil {
		return nil, err
	}
	if c.at > 0 && len(c.buf) < bufferBytes {
		c.buf = make([]byte, bufferBytes)
	}
	n, err := io.ReadFull(c.r, c.buf)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		c.end = true
	case err != nil:
		return nil, fmt.Errorf("read at byte %d: %w", c.at+int64(n), err)
	}
	c.at += int64(n)
	return c.buf[:n], nil
}

// each calls f for every whole block, chunk being the first bytes of the file, and returns how many bytes are left behind the last.
func (c *chunks) each(chunk []byte, size int, f func(n int64, b []byte)) (rest int, err error) {
	n := int64(0)
	for len(chunk) > 0 {
		for ; len(chunk) >= size; chunk = chunk[size:] {
			f(n, chunk[:size])
			n++
		}
		if len(chunk) > 0 {
			return len(chunk), nil // of the last chunk: the buffer holds whole blocks
		}
		if chunk, err = c.next(); err != nil {
			return 0, err
		}
	}
	return 0, nil
}
