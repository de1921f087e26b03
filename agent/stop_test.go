package agent_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
)

func TestGraceLetsARunFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.opts.Grace = 10 * time.Minute
		g.job.Schedule = agent.Schedule{Full: "0 1 * * *", Verify: "1 1 * * *", Location: time.UTC}
		g.job.Hooks.BeforeBackup = []agent.Hook{takes(5 * time.Minute)}
		stop := run(t, g.agent(t))
		until(day(1, 1, 2))
		stop()
		assert.True(t, time.Now().Equal(day(1, 1, 5)), "%s", time.Now())
		rs := g.seen()
		require.Len(t, rs, 1, "what waited does not start any more")
		assert.Equal(t, agent.OutcomeOK, rs[0].Outcome)
	})
}

func TestAfterGraceARunIsAbandonedCleanly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.job.Open = func(context.Context) (backup.Source, error) { return slow{g.ledger.Source(nil)}, nil }
		g.job.Schedule = agent.Schedule{Full: "0 1 * * *", Location: time.UTC}
		var told agent.Record
		g.job.Hooks.BackupFailed = []agent.Hook{agent.HookFunc(func(ctx context.Context, r agent.Record) error {
			told = r
			return takes(time.Minute).Run(ctx, r)
		})}
		stop := run(t, g.agent(t))
		until(day(1, 1, 2))
		stop()
		assert.True(t, time.Now().Equal(day(1, 1, 3).Add(30*time.Second)), "grace, then the failed hook: %s", time.Now())
		rs := g.seen()
		require.Len(t, rs, 1)
		assert.Equal(t, agent.OutcomeCancelled, rs[0].Outcome)
		assert.Contains(t, rs[0].Error, "grace")
		assert.Empty(t, rs[0].Warnings)
		assert.Equal(t, agent.OutcomeCancelled, told.Outcome)
		assert.Empty(t, g.ledger.Open())
		g.job.Open = newRig().job.Open
		g.backup(t, g.agent(t), backup.Full) // the lease was given back
	})
}

func TestASecondRunIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newRig().agent(t)
		stop := run(t, a)
		synctest.Wait()
		require.Error(t, a.Run(t.Context()))
		stop()
		run(t, a)() // but one after the other is not
	})
}

func TestCancelledCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.opts.Concurrent = 1
		other := g.job
		other.Name = "other"
		g.job.Open = func(context.Context) (backup.Source, error) { return slow{g.ledger.Source(nil)}, nil }
		a := g.agent(t, g.job, other)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		done := make(chan agent.Record)
		go func() {
			r, err := a.Backup(ctx, "books", backup.Full)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			done <- r
		}()
		time.Sleep(time.Minute)
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err := a.Backup(short, "other", backup.Full)
		require.ErrorIs(t, err, context.DeadlineExceeded, "it waited for its turn")
		assert.Equal(t, agent.OutcomeCancelled, r.Outcome)
		assert.Equal(t, agent.OutcomeCancelled, (<-done).Outcome)
	})
}

func TestUpdateKeepsTimesAndRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		job := func(name string, s agent.Schedule, d time.Duration) agent.Job {
			j := newRig().job
			s.Location = time.UTC
			j.Name, j.Schedule = name, s
			j.Hooks.BeforeBackup = []agent.Hook{takes(d)}
			return j
		}
		kept := job("kept", agent.Schedule{Full: "@every 90m", Log: "50 1 * * *"}, time.Minute)
		gone := job("gone", agent.Schedule{Full: "@every 80m"}, 30*time.Minute)
		a := g.agent(t, kept, gone)
		stop := run(t, a)
		until(day(1, 1, 25)) // gone is at work

		require.Error(t, a.Update([]agent.Job{kept, kept}))
		assert.Len(t, a.Jobs(), 2, "on error nothing changes")
		kept.Schedule.Log = "55 1 * * *"
		require.NoError(t, a.Update([]agent.Job{kept, job("new", agent.Schedule{Full: "40 1 * * *"}, time.Minute)}))
		s := a.Status()
		assert.Equal(t, "kept", s[0].Job)
		assert.True(t, s[0].Next["full"].Equal(day(1, 1, 30)), "%s", s[0].Next["full"])
		assert.True(t, s[0].Next["log"].Equal(day(1, 1, 55)), "%s", s[0].Next["log"])
		assert.Equal(t, "new", s[1].Job)
		until(day(1, 2, 0))

		got := map[string]time.Time{}
		for _, r := range g.seen() {
			assert.Equal(t, agent.OutcomeOK, r.Outcome)
			got[r.Job+" "+key(r)] = r.Finished
		}
		assert.Equal(t, map[string]time.Time{
			"gone full": day(1, 1, 50), "kept full": day(1, 1, 31), "kept log": day(1, 1, 56), "new full": day(1, 1, 41),
		}, utc(got))

		gone.Hooks.BeforeBackup = nil
		require.NoError(t, a.Update([]agent.Job{kept, gone}))
		until(day(1, 3, 50))
		stop()
		times := 0
		for _, r := range g.seen() {
			if r.Job == "gone" {
				times++
			}
		}
		assert.Equal(t, 2, times, "back again, it goes on at 2:40")
	})
}

func utc(m map[string]time.Time) map[string]time.Time {
	for k, v := range m {
		m[k] = v.UTC()
	}
	return m
}

func TestUpdateWhileAnActionIsDueAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.job.Schedule = agent.Schedule{Full: "0 1 * * *", Verify: "10 1 * * *", Location: time.UTC}
		g.job.Hooks.BeforeBackup = []agent.Hook{takes(30 * time.Minute)}
		a := g.agent(t)
		stop := run(t, a)
		until(day(1, 1, 20))
		changed := g.job
		changed.Hooks = agent.Hooks{}
		changed.Schedule.Verify = "10 5 * * *"
		for range 3 {
			require.NoError(t, a.Update([]agent.Job{changed}))
			time.Sleep(time.Second)
		}
		until(day(1, 2, 0))
		stop()
		assert.Equal(t, []string{"full 01T01:00Z", "verify 01T01:10Z"}, g.scheduled(time.UTC))
		assert.True(t, g.seen()[1].Started.Equal(day(1, 1, 30)), "after the run that was begun with the old job")
	})
}
