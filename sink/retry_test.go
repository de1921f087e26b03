package sink_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/sink"
)

// faulty returns a memory sink, faults above it and Retry above these.
func faulty(policy sink.RetryPolicy, faults ...backuptest.Fault) (*backuptest.MemSink, *backuptest.FaultySink, backup.Sink) {
	mem := backuptest.NewMemSink()
	f := backuptest.NewFaultySink(mem, faults...)
	return mem, f, sink.Retry(f, policy)
}

func TestRetryPutRewinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, f, s := faulty(sink.RetryPolicy{}, backuptest.Fault{Op: backuptest.OpPut, Times: 3, Action: backuptest.Tear, After: 4})
		r := strings.NewReader("--0123456789")
		_, err := r.Seek(2, io.SeekStart)
		require.NoError(t, err)
		require.NoError(t, s.Put(t.Context(), "k", r))
		got, _ := mem.Object("k")
		assert.Equal(t, "0123456789", string(got), "rewound to where it stood, not to its beginning")
		assert.Equal(t, 4, f.Count(backuptest.OpPut))
	})
}

func TestRetryPutOfAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := func() io.Reader { return io.MultiReader(strings.NewReader("0123456789")) }
		mem, _, s := faulty(sink.RetryPolicy{}, backuptest.Fault{Op: backuptest.OpPut})
		require.NoError(t, s.Put(t.Context(), "k", stream()), "nothing was read, so it can be sent again")
		got, _ := mem.Object("k")
		assert.Equal(t, "0123456789", string(got))

		mem, f, s := faulty(sink.RetryPolicy{}, backuptest.Fault{Op: backuptest.OpPut, Action: backuptest.Tear, After: 4})
		err := s.Put(t.Context(), "k", stream())
		assert.ErrorIs(t, err, backuptest.ErrFault)
		assert.ErrorContains(t, err, "does not rewind")
		assert.Equal(t, 1, f.Count(backuptest.OpPut), "what was read of a stream is gone")
		assert.Empty(t, mem.Keys(""))
	})
}

func TestRetryNeverRepeatsAFailureOfTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, f, s := faulty(sink.RetryPolicy{Retryable: func(error) bool { return true }})
		died := errors.New("source died")
		src := &dyingSeeker{Reader: bytes.NewReader(make([]byte, 10)), err: died}
		assert.ErrorIs(t, s.Put(t.Context(), "k", src), died)
		assert.Equal(t, 1, f.Count(backuptest.OpPut))
	})
}

type dyingSeeker struct {
	*bytes.Reader
	err error
}

func (d *dyingSeeker) Read(p []byte) (int, error) {
	n, err := d.Reader.Read(p)
	if err == io.EOF {
		err = d.err
	}
	return n, err
}

// WriteTo hides that of bytes.Reader, which would go around Read.
func (d *dyingSeeker) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{d})
}

func TestRetryLeavesFinalErrorsAlone(t *testing.T) {
	for _, final := range []error{fs.ErrPermission, fs.ErrInvalid, backup.ErrReadOnly, backup.ErrCorrupt, backup.ErrKey, context.Canceled} {
		_, f, s := faulty(sink.RetryPolicy{}, backuptest.Fault{Times: -1, Err: final})
		assert.ErrorIs(t, s.Delete(t.Context(), "k"), final)
		assert.Equal(t, 1, f.Count(backuptest.OpDelete), "%v", final)
	}
}

func TestRetryGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var waits []time.Duration
		policy := sink.RetryPolicy{Notify: func(_ error, w time.Duration) { waits = append(waits, w) }}
		_, f, s := faulty(policy, backuptest.Fault{Times: -1})
		began := time.Now()
		err := s.Delete(t.Context(), "k")
		assert.ErrorIs(t, err, backuptest.ErrFault)
		assert.ErrorContains(t, err, "given up after")
		took := time.Since(began)
		assert.LessOrEqual(t, took, 15*time.Minute)
		assert.Greater(t, took, 13*time.Minute, "the default rides out most of a quarter of an hour")
		assert.Equal(t, len(waits)+1, f.Count(backuptest.OpDelete))
		for _, w := range waits {
			assert.LessOrEqual(t, w, 45*time.Second)
		}

		_, f, s = faulty(sink.RetryPolicy{Tries: 3}, backuptest.Fault{Times: -1})
		assert.Error(t, s.Delete(t.Context(), "k"))
		assert.Equal(t, 3, f.Count(backuptest.OpDelete))
	})
}

func TestRetryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, s := faulty(sink.RetryPolicy{}, backuptest.Fault{Times: -1})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		err := s.Delete(ctx, "k")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorIs(t, err, backuptest.ErrFault, "the last failure is told too")
		assert.Equal(t, 5*time.Second, time.Since(began), "it does not sleep past the end of its context")
	})
	_, f, s := faulty(sink.RetryPolicy{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, s.Delete(ctx, "k"), context.Canceled)
	assert.Zero(t, f.Count(backuptest.OpDelete), "a context that has ended does nothing")
}

func TestRetryGetGoesOnWhereItBrokeOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, f, s := faulty(sink.RetryPolicy{},
			backuptest.Fault{Op: backuptest.OpGet, Nth: 2, Action: backuptest.Tear, After: 4},
			backuptest.Fault{Op: backuptest.OpGet, Nth: 3},
			backuptest.Fault{Op: backuptest.OpGet, Nth: 1},
			backuptest.Fault{Op: backuptest.OpGet, Nth: 4, Action: backuptest.Tear, After: 2})
		require.NoError(t, mem.Put(t.Context(), "k", strings.NewReader("0123456789")))
		rc, err := s.Get(t.Context(), "k")
		require.NoError(t, err)
		got, err := io.ReadAll(rc)
		require.NoError(t, err)
		assert.Equal(t, "0123456789", string(got))
		assert.Equal(t, 5, f.Count(backuptest.OpGet), "refused, torn at 4, refused, torn at 2, whole")
		assert.NoError(t, rc.Close())
	})
}

func TestRetryGetDoesNotMixTwoObjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := backuptest.NewMemSink()
		require.NoError(t, mem.Put(t.Context(), "k", strings.NewReader("0123456789")))
		replace := func() { assert.NoError(t, mem.Put(t.Context(), "k", strings.NewReader("abcdefghij"))) }
		s := sink.Retry(backuptest.NewFaultySink(mem,
			backuptest.Fault{Op: backuptest.OpGet, Action: backuptest.Tear, After: 4},
			backuptest.Fault{Op: backuptest.OpGet, Nth: 2, Action: backuptest.Pass, Do: replace}), sink.RetryPolicy{})
		rc, err := s.Get(t.Context(), "k")
		require.NoError(t, err)
		got, err := io.ReadAll(rc)
		assert.ErrorContains(t, err, "replaced")
		assert.Equal(t, "0123", string(got))
	})
}

func TestRetryListGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, f, s := faulty(sink.RetryPolicy{}, backuptest.Fault{Op: backuptest.OpList, Times: 2, Action: backuptest.Tear, After: 2})
		for _, k := range []string{"a", "b", "c", "d"} {
			require.NoError(t, mem.Put(t.Context(), k, strings.NewReader("x")))
		}
		var keys []string
		for o, err := range s.List(t.Context(), "") {
			require.NoError(t, err)
			keys = append(keys, o.Key)
		}
		assert.Equal(t, []string{"a", "b", "c", "d"}, keys)
		assert.Equal(t, 3, f.Count(backuptest.OpList))
	})
}

func TestRetryCreateWithALostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := backuptest.Fault{Op: backuptest.OpPutIfAbsent, Action: backuptest.Lost}
		_, _, s := faulty(sink.RetryPolicy{}, lost)
		create := s.(backup.PutIfAbsenter).PutIfAbsent
		require.NoError(t, create(t.Context(), "lease", strings.NewReader("mine")), "the object there is ours")
		assert.ErrorIs(t, create(t.Context(), "lease", strings.NewReader("mine")), fs.ErrExist, "a clear answer is not questioned")

		// Another machine was faster, and our first try failed without an answer.
		mem, _, s := faulty(sink.RetryPolicy{}, backuptest.Fault{Op: backuptest.OpPutIfAbsent})
		require.NoError(t, mem.Put(t.Context(), "lease", strings.NewReader("theirs")))
		assert.ErrorIs(t, s.(backup.PutIfAbsenter).PutIfAbsent(t.Context(), "lease", strings.NewReader("mine")), fs.ErrExist)
		got, _ := mem.Object("lease")
		assert.Equal(t, "theirs", string(got))
	})
}
