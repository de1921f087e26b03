package agent

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/quiesce-go/quiesce/backup"
)

// kindNone is the kind of the age of an item without any proven recovery point.
const kindNone = "none"

// maxItems is how many items of a job have series of their own; those behind them by name share one, itemOthers, that has the age of the worst.
// A mail server with ten thousand databases would otherwise be ten thousand series.
const (
	maxItems   = 200
	itemOthers = "(others)"
)

// metrics holds the instruments. doc/monitoring.md describes each, and a test keeps that list complete.
type metrics struct {
	runs     metric.Int64Counter
	duration metric.Float64Histogram
	content  metric.Int64Counter
	shipped  metric.Int64Counter
	parts    metric.Int64Counter
	badParts metric.Int64Counter
	notices  metric.Int64Counter

	jobs, failed, active, backups, damaged, held, gaps metric.Int64ObservableGauge
	progress, expected                                 metric.Int64ObservableGauge
	age, objective, success, elapsed, due, rate        metric.Float64ObservableGauge
}

func newMetrics(p metric.MeterProvider, o *observer) (*metrics, error) {
	if p == nil {
		p = noop.NewMeterProvider()
	}
	r := instruments{meter: p.Meter(scope)}
	m := &metrics{
		runs:     r.counter("quiesce.runs", "{run}", "Actions that ended."),
		content:  r.counter("quiesce.backup.content", "By", "Content backed up, before compression and encryption."),
		shipped:  r.counter("quiesce.backup.stored", "By", "The same as it lies at the target."),
		parts:    r.counter("quiesce.verify.parts", "{part}", "Stored parts that were read back and hashed by verifications."),
		badParts: r.counter("quiesce.verify.bad", "{part}", "Things that verifications found damaged."),
		notices:  r.counter("quiesce.notices", "{notice}", "Attempts to bring a notice to a notifier."),

		age:       r.seconds("quiesce.recovery_point.age", "Time since the newest proven recovery point; kind none: time without one."),
		objective: r.seconds("quiesce.recovery_point.objective", "The age that no item's newest proven recovery point should reach."),
		gaps:      r.gauge("quiesce.recovery_point.gaps", "{gap}", "Gaps in what can be restored, of items that can be restored to any moment."),
		success:   r.seconds("quiesce.last_success.age", "Time since an action last went right in all its parts."),
		failed:    r.gauge("quiesce.last_run.failed", "", "1 when the last run asked for failed or was partial, else 0."),
		active:    r.gauge("quiesce.active.runs", "{run}", "1 while the action is in progress."),
		elapsed:   r.seconds("quiesce.active.elapsed", "Time since the action in progress began."),
		progress:  r.gauge("quiesce.active.shipped", "By", "Content the action in progress has carried."),
		expected:  r.gauge("quiesce.active.expected", "By", "Content the action in progress is expected to carry, where known."),
		rate:      r.floats("quiesce.active.rate", "By/s", "Recent speed of the action in progress."),
		backups:   r.gauge("quiesce.stored.backups", "{backup}", "Backups at the target."),
		damaged:   r.gauge("quiesce.stored.damaged", "{backup}", "Backups at the target in which damage was found."),
		held:      r.gauge("quiesce.stored.held", "{backup}", "Backups at the target under legal hold."),
		due:       r.seconds("quiesce.schedule.due", "Time until the schedule's next start; negative when it is late."),
		jobs:      r.gauge("quiesce.agent.jobs", "{job}", "Jobs of the agent. Its absence means that no agent runs."),
	}
	m.duration = r.histogram("quiesce.run.duration", "How long actions took.")
	r.register(m, o)
	return m, errors.Join(r.errs...)
}

// instruments makes instruments and gathers what the meter says against them; the meter always returns one that can be used.
type instruments struct {
	meter metric.Meter
	all   []metric.Observable
	errs  []error
}

func (r *instruments) note(err error) {
	if err != nil {
		r.errs = append(r.errs, err)
	}
}

