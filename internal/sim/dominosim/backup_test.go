package dominosim_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
)

// clock is a clock that each look moves on by a second.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Second)
	return c.now
}

func newServer(t *testing.T, cfg dominosim.Config) *dominosim.Server {
	t.Helper()
	cfg.Clock = newClock().Now
	s, err := dominosim.New(t.TempDir(), cfg)
	require.NoError(t, err)
	return s
}

func archiving(t *testing.T) *dominosim.Server {
	t.Helper()
	return newServer(t, dominosim.Config{Style: notes.LogArchive})
}

func thread(t *testing.T, s *dominosim.Server) notes.Thread {
	t.Helper()
	th, err := s.Process().Thread(t.Context())
	require.NoError(t, err)
	return th
}

func write(t *testing.T, s *dominosim.Server, db string, n int) {
	t.Helper()
	for i := range n {
		require.NoError(t, s.Write(db, fmt.Sprintf("k%03d", i%50), fmt.Sprintf("%0200d", i)))
	}
}

// copier copies a database while change writes to it, and applies the change information.
type copier struct {
	change   func(offset int64) // called before each piece
	noApply  bool
	noMark   bool
	markLate int64 // added to each mark, wrongly
}

func (c copier) backup(t *testing.T, th notes.Thread, db, to string) (notes.LogInfo, int64) {
	t.Helper()
	ctx := t.Context()
	h, err := th.Open(ctx, db)
	require.NoError(t, err)
	b, size, err := th.BackupStart(ctx, h)
	require.NoError(t, err)
	info, err := th.LogInfo(ctx, h)
	require.NoError(t, err)
	path, err := th.Path(ctx, h)
	require.NoError(t, err)
	c.copy(t, th, h, b, path, to, size)
	require.NoError(t, th.BackupStop(ctx, h, b))
	n, err := th.ChangeInfoSize(ctx, h, b)
	require.NoError(t, err)
	if !c.noApply {
		apply(ctx, t, th, h, b, to, n)
	}
	require.NoError(t, th.BackupEnd(ctx, h, b, false))
	require.NoError(t, th.Close(ctx, h))
	return info, n
}

func (c copier) copy(t *testing.T, th notes.Thread, h notes.Handle, b notes.BackupContext, path, to string, size int64) {
	t.Helper()
	in, err := os.Open(path)
	require.NoError(t, err)
	defer in.Close()
	out, err := os.Create(to)
	require.NoError(t, err)
	defer out.Close()
	for at := int64(0); at < size; {
		if c.change != nil {
			c.change(at)
		}
		n, err := io.CopyN(out, in, min(4096, size-at))
		require.NoError(t, err)
		at += n
		if !c.noMark {
			require.NoError(t, th.BackupHighWater(t.Context(), h, b, min(size, at+c.markLate)))
		}
	}
}

func apply(ctx context.Context, t *testing.T, th notes.Thread, h notes.Handle, b notes.BackupContext, to string, size int64) {
	t.Helper()
	a, err := th.ApplyStart(ctx, to, size)
	require.NoError(t, err)
	buf := make([]byte, 1000)
	for {
		n, err := th.NextChangeInfo(ctx, h, b, buf)
		require.NoError(t, err)
		if n == 0 {
			break
		}
		require.NoError(t, th.Apply(ctx, a, buf[:n]))
	}
	require.NoError(t, th.ApplyEnd(ctx, a, false))
}

// archive takes all extents on offer, and calls them done.
func archive(t *testing.T, th notes.Thread, dir string) (numbers []uint32) {
	t.Helper()
	ctx := t.Context()
	require.NoError(t, th.ArchivingBegin(ctx))
	for e, err := th.FirstLog(ctx); ; e, err = th.NextLog(ctx) {
		if err != nil {
			require.ErrorIs(t, err, notes.StatusNoTransLogsToArchive)
			assert.NotEmpty(t, e.Path, "the current extent is named too")
			break
		}
		b, err := os.ReadFile(e.Path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(e.Number)), b, 0o600))
		require.NoError(t, th.LogDone(ctx, e.LogID, e.Number))
		assert.NoFileExists(t, e.Path)
		numbers = append(numbers, e.Number)
	}
	require.NoError(t, th.ArchivingEnd(ctx))
	return numbers
}

func putFrom(dir string, asked *[]uint32) func(context.Context, notes.UNID, uint32, string) error {
	return func(_ context.Context, _ notes.UNID, n uint32, path string) error {
		*asked = append(*asked, n)
		b, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(n)))
		if err != nil {
			return err
		}
		return os.WriteFile(path, b, 0o600)
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, b, 0o600))
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), archiving(t)
	require.NoError(t, s.CreateDB("mail/jdoe.nsf", dominosim.DB{Title: "Jane Doe"}))
	write(t, s, "mail/jdoe.nsf", 100)
	th := thread(t, s)
	stored := filepath.Join(t.TempDir(), "copy")
	n := 0
	info, changes := copier{change: func(int64) {
		n++
		require.NoError(t, s.Write("mail/jdoe.nsf", fmt.Sprintf("k%03d", n%50), fmt.Sprintf("during %d", n)))
	}}.backup(t, th, "mail/jdoe", stored)
	assert.True(t, info.Logged)
	assert.Positive(t, changes)

	f, err := dominosim.ReadFile(stored)
	require.NoError(t, err)
	assert.True(t, f.Backup)
	assert.Equal(t, info.DBIID, f.DBIID)
	assert.Equal(t, info.Extent, f.FirstExtent)
	want, ok := s.At("mail/jdoe.nsf", f.BackupTime)
	require.True(t, ok)
	assert.Equal(t, want, f.Contents)

	dir := t.TempDir()
	write(t, s, "mail/jdoe.nsf", 300)
	middle, err := s.Read("mail/jdoe.nsf")
	require.NoError(t, err)
	var at time.Time
	{
		e, ok := s.LastTransaction("mail/jdoe.nsf")
		require.True(t, ok)
		at = e
	}
	write(t, s, "mail/jdoe.nsf", 300)
	assert.NotEmpty(t, archive(t, th, dir))
	latest, err := s.Read("mail/jdoe.nsf")
	require.NoError(t, err)

	// To the latest state, in its place.
	path := filepath.Join(s.DataDir(), "mail", "jdoe.nsf")
	require.NoError(t, th.TakeOffline(ctx, path, 0))
	move(t, stored, path)
	var asked []uint32
	rec, err := th.Recover(ctx, []string{path}, 0, time.Time{}, putFrom(dir, &asked))
	require.NoError(t, err)
	assert.NotEmpty(t, asked)
	assert.IsIncreasing(t, asked)
	assert.Equal(t, -1, rec.Failed)
	require.NoError(t, th.BringOnline(ctx, path))
	got, err := s.Read("mail/jdoe.nsf")
	require.NoError(t, err)
	assert.True(t, maps.Equal(latest, got))

	// To a moment, beside it.
	beside := filepath.Join(s.DataDir(), "mail", "then.nsf")
	move(t, stored, beside)
	rec, err = th.Recover(ctx, []string{beside}, notes.RecoverPointInTime|notes.RecoverZapReplicaID, at, putFrom(dir, &asked))
	require.NoError(t, err)
	assert.Equal(t, at.UTC(), rec.Last.UTC())
	got, err = s.Read("mail/then.nsf")
	require.NoError(t, err)
	assert.Equal(t, middle, got)

	_, err = th.Recover(ctx, []string{beside}, 0, time.Time{}, nil)
	assert.ErrorIs(t, err, notes.StatusRMRecoverNonbackup, "recovering consumes the backup")
}
