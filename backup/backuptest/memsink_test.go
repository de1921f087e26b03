package backuptest_test

import (
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

	"github.com/quiesce-go/quiesce/backup/backuptest"
)

func TestMemSinkDamageAndClone(t *testing.T) {
	s := backuptest.NewMemSink()
	require.NoError(t, s.Put(t.Context(), "a/b", strings.NewReader("hello")))
	c := s.Clone()
	require.True(t, s.Damage("a/b", func(b []byte) []byte { b[0] ^= 1; return b }))
	assert.False(t, s.Damage("gone", func(b []byte) []byte { return b }))

	got, ok := s.Object("a/b")
	require.True(t, ok)
	assert.Equal(t, "iello", string(got))
	got, _ = c.Object("a/b")
	assert.Equal(t, "hello", string(got), "a clone does not see later damage")
	assert.Equal(t, []string{"a/b"}, s.Keys("a/"))
}

func TestFaultySinkStrikesTheNthCall(t *testing.T) {
	full := errors.New("bucket full")
	s := backuptest.NewFaultySink(backuptest.NewMemSink(),
		backuptest.Fault{Op: backuptest.OpPut, Key: "part", Nth: 2, Times: 2, Err: full})
	put := func(key string) error { return s.Put(t.Context(), key, strings.NewReader("x")) }
	assert.NoError(t, put("part1"))
	assert.NoError(t, put("manifest"), "other keys do not count")
	assert.ErrorIs(t, put("part2"), full)
	assert.ErrorIs(t, put("part3"), full)
	assert.NoError(t, put("part4"))
	assert.Equal(t, 5, s.Count(backuptest.OpPut))
	assert.True(t, s.Calls()[2].Struck)

	s.Script(backuptest.Fault{Times: -1})
	assert.ErrorIs(t, put("part5"), backuptest.ErrFault)
	_, err := s.Get(t.Context(), "part1")
	assert.ErrorIs(t, err, backuptest.ErrFault)
	assert.ErrorIs(t, s.Delete(t.Context(), "part1"), backuptest.ErrFault)
	s.Script()
	assert.NoError(t, put("part5"))
}

func TestFaultySinkTearsAndLoses(t *testing.T) {
	mem := backuptest.NewMemSink()
	s := backuptest.NewFaultySink(mem,
		backuptest.Fault{Op: backuptest.OpPut, Action: backuptest.Tear, After: 3},
		backuptest.Fault{Op: backuptest.OpPutIfAbsent, Action: backuptest.Lost},
		backuptest.Fault{Op: backuptest.OpGet, Action: backuptest.Tear, After: 3})
	r := strings.NewReader("abcdef")
	assert.ErrorIs(t, s.Put(t.Context(), "k", r), backuptest.ErrFault)
	assert.Equal(t, 3, r.Len(), "a torn put has taken After bytes")
	assert.Empty(t, mem.Keys(""))

	assert.ErrorIs(t, s.PutIfAbsent(t.Context(), "k", r), backuptest.ErrFault)
	assert.Equal(t, []string{"k"}, mem.Keys(""), "a lost answer leaves the object")
	assert.ErrorIs(t, s.PutIfAbsent(t.Context(), "k", r), fs.ErrExist)

	require.NoError(t, s.Put(t.Context(), "k", strings.NewReader("abcdef")))
	rc, err := s.Get(t.Context(), "k")
	require.NoError(t, err)
	got, err := io.ReadAll(rc)
	assert.ErrorIs(t, err, backuptest.ErrFault)
	assert.Equal(t, "abc", string(got))
}

func TestFaultySinkTearsAListing(t *testing.T) {
	mem := backuptest.NewMemSink()
	for _, k := range []string{"a", "b", "c"} {
		require.NoError(t, mem.Put(t.Context(), k, strings.NewReader("x")))
	}
	s := backuptest.NewFaultySink(mem, backuptest.Fault{Op: backuptest.OpList, Action: backuptest.Tear, After: 2})
	rows, failed := 0, false
	for _, err := range s.List(t.Context(), "") {
		if err != nil {
			failed = true
			assert.ErrorIs(t, err, backuptest.ErrFault)
			continue
		}
		rows++
	}
	assert.Equal(t, 2, rows)
	assert.True(t, failed)
}

func TestFaultySinkStallsUntilTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := backuptest.NewFaultySink(backuptest.NewMemSink(), backuptest.Fault{Action: backuptest.Stall})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		assert.ErrorIs(t, s.Put(ctx, "k", strings.NewReader("x")), context.DeadlineExceeded)
		assert.Equal(t, time.Hour, time.Since(began))
	})
}