func (r *instruments) counter(name, unit, text string) metric.Int64Counter {
	c, err := r.meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(text))
	r.note(err)
	return c
}

func (r *instruments) histogram(name, text string) metric.Float64Histogram {
	h, err := r.meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(text),
		metric.WithExplicitBucketBoundaries(1, 5, 15, 60, 300, 900, 3600, 3*3600, 6*3600, 12*3600, 24*3600))
	r.note(err)
	return h
}

func (r *instruments) gauge(name, unit, text string) metric.Int64ObservableGauge {
	g, err := r.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(text))
	r.note(err)
	r.all = append(r.all, g)
	return g
}

func (r *instruments) seconds(name, text string) metric.Float64ObservableGauge {
	return r.floats(name, "s", text)
}

func (r *instruments) floats(name, unit, text string) metric.Float64ObservableGauge {
	g, err := r.meter.Float64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(text))
	r.note(err)
	r.all = append(r.all, g)
	return g
}

func (r *instruments) register(m *metrics, o *observer) {
	_, err := r.meter.RegisterCallback(func(_ context.Context, ob metric.Observer) error {
		o.collect(m, ob)
		return nil
	}, r.all...)
	r.note(err)
}

// finished counts an action that ended.
func (m *metrics) finished(ctx context.Context, attrs []attribute.KeyValue, r Record) {
	with, outcome := metric.WithAttributes(attrs...), metric.WithAttributes(attrOutcome.String(string(r.Outcome)))
	m.runs.Add(ctx, 1, with, outcome)
	m.duration.Record(ctx, max(0, r.Finished.Sub(r.Started).Seconds()), with, outcome)
	if r.Action == ActionBackup {
		m.content.Add(ctx, r.Bytes, with)
		m.shipped.Add(ctx, r.StoredBytes, with)
	}
	if r.Verified != nil {
		m.parts.Add(ctx, int64(r.Verified.CheckedParts), with)
		m.badParts.Add(ctx, int64(len(r.Verified.Bad)), with)
	}
}

// noticed counts an attempt to bring a notice.
func (m *metrics) noticed(ctx context.Context, n Notice, err error) {
	outcome := OutcomeOK
	if err != nil {
		outcome = OutcomeFailed
	}
	m.notices.Add(ctx, 1, metric.WithAttributes(attrJob.String(n.Job), attrNotice.String(string(n.Kind)), attrOutcome.String(string(outcome))))
}

// attrs are what every measurement of the job carries; k adds the action, when it is set, and its kind.
func (v *jobView) attrs(k runKey, more ...attribute.KeyValue) []attribute.KeyValue {
	all := []attribute.KeyValue{attrJob.String(v.name)}
	if v.application != "" {
		all = append(all, attrApplication.String(v.application))
	}
	if k.action != "" {
		all = append(all, attrAction.String(string(k.action)))
	}
	if k.kind != "" {
		all = append(all, attrKind.String(string(k.kind)))
	}
	return append(all, more...)
}

