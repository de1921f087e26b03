package agent_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

// onlyFulls is a source without links.
type onlyFulls struct{ backup.Source }

func (o onlyFulls) Describe() backup.Description {
	d := o.Source.Describe()
	d.Kinds = []backup.Kind{backup.Full}
	return d
}

func TestPromotion(t *testing.T) {
	for _, c := range []struct {
		name   string
		job    func(g *rig)
		before []backup.Kind // made by a plain agent, an hour apart
		spoil  func(t *testing.T, g *rig)
		asked  backup.Kind
		want   backup.Kind
		reason string
	}{
		{name: "nothing yet", asked: backup.Log, want: backup.Full, reason: "There is no proven full to build on."},
		{name: "a full", before: []backup.Kind{backup.Full}, asked: backup.Log, want: backup.Log},
		{name: "a full, differential", before: []backup.Kind{backup.Full}, asked: backup.Differential, want: backup.Differential},
		{name: "a full that is damaged", before: []backup.Kind{backup.Full}, asked: backup.Log, want: backup.Full, reason: "There is no proven full to build on.",
			spoil: func(t *testing.T, g *rig) {
				for _, k := range g.mem.Keys("books/runs/") {
					g.mem.Damage(k, func([]byte) []byte { return []byte("x") })
				}
				_, err := g.agent(t).Verify(t.Context(), "books", backup.VerifyOptions{})
				require.ErrorIs(t, err, backup.ErrCorrupt)
			}},
		{name: "a full that nobody proved", asked: backup.Log, want: backup.Full, reason: "There is no proven full to build on.",
			spoil: func(t *testing.T, g *rig) {
				later := g.job
				later.Config.Prove.Mode = backup.ProveLater
				g.backup(t, g.agent(t, later), backup.Full)
			}},
		{name: "a full that nobody proved, as configured", before: []backup.Kind{backup.Full}, asked: backup.Log, want: backup.Log,
			job: func(g *rig) { g.job.Config.Prove.Mode = backup.ProveLater }},
		{name: "nothing, where nobody proves", asked: backup.Log, want: backup.Full, reason: "There is no full to build on.",
			job: func(g *rig) { g.job.Config.Prove.Mode = backup.ProveLater }},
		{name: "young enough", before: []backup.Kind{backup.Full, backup.Log}, asked: backup.Log, want: backup.Log,
			job: func(g *rig) { g.job.Promote.FullAfter = 3 * time.Hour }},
		{name: "too old", before: []backup.Kind{backup.Full, backup.Log, backup.Log}, asked: backup.Log, want: backup.Full,
			job: func(g *rig) { g.job.Promote.FullAfter = 3 * time.Hour }, reason: "The newest proven full is 3 hours old; Promote.FullAfter is 3 hours."},
		{name: "few links", before: []backup.Kind{backup.Full, backup.Log, backup.Full, backup.Log}, asked: backup.Log, want: backup.Log,
			job: func(g *rig) { g.job.Promote.LinksAfter = 2 }},
		{name: "many links", before: []backup.Kind{backup.Full, backup.Log, backup.Differential}, asked: backup.Log, want: backup.Full,
			job: func(g *rig) { g.job.Promote.LinksAfter = 2 }, reason: "The newest full has 2 links; Promote.LinksAfter is 2."},
		{name: "a source without logs", before: []backup.Kind{backup.Full}, asked: backup.Log, want: backup.Full, reason: "The application offers no log backups.",
			job: func(g *rig) {
				open := g.job.Open
				g.job.Open = func(ctx context.Context) (backup.Source, error) {
					src, err := open(ctx)
					return onlyFulls{src}, err
				}
			}},
		{name: "a full stays one", asked: backup.Full, want: backup.Full},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig()
				if c.job != nil {
					c.job(g)
				}
				promote := g.job
				g.job.Promote = agent.Promotion{}
				for _, k := range c.before {
					g.backup(t, g.agent(t), k)
					time.Sleep(time.Hour)
				}
				if c.spoil != nil {
					c.spoil(t, g)
				}
				g.job = promote
				r := g.backup(t, g.agent(t), c.asked)
				assert.Equal(t, c.asked, r.Asked)
				assert.Equal(t, c.want, r.Kind)
				assert.Equal(t, c.reason, r.Reason)
				for _, it := range r.Items {
					assert.Equal(t, c.want, it.Kind, it.Name)
				}
			})
		})
	}
}

func TestRetentionFollowsProvenRunsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		plain := g.agent(t)
		for range 3 {
			g.backup(t, plain, backup.Full)
			time.Sleep(time.Hour)
		}
		stored := func() int { return len(g.mem.Keys("books/manifests/")) }
		g.job.Retention = backup.Policy{Last: 1}

		scheduled := g.job
		scheduled.Schedule = agent.Schedule{Prune: "0 0 1 1 *"}
		r := g.backup(t, g.agent(t, scheduled), backup.Full)
		assert.Nil(t, r.Pruned, "its schedule says when")
		unproven := g.job
		unproven.Config.Prove.Mode = backup.ProveLater
		time.Sleep(time.Hour)
		r = g.backup(t, g.agent(t, unproven), backup.Full)
		assert.Nil(t, r.Pruned)
		assert.Equal(t, backup.ProofSealed, *r.Proof)
		time.Sleep(time.Hour)
		g.ledger.GoneAfter(3)
		r, err := g.agent(t).Backup(t.Context(), "books", backup.Full)
		require.Error(t, err)
		assert.Nil(t, r.Pruned)
		g.ledger.Revive()
		assert.Equal(t, 5, stored(), "nothing was removed so far")

		time.Sleep(time.Hour)
		r = g.backup(t, g.agent(t), backup.Full)
		assert.Len(t, r.Pruned.Remove, 5)
		assert.Equal(t, 1, stored())
		r = g.backup(t, g.agent(t), backup.Log)
		assert.Nil(t, r.Pruned, "there was nothing to remove")
	})
}

func TestARetentionThatFailsIsAWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.job.Retention = backup.Policy{Last: 1}
		a := g.agent(t)
		g.backup(t, a, backup.Full)
		time.Sleep(time.Hour)
		g.sink.Script(backuptest.Fault{Op: backuptest.OpDelete, Key: "/manifests/", Times: -1})
		r := g.backup(t, a, backup.Full)
		require.Len(t, r.Warnings, 1)
		assert.Contains(t, r.Warnings[0], "the retention could not be applied")
	})
}

// picky is a source whose check never holds.
type picky struct{ *backuptest.LedgerSource }

func (picky) Check(context.Context, backup.StageDir) []backup.Finding {
	return []backup.Finding{{What: "the account may read", Err: errors.New("it may not"), Hint: "grant it"}}
}

func TestOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		a := g.agent(t)
		boom := errors.New("page 7 is torn")
		g.ledger.FailDatabase("shop", boom)
		r, err := a.Backup(t.Context(), "books", backup.Full)
		require.ErrorIs(t, err, backup.ErrPartial)
		assert.Equal(t, agent.OutcomePartial, r.Outcome)
		assert.NotEmpty(t, r.ID)
		g.ledger.FailDatabase("shop", nil)

		locked := g.job
		locked.Open = func(context.Context) (backup.Source, error) { return picky{g.ledger.Source(nil)}, nil }
		r, err = g.agent(t, locked).Backup(t.Context(), "books", backup.Full)
		require.Error(t, err)
		assert.Equal(t, agent.OutcomeFailed, r.Outcome, "a check that says no is a backup that was wanted and is not there: %s", r.Error)
		assert.Equal(t, "grant it", r.Hint)

		refuses := g.job
		refuses.Open = func(context.Context) (backup.Source, error) { return nil, boom }
		r, err = g.agent(t, refuses).Backup(t.Context(), "books", backup.Full)
		require.ErrorIs(t, err, boom)
		assert.Equal(t, agent.OutcomeFailed, r.Outcome)
		nothing := g.job
		nothing.Open = func(context.Context) (backup.Source, error) { return nil, nil }
		_, err = g.agent(t, nothing).Backup(t.Context(), "books", backup.Full)
		require.ErrorContains(t, err, "neither a source nor an error")

		r, err = a.Rehearse(t.Context(), "books", backup.Target{}, agent.Rehearsal{})
		require.ErrorContains(t, err, "no scratch place")
		assert.Equal(t, "set Rehearse.Scratch of the job", r.Hint)
		assert.Equal(t, agent.OutcomeFailed, r.Outcome)

		r, err = a.Verify(t.Context(), "books", backup.VerifyOptions{IDs: []backup.ID{"20261122T020000123Z-9f8e7d6c"}})
		require.ErrorIs(t, err, backup.ErrNoBackup)
		assert.Equal(t, agent.OutcomeRefused, r.Outcome)
		for _, k := range g.mem.Keys("books/runs/") {
			g.mem.Damage(k, func([]byte) []byte { return []byte("x") })
		}
		r, err = a.Verify(t.Context(), "books", backup.VerifyOptions{})
		require.ErrorIs(t, err, backup.ErrCorrupt)
		assert.Equal(t, agent.OutcomeFailed, r.Outcome)
		assert.NotEmpty(t, r.Verified.Bad)
		assert.NotEmpty(t, r.Hint)

		r, err = a.Backup(t.Context(), "nobody", backup.Full)
		require.Error(t, err)
		assert.Equal(t, agent.OutcomeFailed, r.Outcome)
		assert.Equal(t, "the jobs are: books", r.Hint)
		_, err = a.Backup(t.Context(), "books", "incremental")
		require.Error(t, err)
	})
}

