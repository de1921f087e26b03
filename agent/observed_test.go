package agent_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
)

// letterbox is a Notifier that keeps titles, once answer lets it.
type letterbox struct {
	mu     sync.Mutex
	titles []string
	answer func() error
}

func (b *letterbox) Notify(_ context.Context, n agent.Notice) error {
	if b.answer != nil {
		if err := b.answer(); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.titles = append(b.titles, n.Title)
	return nil
}

func (b *letterbox) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() { b.titles = nil }()
	return b.titles
}

// ages collects the ages of recovery points in hours, by "item/kind".
func ages(t *testing.T, reader *metric.ManualReader) map[string]float64 {
	t.Helper()
	var rm metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &rm))
	out := map[string]float64{}
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			if m.Name != "quiesce.recovery_point.age" {
				continue
			}
			for _, p := range m.Data.(metricdata.Gauge[float64]).DataPoints {
				item, _ := p.Attributes.Value("quiesce.item")
				kind, _ := p.Attributes.Value("quiesce.kind")
				out[item.AsString()+"/"+kind.AsString()] = p.Value / 3600
			}
		}
	}
	return out
}

func TestVerifyThatFindsDamageIsSeenEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, box, reader := newRig(), &letterbox{}, metric.NewManualReader()
		g.job.Objective = 5 * time.Hour
		g.opts.Meter = metric.NewMeterProvider(metric.WithReader(reader))
		g.opts.Notifiers = []agent.Notifier{box}
		g.opts.State = t.TempDir()
		a := g.agent(t)
		assert.Empty(t, ages(t, reader), "New looks at nothing")
		stop := run(t, a)
		synctest.Wait()
		assert.Equal(t, map[string]float64{"/none": 0}, ages(t, reader))
		g.backup(t, a, backup.Full)
		time.Sleep(4 * time.Hour)
		second := g.backup(t, a, backup.Full)
		time.Sleep(2 * time.Hour)
		for item, age := range ages(t, reader) {
			assert.InDelta(t, 2, age, 0.01, "%s", item)
		}
		synctest.Wait()
		require.Empty(t, box.take())

		for _, key := range g.mem.Keys(g.job.Name + "/runs/" + string(second.ID) + "/") {
			g.mem.Damage(key, func([]byte) []byte { return []byte("other bytes") })
		}
		_, err := a.Verify(t.Context(), g.job.Name, backup.VerifyOptions{})
		require.ErrorIs(t, err, backup.ErrCorrupt)
		synctest.Wait()
		back := false
		for _, age := range ages(t, reader) {
			back = back || age > 5.9
		}
		assert.True(t, back, "the age jumps back to the point before: %v", ages(t, reader))
		assert.ElementsMatch(t, []string{"books: verify found damage", "books: newest proven backup is 6h old (objective 5h)"}, box.take())
		stop()

		a = g.agent(t)
		stop = run(t, a)
		time.Sleep(time.Hour)
		assert.Empty(t, box.take(), "a restart repeats nothing")
		g.backup(t, a, backup.Full)
		synctest.Wait()
		assert.Equal(t, []string{"books: proven backups are within the objective again"}, box.take())
		stop()
	})
}

func TestNotifiersDelayNoRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		hung := &letterbox{answer: func() error { <-release; return nil }}
		panics := &letterbox{answer: func() error { panic("no") }}
		down := &letterbox{answer: func() error { return errors.New("no route") }}
		box := &letterbox{}
		g := newRig()
		g.opts.Notifiers = []agent.Notifier{hung, panics, down, box}
		open := g.job.Open
		g.job.Open = func(context.Context) (backup.Source, error) { return nil, errors.New("the server is gone") }
		broken := g.job
		broken.Schedule = agent.Schedule{Full: "@every 1h"}
		g.job.Open, g.job.Name = open, "other"
		g.job.Schedule = agent.Schedule{Full: "@every 1h"}
		stop := run(t, g.agent(t, broken, g.job))
		time.Sleep(10*time.Hour + time.Minute)
		synctest.Wait()
		rs := g.seen()
		assert.Len(t, rs, 20, "each job ran every hour")
		for _, r := range rs {
			assert.Less(t, r.Started.Sub(r.Scheduled), time.Minute)
		}
		assert.Equal(t, []string{"books: full backup failed"}, box.take())
		began := time.Now()
		stop()
		assert.LessOrEqual(t, time.Since(began), 10*time.Second)
		close(release)
	})
}

func TestSpansOfARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, rec := newRig(), tracetest.NewSpanRecorder()
		g.opts.Tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec))
		g.backup(t, g.agent(t), backup.Full)
		ended := rec.Ended()
		require.NotEmpty(t, ended)
		root := ended[len(ended)-1]
		assert.Equal(t, "quiesce backup", root.Name())
		var phases []string
		for _, s := range ended[:len(ended)-1] {
			assert.Equal(t, root.SpanContext().SpanID(), s.Parent().SpanID())
			phases = append(phases, strings.TrimPrefix(s.Name(), "quiesce phase "))
		}
		assert.Subset(t, phases, []string{"lease", "history", "preflight", "backup", "ship", "seal", "release"})
		assert.Len(t, rec.Started(), len(ended), "every span ends")
	})
}

func TestAJobThatIsTakenOutIsNoLongerMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, box, reader := newRig(), &letterbox{}, metric.NewManualReader()
		g.job.Objective = time.Hour
		g.opts.Meter = metric.NewMeterProvider(metric.WithReader(reader))
		g.opts.Notifiers = []agent.Notifier{box}
		other := g.job
		other.Name = "other"
		a := g.agent(t, g.job, other)
		stop := run(t, a)
		synctest.Wait()
		require.NoError(t, a.Update([]agent.Job{other}))
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		assert.Equal(t, []string{"other: no proven backup for 1h (objective 1h)"}, box.take())
		assert.Len(t, ages(t, reader), 1)
		stop()
	})
}
