package sink

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"io"
)

// Get implements backup.Sink.
func (r *retrier) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	var rc io.ReadCloser
	err := r.do(ctx, func() (err error) {
		rc, err = r.under.Get(ctx, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	g := &resumingReader{ctx: ctx, r: r, key: key, rc: rc}
	g.seen.SetSeed(maphash.MakeSeed())
	return g, nil
}

// resumingReader reads an object that may have to be opened several times.
type resumingReader struct {
	ctx  context.Context
	r    *retrier
	key  string
	rc   io.ReadCloser // nil after a failed reopening
	seen maphash.Hash  // of all bytes handed out
	off  int64
	a    *attempts // of the outage under way; nil when there is none
	err  error
}

func (g *resumingReader) Read(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	for {
		n, err := g.rc.Read(p)
		g.seen.Write(p[:n])
		g.off += int64(n)
		if n > 0 {
			g.a = nil
		}
		if err == nil || err == io.EOF {
			return n, err
		}
		if g.err = g.resume(err); g.err != nil || n > 0 {
			return n, g.err
		}
	}
}

// resume opens the object anew and skips what was handed out already.
func (g *resumingReader) resume(cause error) error {
	if g.a == nil {
		g.a = g.r.attempts()
	}
	for {
		if yes, final := g.a.again(g.ctx, cause); !yes {
			return final
		}
		g.rc.Close()
		rc, err := g.r.under.Get(g.ctx, g.key)
		if err != nil {
			g.rc = io.NopCloser(bytes.NewReader(nil))
			cause = err
			continue
		}
		g.rc = rc
		var again maphash.Hash
		again.SetSeed(g.seen.Seed())
		n, err := io.CopyN(&again, rc, g.off)
		if err != nil && err != io.EOF {
			cause = err
			continue
		}
		if n < g.off || again.Sum64() != g.seen.Sum64() {
			return fmt.Errorf("get %s: the object was replaced while it was read: %w", g.key, cause)
		}
		return nil
	}
}

// Close implements io.Closer.
func (g *resumingReader) Close() error { return g.rc.Close() }
