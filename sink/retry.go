package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"iter"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/quiesce-go/quiesce/backup"
)

// RetryPolicy says how long to try. The zero policy rides out an outage of about a quarter of an hour.
type RetryPolicy struct {
	// Patience is how long one call may spend waiting between tries, all waits together; 0 means 15 minutes. The tries themselves, which may
	// be long transfers, do not count.
	Patience time.Duration
	// Initial is the first wait; 0 means half a second. Waits grow by half each time and are spread by half either way, so that many workers do not
	// come back at once.
	Initial time.Duration
	// Longest bounds a single wait; 0 means 30 seconds.
	Longest time.Duration
	// Tries bounds the number of tries of one call; 0 means no bound but Patience, 1 never repeats.
	Tries int
	// Retryable decides which errors are worth another try; nil means the function Retryable.
	Retryable func(error) bool
	// Notify is told of every failure that is followed by another try after wait. It is called from many goroutines. Nil is fine.
	Notify func(err error, wait time.Duration)
}

// Retry repeats what failed for a reason that may pass. It stands directly above the target (or Throttle), below the sealers, so that a repeated
// transfer is not sealed again.
//
//   - Put is repeated when its reader is an io.Seeker, or nothing was read of it yet. A failure of the reader itself is final.
//   - Get goes on where it broke off, provided that what was read before is still what the object begins with.
//   - List begins anew and leaves out what it has passed on.
//   - PutIfAbsent that failed without a clear answer and then finds the object compares: when it holds the same bytes it is ours, and the
//     call has succeeded. Callers that race must therefore write different bytes; leases and manifests do.
//
// The returned Sink implements backup.PutIfAbsenter exactly when under does.
func Retry(under backup.Sink, policy RetryPolicy) backup.Sink {
	r := &retrier{under: under, policy: policy}
	if c, ok := under.(backup.PutIfAbsenter); ok {
		return &atomicRetrier{retrier: r, create: c}
	}
	return r
}

type retrier struct {
	under  backup.Sink
	policy RetryPolicy
}

// attempts is the state of one call that may be repeated.
type attempts struct {
	policy *RetryPolicy
	wait   *backoff.ExponentialBackOff
	spent  time.Duration
	tries  int
}

func (r *retrier) attempts() *attempts {
	b := backoff.NewExponentialBackOff()
	if r.policy.Initial > 0 {
		b.InitialInterval = r.policy.Initial
	}
	b.MaxInterval = 30 * time.Second
	if r.policy.Longest > 0 {
		b.MaxInterval = r.policy.Longest
	}
	b.Reset()
	return &attempts{policy: &r.policy, wait: b}
}

// again waits before the next try and reports whether there is one. final is what the call returns when there is none.
func (a *attempts) again(ctx context.Context, err error) (yes bool, final error) {
	a.tries++
	retryable := a.policy.Retryable
	if retryable == nil {
		retryable = Retryable
	}
	var settled *finalError
	if errors.As(err, &settled) || !retryable(err) || ctx.Err() != nil {
		return false, err
	}
	patience := a.policy.Patience
	if patience == 0 {
		patience = 15 * time.Minute
	}
	wait := a.wait.NextBackOff()
	if a.tries == a.policy.Tries || a.spent+wait > patience {
		if a.tries == 1 {
			return false, err
		}
		return false, fmt.Errorf("given up after %d tries: %w", a.tries, err)
	}
	a.spent += wait
	if a.policy.Notify != nil {
		a.policy.Notify(err, wait)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true, nil
	case <-ctx.Done():
		return false, fmt.Errorf("%w (last failure: %w)", context.Cause(ctx), err)
	}
}

// do calls try until it succeeds or there is no further try.
func (r *retrier) do(ctx context.Context, try func() error) error {
	a := r.attempts()
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		err := try()
		if err == nil {
			return nil
		}
		if yes, final := a.again(ctx, err); !yes {
			return final
		}
	}
}

// Put implements backup.Sink.
func (r *retrier) Put(ctx context.Context, key string, body io.Reader) error {
	src := newSource(body)
	return r.do(ctx, func() error {
		if err := src.rewind(); err != nil {
			return err
		}
		return src.final(r.under.Put(ctx, key, src.reader()))
	})
}

// source is the reader of a put that may be sent again.
type source struct {
	r      io.Reader
	seeker io.Seeker
	start  int64
	read   bool  // something was taken from r
	err    error // how r failed
	last   error // how the last try failed
}

func newSource(r io.Reader) *source {
	s := &source{r: r}
	if seeker, ok := r.(io.Seeker); ok {
		if start, err := seeker.Seek(0, io.SeekCurrent); err == nil {
			s.seeker, s.start = seeker, start
		}
	}
	return s
}

