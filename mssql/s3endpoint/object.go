package s3endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/quiesce-go/quiesce/backup"
)

const (
	// maxIdle is how many readers of one object are kept open for ranges to come.
	maxIdle = 4
	// maxSkip is how many bytes a kept reader may read over to reach a range, rather than open another.
	maxSkip = 1 << 20
)

// OpenFunc opens an object for reading from byte off on. The reader may be read until ctx is done.
type OpenFunc func(ctx context.Context, off int64) (io.ReadCloser, error)

// Object is an object that may be read under its key, any range of it, any number of times.
//
// Ranges that follow one another are served by one reader, so that whoever reads from front to back streams. Ranges asked for side by side
// have a reader each.
type Object struct {
	// URL is what to name in RESTORE ... FROM URL.
	URL string

	key    string
	size   int64
	open   OpenFunc
	ctx    context.Context // that of Offer: readers outlive the requests they serve
	cancel context.CancelFunc
	detach func()
	listed listedObject

	mu     sync.Mutex
	idle   []*stream // the one used last is last
	opened int       // readers opened so far
	closed bool
	err    error
}

// stream is a reader and where it stands.
type stream struct {
	r   io.ReadCloser
	off int64
}

// Err returns the first failure to open or read the object. SQL Server sees only an answer that breaks off.
func (o *Object) Err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// Close frees the key and closes the readers that are not in use; those in use are closed by the answers that use them, which break off
// when the readers honour their context.
func (o *Object) Close() {
	o.detach()
	o.cancel()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for _, s := range o.idle {
		s.r.Close()
	}
	o.idle = nil
}

// take returns a stream that stands at off.
func (o *Object) take(off int64) (*stream, error) {
	o.mu.Lock()
	best := -1
	for i, s := range o.idle {
		if s.off <= off && off-s.off <= maxSkip && (best < 0 || s.off > o.idle[best].off) {
			best = i
		}
	}
	var s *stream
	if best >= 0 {
		s = o.idle[best]
		o.idle = slices.Delete(o.idle, best, best+1)
	} else {
		o.opened++
	}
	o.mu.Unlock()
	if s == nil {
		r, err := o.open(o.ctx, off)
		if err != nil {
			return nil, o.failed(off, err)
		}
		return &stream{r: r, off: off}, nil
	}
	n, err := io.CopyN(io.Discard, s.r, off-s.off)
	s.off += n
	if err != nil {
		s.r.Close()
		return nil, o.failed(s.off, err)
	}
	return s, nil
}

// put keeps a stream for a range that follows.
func (o *Object) put(s *stream) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s.off >= o.size || o.closed {
		s.r.Close()
		return
	}
	if len(o.idle) == maxIdle {
		o.idle[0].r.Close()
		o.idle = slices.Delete(o.idle, 0, 1)
	}
	o.idle = append(o.idle, s)
}

func (o *Object) failed(off int64, err error) error {
	if err == io.EOF {
		err = fmt.Errorf("it ends before its size of %d bytes: %w", o.size, io.ErrUnexpectedEOF)
	}
	err = &backup.Error{Op: "read", App: application, Artifact: o.key, Err: fmt.Errorf("at byte %d: %w", off, err)}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil && !o.closed {
		o.err = err
	}
	return err
}

// content reads an object for one request. It opens nothing before the first Read.
type content struct {
	o   *Object
	off int64
	s   *stream
	err error
}

// Seek implements io.Seeker as far as http.ServeContent needs it.
func (c *content) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
		c.off = off
	case io.SeekEnd:
		c.off = c.o.size + off
	default:
		return 0, errors.New("seek from the current position is not needed")
	}
	c.close()
	return c.off, nil
}

// Read implements io.Reader.
func (c *content) Read(p []byte) (n int, err error) {
	if c.err != nil {
		return 0, c.err
	}
	if c.off >= c.o.size {
		return 0, io.EOF
	}
	if c.s == nil {
		if c.s, c.err = c.o.take(c.off); c.err != nil {
			return 0, c.err
		}
	}
	n, err = c.s.r.Read(p[:min(int64(len(p)), c.o.size-c.off)])
	c.off += int64(n)
	c.s.off = c.off
	if err != nil && c.off < c.o.size {
		c.err = c.o.failed(c.off, err)
		c.s.r.Close()
		c.s = nil
		return n, c.err
	}
	return n, nil
}

// close gives the stream back.
func (c *content) close() {
	if c.s != nil {
		c.o.put(c.s)
		c.s = nil
	}
}
