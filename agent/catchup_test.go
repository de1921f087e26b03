package agent_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

var nightly = agent.Schedule{Full: "0 2 * * 6", Differential: "0 2 * * *", Log: "0 * * * *", Location: time.UTC} // 2000-01-01 was a Saturday

// runs starts an agent at one time and stops it at another, and returns the records of that time.
func (g *rig) runs(t testing.TB, from, to time.Time) []agent.Record {
	t.Helper()
	until(from)
	n := len(g.seen())
	stop := run(t, g.agent(t))
	until(to)
	stop()
	return g.seen()[n:]
}

func TestMissedRunsAreMadeUpForOnce(t *testing.T) {
	for _, c := range []struct {
		name  string
		state func(t *testing.T, dir string)
	}{
		{"with the state", func(*testing.T, string) {}},
		{"with the state lost", func(t *testing.T, dir string) { require.NoError(t, os.RemoveAll(dir)) }},
		{"with the state damaged", func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "books.json"), []byte(`{"version": 1, "job": "bo`), 0o600))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			synctest.Test(t, func(t *testing.T) {
				g := newRig()
				g.opts.State, g.job.Schedule = dir, nightly
				assert.Empty(t, g.runs(t, day(1, 2, 30), day(1, 2, 40)), "a schedule that is new has missed nothing")
				assert.Len(t, g.runs(t, day(1, 2, 40), day(2, 3, 30)), 25)
				c.state(t, dir)

				rs := g.runs(t, day(8, 5, 30), day(8, 6, 30)) // a week off; the last full was due at 2
				require.Len(t, rs, 2)
				assert.Equal(t, backup.Full, rs[0].Asked, "the strongest alone, though differential and log are late too")
				assert.True(t, rs[0].CaughtUp)
				assert.True(t, rs[0].Scheduled.Equal(day(8, 2, 0)), "%s", rs[0].Scheduled)
				assert.True(t, rs[0].Started.Equal(day(8, 5, 30)), "%s", rs[0].Started)
				assert.Equal(t, backup.Log, rs[1].Asked)
				assert.False(t, rs[1].CaughtUp)
				assert.Empty(t, g.runs(t, day(8, 6, 40), day(8, 6, 50)), "once")
			})
		})
	}
}

func TestMissedRunsThatAreTooOldAreNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.opts.State = filepath.Join(t.TempDir(), "state")
		g.job.Schedule = agent.Schedule{Full: "0 2 * * *", CatchUp: 3 * time.Hour, Location: time.UTC}
		assert.Len(t, g.runs(t, day(1, 0, 30), day(1, 2, 40)), 1)
		assert.Empty(t, g.runs(t, day(2, 5, 1), day(2, 6, 0)))
		assert.Len(t, g.runs(t, day(3, 4, 59), day(3, 6, 0)), 1)
		g.job.Schedule.CatchUp = -1
		assert.Empty(t, g.runs(t, day(4, 2, 0).Add(time.Second), day(4, 6, 0)))
	})
}

func TestARunThatTheEndCutShortIsMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.opts.State, g.opts.Grace = filepath.Join(t.TempDir(), "state"), -1
		g.job.Schedule = agent.Schedule{Full: "0 2 * * *", Location: time.UTC}
		long := g.job
		long.Hooks.BeforeBackup = []agent.Hook{takes(time.Hour)}
		short := g.job
		g.job = long
		rs := g.runs(t, day(1, 1, 0), day(1, 2, 30))
		require.Len(t, rs, 1)
		assert.Equal(t, agent.OutcomeCancelled, rs[0].Outcome)
		g.job = short
		rs = g.runs(t, day(1, 3, 0), day(1, 4, 0))
		require.Len(t, rs, 1)
		assert.True(t, rs[0].CaughtUp)
		assert.Equal(t, agent.OutcomeOK, rs[0].Outcome)
	})
}

func TestEveryGoesOnFromTheRunBeforeTheRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.opts.State = filepath.Join(t.TempDir(), "state")
		g.job.Schedule = agent.Schedule{Full: "@every 5h", Verify: "@every 30h"}
		for h := range 4 * 24 { // an agent that never runs for an hour
			g.runs(t, day(1, h, 5), day(1, h, 55))
		}
		n := map[string]int{}
		for _, r := range g.seen() {
			n[key(r)]++
		}
		assert.Equal(t, map[string]int{"full": 19, "verify": 3}, n)
	})
}

func TestATargetThatIsLateIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.job.Schedule = agent.Schedule{Full: "0 2 * * *", Location: time.UTC}
		assert.Len(t, g.runs(t, day(1, 1, 0), day(1, 3, 0)), 1) // the state is in memory and gone after it
		until(day(2, 3, 0))
		g.sink.Script(backuptest.Fault{Op: backuptest.OpList, Times: 3})
		rs := g.runs(t, day(2, 3, 0), day(2, 4, 0))
		require.Len(t, rs, 1)
		assert.True(t, rs[0].CaughtUp)
		assert.True(t, rs[0].Started.After(day(2, 3, 0)))
	})
}

func TestAStateThatCannotBeWrittenStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		file := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		var log bytes.Buffer
		g.opts.State, g.opts.Logger = filepath.Join(file, "state"), slog.New(slog.NewTextHandler(&log, nil))
		a := g.agent(t)
		g.backup(t, a, backup.Full)
		assert.Contains(t, log.String(), "the state directory cannot be used")
		assert.Contains(t, a.Status()[0].Last, "full", "it is remembered while the program runs")
	})
}

func TestTheStateOutlivesTheProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.opts.State = filepath.Join(t.TempDir(), "a", "state")
		a := g.agent(t)
		require.NoDirExists(t, g.opts.State, "New opens nothing")
		full := g.backup(t, a, backup.Full)
		byHand := g.agent(t) // another program on the same state
		time.Sleep(time.Minute)
		log := g.backup(t, byHand, backup.Log)
		time.Sleep(time.Minute)
		_, err := a.Verify(t.Context(), "books", backup.VerifyOptions{})
		require.NoError(t, err)
		last := g.agent(t).Status()[0].Last
		assert.Equal(t, full.ID, last["full"].ID)
		assert.Equal(t, log.ID, last["log"].ID, "the first program did not forget what the second wrote")
		assert.Equal(t, 2, last["verify"].Verified.Backups)
		require.NoError(t, last["full"].Err())
	})
}
