package agent

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/quiesce-go/quiesce/backup"
)

// A source that panics must not end the agent, nor keep the pipeline from giving back the lease. So the pipeline gets a source whose panics are errors. One action
// needs one ability, and the pipeline finds abilities by type: there is one wrapper for each.

// calmly calls fn and turns a panic into an error.
func calmly(log *slog.Logger, what string, fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			log.Error("panic", "in", what, "panic", v, "stack", string(debug.Stack()))
			err = fmt.Errorf("%s panicked: %v", what, v)
			if cause, ok := v.(error); ok {
				err = fmt.Errorf("%s panicked: %w", what, cause)
			}
		}
	}()
	return fn()
}

// calmSource is what a backup needs.
type calmSource struct {
	backup.Source
	log *slog.Logger
}

// Backup implements backup.Source.
func (s calmSource) Backup(ctx context.Context, r backup.Request, st *backup.Stage) (res backup.Result, err error) {
	err = calmly(s.log, "the source", func() error {
		res, err = s.Source.Backup(ctx, r, st)
		return err
	})
	return res, err
}

// Check implements backup.Checker.
func (s calmSource) Check(ctx context.Context, dir backup.StageDir) (found []backup.Finding) {
	c, ok := s.Source.(backup.Checker)
	if !ok {
		return nil
	}
	if err := calmly(s.log, "the source", func() error { found = c.Check(ctx, dir); return nil }); err != nil {
		return []backup.Finding{{What: "the application can be checked", Err: err}}
	}
	return found
}

// Estimate implements backup.Estimator; 0 means unknown.
func (s calmSource) Estimate(ctx context.Context, r backup.Request) (n int64, err error) {
	e, ok := s.Source.(backup.Estimator)
	if !ok {
		return 0, nil
	}
	err = calmly(s.log, "the source", func() error {
		n, err = e.Estimate(ctx, r)
		return err
	})
	return n, err
}

// Recover implements backup.Recoverer.
func (s calmSource) Recover(ctx context.Context, job string, h backup.History) error {
	r, ok := s.Source.(backup.Recoverer)
	if !ok {
		return nil
	}
	return calmly(s.log, "the source", func() error { return r.Recover(ctx, job, h) })
}

type calmSalvager struct {
	calmSource
	backup.Salvager
}

// Salvage implements backup.Salvager.
func (s calmSalvager) Salvage(ctx context.Context, d *backup.DeadRun) (got backup.Salvaged, err error) {
	err = calmly(s.log, "the source", func() error {
		got, err = s.Salvager.Salvage(ctx, d)
		return err
	})
	return got, err
}

type calmRestorer struct {
	calmSource
	backup.Restorer
}

// Restore implements backup.Restorer.
func (s calmRestorer) Restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	return calmly(s.log, "the source", func() error { return s.Restorer.Restore(ctx, r, set) })
}

type calmVerifier struct {
	calmSource
	backup.Verifier
}

// Verify implements backup.Verifier.
func (s calmVerifier) Verify(ctx context.Context, set *backup.RestoreSet) error {
	return calmly(s.log, "the source", func() error { return s.Verifier.Verify(ctx, set) })
}

type calmRehearser struct {
	calmSource
	backup.Rehearser
}

// Rehearse implements backup.Rehearser.
func (s calmRehearser) Rehearse(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet, scratch string) error {
	return calmly(s.log, "the source", func() error { return s.Rehearser.Rehearse(ctx, r, set, scratch) })
}

// calmed wraps src with what act needs of it. What src cannot do, the wrapper cannot either, and the pipeline says so.
func calmed(src backup.Source, act Action, log *slog.Logger) backup.Source {
	c := calmSource{src, log}
	switch act {
	case ActionBackup:
		if v, ok := src.(backup.Salvager); ok {
			return calmSalvager{c, v}
		}
	case ActionRestore:
		if r, ok := src.(backup.Restorer); ok {
			return calmRestorer{c, r}
		}
	case ActionVerify:
		if v, ok := src.(backup.Verifier); ok {
			return calmVerifier{c, v}
		}
	case ActionRehearse:
		if r, ok := src.(backup.Rehearser); ok {
			return calmRehearser{c, r}
		}
	}
	return c
}