func TestTheRecoveryPointMovesWithProvenBackups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		g.job.Objective = 3 * time.Hour
		a := g.agent(t)
		assert.False(t, a.Status()[0].Absent, "the target has not been read")
		g.backup(t, a, backup.Full)
		first := a.Status()[0]
		assert.False(t, first.RecoveryPoint.IsZero())
		assert.False(t, first.Absent)

		time.Sleep(2 * time.Hour)
		later := g.job
		later.Config.Prove.Mode = backup.ProveLater
		require.NoError(t, a.Update([]agent.Job{later}))
		g.backup(t, a, backup.Full)
		assert.Equal(t, first.RecoveryPoint, a.Status()[0].RecoveryPoint, "nobody proved the second full")
		time.Sleep(2 * time.Hour)
		assert.True(t, a.Status()[0].Absent)

		_, err := a.Verify(t.Context(), "books", backup.VerifyOptions{})
		require.NoError(t, err)
		second := a.Status()[0]
		assert.True(t, second.RecoveryPoint.After(first.RecoveryPoint))
		assert.False(t, second.Absent)

		g.ledger.FailDatabase("shop", errors.New("torn"))
		_, err = a.Backup(t.Context(), "books", backup.Log)
		require.ErrorIs(t, err, backup.ErrPartial)
		assert.Equal(t, second.RecoveryPoint, a.Status()[0].RecoveryPoint, "the item that failed holds it back")
	})
}

// A full on an empty target where there were backups before is made, and is suspicious: the disk may not be mounted.
func TestTheTargetHasVanished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		a := g.agent(t)
		first := g.backup(t, a, backup.Full)
		assert.Empty(t, first.Warnings)
		assert.Empty(t, g.backup(t, a, backup.Log).Warnings)
		for _, k := range g.mem.Keys("") {
			require.NoError(t, g.mem.Delete(t.Context(), k))
		}
		r := g.backup(t, a, backup.Full)
		require.Len(t, r.Warnings, 1)
		assert.Contains(t, r.Warnings[0], "may not be the right one")
		assert.Empty(t, g.backup(t, a, backup.Log).Warnings, "told once")
	})
}

// takesTail is a source with an option that leaves a trace.
type takesTail struct {
	backup.Source
	got *[]backup.Request
}

func (s takesTail) Describe() backup.Description {
	d := s.Source.Describe()
	d.Options = []string{"tail"}
	return d
}

func (s takesTail) Backup(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
	*s.got = append(*s.got, r)
	return s.Source.Backup(ctx, r, st)
}

func TestOptionsOfABackupByHand(t *testing.T) {
	t.Parallel()
	g := newRig()
	var got []backup.Request
	g.job.Open = func(context.Context) (backup.Source, error) { return takesTail{g.ledger.Source(nil), &got}, nil }
	g.job.Promote.LinksAfter = 1
	a := g.agent(t)
	g.backup(t, a, backup.Full)
	g.backup(t, a, backup.Log)
	tail := map[string]string{"tail": "norecovery"}
	r, err := a.BackupWith(t.Context(), "books", backup.BackupOptions{Kind: backup.Log, Options: tail})
	require.NoError(t, err)
	assert.Equal(t, backup.Log, r.Kind, "one with options is not promoted")
	assert.Equal(t, tail, got[2].Options)
	r, err = a.BackupWith(t.Context(), "books", backup.BackupOptions{Kind: backup.Log, Options: map[string]string{"tial": "x"}})
	require.ErrorIs(t, err, backup.ErrOption)
	assert.Equal(t, agent.OutcomeRefused, r.Outcome)
	assert.Equal(t, "it takes tail", r.Hint)
	require.Len(t, got, 3)
	assert.Equal(t, backup.Full, g.backup(t, a, backup.Log).Kind, "a plain one is")
}
