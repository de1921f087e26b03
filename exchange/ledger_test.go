package exchange_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim"
)

// moments is how many random times each ledger is restored to.
func moments() int {
	if testing.Short() {
		return 5
	}
	return 30
}

// Full, logs, more logs, while users write. Then the latest state and 30 times, each in a folder: what comes back is what the ledger has at the end of the generation that the restore names, that generation was over at
// the time asked for, and no later one was.
func TestRestoresEqualTheLedger(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		version   int
		way       exchange.Way
		streaming bool
	}{
		"2003 by the streaming API, staged":   {2003, exchange.WayESE, false},
		"2007 by the streaming API, streamed": {2007, exchange.WayESE, true},
		"2007 by snapshot, staged":            {2007, exchange.WayVSS, false},
		"2010 by snapshot, streamed":          {2010, exchange.WayVSS, true},
		"2019 by snapshot, staged":            {2019, exchange.WayVSS, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			groups := restoreGroups()
			if c.version >= 2010 {
				groups = databases("DB1", "DB2")
			}
			l := newRestoreLab(t, c.version, c.way, groups)
			l.streaming = c.streaming
			ledger(t, l, groups, rand.New(rand.NewPCG(uint64(c.version), 7)))
		})
	}
}

func ledger(t *testing.T, l *restoreLab, groups []exchangesim.Group, r *rand.Rand) {
	l.work(r, groups, 60)
	full := l.take(backup.Full)
	for range 4 {
		l.work(r, groups, 120)
		m := l.take(backup.Log)
		for _, it := range m.Items {
			require.Equal(t, backup.Log, it.Kind, "%s: %s", it.Name, it.Reason)
		}
	}
	l.work(r, groups, 5)

	check := func(dir, told string, at time.Time) {
		ended := l.ended(told)
		require.Len(t, ended, len(groups), told)
		for _, g := range groups {
			e := ended[g.Name]
			if !at.IsZero() {
				l.between(g.Name, e, at)
			}
			for _, d := range g.Databases {
				got, err := exchangesim.ReadFile(l.restored(dir, g, d))
				require.NoError(t, err, "%s at %s", d.Name, at)
				want, err := l.sim.AtGeneration(g.Name+"/"+d.Name, e.generation)
				if e.partial {
					it, ok := full.Item(g.Name)
					require.True(t, ok)
					want, err = l.sim.At(g.Name+"/"+d.Name, it.Window.To)
				}
				require.NoError(t, err)
				require.Equal(t, want, got, "%s at %s, which is said to be the end of generation %d (partial %v)", d.Name, at, e.generation, e.partial)
			}
		}
	}
	dir := filepath.Join(l.dir, "latest")
	told, err := l.restore(backup.Target{}, backup.RestoreOptions{Options: map[string]string{"to": dir}})
	require.NoError(t, err)
	check(dir, told, time.Time{})

	h, err := l.job().History(t.Context())
	require.NoError(t, err)
	span := h.Coverage(groups[0].Name).Spans
	require.Len(t, span, 1, "one span without a gap")
	from, to := span[0].From, span[0].To
	for _, g := range groups[1:] {
		s := h.Coverage(g.Name).Spans
		require.Len(t, s, 1)
		from, to = later(from, s[0].From), earlier(to, s[0].To)
	}
	for i := range moments() {
		at := from.Add(time.Duration(r.Int64N(int64(to.Sub(from)))))
		dir := filepath.Join(l.dir, fmt.Sprint(i))
		told, err := l.restore(backup.Target{Time: at}, backup.RestoreOptions{Options: map[string]string{"to": dir}})
		require.NoError(t, err, "to %s", at)
		check(dir, told, at)
	}
	assert.Zero(t, l.sim.Open())
	assert.Empty(t, l.leavings())
}

// between holds what a restore says against the writes of the test: all that was written into a generation that was applied happened by then, and the next generation was not over, which it certainly was when something was
// written behind it more than the resolution of stamps before.
func (l *restoreLab) between(group string, e endedAt, at time.Time) {
	l.t.Helper()
	for _, w := range l.history {
		if w.group != group {
			continue
		}
		if w.generation <= e.generation && !e.partial {
			require.False(l.t, w.at.Add(-10*time.Millisecond).After(at), "generation %d was written to at %s, and applied in a restore to %s", w.generation, w.at, at)
		}
		if w.generation > e.generation+1 {
			require.True(l.t, w.at.Add(2*time.Second).After(at), "generation %d was over before %s, and the restore to %s ended with %d", w.generation-1, w.at, at, e.generation)
		}
	}
}

// restored is where a database of a group is in a folder.
func (l *restoreLab) restored(dir string, g exchangesim.Group, d exchangesim.Database) string {
	base := d.Name + ".edb"
	if d.File != "" {
		base = filepath.Base(d.File)
	}
	return filepath.Join(dir, g.Name, base)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
