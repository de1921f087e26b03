package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/quiesce-go/quiesce/backup"
)

// watching is an observer with a reader for its metrics, under the clock of a synctest bubble.
type watching struct {
	*observer
	reader *metric.ManualReader
	job    Job
}

// forgetful is a state that ends with the test.
func forgetful() *stateStore { return newStateStore("", slog.New(slog.DiscardHandler)) }

func watch(t *testing.T, o Options, st *stateStore) *watching {
	t.Helper()
	w := &watching{reader: metric.NewManualReader()}
	o.Meter = metric.NewMeterProvider(metric.WithReader(w.reader))
	if len(o.Jobs) == 0 {
		o.Jobs = []Job{{Name: "shop", Application: "mysql", Objective: 24 * time.Hour}}
	}
	w.job = o.Jobs[0]
	w.observer = newObserver(o.withDefaults(), st)
	w.recallAll()
	return w
}

// values collects one instrument: its value by "item/kind" or, without an item, by "action/kind/outcome".
func (w *watching) values(t *testing.T, name string) map[string]float64 {
	t.Helper()
	var rm metricdata.ResourceMetrics
	require.NoError(t, w.reader.Collect(t.Context(), &rm))
	out := map[string]float64{}
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			if m.Name != name {
				continue
			}
			switch d := m.Data.(type) {
			case metricdata.Gauge[int64]:
				put(out, d.DataPoints)
			case metricdata.Sum[int64]:
				put(out, d.DataPoints)
			case metricdata.Gauge[float64]:
				put(out, d.DataPoints)
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					out[label(p.Attributes)] = p.Sum
				}
			default:
				require.Failf(t, "unexpected data", "%s is %T", name, d)
			}
		}
	}
	return out
}

func put[N int64 | float64](out map[string]float64, ps []metricdata.DataPoint[N]) {
	for _, p := range ps {
		out[label(p.Attributes)] = float64(p.Value)
	}
}

func label(set attribute.Set) string {
	var words []string
	for _, k := range []attribute.Key{attrItem, attrAction, attrKind, attrNotice, attrOutcome} {
		if v, ok := set.Value(k); ok && v.AsString() != "" {
			words = append(words, v.AsString())
		}
	}
	return strings.Join(words, "/")
}

// story makes histories: every call adds a backup of some items at the bubble's present time.
type story struct{ backup.History }

func (s *story) take(kind backup.Kind, proof backup.Proof, items ...string) backup.ID {
	now := time.Now()
	var after backup.ID
	if n := len(s.History); n > 0 {
		after = s.History[n-1].ID
	}
	b := backup.Backup{Proof: proof, Manifest: backup.Manifest{
		ID: backup.NewID(now, after), Job: "shop", Application: "mysql", Kind: kind, Started: now, Finished: now, Proof: proof,
	}}
	for _, name := range items {
		it := backup.Item{Name: name, Kind: kind, Stream: "log of " + name, End: position(now), PointInTime: true, Window: backup.Window{From: now, To: now}}
		if kind == backup.Log {
			last := s.last(name)
			it.Parent, it.Begin, it.Window.From = last.ID, last.End, last.Window.To
		}
		b.Items = append(b.Items, it)
	}
	s.History = append(s.History, b)
	return b.ID
}

func position(t time.Time) backup.Position {
	return backup.Position(fmt.Sprintf("%020d", t.UnixNano()))
}

func (s *story) last(item string) backup.Link {
	for _, b := range slices.Backward(s.History) {
		if it, ok := b.Item(item); ok {
			return backup.Link{ID: b.ID, Item: it}
		}
	}
	return backup.Link{}
}

func (s *story) damage(id backup.ID) {
	s.History = slices.Clone(s.History)
	for i := range s.History {
		if s.History[i].ID == id {
			s.History[i].Damaged = "a part is not what was written"
		}
	}
}

const hour = 3600.0

func TestAgeIsPerItemAndKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, Options{}, forgetful())
		var s story
		s.take(backup.Full, backup.ProofBytes, "orders", "crm")
		time.Sleep(time.Hour)
		s.take(backup.Log, backup.ProofBytes, "orders")
		time.Sleep(time.Hour)
		s.take(backup.Log, backup.ProofSealed, "orders") // nobody read it back
		w.seen(&w.job, s.History)
		time.Sleep(time.Hour)
		assert.Equal(t, map[string]float64{"orders/full": 3 * hour, "orders/log": 2 * hour, "crm/full": 3 * hour},
			w.values(t, "quiesce.recovery_point.age"), "only what was proven counts, and each item for itself")
		assert.Equal(t, map[string]float64{"": 24 * hour}, w.values(t, "quiesce.recovery_point.objective"))
		assert.Equal(t, map[string]float64{"full": 1, "log": 2}, w.values(t, "quiesce.stored.backups"))
	})
}

func TestAgeGoesBackWhenProofIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, Options{}, forgetful())
		var s story
		s.take(backup.Full, backup.ProofBytes, "orders")
		time.Sleep(10 * time.Hour)
		newer := s.take(backup.Full, backup.ProofBytes, "orders")
		time.Sleep(time.Hour)
		log := s.take(backup.Log, backup.ProofBytes, "orders")
		w.seen(&w.job, s.History)
		assert.Equal(t, map[string]float64{"orders/full": hour, "orders/log": 0}, w.values(t, "quiesce.recovery_point.age"))

		s.damage(log)
		w.seen(&w.job, s.History)
		assert.Equal(t, map[string]float64{"orders/full": hour}, w.values(t, "quiesce.recovery_point.age"))
		s.damage(newer)
		w.seen(&w.job, s.History)
		assert.Equal(t, map[string]float64{"orders/full": 11 * hour}, w.values(t, "quiesce.recovery_point.age"), "the older full is what is left")
		assert.Equal(t, map[string]float64{"": 2}, w.values(t, "quiesce.stored.damaged"))
	})
}

func TestAgeWithoutAnyProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := forgetful()
		w := watch(t, Options{}, st)
		time.Sleep(time.Hour)
		assert.Equal(t, map[string]float64{"none": hour}, w.values(t, "quiesce.recovery_point.age"), "the target was not read yet")
		w = watch(t, Options{}, st)
		w.seen(&w.job, nil)
		time.Sleep(time.Hour)
		assert.Equal(t, map[string]float64{"none": 2 * hour}, w.values(t, "quiesce.recovery_point.age"), "a restart does not begin to count again")

		var s story
		s.take(backup.Full, backup.ProofSealed, "orders")
		w.seen(&w.job, s.History)
		time.Sleep(time.Hour)
		assert.Equal(t, map[string]float64{"orders/none": 3 * hour}, w.values(t, "quiesce.recovery_point.age"), "an unproven backup gives no point")
	})
}

func TestAnIdleApplicationIsNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, Options{}, forgetful())
		var s story
		s.take(backup.Full, backup.ProofBytes, "orders")
		time.Sleep(20 * time.Hour)
		s.take(backup.Log, backup.ProofBytes, "orders")
		it := &s.History[1].Items[0]
		it.End, it.Window.To = it.Begin, it.Window.From // nothing happened in twenty hours
		w.seen(&w.job, s.History)
		time.Sleep(time.Hour)
		assert.Equal(t, map[string]float64{"orders/full": 21 * hour, "orders/log": hour}, w.values(t, "quiesce.recovery_point.age"))
	})
}

func TestItemsThatAreGoneAreNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, Options{}, forgetful())
		var s story
		s.take(backup.Full, backup.ProofBytes, "orders", "old")
		time.Sleep(time.Hour)
		s.take(backup.Full, backup.ProofBytes, "orders")
		w.seen(&w.job, s.History)
		assert.Equal(t, map[string]float64{"orders/full": 0}, w.values(t, "quiesce.recovery_point.age"))
	})
}

