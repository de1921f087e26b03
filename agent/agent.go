package agent

import (
	"context"
	"errors"
	"log/slog"
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

// Agent runs jobs. It may be used by many goroutines.
type Agent struct{ o Options }

// New checks all jobs and returns every problem at once, joined. It opens nothing.
func New(o Options) (*Agent, error) { return &Agent{o}, nil }

// Run starts what is due until ctx ends, then stops as Options.Grace says and returns nil. A second Run at the same time is an error.
func (a *Agent) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Update puts other jobs in place of those given to New. Actions in progress finish as they were begun; nothing is lost or done twice. On error nothing changes.
func (a *Agent) Update(jobs []Job) error { return nil }

// Jobs returns the jobs in the order they were given.
func (a *Agent) Jobs() []Job { return a.o.Jobs }

// Backup runs one backup now. The record is returned in any case; the error is its Err: backup.ErrBusy when the job is taken, backup.ErrPartial when some items failed.
func (a *Agent) Backup(ctx context.Context, job string, kind backup.Kind) (Record, error) {
	return Record{}, errors.ErrUnsupported
}

// Verify checks stored backups of a job.
func (a *Agent) Verify(ctx context.Context, job string, o backup.VerifyOptions) (Record, error) {
	return Record{}, errors.ErrUnsupported
}

// Rehearse restores t into the scratch place and checks it there.
func (a *Agent) Rehearse(ctx context.Context, job string, t backup.Target, r Rehearsal) (Record, error) {
	return Record{}, errors.ErrUnsupported
}

// Prune applies the job's retention now.
func (a *Agent) Prune(ctx context.Context, job string) (Record, error) {
	return Record{}, errors.ErrUnsupported
}

// RestoreOptions are the choices of one restore.
type RestoreOptions struct {
	backup.RestoreOptions
	// Open, when set, makes the source to restore into, instead of the job's own.
	Open func(ctx context.Context) (backup.Source, error)
	// Confirm, when set, is shown the plan before anything is touched; an error stops the restore.
	Confirm func(plan *backup.RestorePlan) error
}

// Restore plans and carries out a restore of a job, with its hooks.
func (a *Agent) Restore(ctx context.Context, job string, t backup.Target, o RestoreOptions) (Record, error) {
	return Record{}, errors.ErrUnsupported
}

// JobStatus is what is known of a job without asking its application.
type JobStatus struct {
	Job         string `json:"job"`
	Application string `json:"application,omitempty"`
	// Running is the action in progress, or empty.
	Running Action    `json:"running,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	// Next is when each action or kind ("full", "log", "verify", ...) is due.
	Next map[string]time.Time `json:"next,omitempty"`
	// Last is the newest record of each action; for backups, of each kind asked for.
	Last map[string]Record `json:"last,omitempty"`
	// RecoveryPoint is the newest time that every item can be restored to from proven backups; zero when there is none.
	RecoveryPoint time.Time `json:"recovery_point,omitzero"`
	// Absent says that RecoveryPoint is older than the objective.
	Absent bool `json:"absent,omitempty"`
}

// Status reports on all jobs, from memory: it makes no contact with target or application.
func (a *Agent) Status() []JobStatus { return nil }
