package agent_test

import (
	"context"
	"errors"
	"math/rand/v2"
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

// shop is one application in the simulated month, with a target of its own.
type shop struct {
	name   string
	ledger *backuptest.Ledger
	mem    *backuptest.MemSink
	sink   *backuptest.FaultySink
	job    agent.Job
}

func newShop(name string, o *backuptest.LedgerOptions) *shop {
	s := &shop{name: name, ledger: backuptest.NewLedger(o), mem: backuptest.NewMemSink()}
	s.sink = backuptest.NewFaultySink(s.mem)
	s.job = agent.Job{
		Name:   name,
		Open:   func(context.Context) (backup.Source, error) { return s.ledger.Source(nil), nil },
		Config: backup.Config{Sink: s.sink, PartSize: 64 << 10, Workers: 2},
	}
	return s
}

// live lets an application and its target have a month: changes all the time, and troubles now and then.
func (s *shop) live(ctx context.Context, r *rand.Rand) error {
	for ctx.Err() == nil {
		if behind := time.Since(s.ledger.Now()); behind > 0 {
			if err := s.ledger.Advance(behind); err != nil {
				return err
			}
		}
		if err := s.ledger.Mutate(1 + r.IntN(4)); err != nil {
			return err
		}
		if r.IntN(20) == 0 {
			s.trouble(r)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(1+r.IntN(40)) * time.Minute):
		}
		s.ledger.Revive()
		s.ledger.FailDatabase("bank", nil)
	}
	s.sink.Script()
	return nil
}

func (s *shop) trouble(r *rand.Rand) {
	switch r.IntN(12) {
	case 0:
		s.ledger.FailDatabase("bank", errors.New("page is torn"))
	case 1:
		s.ledger.GoneAfter(1 + r.IntN(20))
	default:
		ops := []backuptest.Op{backuptest.OpPut, backuptest.OpPutIfAbsent, backuptest.OpGet, backuptest.OpList, backuptest.OpDelete}
		how := []backuptest.Action{backuptest.Fail, backuptest.Tear, backuptest.Lost}
		s.sink.Script(backuptest.Fault{Op: ops[r.IntN(len(ops))], Nth: 1 + r.IntN(20), Times: 1 + r.IntN(3), Action: how[r.IntN(len(how))], After: int64(r.IntN(100))})
	}
}

// restores brings every item back to sampled moments of everything the target advertises.
func (s *shop) restores(t *testing.T, r *rand.Rand) (restored int) {
	cfg := s.job.Config
	cfg.Job, cfg.Sink, cfg.Stager = s.name, s.mem, nil
	look, err := backup.New(cfg)
	require.NoError(t, err)
	h, err := look.History(t.Context())
	require.NoError(t, err)
	for _, c := range h.Coverages() {
		require.NotEmpty(t, c.Spans, "%s/%s", s.name, c.Item)
		for _, span := range c.Spans {
			at := []time.Time{span.From, span.To}
			for range 6 {
				if n := span.To.Sub(span.From); span.PointInTime && n > 0 {
					at = append(at, span.From.Add(time.Duration(r.Int64N(int64(n)))))
				}
			}
			for _, to := range at {
				other := backuptest.NewLedger(&backuptest.LedgerOptions{Databases: []string{}})
				cfg.Source = other.Source(nil)
				p, err := backup.New(cfg)
				require.NoError(t, err)
				plan := h.Plan(backup.Target{Time: to, Select: []backup.Selection{{Name: c.Item}}})
				require.NoError(t, plan.Err(), "%s/%s at %s is advertised", s.name, c.Item, to)
				require.NoError(t, p.Restore(t.Context(), &plan, backup.RestoreOptions{}))
				require.Empty(t, s.ledger.At(to).Only(c.Item).Diff(other.Current()), "%s/%s at %s", s.name, c.Item, to)
				restored++
			}
		}
	}
	return restored
}

