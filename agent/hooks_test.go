package agent_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

// trace notes calls of hooks, and of what lies between them.
type trace struct {
	calls []string
	last  agent.Record
}

func (tr *trace) hook(name string, err error) agent.Hook {
	return agent.HookFunc(func(_ context.Context, r agent.Record) error {
		tr.calls, tr.last = append(tr.calls, name), r
		return err
	})
}

func (tr *trace) around(before ...error) agent.Hooks {
	h := agent.Hooks{
		AfterBackup: []agent.Hook{tr.hook("after1", nil), tr.hook("after2", nil)}, BackupFailed: []agent.Hook{tr.hook("failed1", nil), tr.hook("failed2", nil)},
		AfterRestore: []agent.Hook{tr.hook("restored", nil)}, RestoreFailed: []agent.Hook{tr.hook("not restored", nil)},
	}
	for i, err := range before {
		h.BeforeBackup = append(h.BeforeBackup, tr.hook("before"+string(rune('1'+i)), err))
		h.BeforeRestore = append(h.BeforeRestore, tr.hook("restore"+string(rune('1'+i)), err))
	}
	return h
}

func TestHooksInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, tr := newRig(), &trace{}
		g.job.Hooks = tr.around(nil, nil)
		open := g.job.Open
		g.job.Open = func(ctx context.Context) (backup.Source, error) {
			tr.calls = append(tr.calls, "open")
			return open(ctx)
		}
		a := g.agent(t)
		r := g.backup(t, a, backup.Log)
		assert.Equal(t, []string{"before1", "before2", "open", "after1", "after2"}, tr.calls)
		assert.Equal(t, backup.Full, tr.last.Kind)
		assert.Equal(t, agent.OutcomeOK, tr.last.Outcome)
		assert.Equal(t, r.ID, tr.last.ID)

		tr.calls = nil
		_, err := a.Restore(t.Context(), "books", backup.Target{}, agent.RestoreOptions{})
		require.ErrorIs(t, err, backup.ErrExists)
		assert.Equal(t, []string{"restore1", "restore2", "open", "not restored"}, tr.calls)
		assert.Equal(t, agent.OutcomeRefused, tr.last.Outcome)

		tr.calls = nil
		_, err = a.Restore(t.Context(), "books", backup.Target{}, agent.RestoreOptions{RestoreOptions: backup.RestoreOptions{Overwrite: true}})
		require.NoError(t, err)
		assert.Equal(t, []string{"restore1", "restore2", "open", "restored"}, tr.calls)
	})
}

func TestABeforeHookStopsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, tr := newRig(), &trace{}
		no := errors.New("the disk is not mounted")
		g.backup(t, g.agent(t), backup.Full)
		calls := g.ledger.Calls()
		g.job.Hooks = tr.around(nil, no, nil)
		a := g.agent(t)
		r, err := a.Backup(t.Context(), "books", backup.Full)
		require.ErrorIs(t, err, no)
		assert.Equal(t, agent.OutcomeFailed, r.Outcome)
		assert.Contains(t, r.Error, "hook 2 before the backup")
		assert.Equal(t, []string{"before1", "before2", "failed1", "failed2"}, tr.calls)
		assert.Equal(t, agent.OutcomeFailed, tr.last.Outcome)

		tr.calls = nil
		r, err = a.Restore(t.Context(), "books", backup.Target{}, agent.RestoreOptions{RestoreOptions: backup.RestoreOptions{Overwrite: true}})
		require.ErrorIs(t, err, no)
		assert.Contains(t, r.Error, "hook 2 before the restore")
		assert.Equal(t, []string{"restore1", "restore2", "not restored"}, tr.calls)
		assert.Equal(t, calls, g.ledger.Calls(), "the application was not touched")
	})
}

