package exchange_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange"
)

// server is a version with a way that takes it.
type server struct {
	version int
	way     exchange.Way
}

func (s server) String() string { return fmt.Sprintf("%d-%s", s.version, s.way) }

func servers() []server {
	return []server{{2003, exchange.WayESE}, {2003, exchange.WayVSS}, {2007, exchange.WayESE}, {2007, exchange.WayVSS}, {2019, exchange.WayVSS}}
}

func (s server) lab(t *testing.T) *lab {
	l := newLab(t, s.version)
	l.opt.Way = s.way
	return l
}

// Fulls and logs of every version by every way, with and without a stage, are proven, and logs go when the manifest is there.
func TestFullAndLogs(t *testing.T) {
	t.Parallel()
	for _, s := range servers() {
		for _, how := range []string{"staged", "streamed"} {
			t.Run(s.String()+"-"+how, func(t *testing.T) {
				t.Parallel()
				l := s.lab(t)
				var change []jobOption
				if how == "streamed" {
					change = append(change, streamed)
				}
				j := l.job(change...)
				l.fill(3)
				m := j.take(backup.Full)
				assert.Equal(t, string(s.way), m.Meta["way"])
				for _, g := range l.groups() {
					it := item(t, m, g)
					assert.Equal(t, backup.Full, it.Kind)
					assert.Empty(t, it.Reason)
					assert.NotEmpty(t, it.Stream)
				}
				assert.True(t, item(t, m, "system state").ByName)
				for range 2 {
					l.fill(70)
					m = j.take(backup.Log)
					for _, g := range l.groups() {
						it := item(t, m, g)
						assert.Equal(t, backup.Log, it.Kind, it.Reason)
						assert.True(t, it.PointInTime)
						assert.Less(t, it.Begin, it.End)
						assert.Greater(t, it.Artifacts, 2, "several logs and the note")
					}
				}
				l.fill(200)
				before := l.logs()
				j.take(backup.Full)
				for g, logs := range l.logs() {
					assert.NotSubset(t, logs, before[g], "logs of %s are truncated", g)
				}
				assert.Empty(t, j.warnings)
				j.proven()
			})
		}
	}
}

func TestOptionsAreRefused(t *testing.T) {
	t.Parallel()
	_, err := exchange.New(&exchange.Options{StateDir: "relative", Way: "tape", Prefer: "nobody", Include: []string{""}})
	for _, want := range []string{"absolute", "tape", "nobody", "pattern"} {
		require.ErrorContains(t, err, want)
	}
}
