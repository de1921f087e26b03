package agent_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

// takes is a hook that makes a run last.
func takes(d time.Duration) agent.Hook {
	return agent.HookFunc(func(ctx context.Context, _ agent.Record) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

// The clock of a bubble begins on 2000-01-01 at midnight UTC.
func day(n, hour, minute int) time.Time { return time.Date(2000, 1, n, hour, minute, 0, 0, time.UTC) }

// key is the kind asked for, or the action.
func key(r agent.Record) string {
	if r.Action == agent.ActionBackup {
		return string(r.Asked)
	}
	return string(r.Action)
}

// scheduled are the times for which records were made, as the schedule had them.
func (g *rig) scheduled(loc *time.Location) (at []string) {
	for _, r := range g.seen() {
		at = append(at, key(r)+" "+r.Scheduled.In(loc).Format("02T15:04Z07:00"))
	}
	return at
}

func TestSchedulesFollowTheirZoneOverAClockChange(t *testing.T) {
	loc, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.job.Schedule = agent.Schedule{Full: "30 3 * * *", Location: loc}
		until(time.Date(2000, 3, 25, 0, 0, 0, 0, loc)) // the clocks go forward on the 26th
		stop := run(t, g.agent(t))
		until(time.Date(2000, 3, 27, 12, 0, 0, 0, loc))
		stop()
		assert.Equal(t, []string{"full 25T03:30+01:00", "full 26T03:30+02:00", "full 27T03:30+02:00"}, g.scheduled(loc))
		for _, r := range g.seen() {
			assert.Equal(t, agent.OutcomeOK, r.Outcome)
			assert.True(t, r.Started.Equal(r.Scheduled), "started at %s", r.Started)
		}
	})
}

func TestJitterStaysWithinItsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.job.Schedule = agent.Schedule{Full: "0 * * * *", Jitter: 10 * time.Minute, Location: time.UTC}
		a := g.agent(t)
		stop := run(t, a)
		until(day(2, 0, 30))
		rs := g.seen()
		require.Len(t, rs, 24)
		late := map[time.Duration]bool{}
		for _, r := range rs {
			d := r.Started.Sub(r.Scheduled)
			assert.GreaterOrEqual(t, d, time.Duration(0))
			assert.LessOrEqual(t, d, 10*time.Minute)
			late[d] = true
		}
		assert.Greater(t, len(late), 10, "the delays differ")
		until(a.Status()[0].Next["full"].Truncate(time.Hour)) // due, and waiting for its delay
		before := time.Now()
		stop()
		assert.Zero(t, time.Since(before), "a stop does not wait for jitter")
	})
}

func TestOverlapWaitsAndRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.job.Schedule = agent.Schedule{Full: "0 2 * * *", Log: "*/15 * * * *", Verify: "40 2 * * *", Location: time.UTC}
		g.job.Hooks.BeforeBackup = []agent.Hook{agent.HookFunc(func(ctx context.Context, r agent.Record) error {
			if r.Kind == backup.Full && r.Asked == backup.Full {
				return takes(50*time.Minute).Run(ctx, r)
			}
			return nil
		})}
		until(day(1, 1, 50))
		a := g.agent(t)
		stop := run(t, a)
		until(day(1, 2, 10))
		assert.Equal(t, agent.ActionBackup, a.Status()[0].Running)
		_, err := a.Backup(t.Context(), "books", backup.Log)
		require.ErrorIs(t, err, backup.ErrBusy)
		_, err = a.Prune(t.Context(), "books")
		require.ErrorIs(t, err, backup.ErrBusy)
		until(day(1, 3, 5))
		stop()
		assert.Equal(t, []string{"full 01T02:00Z", "log 01T02:15Z", "verify 01T02:40Z", "log 01T03:00Z"}, g.scheduled(time.UTC),
			"the log of 2:00 is covered by the full; those of 2:15, 2:30 and 2:45 run once, after it")
		assert.True(t, g.seen()[1].Started.Equal(day(1, 2, 50)), "at once when the job is free: %s", g.seen()[1].Started)
	})
}

func TestAFullThatWaitsGoesBeforeALogThatWaitsLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.job.Schedule = agent.Schedule{Full: "30 2 * * *", Log: "10 2 * * *", Verify: "20 2 * * *", Location: time.UTC}
		a := g.agent(t)
		stop := run(t, a)
		until(day(1, 2, 0))
		// A caller holds the job for an hour.
		_, err := a.Restore(t.Context(), "books", backup.Target{}, agent.RestoreOptions{})
		require.ErrorIs(t, err, backup.ErrNoBackup)
		g.backup(t, a, backup.Full)
		_, err = a.Restore(t.Context(), "books", backup.Target{}, agent.RestoreOptions{Confirm: func(*backup.RestorePlan) error {
			time.Sleep(time.Hour)
			return errors.New("no")
		}})
		require.ErrorIs(t, err, backup.ErrRefused)
		until(day(1, 4, 0))
		stop()
		assert.Equal(t, []string{"full 01T02:30Z", "verify 01T02:20Z"}, g.scheduled(time.UTC)[3:])
	})
}

func TestConcurrencyIsBoundedOverJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		var mu sync.Mutex
		at, most := 0, 0
		var jobs []agent.Job
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			j := newRig().job
			j.Name, j.Schedule = name, agent.Schedule{Full: "0 1 * * *", Location: time.UTC}
			j.Hooks.BeforeBackup = []agent.Hook{agent.HookFunc(func(ctx context.Context, r agent.Record) error {
				mu.Lock()
				at++
				most = max(most, at)
				mu.Unlock()
				err := takes(20*time.Minute).Run(ctx, r)
				mu.Lock()
				at--
				mu.Unlock()
				return err
			})}
			jobs = append(jobs, j)
		}
		a := g.agent(t, jobs...)
		stop := run(t, a)
		until(day(1, 1, 10))
		busy := 0
		for _, s := range a.Status() {
			if s.Running != "" {
				busy++
			}
		}
		assert.Equal(t, 2, busy)
		_, err := a.Verify(t.Context(), "a", backup.VerifyOptions{})
		require.ErrorIs(t, err, backup.ErrBusy, "it runs, or waits for its turn")
		until(day(1, 3, 0))
		stop()
		assert.Len(t, g.seen(), 5)
		assert.Equal(t, 2, most)
	})
}

func TestTwoAgentsOnOneJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, other := newRig(), newRig()
		g.job.Open = func(context.Context) (backup.Source, error) { return slow{g.ledger.Source(nil)}, nil }
		other.job.Config.Sink = g.mem
		first, second := g.agent(t), other.agent(t)
		done := make(chan agent.Record)
		go func() {
			r, _ := first.Backup(t.Context(), "books", backup.Full)
			done <- r
		}()
		time.Sleep(time.Minute)
		r, err := second.Backup(t.Context(), "books", backup.Full)
		require.ErrorIs(t, err, backup.ErrBusy)
		assert.Equal(t, agent.OutcomeBusy, r.Outcome)
		assert.NotEmpty(t, r.Hint)
		r = <-done
		assert.Equal(t, agent.OutcomeOK, r.Outcome)
		assert.Len(t, other.seen(), 1, "a run that met another machine's is on record")
	})
}

// A scheduled run that finds the job held is not lost: it is tried again when the holder has died ...
func TestAScheduledRunMeetsADeadOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, other := newRig(), newRig()
		sink := backuptest.NewFaultySink(g.mem)
		other.job.Config.Sink = sink
		other.job.Open = func(context.Context) (backup.Source, error) { return slow{other.ledger.Source(nil)}, nil }
		g.job.Schedule = agent.Schedule{Full: "5 12 * * *", Location: time.UTC}
		first := g.agent(t)
		defer run(t, first)()
		until(day(1, 12, 4))
		ctx, kill := context.WithCancel(t.Context())
		done := make(chan agent.Record)
		go func() {
			r, _ := other.agent(t).Backup(ctx, "books", backup.Full)
			done <- r
		}()
		time.Sleep(time.Minute - time.Second)
		sink.Script(backuptest.Fault{Times: -1, Action: backuptest.Fail}) // nothing it does reaches the target any more
		until(day(1, 13, 0))
		kill()
		assert.Equal(t, agent.OutcomeCancelled, (<-done).Outcome)
		seen := g.seen()
		require.GreaterOrEqual(t, len(seen), 2)
		assert.Less(t, len(seen), 5, "it knocks less and less often")
		assert.Equal(t, agent.OutcomeBusy, seen[0].Outcome)
		last := seen[len(seen)-1]
		assert.Equal(t, agent.OutcomeOK, last.Outcome, "the run was lost: %s", last.Error)
		assert.True(t, day(1, 12, 5).Equal(last.Scheduled))
		assert.True(t, day(2, 12, 5).Equal(first.Status()[0].Next["full"]))
	})
}

// ... and left out when the holder has made it unnecessary.
func TestTwoAgentsOnOneSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, other := newRig(), newRig()
		other.job.Config.Sink = g.mem
		for _, r := range []*rig{g, other} {
			r.job.Open = func(context.Context) (backup.Source, error) { return slow{g.ledger.Source(nil)}, nil }
			r.job.Schedule = agent.Schedule{Full: "5 12 * * *", Location: time.UTC}
			defer run(t, r.agent(t))()
		}
		until(day(1, 20, 0))
		outcomes := map[agent.Outcome]int{}
		for _, r := range append(g.seen(), other.seen()...) {
			outcomes[r.Outcome]++
		}
		assert.Equal(t, 1, outcomes[agent.OutcomeOK], "%v", outcomes)
		assert.Positive(t, outcomes[agent.OutcomeBusy], "%v", outcomes)
		assert.Less(t, outcomes[agent.OutcomeBusy], 8, "it knocks less and less often")
		assert.Len(t, outcomes, 2)
	})
}

// slow is a source whose backup takes an hour.
type slow struct{ backup.Source }

func (s slow) Backup(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
	if err := takes(time.Hour).Run(ctx, agent.Record{}); err != nil {
		return backup.Result{}, err
	}
	return s.Source.Backup(ctx, r, st)
}