// TestAMonth lets three jobs run for a month of simulated time, with faults and restarts, most of which lose the state. At the end everything that the
// targets advertise is brought back and compared with what was.
func TestAMonth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { simulateMonth(t, 1) })
}

func simulateMonth(t *testing.T, seed uint64) {
	often := newShop("often", nil)
	often.job.Schedule = agent.Schedule{Full: "0 2 * * 0", Log: "*/15 * * * *", Verify: "30 4 * * 3", Rehearse: "0 5 * * 6", Jitter: 2 * time.Minute}
	often.job.Promote = agent.Promotion{FullAfter: 4 * time.Hour, LinksAfter: 12}
	often.job.Retention = backup.Policy{Window: time.Hour}
	mixed := newShop("mixed", &backuptest.LedgerOptions{Databases: []string{"shop", "bank", "crm"}})
	mixed.job.Schedule = agent.Schedule{Full: "0 1 * * 1,4", Differential: "0 1 * * *", Log: "20 */4 * * *", Verify: "@daily", Prune: "0 3 * * *", Rehearse: "@weekly"}
	mixed.job.Retention = backup.Policy{Window: 36 * time.Hour, Weekly: 2, Daily: 3}
	staged := newShop("staged", &backuptest.LedgerOptions{SharedLog: true, Ballast: 100 << 10})
	staged.job.Schedule = agent.Schedule{Full: "@every 50h", Log: "@every 3h", Verify: "@every 60h", Rehearse: "@every 100h"}
	staged.job.Retention = backup.Policy{Window: 2 * 24 * time.Hour, Last: 2}
	staged.job.Config.Stager = backup.DirStager{Dir: t.TempDir()}
	shops := []*shop{often, mixed, staged}

	g := newRig()
	dir := filepath.Join(t.TempDir(), "state")
	var jobs []agent.Job
	ctx, cancel := context.WithCancel(t.Context())
	lives := make(chan error)
	until(often.ledger.Now()) // from here on the applications' clocks and ours tell the same time
	for i, s := range shops {
		s.job.Rehearse.Scratch, s.job.Objective, s.job.Schedule.Location = t.TempDir(), 12*time.Hour, time.UTC
		jobs = append(jobs, s.job)
		go func() { lives <- s.live(ctx, rand.New(rand.NewPCG(seed, uint64(i)))) }()
	}
	for _, days := range []int{9, 1, 2, 18} {
		g.opts.State = ""
		if days < 9 {
			g.opts.State = dir // what every action writes to a disk would take longer than all the rest
		}
		stop := run(t, g.agent(t, jobs...))
		time.Sleep(time.Duration(days)*24*time.Hour - 5*time.Hour)
		stop()
		time.Sleep(5 * time.Hour)
	}
	cancel()
	for range shops {
		require.NoError(t, <-lives)
	}

	r := rand.New(rand.NewPCG(seed, 99))
	outcomes := map[agent.Outcome]int{}
	for _, rec := range g.seen() {
		outcomes[rec.Outcome]++
	}
	t.Log(outcomes)
	assert.Greater(t, outcomes[agent.OutcomeOK], 2000)
	assert.Greater(t, outcomes[agent.OutcomeFailed], 20, "the month was not without troubles")
	a := g.agent(t, jobs...)
	for _, s := range shops {
		assert.Greater(t, s.restores(t, r), 15, s.name)
		s.ledger.Revive()
		rec, err := a.Backup(t.Context(), s.name, backup.Log)
		require.NoError(t, err, "%v", rec)
		assert.Empty(t, s.ledger.Open())
		rec, err = a.Verify(t.Context(), s.name, backup.VerifyOptions{Level: backup.ProofFormat})
		require.NoError(t, err, "%v", rec)
	}
	for _, s := range a.Status() {
		assert.False(t, s.RecoveryPoint.IsZero())
		assert.False(t, s.Absent)
	}
}
