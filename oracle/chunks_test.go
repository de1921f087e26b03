package oracle

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// growing is a file in memory that may grow, and says how many pieces of it were read at once.
type growing struct {
	mu     sync.Mutex
	data   []byte
	later  []byte // comes when the length has been asked for twice
	asked  int
	atOnce atomic.Int32
	most   atomic.Int32
	read   func(ctx context.Context, offset int64) error
}

func (g *growing) chunked(bytes, ahead int) chunked {
	return chunked{bytes: bytes, ahead: ahead, size: func(context.Context) (int64, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.asked++
		if g.asked == 1 {
			g.data, g.later = append(g.data, g.later...), nil
		}
		return int64(len(g.data)), nil
	}, readAt: func(ctx context.Context, offset int64, p []byte) (int, error) {
		n := g.atOnce.Add(1)
		defer g.atOnce.Add(-1)
		for m := g.most.Load(); n > m && !g.most.CompareAndSwap(m, n); m = g.most.Load() {
		}
		if g.read != nil {
			if err := g.read(ctx, offset); err != nil {
				return 0, err
			}
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		if offset >= int64(len(g.data)) {
			return 0, nil
		}
		return copy(p[:min(len(p), 700)], g.data[offset:]), nil // short reads, as DBMS_LOB has
	}}
}

func TestChunksComeInOrderAndBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		data := make([]byte, 100_003)
		rng := rand.NewChaCha8([32]byte{1})
		_, _ = rng.Read(data)
		g := &growing{data: bytes.Clone(data[:90_000]), later: data[90_000:]}
		g.read = func(_ context.Context, offset int64) error {
			time.Sleep(time.Duration(offset%7) * time.Second) // later pieces come first
			return nil
		}
		c := newChunks(t.Context(), g.chunked(1000, 6), int64(len(g.data)))
		require.NoError(t, iotest.TestReader(c, data))
		require.NoError(t, c.Close())
		assert.LessOrEqual(t, g.most.Load(), int32(6))
		assert.Greater(t, g.most.Load(), int32(2), "pieces are read at once")
	})
}

func TestChunksOfAFileThatBreaksOrShrinks(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk")
	g := &growing{data: make([]byte, 5000), read: func(_ context.Context, offset int64) error {
		if offset >= 3000 {
			return broken
		}
		return nil
	}}
	c := newChunks(t.Context(), g.chunked(1000, 4), 5000)
	have, err := io.ReadAll(c)
	require.ErrorIs(t, err, broken)
	assert.Len(t, have, 3000)
	require.NoError(t, c.Close())

	short := &growing{data: make([]byte, 2500)}
	c = newChunks(t.Context(), short.chunked(1000, 4), 5000)
	_, err = io.ReadAll(c)
	require.ErrorContains(t, err, "made smaller")
	require.NoError(t, c.Close())
}

func TestChunksEndWithTheirContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the operator went home")
	g := &growing{data: make([]byte, 5000), read: func(ctx context.Context, _ int64) error {
		cancel(why)
		<-ctx.Done()
		return context.Cause(ctx)
	}}
	c := newChunks(ctx, g.chunked(1000, 4), 5000)
	_, err := io.ReadAll(c)
	require.ErrorIs(t, err, why)
	require.NoError(t, c.Close(), "which waits for every piece")
	assert.Zero(t, g.atOnce.Load())
}

func TestChunksLeftInTheMiddle(t *testing.T) {
	t.Parallel()
	g := &growing{data: make([]byte, 50_000)}
	c := newChunks(t.Context(), g.chunked(1000, 4), 50_000)
	_, err := io.ReadFull(c, make([]byte, 1500))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	assert.Zero(t, g.atOnce.Load())
}
