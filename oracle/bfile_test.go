package oracle

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

// counted is a file in which each eight bytes say where they are.
func counted(_ string, offset int64, p []byte) {
	var word [8]byte
	for i := range p {
		at := offset + int64(i)
		binary.BigEndian.PutUint64(word[:], uint64(at/8))
		p[i] = word[at%8]
	}
}

func countedBytes(offset, n int64) []byte {
	p := make([]byte, n)
	counted("", offset, p)
	return p
}

// far is a remote of the genuine driver, with one folder for which an administrator made a DIRECTORY.
func far(t *testing.T, s *ttc, o Options) *remote {
	t.Helper()
	o.Mode, o.StateDir, o.ScratchDir = ModeRemote, t.TempDir(), "/scratch"
	src, err := New(s.dsn(t), &o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = src.Close() })
	r := newRemote(src, "wire")
	r.directories["/u01"] = "DATA"
	t.Cleanup(func() { assert.NoError(t, r.close(context.Background())) })
	return r
}

func oneFile(name string, size int64) func(file string) (int64, bool) {
	return func(file string) (int64, bool) { return size, file == name }
}

// The driver's own calls read a file whole, over several sessions, each with one file open at a time.
func TestBFILECallsOfTheDriver(t *testing.T) {
	t.Parallel()
	const size = 5<<20 + 777
	s := &ttc{at: counted}
	s.size = func(file string) (int64, bool) { return size, file == "DATA/users.dbf" || file == "DATA/größe.dbf" }
	r := far(t, s, Options{Connections: 3, ChunkSize: 256 << 10})
	for _, name := range []string{"/u01/users.dbf", "/u01/größe.dbf", "/u01/users.dbf"} {
		in, err := r.open(t.Context(), name)
		require.NoError(t, err)
		got, err := io.ReadAll(in)
		require.NoError(t, err)
		require.NoError(t, in.Close())
		require.True(t, bytes.Equal(countedBytes(0, size), got), name)
	}
	require.NoError(t, r.close(t.Context()))
	s.mu.Lock()
	defer s.mu.Unlock()
	assert.LessOrEqual(t, s.sessions, 3)
	assert.Equal(t, 1, s.mostOpen)
	assert.Equal(t, 3*21, s.calls[lobRead])
}

// Positions are 64 bits wide, and count from 0 for us.
func TestBFILEPositionsBehindFourGiB(t *testing.T) {
	t.Parallel()
	const size = 6<<30 + 5
	r := far(t, &ttc{at: counted, size: oneFile("DATA/big.dbf", size)}, Options{Connections: 1})
	n, err := r.size(t.Context(), "/u01/big.dbf")
	require.NoError(t, err)
	assert.Equal(t, int64(size), n)
	for _, offset := range []int64{0, 1, 1<<31 - 3, 1<<32 - 3, 5<<30 + 1, size - 7} {
		p := make([]byte, 64<<10)
		err := r.reading(t.Context(), "/u01/big.dbf", func(c *lobSession, directory, name string) error {
			k, err := c.reader.readAt(t.Context(), directory, name, offset, p)
			p = p[:k]
			return err
		})
		require.NoError(t, err)
		assert.Len(t, p, int(min(64<<10, size-offset)))
		assert.Equal(t, countedBytes(offset, int64(len(p))), p, "%d", offset)
	}
}

// The end of a file is no error for the driver, and a file that shrinks is one for us.
func TestBFILEThatEndsEarly(t *testing.T) {
	t.Parallel()
	s := &ttc{at: counted}
	var reads atomic.Int32
	s.size = func(string) (int64, bool) {
		if reads.Load() > 1 {
			return 300 << 10, true
		}
		return 1 << 20, true
	}
	s.before = func(operation int, _ int64) error {
		if operation == lobRead {
			reads.Add(1)
		}
		return nil
	}
	r := far(t, s, Options{Connections: 1, ChunkSize: 128 << 10})
	in, err := r.open(t.Context(), "/u01/users.dbf")
	require.NoError(t, err)
	_, err = io.ReadAll(in)
	require.ErrorContains(t, err, "made smaller")
	require.NoError(t, in.Close())
}