func TestAHookAfterTheRunOnlyWarns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, tr := newRig(), &trace{}
		hang := agent.HookFunc(func(ctx context.Context, _ agent.Record) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		panics := agent.HookFunc(func(context.Context, agent.Record) error { panic("no such channel") })
		g.job.Hooks.AfterBackup = []agent.Hook{tr.hook("1", io.ErrUnexpectedEOF), hang, panics, tr.hook("4", nil)}
		r, err := g.agent(t).Backup(t.Context(), "books", backup.Full)
		require.NoError(t, err)
		assert.Equal(t, agent.OutcomeOK, r.Outcome)
		require.Len(t, r.Warnings, 3)
		assert.Contains(t, r.Warnings[0], "hook 1 after the backup: unexpected EOF")
		assert.Contains(t, r.Warnings[1], "hook 2 after the backup: context deadline exceeded")
		assert.Contains(t, r.Warnings[2], "hook 3 after the backup: a hook panicked: no such channel")
		assert.Equal(t, []string{"1", "4"}, tr.calls)
		assert.Equal(t, 10*time.Minute, r.Finished.Sub(r.Started))
	})
}

func TestRefusedRestoresCallNoHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, tr := newRig(), &trace{}
		a := g.agent(t)
		r, err := a.Restore(t.Context(), "books", backup.Target{}, agent.RestoreOptions{})
		require.ErrorIs(t, err, backup.ErrNoBackup)
		assert.Equal(t, agent.OutcomeRefused, r.Outcome)
		assert.NotEmpty(t, r.Plan.Refused)
		g.backup(t, a, backup.Full)
		g.job.Hooks = tr.around(nil)
		a = g.agent(t)
		no := errors.New("not today")
		r, err = a.Restore(t.Context(), "books", backup.Target{}, agent.RestoreOptions{Confirm: func(p *backup.RestorePlan) error {
			assert.Len(t, p.Steps, 2)
			return no
		}})
		require.ErrorIs(t, err, no)
		assert.Equal(t, agent.OutcomeRefused, r.Outcome)
		assert.Empty(t, tr.calls)
	})
}

func TestRestoreElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig()
		a := g.agent(t)
		g.backup(t, a, backup.Full)
		at := g.ledger.Now()
		require.NoError(t, g.ledger.Mutate(3))
		g.backup(t, a, backup.Log)
		other := backuptest.NewLedger(&backuptest.LedgerOptions{Databases: []string{}})
		_, err := a.Restore(t.Context(), "books", backup.Target{Time: at}, agent.RestoreOptions{
			Open: func(context.Context) (backup.Source, error) { return other.Source(nil), nil }})
		require.NoError(t, err)
		assert.Empty(t, g.ledger.At(at).Diff(other.Current()))
	})
}

// broken is a source that panics in one of its methods.
type broken struct {
	*backuptest.LedgerSource
	in     string
	closed *int
}

func (b broken) Close() error {
	*b.closed++
	return nil
}

func (b broken) fail(in string) {
	if b.in == in {
		panic("index out of range in " + in)
	}
}

func (b broken) Backup(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
	b.fail("Backup")
	return b.LedgerSource.Backup(ctx, r, st)
}

func (b broken) Check(ctx context.Context, d backup.StageDir) []backup.Finding {
	b.fail("Check")
	return b.LedgerSource.Check(ctx, d)
}

func (b broken) Estimate(ctx context.Context, r backup.Request) (int64, error) {
	b.fail("Estimate")
	return b.LedgerSource.Estimate(ctx, r)
}

func (b broken) Recover(ctx context.Context, job string, h backup.History) error {
	b.fail("Recover")
	return b.LedgerSource.Recover(ctx, job, h)
}

func (b broken) Restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	b.fail("Restore")
	return b.LedgerSource.Restore(ctx, r, set)
}

func (b broken) Verify(ctx context.Context, set *backup.RestoreSet) error {
	b.fail("Verify")
	return b.LedgerSource.Verify(ctx, set)
}

func (b broken) Rehearse(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet, scratch string) error {
	b.fail("Rehearse")
	return b.LedgerSource.Rehearse(ctx, r, set, scratch)
}

