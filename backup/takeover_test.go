package backup_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

// A machine falls silent in the middle of a run, at any call of its sink. Another one takes the job over and makes a backup. When the first
// one wakes up it must not publish, must not truncate log, and must not touch what the other made.
func TestASilentMachineIsTakenOver(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, staged bool) {
		step := 4
		if crashPoints(t) > 52 {
			step = 1
		}
		for n := 1; takeOver(t, staged, n); n += step {
			require.Less(t, n, 400)
		}
	})
}

// takeOver lets the first machine sleep at its n-th call and reports whether it got there.
func takeOver(t *testing.T, staged bool, n int) bool {
	defer func() {
		if t.Failed() {
			t.Logf("asleep at call %d", n)
		}
	}()
	a := newWorld(t, staged)
	a.backup(t, backup.Full)
	a.backup(t, backup.Log)
	require.NoError(t, a.l.Mutate(5))

	asleep, wake := make(chan struct{}), make(chan struct{})
	a.sink.Script(backuptest.Fault{Nth: n, Action: backuptest.Pass, Do: func() { close(asleep); <-wake }})
	// Of a machine that sleeps nothing is heard: within this time it does not renew its lease.
	a.change = func(c *backup.Config) { c.LeaseTTL = time.Hour }
	type outcome struct {
		m   *backup.Manifest
		err error
	}
	done := make(chan outcome, 1)
	p := a.pipeline(t)
	go func() {
		m, err := p.Backup(t.Context(), backup.Log)
		done <- outcome{m, err}
	}()
	select {
	case <-asleep:
	case got := <-done:
		require.NoError(t, got.err)
		return false
	}

	b := &world{l: a.l, mem: a.mem, sink: backuptest.NewFaultySink(a.mem), later: 3 * time.Hour}
	b.change = func(c *backup.Config) { c.LeaseTTL = 80 * time.Millisecond }
	if staged {
		b.stage = t.TempDir()
	}
	second := b.backup(t, backup.Log)
	truncated := a.l.Truncations()
	close(wake)
	got := <-done
	h, err := b.pipeline(t).History(t.Context())
	require.NoError(t, err)
	if got.m == nil {
		require.Error(t, got.err)
		require.Equal(t, truncated, a.l.Truncations(), "log was truncated for a run that was not published")
	} else {
		// It slept before it had the lease, or after its manifest was durable: both runs count, one after the other.
		_, ok := h.Find(got.m.ID)
		require.True(t, ok, "a manifest that nobody can find")
	}
	_, ok := h.Find(second.ID)
	require.True(t, ok)
	b.whole(t)
	if staged {
		requireEmptyStage(t, b.stage)
	}
	b.stage = a.stage // the first machine is at work again
	b.goesOn(t)
	return true
}
