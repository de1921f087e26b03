package mtf

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// verifyBuffer and scanBuffer are the memory of one walk. Both hold the longest header (64 KiB, its length being 16 bits wide) and the longest record.
const (
	verifyBuffer = 512 << 10
	scanBuffer   = 64 << 10
)

// errShort: the file ends before what was asked for.
var errShort = errors.New("end of file")

// tape reads a file from its start to its end, once, through one buffer.
type tape struct {
	ctx      context.Context // of the one walk that a tape serves
	r        io.Reader
	seek     func(to int64) error // nil: what is passed over is read
	size     int64                // of the file, or -1 while unknown
	buf      []byte
	from, to int   // what is read and not yet taken is buf[from:to]
	at       int64 // where in the file buf[from] lies
}

// fill makes at least n bytes ready; n must not exceed the buffer.
func (t *tape) fill(n int) error {
	if t.to-t.from >= n {
		return nil
	}
	if err := context.Cause(t.ctx); err != nil {
		return err
	}
	t.to = copy(t.buf, t.buf[t.from:t.to])
	t.from = 0
	got, err := io.ReadAtLeast(t.r, t.buf[t.to:], n-t.to)
	t.to += got
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		t.size = t.at + int64(t.to)
		return errShort
	case err != nil:
		return fmt.Errorf("read at byte %d: %w", t.at+int64(t.to), err)
	}
	return nil
}

// more reports whether another byte follows.
func (t *tape) more() (bool, error) {
	err := t.fill(1)
	if errors.Is(err, errShort) {
		return false, nil
	}
	return err == nil, err
}

// take returns the next n bytes, which stay valid until the next call.
func (t *tape) take(n int) ([]byte, error) {
	if err := t.fill(n); err != nil {
		return nil, err
	}
	b := t.buf[t.from : t.from+n]
	t.from += n
	t.at += int64(n)
	return b, nil
}

// pass goes over n bytes. With each they are handed over in pieces, of whole sectors except for the last; without it they may be left unread.
func (t *tape) pass(n int64, each func([]byte)) error {
	if t.size >= 0 && n > t.size-t.at {
		return errShort
	}
	for n > 0 {
		if each == nil && t.seek != nil && n > int64(t.to-t.from) {
			t.at += n
			t.from, t.to = 0, 0
			return t.seek(t.at)
		}
		ready := int64(t.to - t.from)
		if ready < n {
			ready -= ready % sector
		}
		if ready == 0 {
			if err := t.fill(int(min(n, sector))); err != nil {
				return err
			}
			continue
		}
		piece, err := t.take(int(min(n, ready)))
		if err != nil {
			return err
		}
		if each != nil {
			each(piece)
		}
		n -= int64(len(piece))
	}
	return nil
}

// align passes over what is left of a word of four bytes: streams begin on one (7.3).
func (t *tape) align() error {
	return t.pass(-t.at&3, nil)
}