// collect answers a collection from memory.
func (o *observer) collect(m *metrics, ob metric.Observer) {
	now := o.clock.Now()
	o.mu.Lock()
	ask := o.due
	o.mu.Unlock()
	var due map[string]map[string]time.Time
	if ask != nil {
		due = ask() // without the lock: the agent answers under its own
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	ob.ObserveInt64(m.jobs, int64(len(o.jobs)))
	for name, v := range o.jobs {
		if v.started.IsZero() {
			continue // nothing is known, as nothing was asked yet
		}
		v.collectAges(m, ob, now)
		v.collectRuns(m, ob, now)
		v.collectStored(m, ob)
		for what, t := range due[name] {
			ob.ObserveFloat64(m.due, t.Sub(now).Seconds(), metric.WithAttributes(v.attrs(scheduled(what))...))
		}
	}
}

// scheduled turns the name of a schedule into what it starts.
func scheduled(what string) runKey {
	if k, err := backup.ParseKind(what); err == nil {
		return runKey{ActionBackup, k}
	}
	return runKey{Action(what), ""}
}

func (v *jobView) collectAges(m *metrics, ob metric.Observer, now time.Time) {
	job := metric.WithAttributes(v.attrs(runKey{})...)
	if v.objective > 0 {
		ob.ObserveFloat64(m.objective, v.objective.Seconds(), job)
	}
	oldest := map[string]time.Time{} // of the items that share a series, by kind
	for i, it := range v.items() {
		ages := map[string]time.Time{}
		for k, t := range it.newest {
			ages[string(k)] = t
		}
		if len(ages) == 0 {
			ages[kindNone] = it.since
		}
		for k, t := range ages {
			if i < maxItems {
				observeAge(m, ob, v, it.name, k, now.Sub(t))
			} else if o, ok := oldest[k]; !ok || t.Before(o) {
				oldest[k] = t
			}
		}
	}
	for k, t := range oldest {
		observeAge(m, ob, v, itemOthers, k, now.Sub(t))
	}
	for _, act := range v.upkeep {
		if k := (runKey{act, ""}); v.success[k].IsZero() {
			ob.ObserveFloat64(m.success, max(0, now.Sub(v.watched).Seconds()), metric.WithAttributes(v.attrs(k)...))
		}
	}
	for k, t := range v.success {
		ob.ObserveFloat64(m.success, max(0, now.Sub(t).Seconds()), metric.WithAttributes(v.attrs(k)...))
	}
}

func observeAge(m *metrics, ob metric.Observer, v *jobView, item, kind string, age time.Duration) {
	ob.ObserveFloat64(m.age, max(0, age.Seconds()), metric.WithAttributes(v.attrs(runKey{"", backup.Kind(kind)}, attrItem.String(item))...))
}

func (v *jobView) collectRuns(m *metrics, ob metric.Observer, now time.Time) {
	for k, failed := range v.failed {
		n := int64(0)
		if failed {
			n = 1
		}
		ob.ObserveInt64(m.failed, n, metric.WithAttributes(v.attrs(k)...))
	}
	run := v.active
	if run == nil {
		return
	}
	with := metric.WithAttributes(v.attrs(run.key)...)
	ob.ObserveInt64(m.active, 1, with)
	ob.ObserveFloat64(m.elapsed, max(0, now.Sub(run.started).Seconds()), with)
	ob.ObserveInt64(m.progress, run.progress.Shipped, with)
	ob.ObserveFloat64(m.rate, run.progress.Rate, with)
	if run.progress.Expected > 0 {
		ob.ObserveInt64(m.expected, run.progress.Expected, with)
	}
}

func (v *jobView) collectStored(m *metrics, ob metric.Observer) {
	if !v.read {
		return
	}
	job := metric.WithAttributes(v.attrs(runKey{})...)
	for k, n := range v.stored.counts {
		ob.ObserveInt64(m.backups, int64(n), metric.WithAttributes(v.attrs(runKey{"", k})...))
	}
	ob.ObserveInt64(m.damaged, int64(v.stored.damaged), job)
	ob.ObserveInt64(m.held, int64(v.stored.held), job)
	ob.ObserveInt64(m.gaps, int64(v.stored.gaps), job)
}

// items are the items whose age is measured: those of the history, or one without a name for a job that has none.
// A job without any proven recovery point counts from when an agent with this state first saw it; while the target was never
// read it counts from this agent's start, for then nothing is known.
func (v *jobView) items() []itemPoints {
	switch {
	case !v.read:
		return []itemPoints{{since: v.started}}
	case len(v.stored.items) == 0:
		return []itemPoints{{since: v.watched}}
	case slices.ContainsFunc(v.stored.items, itemPoints.proven):
		return v.stored.items
	}
	items := slices.Clone(v.stored.items)
	for i := range items {
		if v.watched.Before(items[i].since) {
			items[i].since = v.watched
		}
	}
	return items
}