func TestALogOfItsOwnServesTheItemsOfItsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s story
		s.take(backup.Full, backup.ProofBytes, "mail", "names")
		full := s.last("mail")
		time.Sleep(time.Hour)
		s.take(backup.Log, backup.ProofBytes, "log")
		it := &s.History[1].Items[0]
		it.Begin, it.Window.From = full.End, full.Window.To
		for _, b := range s.History {
			for i := range b.Items {
				b.Items[i].Stream = "shared"
			}
		}
		got := lookAt(s.History)
		require.Len(t, got.items, 2, "the log is no item that somebody restores")
		for _, it := range got.items {
			assert.Equal(t, s.History[1].Started, it.newest[backup.Log], it.name)
		}
	})
}

func TestSeriesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, Options{}, forgetful())
		var s story
		s.take(backup.Full, backup.ProofBytes, "zz")
		time.Sleep(time.Hour)
		names := []string{"zz"}
		for i := range maxItems + 10 {
			names = append(names, fmt.Sprintf("db%05d", i))
		}
		s.take(backup.Full, backup.ProofBytes, names...)
		for i := range s.History[1].Items {
			if it := &s.History[1].Items[i]; it.Name == "zz" {
				it.Error = "not this time"
			}
		}
		w.seen(&w.job, s.History)
		got := w.values(t, "quiesce.recovery_point.age")
		assert.Len(t, got, maxItems+1)
		assert.InDelta(t, hour, got[itemOthers+"/full"], 0, "the worst of the rest is not hidden")
	})
}

func TestRunsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, Options{Jobs: []Job{{Name: "shop", Schedule: Schedule{Verify: "@daily"}}}}, forgetful())
		w.setDue(func() map[string]map[string]time.Time {
			return map[string]map[string]time.Time{"shop": {"full": time.Now().Add(time.Minute), "verify": time.Now().Add(-time.Minute)}}
		})
		ctx := w.begin(t.Context(), &w.job, ActionBackup, backup.Full)
		w.event(backup.Progress{Job: "shop", Shipped: 50, Expected: 100, Rate: 7})
		time.Sleep(time.Minute)
		assert.Equal(t, map[string]float64{"backup/full": 1}, w.values(t, "quiesce.active.runs"))
		assert.Equal(t, map[string]float64{"backup/full": 60}, w.values(t, "quiesce.active.elapsed"))
		assert.Equal(t, map[string]float64{"backup/full": 50}, w.values(t, "quiesce.active.shipped"))
		assert.Equal(t, map[string]float64{"backup/full": 100}, w.values(t, "quiesce.active.expected"))
		assert.Equal(t, map[string]float64{"backup/full": 7}, w.values(t, "quiesce.active.rate"))
		busy := w.begin(t.Context(), &w.job, ActionVerify, "")
		w.finished(busy, &w.job, Record{Job: "shop", Action: ActionVerify, Outcome: OutcomeBusy, Started: time.Now(), Finished: time.Now()}, nil)
		assert.Equal(t, map[string]float64{"backup/full": 1}, w.values(t, "quiesce.active.runs"), "who finds the job taken does not end its run")

		w.finished(ctx, &w.job, ran(ActionBackup, backup.Full, OutcomeOK, time.Minute), nil)
		assert.Empty(t, w.values(t, "quiesce.active.runs"))
		bad := ran(ActionVerify, "", OutcomeFailed, 2*time.Minute)
		bad.Verified = &backup.VerifyReport{CheckedParts: 9, Bad: []backup.Bad{{}, {}}}
		w.finished(t.Context(), &w.job, bad, nil)
		assert.Equal(t, map[string]float64{"backup/full/ok": 1, "verify/failed": 1, "verify/busy": 1}, w.values(t, "quiesce.runs"))
		assert.Equal(t, map[string]float64{"backup/full/ok": 60, "verify/failed": 120, "verify/busy": 0}, w.values(t, "quiesce.run.duration"))
		assert.Equal(t, map[string]float64{"backup/full": 0, "verify": 1}, w.values(t, "quiesce.last_run.failed"))
		assert.Equal(t, map[string]float64{"backup/full": 1000}, w.values(t, "quiesce.backup.content"))
		assert.Equal(t, map[string]float64{"backup/full": 100}, w.values(t, "quiesce.backup.stored"))
		assert.Equal(t, map[string]float64{"verify": 9}, w.values(t, "quiesce.verify.parts"))
		assert.Equal(t, map[string]float64{"verify": 2}, w.values(t, "quiesce.verify.bad"))
		assert.Equal(t, map[string]float64{"backup/full": 60, "verify": -60}, w.values(t, "quiesce.schedule.due"))
		time.Sleep(time.Minute)
		assert.Equal(t, map[string]float64{"backup/full": 60, "verify": 120}, w.values(t, "quiesce.last_success.age"),
			"a scheduled verify that never went right counts from when the job was first seen")
	})
}

