package monitoring

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

// scraped is what one scrape showed, with the labels that Prometheus adds.
type scraped struct {
	names map[string]bool // of metric families
	load  string          // the samples, in the form of promqltest, unchanged for two and a half hours
}

// scene is an agent with one job, its exporter, and a source that can be made slow.
type scene struct {
	ledger   *backuptest.Ledger
	sink     *backuptest.MemSink
	registry *client.Registry
	agent    *agent.Agent
	slow     atomic.Int64 // how long the next backups take
	during   func()       // called while bytes move; nil for nothing
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{ledger: backuptest.NewLedger(nil), sink: backuptest.NewMemSink(), registry: client.NewRegistry()}
	exporter, err := prometheus.New(prometheus.WithRegisterer(s.registry))
	require.NoError(t, err)
	s.agent, err = agent.New(agent.Options{
		Jobs: []agent.Job{{
			Name:      "books",
			Open:      func(context.Context) (backup.Source, error) { return &slowSource{s.ledger.Source(nil), s}, nil },
			Config:    backup.Config{Sink: s.sink, PartSize: 64 << 10, Workers: 1, Stall: backup.Stall{After: 24 * time.Hour}, LeaseTTL: time.Hour},
			Schedule:  agent.Schedule{Full: "0 2 * * *", Verify: "0 12 * * 0", Location: time.UTC},
			Objective: 25 * time.Hour,
		}},
		Meter:     metric.NewMeterProvider(metric.WithReader(exporter)),
		Notifiers: []agent.Notifier{silent{}},
		Events: func(ev backup.Event) {
			if _, ok := ev.(backup.Progress); ok && s.during != nil {
				s.during()
			}
		},
	})
	require.NoError(t, err)
	return s
}

type silent struct{}

func (silent) Notify(context.Context, agent.Notice) error { return nil }

type slowSource struct {
	*backuptest.LedgerSource
	scene *scene
}

func (s *slowSource) Backup(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
	select {
	case <-ctx.Done():
		return backup.Result{}, context.Cause(ctx)
	case <-time.After(time.Duration(s.scene.slow.Load())):
	}
	return s.LedgerSource.Backup(ctx, r, st)
}

// scrape collects what the exporter shows now.
func (s *scene) scrape(t *testing.T) scraped {
	t.Helper()
	families, err := s.registry.Gather()
	require.NoError(t, err)
	out := scraped{names: map[string]bool{}}
	var b strings.Builder
	b.WriteString("load 1m\n")
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "quiesce_") {
			continue
		}
		out.names[f.GetName()] = true
		for _, m := range f.GetMetric() {
			labels := []string{`job="obm"`, `instance="db1:9187"`}
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			name, value := f.GetName(), m.GetGauge().GetValue()+m.GetCounter().GetValue()
			if m.GetHistogram() != nil {
				name, value = name+"_count", float64(m.GetHistogram().GetSampleCount())
			}
			fmt.Fprintf(&b, "  %s{%s} %g+0x150\n", name, strings.Join(labels, ","), value)
		}
	}
	out.load = b.String()
	return out
}

// days lives through ten days of a job and returns what scrapes showed at its turns.
func days(t *testing.T) (all map[string]scraped) {
	t.Helper()
	all = map[string]scraped{}
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		require.NoError(t, s.ledger.Mutate(20))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.agent.Run(ctx) }()
		at := func(day, hour int) {
			time.Sleep(time.Until(time.Date(2000, 1, day, hour, 0, 0, 0, time.UTC)))
			synctest.Wait()
		}

		at(1, 1)
		s.during = func() { all["moving"] = s.scrape(t) }
		at(1, 3)
		s.during = nil
		all["good"] = s.scrape(t)

		for _, key := range s.sink.Keys("books/runs/") {
			s.sink.Damage(key, func([]byte) []byte { return []byte("other bytes") })
		}
		rec, err := s.agent.Verify(ctx, "books", backup.VerifyOptions{})
		require.ErrorIs(t, err, backup.ErrCorrupt)
		require.NotEmpty(t, rec.Verified.Bad)
		all["damaged"] = s.scrape(t)

		s.slow.Store(int64(6 * time.Hour))
		at(2, 5)
		all["stuck"] = s.scrape(t)
		s.slow.Store(0)
		at(2, 23)
		all["repaired"] = s.scrape(t)
		at(10, 3)
		all["unverified"] = s.scrape(t)
		cancel()
		require.NoError(t, <-done)
	})
	return all
}
