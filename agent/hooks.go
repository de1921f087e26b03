package agent

import (
	"context"
	"fmt"
	"time"
)

// Hooks are called around the backups and restores of a job, each list in order. A Before hook that fails stops the run before the application is touched. The Failed
// hooks follow every backup that failed, whether or not the Before hooks were reached, and every restore that failed from its Before hooks on. The After hooks follow a run
// that went well or, with a backup, in part. An After or Failed hook that fails is a warning in the record, and the next one is called.
type Hooks struct {
	BeforeBackup, AfterBackup, BackupFailed    []Hook
	BeforeRestore, AfterRestore, RestoreFailed []Hook
}

// Hook is something to do around a run: a HookFunc, a Command, or a type of your own.
type Hook interface {
	// Run is told what the run is about; after it, also how it ended. ctx ends with the run before it, and with a deadline of its own
	// (ten minutes for each hook) after it.
	Run(ctx context.Context, r Record) error
}

// HookFunc is a Go function as a Hook.
type HookFunc func(ctx context.Context, r Record) error

// Run implements Hook.
func (f HookFunc) Run(ctx context.Context, r Record) error { return f(ctx, r) }

// hookTime is how long a hook after a run may take.
const hookTime = 10 * time.Minute

func (h Hooks) validate() (errs []error) {
	for _, l := range []struct {
		name  string
		hooks []Hook
	}{
		{"BeforeBackup", h.BeforeBackup}, {"AfterBackup", h.AfterBackup}, {"BackupFailed", h.BackupFailed},
		{"BeforeRestore", h.BeforeRestore}, {"AfterRestore", h.AfterRestore}, {"RestoreFailed", h.RestoreFailed},
	} {
		for i, hook := range l.hooks {
			if hook == nil {
				errs = append(errs, problem("Hooks.%s: hook %d is nil", l.name, i+1))
			}
			if c, ok := hook.(interface{ validate() error }); ok {
				if err := c.validate(); err != nil {
					errs = append(errs, problem("Hooks.%s: hook %d: %w", l.name, i+1, err))
				}
			}
		}
	}
	return errs
}

// framed runs body between hooks; prepare, when set, comes before them all.
func (t *turn) framed(ctx context.Context, what string, before, after, failed []Hook, prepare, body func(context.Context) error) error {
	err := calmly(t.log, "the "+what, func() error {
		if prepare != nil {
			if err := prepare(ctx); err != nil {
				return err
			}
		}
		for i, h := range before {
			if err := t.call(ctx, h); err != nil {
				return t.fail(what, fmt.Errorf("hook %d before the %s: %w", i+1, what, err))
			}
		}
		return body(ctx)
	})
	t.rec.conclude(ctx, err, t.a.now())
	when, hooks := "after the "+what, after
	if err != nil && !partial(err) {
		when, hooks = "after the failed "+what, failed
	}
	for i, h := range hooks {
		if err := t.callAfter(ctx, h); err != nil {
			t.warn("hook %d %s: %v", i+1, when, err)
		}
	}
	return err
}

func (t *turn) call(ctx context.Context, h Hook) error {
	return calmly(t.log, "a hook", func() error { return h.Run(ctx, t.rec) })
}

// callAfter calls a hook on a context that a cancelled run does not end.
func (t *turn) callAfter(ctx context.Context, h Hook) error {
	ctx, done := within(ctx, t.a.o.Clock, hookTime)
	defer done()
	return t.call(ctx, h)
}