// ran is the record of an action that ended now.
func ran(a Action, k backup.Kind, o Outcome, took time.Duration) Record {
	r := Record{Job: "shop", Action: a, Asked: k, Kind: k, Outcome: o, Started: time.Now().Add(-took), Finished: time.Now()}
	if a == ActionBackup {
		r.Bytes, r.StoredBytes = 1000, 100
	}
	if o == OutcomeFailed || o == OutcomePartial {
		r.err = errors.New("the server went away")
		r.Error, r.Hint = r.err.Error(), "start the server"
	}
	return r
}

func TestSpans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := tracetest.NewSpanRecorder()
		w := watch(t, Options{Tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec))}, forgetful())
		ctx := w.begin(t.Context(), &w.job, ActionBackup, backup.Log)
		w.event(backup.PhaseStarted{Job: "shop", Phase: backup.PhaseLease})
		w.event(backup.RunStarted{Job: "shop", ID: "the-id"})
		w.event(backup.Warning{Job: "shop", Text: "odd"})
		w.event(backup.PhaseStarted{Job: "other", Phase: backup.PhaseLease}) // of no job of ours
		time.Sleep(time.Second)
		w.event(backup.PhaseStarted{Job: "shop", Phase: backup.PhaseBackup})
		time.Sleep(time.Minute)
		r := ran(ActionBackup, backup.Full, OutcomeFailed, time.Minute)
		r.Asked, r.Reason = backup.Log, "no full to build on"
		w.finished(ctx, &w.job, r, nil)
		w.event(backup.PhaseStarted{Job: "shop", Phase: backup.PhaseRelease}) // too late for any span

		spans := rec.Ended()
		require.Len(t, spans, 3)
		lease, work, run := spans[0], spans[1], spans[2]
		assert.Equal(t, []string{"quiesce phase lease", "quiesce phase backup", "quiesce backup"}, []string{lease.Name(), work.Name(), run.Name()})
		assert.Equal(t, time.Second, lease.EndTime().Sub(lease.StartTime()))
		assert.Equal(t, time.Minute, work.EndTime().Sub(work.StartTime()))
		for _, child := range []sdktrace.ReadOnlySpan{lease, work} {
			assert.Equal(t, run.SpanContext().SpanID(), child.Parent().SpanID())
		}
		assert.Equal(t, []codes.Code{codes.Unset, codes.Error, codes.Error}, []codes.Code{lease.Status().Code, work.Status().Code, run.Status().Code})
		for _, kv := range []attribute.KeyValue{
			attrJob.String("shop"), attrApplication.String("mysql"), attrAsked.String("log"), attrKind.String("full"),
			attrReason.String("no full to build on"), attrOutcome.String("failed"), attrID.String("the-id"),
		} {
			assert.Contains(t, run.Attributes(), kv)
		}
		var events []string
		for _, e := range run.Events() {
			events = append(events, e.Name)
		}
		assert.Equal(t, []string{"warning", "exception"}, events)
		assert.Len(t, rec.Started(), 3, "nothing was begun that does not end")
	})
}

func TestWithoutMeterAndTracer(t *testing.T) {
	job := Job{Name: "shop"}
	o := newObserver(Options{Jobs: []Job{job}}, forgetful())
	ctx := o.begin(context.Background(), &job, ActionPrune, "")
	o.event(backup.PhaseStarted{Job: "shop", Phase: backup.PhaseLease})
	o.finished(ctx, &job, Record{Job: "shop", Action: ActionPrune, Outcome: OutcomeOK}, nil)
	assert.Empty(t, o.board.owes("nobody"))
}
