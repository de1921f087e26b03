package agent_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

// rig is an application with a target and an agent over it.
type rig struct {
	ledger *backuptest.Ledger
	mem    *backuptest.MemSink
	sink   *backuptest.FaultySink
	job    agent.Job
	opts   agent.Options

	mu      sync.Mutex
	records []agent.Record
}

func newRig() *rig {
	g := &rig{ledger: backuptest.NewLedger(nil), mem: backuptest.NewMemSink()}
	g.sink = backuptest.NewFaultySink(g.mem)
	g.job = agent.Job{
		Name:   "books",
		Open:   func(context.Context) (backup.Source, error) { return g.ledger.Source(nil), nil },
		Config: backup.Config{Sink: g.sink, PartSize: 64 << 10, Workers: 1},
	}
	g.opts.Records = func(r agent.Record) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.records = append(g.records, r)
	}
	return g
}

// agent makes an agent of the rig's options for its job, or for others.
func (g *rig) agent(t testing.TB, jobs ...agent.Job) *agent.Agent {
	t.Helper()
	o := g.opts
	if o.Jobs = jobs; len(jobs) == 0 {
		o.Jobs = []agent.Job{g.job}
	}
	a, err := agent.New(o)
	require.NoError(t, err)
	return a
}

// run starts a and returns a function that ends its Run and waits for it.
func run(t testing.TB, a *agent.Agent) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
}

func (g *rig) seen() []agent.Record {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.records)
}

// backup makes one backup with a few changes before it.
func (g *rig) backup(t testing.TB, a *agent.Agent, kind backup.Kind) agent.Record {
	t.Helper()
	require.NoError(t, g.ledger.Mutate(5))
	r, err := a.Backup(t.Context(), g.job.Name, kind)
	require.NoError(t, err)
	require.Equal(t, agent.OutcomeOK, r.Outcome)
	return r
}

// until sleeps until a moment of the machine's clock.
func until(at time.Time) { time.Sleep(time.Until(at)) }
