package domino

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
)

// dying ends the process of Notes at the n-th moment of a run, and every one that is started after it: as when the agent is killed.
type dying struct {
	mu   sync.Mutex
	left int
	dead bool
	done []string // extents that Domino was told about
}

func (d *dying) fault(_ context.Context, c dominosim.Call) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.Name == "NSFDoneArchivingLog" && c.After {
		d.done = append(d.done, c.Args[1])
	}
	d.left--
	if d.dead = d.dead || d.left < 0; d.dead {
		return dominosim.ErrDie
	}
	return nil
}

// The process dies at each call of a full and of a log run, and after each: no extent is given up that is not in a durable manifest, the next run names what Domino still holds in backup, and after a reset all is whole again.
func TestProcessDiesAtAnyCall(t *testing.T) {
	t.Parallel()
	for _, kind := range []backup.Kind{backup.Full, backup.Log} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			step := 1
			if testing.Short() {
				step = 11
			}
			for n := 0; ; n += step {
				if dies(t, kind, n) {
					assert.Greater(t, n, 30, "the run makes more calls than that")
					break
				}
			}
		})
	}
}

// dies runs to the n-th call, and reports whether the run was over before.
func dies(t *testing.T, kind backup.Kind, n int) bool {
	l := newLab(t, func(c *dominosim.Config) { c.ExtentSize = 8 << 10 })
	l.opt.Parallel = 1
	l.create("names.nsf", "mail/a.nsf")
	j := l.job(false)
	j.take(backup.Full)
	fill(l, 1)
	require.NoError(t, l.sim.Compact("mail/a.nsf"))
	l.write("names.nsf", "last", "words")

	d := &dying{left: n}
	l.sim.SetFault(d.fault)
	m, err := j.Backup(t.Context(), kind)
	l.sim.SetFault(nil)
	if !d.dead {
		require.NoError(t, err)
		return true
	}
	stored := map[string]bool{}
	if m != nil {
		if it, ok := m.Item(itemLog); ok && !it.Failed() {
			for n := range extentsOf(t, j, m.ID) {
				stored[string(position(n, time.Time{}))] = true
			}
		}
	}
	for _, number := range d.done {
		assert.True(t, stored[strings.Repeat("0", 10-len(number))+number], "call %d: extent %s was given up and is in no manifest", n, number)
	}
	stuck, err := l.sim.InBackup()
	require.NoError(t, err)
	left, _, err := l.source().leftInBackup("mail")
	require.NoError(t, err)
	assert.LessOrEqual(t, len(stuck), len(left), "call %d: all that is in backup is noted", n)

	if len(stuck) > 0 {
		m, err := j.Backup(t.Context(), backup.Full)
		require.ErrorIs(t, err, backup.ErrPartial, "call %d", n)
		for _, it := range m.Items {
			if it.Failed() {
				assert.Contains(t, it.Error, "reset", "call %d: what to do", n)
			}
		}
		for _, name := range []string{"names.nsf", "mail/a.nsf"} {
			require.NoError(t, l.sim.ResetBackup(name))
		}
	}
	j.take(kind)
	left, _, err = l.source().leftInBackup("mail")
	require.NoError(t, err)
	assert.Empty(t, left, "call %d: the next run cleans", n)
	for _, name := range []string{"names.nsf", "mail/a.nsf"} {
		want, err := l.sim.Read(name)
		require.NoError(t, err)
		as := "restored/" + name
		require.NoError(t, j.restore(backup.Target{Select: []backup.Selection{{Name: name, As: as}}}, backup.RestoreOptions{}), "call %d", n)
		got, err := l.sim.Read(as)
		require.NoError(t, err)
		assert.Equal(t, want, got, "call %d: %s", n, name)
	}
	return false
}

// A database that takes every process down that opens it costs only itself, until too many do.
func TestDatabasesThatKillTheProcess(t *testing.T) {
	t.Parallel()
	for killers, failed := range map[int]int{1: 1, 3: 3, 6: 7} {
		l := newLab(t)
		l.opt.Parallel = 1
		var names []string
		for i := range killers {
			names = append(names, fmt.Sprintf("killer%d.nsf", i))
		}
		l.create(append(names, "names.nsf")...)
		l.sim.SetFault(before("NSFDbOpen", func() error { return nil }, func(c dominosim.Call) error {
			if strings.HasPrefix(c.Args[0], "killer") {
				return dominosim.ErrDie
			}
			return nil
		}))
		src := &unchecked{l.source()}
		p, err := backup.New(backup.Config{Job: "mail", Source: src, Sink: backuptest.NewMemSink()})
		require.NoError(t, err)
		m, err := p.Backup(t.Context(), backup.Full)
		require.ErrorIs(t, err, backup.ErrPartial, "%d", killers)
		n := 0
		for _, it := range m.Items {
			if it.Failed() {
				n++
			}
		}
		assert.Equal(t, failed, n, "%d killers: %v", killers, kinds(m))
		left, err := l.sim.InBackup()
		require.NoError(t, err)
		assert.Empty(t, left)
	}
}

// unchecked is a Source without its checks, which would meet the killers first.
type unchecked struct{ s *capiSource }

func (u *unchecked) Describe() backup.Description { return u.s.Describe() }

func (u *unchecked) Backup(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
	return u.s.Backup(ctx, r, st)
}