// A file that grows while it is read is read to its new end: it is opened again for its length.
func TestBFILEThatGrows(t *testing.T) {
	t.Parallel()
	s := &ttc{at: counted}
	var asked atomic.Int64
	s.size = func(string) (int64, bool) { return min(400, 100+100*asked.Load()) << 10, true }
	s.before = func(operation int, _ int64) error {
		if operation == lobLength {
			asked.Add(1)
		}
		return nil
	}
	r := far(t, s, Options{Connections: 2, ChunkSize: 64 << 10})
	in, err := r.open(t.Context(), "/u01/users.dbf")
	require.NoError(t, err)
	got, err := io.ReadAll(in)
	require.NoError(t, err)
	require.NoError(t, in.Close())
	assert.Equal(t, countedBytes(0, 400<<10), got)
}

func TestBFILEThatIsNotThere(t *testing.T) {
	t.Parallel()
	r := far(t, &ttc{at: counted, size: oneFile("DATA/users.dbf", 1000)}, Options{Connections: 1})
	_, err := r.size(t.Context(), "/u01/users02.dbf")
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.True(t, said(err, oraFileOperation))
	n, err := r.size(t.Context(), "/u01/users.dbf")
	require.NoError(t, err, "the next session knows nothing of it")
	assert.EqualValues(t, 1000, n)
}

// A connection that breaks in the middle costs its session, and the bytes are read over another. When that breaks too, the copy fails.
func TestBFILEConnectionThatBreaks(t *testing.T) {
	t.Parallel()
	const size = 2 << 20
	broken := errors.New("the line is cut")
	for name, c := range map[string]struct {
		cut  func(n int32) bool
		lost bool
	}{"once": {func(n int32) bool { return n%9 == 4 }, false}, "for good": {func(n int32) bool { return n > 4 }, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &ttc{at: counted, size: oneFile("DATA/users.dbf", size)}
			var reads atomic.Int32
			s.before = func(operation int, _ int64) error {
				if operation == lobRead && c.cut(reads.Add(1)) {
					return broken
				}
				return nil
			}
			r := far(t, s, Options{Connections: 1, ChunkSize: 128 << 10})
			in, err := r.open(t.Context(), "/u01/users.dbf")
			require.NoError(t, err)
			got, err := io.ReadAll(in)
			require.NoError(t, in.Close())
			if c.lost {
				require.Error(t, err)
				assert.True(t, lost(err), "%v", err)
				assert.ErrorContains(t, err, "/u01/users.dbf")
				assert.NotEmpty(t, backup.Hint(r.src.fail(t.Context(), "copy", "users", err)))
				return
			}
			require.NoError(t, err)
			assert.True(t, bytes.Equal(countedBytes(0, size), got))
			assert.Greater(t, s.sessions, 1)
		})
	}
}

// The driver's calls take no context: a server that goes silent in the middle of a read is left when the context ends, by closing the connection under it.
func TestBFILEReadThatIsNotAnswered(t *testing.T) {
	t.Parallel()
	silent, over := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(over) })
	var once sync.Once
	s := &ttc{at: counted, size: oneFile("DATA/users.dbf", 1<<20)}
	s.before = func(operation int, offset int64) error {
		if operation == lobRead && offset > 0 {
			once.Do(func() { close(silent) })
			<-over
		}
		return nil
	}
	r := far(t, s, Options{Connections: 1, ChunkSize: 128 << 10})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the operator went home")
	go func() {
		<-silent
		cancel(why)
	}()
	in, err := r.open(ctx, "/u01/users.dbf")
	require.NoError(t, err)
	began := time.Now()
	_, err = io.ReadAll(in)
	require.ErrorIs(t, err, why)
	require.NoError(t, in.Close(), "which waits for the read")
	t.Logf("left after %s", time.Since(began))
}