func TestPanicsOfASourceBecomeFailedRecords(t *testing.T) {
	for _, in := range []string{"Open", "Backup", "Check", "Estimate", "Recover", "Restore", "Verify", "Rehearse"} {
		t.Run(in, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig()
				g.backup(t, g.agent(t), backup.Full)
				closed, failed := 0, 0
				g.job.Rehearse.Scratch = t.TempDir()
				g.job.Hooks.BackupFailed = []agent.Hook{agent.HookFunc(func(context.Context, agent.Record) error { failed++; return nil })}
				good := g.job.Open
				g.job.Open = func(context.Context) (backup.Source, error) {
					b := broken{g.ledger.Source(nil), in, &closed}
					b.fail("Open")
					return b, nil
				}
				a := g.agent(t)
				act := func() (agent.Record, error) {
					switch in {
					case "Restore":
						return a.Restore(t.Context(), "books", backup.Target{}, agent.RestoreOptions{RestoreOptions: backup.RestoreOptions{Overwrite: true}})
					case "Verify":
						return a.Verify(t.Context(), "books", backup.VerifyOptions{Level: backup.ProofFormat})
					case "Rehearse":
						return a.Rehearse(t.Context(), "books", backup.Target{}, agent.Rehearsal{})
					}
					return a.Backup(t.Context(), "books", backup.Full)
				}
				r, err := act()
				require.Error(t, err)
				assert.Contains(t, r.Error, "panicked: index out of range in "+in)
				assert.NotEqual(t, agent.OutcomeOK, r.Outcome)
				if in != "Open" {
					assert.Equal(t, 1, closed, "a source that can be closed is")
				}
				if r.Action == agent.ActionBackup {
					assert.Equal(t, 1, failed)
				}
				g.job.Open = good
				g.backup(t, g.agent(t), backup.Full) // nothing is held
				assert.Empty(t, g.ledger.Open())
			})
		})
	}
}

// A source that can salvage can do so behind the agent too, and one that cannot is not taken for one that can.
func TestASalvagerIsAskedThroughTheAgent(t *testing.T) {
	for _, how := range []string{"salvages", "cannot", "panics"} {
		t.Run(how, func(t *testing.T) {
			g := newRig()
			g.ledger = backuptest.NewLedger(&backuptest.LedgerOptions{TruncatesItself: true})
			g.job.Config.Stager = backup.DirStager{Dir: t.TempDir()}
			fail := false
			g.job.Open = func(context.Context) (backup.Source, error) {
				s := brokenOff{g.ledger.Source(nil), &fail}
				if how == "cannot" {
					return s, nil
				}
				return brokenSalvager{s, g.ledger.SalvagingSource(nil), how == "panics"}, nil
			}
			a := g.agent(t)
			g.backup(t, a, backup.Full)
			require.NoError(t, g.ledger.Mutate(5))
			fail = true
			_, err := a.Backup(t.Context(), "books", backup.Log)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			fail = false
			for _, it := range g.backup(t, a, backup.Log).Items {
				if how == "salvages" {
					assert.Equal(t, backup.Log, it.Kind, "log was lost")
				} else {
					assert.Equal(t, backup.Full, it.Kind, "log came back that nobody vouched for")
				}
			}
		})
	}
}

// brokenOff fails when all is done.
type brokenOff struct {
	*backuptest.LedgerSource
	fail *bool
}

func (b brokenOff) Backup(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
	res, err := b.LedgerSource.Backup(ctx, r, st)
	if err == nil && *b.fail {
		err = errors.Join(io.ErrUnexpectedEOF, res.Pending.Abort(ctx))
	}
	return res, err
}

// brokenSalvager is one that can salvage, or panics when it is asked.
type brokenSalvager struct {
	brokenOff
	own    backup.Salvager
	panics bool
}

func (b brokenSalvager) Salvage(ctx context.Context, d *backup.DeadRun) (backup.Salvaged, error) {
	if b.panics {
		panic("no such artifact")
	}
	return b.own.Salvage(ctx, d)
}
