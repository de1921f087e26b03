package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/quiesce-go/quiesce/backup"
)

func verifyTask(o backup.VerifyOptions) task {
	return task{action: ActionVerify, do: func(t *turn, ctx context.Context) error { return t.verify(ctx, o) }}
}

// verify checks stored backups. Only the format needs the application's agent.
func (t *turn) verify(ctx context.Context, o backup.VerifyOptions) error {
	if o.Level >= backup.ProofFormat {
		if err := t.open(ctx, t.job.Open); err != nil {
			return err
		}
	}
	p, err := t.pipeline()
	if err != nil {
		return err
	}
	if t.rec.Verified, err = p.Verify(ctx, o); err != nil {
		return err
	}
	if err := t.rec.Verified.Err(); err != nil {
		return t.fail("verify", err)
	}
	return nil
}

// prune applies the retention.
func (t *turn) prune(ctx context.Context) error {
	p, err := t.pipeline()
	if err != nil {
		return err
	}
	t.rec.Pruned, err = p.Prune(ctx, t.job.Retention)
	return err
}

func rehearseTask(to backup.Target, r Rehearsal) task {
	return task{action: ActionRehearse, do: func(t *turn, ctx context.Context) error { return t.rehearse(ctx, to, r) }}
}

// rehearse restores a plan somewhere harmless.
func (t *turn) rehearse(ctx context.Context, to backup.Target, r Rehearsal) error {
	if r.Scratch == "" {
		r.Scratch = t.job.Rehearse.Scratch
	}
	if r.Scratch == "" {
		return &backup.Error{Op: "rehearse", App: t.job.Application, Artifact: t.job.Name, Err: errors.New("there is no scratch place to restore into"),
			Advice: "set Rehearse.Scratch of the job"}
	}
	if len(to.Select) == 0 {
		for _, item := range r.Items {
			to.Select = append(to.Select, backup.Selection{Name: item})
		}
	}
	if err := t.open(ctx, t.job.Open); err != nil {
		return err
	}
	p, err := t.pipeline()
	if err != nil {
		return err
	}
	if t.rec.Plan, err = p.Plan(ctx, to); err != nil {
		return err
	}
	return p.Rehearse(ctx, t.rec.Plan, r.Scratch, backup.RestoreOptions{Options: r.Options})
}

// RestoreOptions are the choices of one restore.
type RestoreOptions struct {
	backup.RestoreOptions
	// Open, when set, makes the source to restore into, instead of the job's own.
	Open func(ctx context.Context) (backup.Source, error)
	// Confirm, when set, is shown the plan before anything is touched; an error stops the restore.
	Confirm func(plan *backup.RestorePlan) error
}

func restoreTask(to backup.Target, o RestoreOptions) task {
	return task{action: ActionRestore, do: func(t *turn, ctx context.Context) error { return t.restore(ctx, to, o) }}
}

// restore plans, asks, and restores between the hooks.
func (t *turn) restore(ctx context.Context, to backup.Target, o RestoreOptions) error {
	p, err := t.pipeline() // plans need no source, and opening one may already do something to it
	if err != nil {
		return err
	}
	if t.rec.Plan, err = p.Plan(ctx, to); err != nil {
		return err
	}
	if o.Confirm != nil {
		if err := o.Confirm(t.rec.Plan); err != nil {
			return t.fail("restore", fmt.Errorf("%w by the one who was asked: %w", backup.ErrRefused, err))
		}
	}
	open := t.job.Open
	if o.Open != nil {
		open = o.Open
	}
	h := t.job.Hooks
	return t.framed(ctx, "restore", h.BeforeRestore, h.AfterRestore, h.RestoreFailed, nil, func(ctx context.Context) error {
		if err := t.open(ctx, open); err != nil {
			return err
		}
		p, err := t.pipeline()
		if err != nil {
			return err
		}
		return p.Restore(ctx, t.rec.Plan, o.RestoreOptions)
	})
}
