package dominosim_test

import (
	"context"
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

func TestThreads(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, th := served(t)
	p := s.Process()
	one, err := p.Thread(ctx)
	require.NoError(t, err)
	two, err := p.Thread(ctx)
	require.NoError(t, err)
	h, err := one.Open(ctx, db)
	require.NoError(t, err)
	_, err = two.Path(ctx, h)
	assert.ErrorContains(t, err, "another thread")
	_, err = th.Path(ctx, h)
	assert.ErrorContains(t, err, "not open")
	require.NoError(t, one.Close(ctx, h))
	assert.ErrorContains(t, one.Close(ctx, h), "not open")

	// One call at a time.
	inside, leave := make(chan struct{}), make(chan struct{})
	s.SetFault(func(_ context.Context, c dominosim.Call) error {
		if c.Name == "NSFGetTransLogStyle" && !c.After {
			close(inside)
			<-leave
		}
		return nil
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := one.LogStyle(ctx)
		assert.NoError(t, err)
	})
	<-inside
	_, err = one.DataDirectory(ctx)
	assert.ErrorContains(t, err, "in another call")
	dir, err := two.DataDirectory(ctx)
	require.NoError(t, err, "other threads work on")
	assert.Equal(t, s.DataDir(), dir)
	close(leave)
	wg.Wait()

	require.NoError(t, one.End())
	require.NoError(t, one.End())
	_, err = one.LogStyle(ctx)
	assert.ErrorContains(t, err, "ended")
	require.NoError(t, p.Close())
	_, err = two.Open(ctx, db)
	require.ErrorIs(t, err, dominosim.ErrDead)
	_, err = p.Thread(ctx)
	assert.ErrorIs(t, err, dominosim.ErrDead)
}

func TestCancelledCallsLoseTheThread(t *testing.T) {
	t.Parallel()
	s, th := served(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.SetFault(func(ctx context.Context, _ dominosim.Call) error {
		cancel()
		<-ctx.Done()
		return nil
	})
	_, err := th.Open(ctx, db)
	require.ErrorIs(t, err, context.Canceled)
	s.SetFault(nil)
	_, err = th.Open(t.Context(), db)
	require.ErrorContains(t, err, "the thread was left")
	_, err = thread(t, s).Open(t.Context(), db)
	require.NoError(t, err)
}

func TestDeathInBackup(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, after := range []bool{false, true} {
		s, th := served(t)
		h, c, _ := begin(t, th, db)
		s.SetFault(func(_ context.Context, call dominosim.Call) error {
			if call.Name == "NSFBackupEnd" && call.After == after {
				return dominosim.ErrDie
			}
			return nil
		})
		require.NoError(t, th.BackupStop(ctx, h, c))
		require.ErrorIs(t, th.BackupEnd(ctx, h, c, false), dominosim.ErrDead)
		s.SetFault(nil)
		th = thread(t, s)
		h, err := th.Open(ctx, db)
		require.NoError(t, err)
		_, _, err = th.BackupStart(ctx, h)
		if after {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, notes.StatusBackupAlreadyInProgress)
		require.NoError(t, s.Write(db, "k", "v"), "the server works on")
		require.NoError(t, s.Restart())
		_, err = th.Path(ctx, h)
		require.ErrorIs(t, err, dominosim.ErrDead, "and so is the process")
		_, c, _ = begin(t, thread(t, s), db)
		assert.NotZero(t, c)
	}
}

func TestFaultsSeeEveryCall(t *testing.T) {
	t.Parallel()
	s, th := served(t)
	var calls []string
	s.SetFault(func(_ context.Context, c dominosim.Call) error {
		when := "before "
		if c.After {
			when = "after "
		}
		calls = append(calls, when+c.Name)
		if c.Name == "NSFDbOpen" && c.After {
			return notes.StatusNoAccess
		}
		return nil
	})
	_, err := th.Open(t.Context(), db)
	assert.ErrorIs(t, err, notes.StatusNoAccess)
	assert.Equal(t, []string{"before NSFDbOpen", "after NSFDbOpen"}, calls)
}

func TestServersAreContinued(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), newClock()
	s, err := dominosim.New(dir, dominosim.Config{Clock: c.Now, Style: notes.LogArchive})
	require.NoError(t, err)
	require.NoError(t, s.CreateDB(db, dominosim.DB{}))
	require.NoError(t, s.Write(db, "k", "v"))
	id, err := s.LogID()
	require.NoError(t, err)
	_, _, _ = begin(t, thread(t, s), db)

	again, err := dominosim.New(dir, dominosim.Config{Clock: c.Now, Style: notes.LogArchive})
	require.NoError(t, err)
	same, err := again.LogID()
	require.NoError(t, err)
	assert.Equal(t, id, same)
	got, err := again.Read(db)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"k": "v"}, got)
	busy, err := again.InBackup()
	require.NoError(t, err)
	assert.Len(t, busy, 1)
	_, err = dominosim.New(t.TempDir(), dominosim.Config{})
	assert.ErrorContains(t, err, "Clock")
}

// Two servers over one directory stand for two processes: a transaction of one is journaled for the backup of the other.
func TestOtherProcessesAreSeen(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), newClock()
	one, err := dominosim.New(dir, dominosim.Config{Clock: c.Now, Style: notes.LogArchive})
	require.NoError(t, err)
	two, err := dominosim.New(dir, dominosim.Config{Clock: c.Now, Style: notes.LogArchive})
	require.NoError(t, err)
	require.NoError(t, one.CreateDB(db, dominosim.DB{}))
	write(t, one, db, 30)
	want, err := one.Read(db)
	require.NoError(t, err)
	to := filepath.Join(t.TempDir(), "copy")
	copier{change: func(int64) { require.NoError(t, one.Write(db, "k001", time.Now().String())) }}.backup(t, thread(t, two), db, to)
	f, err := dominosim.ReadFile(to)
	require.NoError(t, err)
	assert.Equal(t, want, f.Contents)

	require.NoError(t, thread(t, one).ArchivingBegin(t.Context()))
	assert.ErrorIs(t, thread(t, two).ArchivingBegin(t.Context()), notes.StatusTransLogArchiveInProgress)
}

// Who looks for changed files by their time finds those that users changed.
func TestModificationTime(t *testing.T) {
	t.Parallel()
	s, th := served(t)
	path := filepath.Join(s.DataDir(), "mail", "a.nsf")
	before, err := os.Stat(path)
	require.NoError(t, err)
	copier{}.backup(t, th, db, filepath.Join(t.TempDir(), "copy"))
	after, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, before.ModTime(), after.ModTime(), "a backup changes nothing")
	require.NoError(t, s.Write(db, "k", "v"))
	after, err = os.Stat(path)
	require.NoError(t, err)
	assert.NotEqual(t, before.ModTime(), after.ModTime())
}
