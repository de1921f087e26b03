package exchange_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim"
)

// dying ends the program at a moment of a run: before or after a call.
type dying struct {
	mu    sync.Mutex
	left  int      // how many moments pass before that; below 0: it does not die
	calls []string // the moments there were
	at    string   // where it died
	// durable tells whether the manifest is, early what was truncated before.
	durable func() bool
	early   []string
}

func (d *dying) fault(c exchangesim.Call) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if truncates(c) && !d.durable() {
		d.early = append(d.early, c.Name)
	}
	moment := fmt.Sprintf("%s after=%t", c.Name, c.After)
	d.calls = append(d.calls, moment)
	if d.left != len(d.calls)-1 || d.at != "" {
		return nil
	}
	d.at = moment
	return exchangesim.ErrDie
}

func truncates(c exchangesim.Call) bool {
	return c.Name == "Session.TruncateLogs" || c.Name == "Shadow.Complete"
}

// The program dies before and after each call of a full and of a log run, by every way: no log is truncated before the manifest is durable, the next run ends what is left, and the chain is restorable or honestly begun anew.
func TestDiesAtAnyCall(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		server
		kind     backup.Kind
		streamed bool
	}{
		{server{2003, exchange.WayESE}, backup.Full, false}, {server{2003, exchange.WayESE}, backup.Log, true}, {server{2007, exchange.WayESE}, backup.Full, true},
		{server{2007, exchange.WayVSS}, backup.Full, true}, {server{2019, exchange.WayVSS}, backup.Full, false}, {server{2019, exchange.WayVSS}, backup.Log, true},
	} {
		t.Run(fmt.Sprintf("%s-%s", c, c.kind), func(t *testing.T) {
			t.Parallel()
			calls, _ := dies(t, c.server, c.kind, c.streamed, -1)
			assert.GreaterOrEqual(t, len(calls), 8, "%v", calls)
			step := 1
			if testing.Short() {
				step = 1 + len(calls)/5
			}
			for n := 0; n < len(calls); n += step {
				_, died := dies(t, c.server, c.kind, c.streamed, n)
				assert.True(t, died, "moment %d (%s)", n, calls[n])
			}
		})
	}
}

// dies runs to the n-th moment, counted from 0; below 0 to the end. It returns the moments there were.
func dies(t *testing.T, s server, kind backup.Kind, streaming bool, n int) (calls []string, died bool) {
	l := s.lab(t)
	sink := backuptest.NewMemSink()
	var change []jobOption
	if streaming {
		change = append(change, streamed)
	}
	job := func() *job { return l.jobTo(sink, change...) }
	l.fill(1)
	first := job().take(backup.Full)
	l.fill(1)

	d := &dying{left: n, durable: func() bool { return len(manifests(sink)) > 1 }}
	l.sim.SetFault(d.fault)
	_, err := job().Backup(t.Context(), kind)
	l.sim.SetFault(nil)
	assert.Empty(t, d.early, "moment %d: truncated before the manifest was durable", n)
	if d.at == "" {
		require.NoError(t, err)
		return d.calls, false
	}
	if err == nil {
		assert.Greater(t, len(manifests(sink)), 1, "moment %d (%s)", n, d.at)
	}
	l.fill(1)
	want, err := l.print(l.databases)
	require.NoError(t, err)
	m, err := job().Backup(t.Context(), backup.Log)
	require.NoError(t, err, "moment %d (%s)", n, d.at)
	require.NoError(t, l.left(), "moment %d (%s)", n, d.at)
	for _, it := range m.Items {
		if it.Kind == backup.Full {
			assert.NotEmpty(t, it.Reason, "moment %d (%s): %s", n, d.at, it.Name)
		}
	}
	last := job()
	last.proven()
	require.NotEqual(t, first.ID, m.ID)
	l.lose()
	restoreLatest(t, last)
	got, err := l.print(l.databases)
	require.NoError(t, err)
	assert.Equal(t, want, got, "moment %d (%s)", n, d.at)
	return d.calls, true
}

func manifests(sink *backuptest.MemSink) []string {
	return slices.DeleteFunc(sink.Keys(""), func(k string) bool { return !strings.Contains(k, "/manifests/") })
}

func restoreLatest(t *testing.T, j *job) {
	t.Helper()
	plan, err := j.Plan(t.Context(), backup.Target{})
	require.NoError(t, err)
	require.NoError(t, j.Restore(t.Context(), plan, backup.RestoreOptions{}))
}
