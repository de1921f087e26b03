package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

var errUnknownJob = errors.New("no job has that name")

// task is an action that somebody wants: a schedule or a caller.
type task struct {
	action    Action
	kind      backup.Kind // of a backup
	options   map[string]string
	scheduled time.Time
	caughtUp  bool
	served    map[string]time.Time // the schedules it serves
	do        func(*turn, context.Context) error
}

// record is the task's record at its start.
func (t task) record(j *Job, now time.Time) Record {
	return Record{Job: j.Name, Action: t.action, Application: j.Application, Asked: t.kind, Kind: t.kind,
		Scheduled: t.scheduled, CaughtUp: t.caughtUp, Started: now}
}

// turn is one action of a job under way.
type turn struct {
	a    *Agent
	job  *Job
	mem  *memory
	log  *slog.Logger
	want task
	rec  Record

	src   backup.Source // once opened
	fresh bool          // the history in memory is as this turn left the target
}

// perform carries a task out. The caller holds the job and a slot.
func (a *Agent) perform(ctx context.Context, job *Job, mem *memory, want task) Record {
	t := &turn{a: a, job: job, mem: mem, log: a.o.Logger.With("job", job.Name, "action", want.action), want: want, rec: want.record(job, a.now())}
	mem.begin(want.action, t.rec.Started)
	ctx = a.obs.begin(ctx, job, want.action, want.kind)
	err := calmly(t.log, "the action", func() error { return want.do(t, ctx) })
	t.close()
	t.rec.conclude(ctx, err, a.now())
	clean, done := within(ctx, a.o.Clock, cleanupTime)
	defer done()
	if !t.fresh {
		if _, err := t.history(clean); err != nil {
			t.log.Warn("the history could not be read after the action", "err", err)
		}
	}
	if t.rec.Outcome == OutcomeCancelled || t.rec.Outcome == OutcomeBusy {
		want.served = nil // it is made up for: by the next start, or when the job is free
	}
	a.state.record(ctx, t.rec, want.served)
	mem.end()
	t.tell(ctx)
	return t.rec
}

// cleanupTime bounds what follows an action that was cancelled.
const cleanupTime = time.Minute

// within returns a context that outlives ctx by at most d of the clock.
func within(ctx context.Context, c Clock, d time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if sleep(ctx, c, d) == nil {
			cancel(context.DeadlineExceeded)
		}
	}()
	return ctx, func() { cancel(nil); <-done }
}

func (t *turn) tell(ctx context.Context) {
	r := t.rec
	level, msg := slog.LevelInfo, "action finished"
	if r.Outcome != OutcomeOK {
		level, msg = slog.LevelWarn, "action did not go well"
	}
	attrs := []any{"outcome", r.Outcome, "dur", r.Finished.Sub(r.Started)}
	for _, a := range [][2]string{{"kind", string(r.Kind)}, {"id", string(r.ID)}, {"reason", r.Reason}, {"err", r.Error}, {"hint", r.Hint}} {
		if a[1] != "" {
			attrs = append(attrs, a[0], a[1])
		}
	}
	t.log.Log(ctx, level, msg, attrs...)
	for _, w := range r.Warnings {
		t.log.Warn("warning", "text", w)
	}
	t.a.obs.finished(ctx, t.job, r, t.mem.seen())
	if t.a.o.Records == nil {
		return
	}
	t.a.records.Lock()
	defer t.a.records.Unlock()
	t.a.o.Records(r)
}

// open makes the source by open, once.
func (t *turn) open(ctx context.Context, open func(context.Context) (backup.Source, error)) error {
	err := calmly(t.log, "Job.Open", func() (err error) {
		t.src, err = open(ctx)
		return err
	})
	if err == nil && t.src == nil {
		err = errors.New("Job.Open returned neither a source nor an error")
	}
	if err != nil {
		return t.fail("open the application of", err)
	}
	d := t.src.Describe()
	t.rec.Application, t.rec.Instance = d.Application, d.Instance
	t.mem.describe(d)
	return nil
}

func (t *turn) close() {
	c, ok := t.src.(io.Closer)
	if !ok {
		return
	}
	if err := calmly(t.log, "the source", c.Close); err != nil {
		t.warn("the source could not be closed: %v", err)
	}
}

// pipeline makes the job's pipeline, with the source when that is open.
func (t *turn) pipeline() (*backup.Pipeline, error) {
	cfg := t.job.Config
	cfg.Job, cfg.Source, cfg.Logger, cfg.Now = t.job.Name, nil, t.a.o.Logger, t.a.now
	if t.src != nil {
		cfg.Source = calmed(t.src, t.rec.Action, t.log)
	}
	cfg.Events = func(ev backup.Event) {
		if w, ok := ev.(backup.Warning); ok {
			t.warn("%s", w.Text)
		}
		t.a.obs.event(ev)
		if t.a.o.Events != nil {
			t.a.o.Events(ev)
		}
	}
	return backup.New(cfg)
}

// history reads what is at the target.
func (t *turn) history(ctx context.Context) (h backup.History, err error) {
	err = calmly(t.log, "the sink", func() error {
		p, err := t.pipeline()
		if err != nil {
			return err
		}
		h, err = p.History(ctx)
		return err
	})
	if err != nil {
		return nil, t.fail("read the history of", err)
	}
	t.fresh = true
	t.mem.see(h, t.a.now())
	t.a.obs.seen(t.job, h)
	return h, nil
}

// fail says which job it was that err happened to.
func (t *turn) fail(op string, err error) error {
	return &backup.Error{Op: op, App: t.rec.Application, Instance: t.rec.Instance, Artifact: t.job.Name, Err: err, Advice: backup.Hint(err)}
}

func (t *turn) warn(format string, args ...any) {
	t.rec.Warnings = append(t.rec.Warnings, fmt.Sprintf(format, args...))
}
