package agent_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
)

func TestEveryActionByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.job.Rehearse.Scratch = t.TempDir()
		g.job.Retention = backup.Policy{Last: 1}
		a := g.agent(t)
		time.Sleep(time.Second)
		r := g.backup(t, a, backup.Full)
		assert.Equal(t, backup.ProofBytes, *r.Proof)
		assert.Equal(t, "ledger", r.Application)
		assert.Equal(t, "ledger:1", r.Instance)
		assert.Len(t, r.Items, 2)
		time.Sleep(time.Minute)
		r = g.backup(t, a, backup.Log)
		assert.Equal(t, backup.Log, r.Kind)
		assert.Empty(t, r.Reason)

		v, err := a.Verify(t.Context(), "books", backup.VerifyOptions{Level: backup.ProofFormat})
		require.NoError(t, err)
		assert.Equal(t, 2, v.Verified.Backups)
		h, err := a.Rehearse(t.Context(), "books", backup.Target{}, agent.Rehearsal{})
		require.NoError(t, err)
		assert.NotEmpty(t, h.Plan.Steps)
		p, err := a.Prune(t.Context(), "books")
		require.NoError(t, err)
		assert.Len(t, p.Pruned.Keep, 2)

		want := g.ledger.Current()
		require.NoError(t, g.ledger.Lose())
		res, err := a.Restore(t.Context(), "books", backup.Target{}, agent.RestoreOptions{})
		require.NoError(t, err)
		assert.Equal(t, agent.OutcomeOK, res.Outcome)
		assert.Empty(t, want.Diff(g.ledger.Current()))

		s := a.Status()
		require.Len(t, s, 1)
		for _, key := range []string{"full", "log", "verify", "rehearse", "prune", "restore"} {
			assert.Contains(t, s[0].Last, key)
		}
		assert.Len(t, g.seen(), 6)
	})
}

func TestAScheduledDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.job.Schedule = agent.Schedule{Full: "0 2 * * *", Log: "0 * * * *", Location: time.UTC}
		stop := run(t, g.agent(t))
		until(time.Date(2000, 1, 2, 4, 30, 0, 0, time.UTC))
		stop()
		rs := g.seen()
		require.NotEmpty(t, rs)
		for _, r := range rs {
			t.Log(r.Scheduled, r.Asked, r.Kind, r.Outcome, r.Reason, r.Error)
		}
		assert.Len(t, rs, 28)
	})
}
