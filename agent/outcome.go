package agent

import (
	"context"
	"errors"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// conclude ends a record with what became of it.
func (r *Record) conclude(ctx context.Context, err error, now time.Time) {
	r.Finished, r.Outcome, r.err = now, outcome(ctx, err), err
	r.Error, r.Hint = "", ""
	if err != nil {
		r.Error, r.Hint = err.Error(), backup.Hint(err)
	}
}

// outcome tells how an action ended whose error is err.
func outcome(ctx context.Context, err error) Outcome {
	switch {
	case err == nil:
		return OutcomeOK
	case errors.Is(err, backup.ErrPartial):
		return OutcomePartial
	case ctx.Err() != nil:
		return OutcomeCancelled
	case errors.Is(err, backup.ErrBusy):
		return OutcomeBusy
	case errors.Is(err, backup.ErrRefused), errors.Is(err, backup.ErrExists), errors.Is(err, backup.ErrChainBroken), errors.Is(err, backup.ErrNoBackup),
		errors.Is(err, backup.ErrOption):
		return OutcomeRefused
	}
	return OutcomeFailed
}

// op is the action in error messages.
func (a Action) op() string {
	if a == ActionBackup {
		return "back up"
	}
	return string(a)
}

// key is the record's place in JobStatus.Last.
func (r Record) key() string {
	if r.Action == ActionBackup {
		return string(r.Asked)
	}
	return string(r.Action)
}
