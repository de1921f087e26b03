package domino

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
)

// The process of Notes dies at every call of a restore in place. The original or the restored database is at its place, whole; and the next restore works, or says which file is which, and works once that is done.
func TestProcessDiesAtAnyCallOfARestore(t *testing.T) {
	t.Parallel()
	both := 0
	for n := 0; ; n++ {
		through, aside := restoreDies(t, n)
		if aside {
			both++
		}
		if through {
			assert.Greater(t, n, 10, "the restore makes more calls than that")
			break
		}
	}
	assert.Positive(t, both, "it died between replacing a database and bringing it online")
}

// restoreDies lets the restore die at its n-th call. It reports whether the restore was through before, or left the original beside the restored one.
func restoreDies(t *testing.T, n int) (through, aside bool) {
	l := newLab(t)
	l.opt.Parallel = 1
	l.create("names.nsf")
	j := l.job(true)
	j.take(backup.Full)
	l.write("names.nsf", "k", "1")
	j.take(backup.Log)
	l.write("names.nsf", "k", "2")
	at := filepath.Join(l.sim.DataDir(), "names.nsf")
	again := func() error { return j.restore(backup.Target{}, backup.RestoreOptions{Overwrite: true}) }

	d := &dying{left: n}
	l.sim.SetFault(d.fault)
	err := again()
	l.sim.SetFault(nil)
	if !d.dead {
		require.NoError(t, err)
		return true, false
	}
	got, rerr := dominosim.ReadFile(at)
	require.NoError(t, rerr, "call %d", n)
	assert.Contains(t, []string{"1", "2"}, got.Contents["k"], "call %d", n)
	require.False(t, got.Backup, "call %d", n)
	aside, terr := there(at + replaced)
	require.NoError(t, terr)
	if aside {
		old, rerr := dominosim.ReadFile(at + replaced)
		require.NoError(t, rerr, "call %d", n)
		assert.Equal(t, "2", old.Contents["k"], "call %d: the original", n)
		require.ErrorContains(t, err, replaced, "call %d: where the original is", n)
		err = again()
		require.ErrorIs(t, err, backup.ErrRefused, "call %d", n)
		assert.Contains(t, backup.Hint(err), "delete "+at+replaced)
		require.NoError(t, os.Remove(at+replaced))
	} else if err != nil {
		assert.Equal(t, "2", got.Contents["k"], "call %d: the original", n)
	}
	require.NoError(t, again(), "call %d", n)
	all, err := l.sim.Read("names.nsf")
	require.NoError(t, err, "call %d", n)
	assert.Equal(t, "1", all["k"], "call %d", n)
	require.NoError(t, l.leavings(), "call %d", n)
	return false, aside
}

// A restore that is killed, with the agent itself, when the original has been set aside and nothing is in its place: the next one puts it back first.
func TestOriginalThatWasSetAsideIsPutBack(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("names.nsf", "mail/a.nsf")
	j := l.job(false)
	j.take(backup.Full)
	l.write("names.nsf", "k", "2")
	at := filepath.Join(l.sim.DataDir(), "names.nsf")
	require.NoError(t, os.Rename(at, at+replaced))
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(at), "q"+short(at)+unfinished), []byte("half"), 0o600))

	m, err := j.Backup(t.Context(), backup.Full)
	require.NoError(t, err)
	assert.Contains(t, m.Warnings[0], "names.nsf"+replaced, "a backup names it, too")

	require.ErrorIs(t, j.restore(backup.Target{Select: named("names.nsf")}, backup.RestoreOptions{}), backup.ErrExists)
	all, err := l.sim.Read("names.nsf")
	require.NoError(t, err)
	assert.Equal(t, "2", all["k"])
	l.write("names.nsf", "k", "3")
	require.NoError(t, j.restore(backup.Target{Select: named("names.nsf")}, backup.RestoreOptions{Overwrite: true}))
	all, err = l.sim.Read("names.nsf")
	require.NoError(t, err)
	assert.Equal(t, "2", all["k"], "as the log had it")
	require.NoError(t, l.leavings())
}
