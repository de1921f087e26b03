package agent

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/quiesce-go/quiesce/backup"
)

// Options configures an Agent. All fields have defaults.
type Options struct {
	Jobs []Job
	// State is a directory for what the agent remembers: last records, what was told to whom. It is created when absent. Empty keeps it in memory.
	State string
	// Concurrent is how many actions run at the same time over all jobs. Default 2.
	Concurrent int
	// Grace is how long actions in progress may go on after the context of Run has ended; then they are cancelled and clean up. Default 30 seconds; negative cancels at once.
	Grace time.Duration
	// Notifiers are told of changes of state and of absence, each on its own and with retries.
	Notifiers []Notifier
	// Meter and Tracer take measurements and spans; nil takes none. doc/monitoring.md lists the instruments.
	Meter  metric.MeterProvider
	Tracer trace.TracerProvider
	// Logger nil discards.
	Logger *slog.Logger
	// Events, when set, is told what the pipelines do, one event at a time per job. It must return soon.
	Events func(backup.Event)
	// Records, when set, is told of every finished action, one at a time.
	Records func(Record)
	// Clock nil means the machine's.
	Clock Clock
}

func (o Options) withDefaults() Options {
	if o.Concurrent == 0 {
		o.Concurrent = 2
	}
	if o.Grace == 0 {
		o.Grace = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = machineClock{}
	}
	return o
}

// Agent runs jobs. It may be used by many goroutines.
type Agent struct {
	o     Options
	state *stateStore
	obs   *observer
	slots chan struct{} // holds one token per action under way

	mu      sync.Mutex
	runners []*runner          // in the order of the jobs
	memory  map[string]*memory // by job, kept when a job goes, as its action may still be under way
	running *running           // nil while Run does not run

	records sync.Mutex // one record at a time
}

// New checks all jobs and returns every problem at once, joined. It opens nothing.
func New(o Options) (*Agent, error) {
	o = o.withDefaults()
	o.Jobs = slices.Clone(o.Jobs)
	if err := joined(append(o.validate(), validateJobs(o.Jobs, o.Clock.Now())...)); err != nil {
		return nil, err
	}
	st := newStateStore(o.State, o.Logger)
	a := &Agent{o: o, state: st, obs: newObserver(o, st), slots: make(chan struct{}, o.Concurrent), memory: make(map[string]*memory)}
	a.runners = a.newRunners(o.Jobs)
	a.obs.setDue(a.due)
	return a, nil
}

// Jobs returns the jobs in the order they were given.
func (a *Agent) Jobs() []Job {
	a.mu.Lock()
	defer a.mu.Unlock()
	jobs := make([]Job, len(a.runners))
	for i, r := range a.runners {
		jobs[i] = *r.job
	}
	return jobs
}

// Backup is BackupWith without options.
func (a *Agent) Backup(ctx context.Context, job string, kind backup.Kind) (Record, error) {
	return a.BackupWith(ctx, job, backup.BackupOptions{Kind: kind})
}

// BackupWith runs one backup now. The record is returned in any case; the error is its Err: backup.ErrBusy when the job is taken, backup.ErrPartial when some items failed,
// backup.ErrOption when the application takes no such option. Promotion is for plain runs: one with options is made of the kind asked for.
func (a *Agent) BackupWith(ctx context.Context, job string, o backup.BackupOptions) (Record, error) {
	return a.byHand(ctx, job, task{action: ActionBackup, kind: o.Kind, options: o.Options, do: (*turn).backup})
}

// Verify checks stored backups of a job. Damage is an error that wraps backup.ErrCorrupt; the record carries the report.
func (a *Agent) Verify(ctx context.Context, job string, o backup.VerifyOptions) (Record, error) {
	return a.byHand(ctx, job, verifyTask(o))
}

// Rehearse restores t into the scratch place and checks it there. An empty r.Scratch means that of the job. r.Items count when t selects nothing.
func (a *Agent) Rehearse(ctx context.Context, job string, t backup.Target, r Rehearsal) (Record, error) {
	return a.byHand(ctx, job, rehearseTask(t, r))
}

// Prune applies the job's retention now.
func (a *Agent) Prune(ctx context.Context, job string) (Record, error) {
	return a.byHand(ctx, job, task{action: ActionPrune, do: (*turn).prune})
}

// Restore plans and carries out a restore of a job, with its hooks. A target that cannot be reached and a Confirm that says no are refused before any hook is called.
func (a *Agent) Restore(ctx context.Context, job string, t backup.Target, o RestoreOptions) (Record, error) {
	return a.byHand(ctx, job, restoreTask(t, o))
}

// byHand carries out a task for a caller, who is told at once when the job is busy.
func (a *Agent) byHand(ctx context.Context, job string, t task) (Record, error) {
	r, err := a.find(job)
	if err != nil {
		rec := t.record(&Job{Name: job}, a.now())
		rec.conclude(ctx, &backup.Error{Op: t.action.op(), Artifact: job, Err: err, Advice: "the jobs are: " + strings.Join(a.names(), ", ")}, a.now())
		return rec, rec.Err()
	}
	if !r.mem.take() {
		rec := t.record(r.job, a.now())
		rec.conclude(ctx, &backup.Error{Op: t.action.op(), App: r.job.Application, Artifact: job, Err: backup.ErrBusy,
			Advice: "this agent is at work on the job; try again when that has finished"}, a.now())
		return rec, rec.Err()
	}
	defer r.mem.give()
	if err := a.enter(ctx); err != nil {
		rec := t.record(r.job, a.now())
		rec.conclude(ctx, &backup.Error{Op: t.action.op(), App: r.job.Application, Artifact: job, Err: err}, a.now())
		return rec, rec.Err()
	}
	defer a.leave()
	rec := a.perform(ctx, r.job, r.mem, t)
	return rec, rec.Err()
}

// enter waits until fewer than Options.Concurrent actions are under way.
func (a *Agent) enter(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case a.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (a *Agent) leave() { <-a.slots }

func (a *Agent) now() time.Time { return a.o.Clock.Now().Round(0) }

func (a *Agent) find(job string) (*runner, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.runners {
		if r.job.Name == job {
			return r, nil
		}
	}
	return nil, errUnknownJob
}

func (a *Agent) names() []string {
	var names []string
	for _, j := range a.Jobs() {
		names = append(names, j.Name)
	}
	return names
}