// rewind makes r ready for a try.
func (s *source) rewind() error {
	if !s.read {
		return nil
	}
	if s.seeker == nil {
		return &finalError{fmt.Errorf("cannot be sent again: its reader does not rewind: %w", s.last)}
	}
	if _, err := s.seeker.Seek(s.start, io.SeekStart); err != nil {
		return &finalError{fmt.Errorf("rewind: %w", err)}
	}
	s.read = false
	return nil
}

// final marks what no further try can mend.
func (s *source) final(err error) error {
	s.last = err
	if err != nil && s.err != nil {
		return &finalError{err}
	}
	return err
}

// finalError is never retried, whatever it wraps.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }

// reader is what the sink below reads. It can be rewound when r can.
func (s *source) reader() io.Reader {
	if s.seeker != nil {
		return &seekableSource{s}
	}
	return s
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.read = s.read || n > 0
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

type seekableSource struct{ *source }

func (s *seekableSource) Seek(offset int64, whence int) (int64, error) {
	s.read = true
	return s.seeker.Seek(offset, whence)
}

// List implements backup.Sink.
func (r *retrier) List(ctx context.Context, prefix string) iter.Seq2[backup.Object, error] {
	return func(yield func(backup.Object, error) bool) {
		p := listing{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, seen: map[[2]uint64]struct{}{}}
		a := r.attempts()
		for {
			err, more := p.once(r.under.List(ctx, prefix), yield)
			if err == nil || !more {
				return
			}
			if yes, final := a.again(ctx, err); !yes {
				yield(backup.Object{}, final)
				return
			}
		}
	}
}

// listing is a listing that may be begun several times. It remembers what it has passed on by 128 bits of hash, some 40 bytes a row; to
// remember the last key would not do, since no order is promised.
type listing struct {
	seeds [2]maphash.Seed
	seen  map[[2]uint64]struct{}
}

// once passes rows on that were not passed on before. more is false when the caller has seen enough.
func (p *listing) once(rows iter.Seq2[backup.Object, error], yield func(backup.Object, error) bool) (err error, more bool) {
	for o, err := range rows {
		if err != nil {
			return err, true
		}
		id := [2]uint64{maphash.String(p.seeds[0], o.Key), maphash.String(p.seeds[1], o.Key)}
		if _, again := p.seen[id]; again {
			continue
		}
		p.seen[id] = struct{}{}
		if !yield(o, nil) {
			return nil, false
		}
	}
	return nil, true
}

// Delete implements backup.Sink.
func (r *retrier) Delete(ctx context.Context, key string) error {
	return r.do(ctx, func() error { return r.under.Delete(ctx, key) })
}

// atomicRetrier is a retrier above a PutIfAbsenter.
type atomicRetrier struct {
	*retrier
	create backup.PutIfAbsenter
}

// PutIfAbsent implements backup.PutIfAbsenter.
func (r *atomicRetrier) PutIfAbsent(ctx context.Context, key string, body io.Reader) error {
	src := newSource(body)
	doubtful := false // an earlier try may have gone through unheard
	return r.do(ctx, func() error {
		if err := src.rewind(); err != nil {
			return err
		}
		err := src.final(r.create.PutIfAbsent(ctx, key, src.reader()))
		if doubtful && errors.Is(err, fs.ErrExist) {
			return r.compare(ctx, key, src, err)
		}
		doubtful = doubtful || err != nil
		return err
	})
}

// compare returns nil when the object at key holds what src yields, else exists, or why it cannot tell.
func (r *atomicRetrier) compare(ctx context.Context, key string, src *source, exists error) error {
	if src.rewind() != nil {
		return exists
	}
	rc, err := r.Get(ctx, key)
	if err != nil {
		return err
	}
	defer rc.Close()
	same, err := equal(src, rc)
	if err != nil {
		return err
	}
	if !same {
		return exists
	}
	return nil
}

// equal compares two streams.
func equal(a, b io.Reader) (bool, error) {
	const piece = 64 << 10
	bufA, bufB := make([]byte, piece), make([]byte, piece)
	for {
		na, erra := readFull(a, bufA)
		nb, errb := readFull(b, bufB)
		if err := errors.Join(erra, errb); err != nil {
			return false, err
		}
		if !bytes.Equal(bufA[:na], bufB[:nb]) {
			return false, nil
		}
		if na < piece {
			return true, nil
		}
	}
}

var (
	_ backup.Sink          = (*retrier)(nil)
	_ backup.PutIfAbsenter = (*atomicRetrier)(nil)
)
