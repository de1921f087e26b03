package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/quiesce-go/quiesce/internal/filelock"
)

func pathElements(rel string) []string { return strings.Split(rel, "/") }

// RestoreOptions are the choices of one restore besides its plan.
type RestoreOptions struct {
	// Overwrite allows existing data to be replaced.
	Overwrite bool
	// Options are agent-specific switches.
	Options map[string]string
}

// Plan says how to reach the target, from headers alone. A plan that cannot be carried out comes with an error that wraps ErrRefused and names the reasons.
func (p *Pipeline) Plan(ctx context.Context, t Target) (*RestorePlan, error) {
	h, err := p.History(ctx)
	if err != nil {
		return nil, err
	}
	plan := h.Plan(t)
	plan.Job = p.cfg.Job
	return &plan, p.fail("plan restore", t.ID, plan.Err())
}

// Locate completes a target that selects one item by where in the item's log it is to go: a place as the application's users write it. The source must be a Locator.
func (p *Pipeline) Locate(ctx context.Context, t Target, where string) (Target, error) {
	const op = "locate"
	l, ok := p.cfg.Source.(Locator)
	if !ok {
		return t, p.fail(op, "", fmt.Errorf("%q: its agent knows no places but times: %w", where, errors.ErrUnsupported))
	}
	if len(t.Select) != 1 {
		return t, p.fail(op, "", &RefusedError{p.cfg.Job, []Refusal{{Cause: CauseAmbiguous, Why: fmt.Sprintf("%q is a place in a single item's log: select exactly one item", where)}}})
	}
	h, err := p.History(ctx)
	if err != nil {
		return t, err
	}
	found, err := l.Locate(ctx, h, t.Select[0].Name, where)
	if err == nil && found.Position == "" && found.Time.IsZero() && found.ID == "" {
		err = fmt.Errorf("%q: the agent named no place: %w", where, ErrNoBackup) // it would mean the latest state
	}
	if err != nil {
		return t, p.fail(op, "", err)
	}
	found.Select, found.MinProof = t.Select, t.MinProof
	return found, nil
}

// Restore carries a plan out through the source, which must be a Restorer. It refuses a plan with refusals.
func (p *Pipeline) Restore(ctx context.Context, plan *RestorePlan, o RestoreOptions) error {
	r, ok := p.cfg.Source.(Restorer)
	if !ok {
		return p.fail("restore", "", fmt.Errorf("this source cannot restore by itself; fetch the files instead: %w", errors.ErrUnsupported))
	}
	if err := p.obeys(plan); err != nil {
		return p.fail("restore", "", err)
	}
	return p.fail("restore", "", p.withSet(ctx, plan, PhaseRestore, func(ctx context.Context, set *RestoreSet) error {
		return r.Restore(ctx, p.restoreRequest(plan, o), set)
	}))
}

func (p *Pipeline) restoreRequest(plan *RestorePlan, o RestoreOptions) RestoreRequest {
	return RestoreRequest{Target: plan.Target, Overwrite: o.Overwrite, Options: o.Options, Log: p.log}
}

// obeys refuses a plan that the source would not carry out as it stands.
func (p *Pipeline) obeys(plan *RestorePlan) error {
	if err := plan.Err(); err != nil {
		return err
	}
	if plan.Target.Position != "" && !p.cfg.Source.Describe().Positions {
		return fmt.Errorf("this source cannot stop at a position of its log: %w", errors.ErrUnsupported)
	}
	return nil
}

// Script writes to w how people carry a plan out with the application's own tools on files that Fetch has written; see Scripter, which the source must be. Nothing is
// touched. It refuses a plan with refusals. On an error what w holds is no script.
func (p *Pipeline) Script(ctx context.Context, plan *RestorePlan, o RestoreOptions, w io.Writer) error {
	const op = "script the restore of"
	s, ok := p.cfg.Source.(Scripter)
	if !ok {
		return p.fail(op, "", fmt.Errorf("its agent writes no scripts: %w", errors.ErrUnsupported))
	}
	if err := p.obeys(plan); err != nil {
		return p.fail(op, "", err)
	}
	set, err := p.newRestoreSet(ctx, plan.Steps, StageDir{}, newMeter(p, NewID(p.cfg.Now(), "")))
	if err == nil {
		err = s.Script(ctx, p.restoreRequest(plan, o), set, w)
	}
	return p.fail(op, "", err)
}

// Fetch writes the artifacts of a plan below dir, as <id>/<artifact> (see RestoreStep.Path), without touching any application. It overwrites nothing.
func (p *Pipeline) Fetch(ctx context.Context, plan *RestorePlan, dir string) error {
	return p.fail("fetch", "", p.withSet(ctx, plan, PhaseRestore, func(ctx context.Context, set *RestoreSet) error {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(p.cfg.Workers)
		for _, s := range set.Steps() {
			for _, e := range s.Entries {
				to := filepath.Join(dir, filepath.FromSlash(s.Path(e)))
				g.Go(func() error { return set.extract(ctx, s, e, to) })
			}
		}
		return g.Wait()
	}))
}

// withSet prepares the material of a plan, watches over fn while it uses it, and removes what was fetched.
func (p *Pipeline) withSet(ctx context.Context, plan *RestorePlan, ph Phase, fn func(context.Context, *RestoreSet) error) (err error) {
	if err := plan.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	id := NewID(p.cfg.Now(), "")
	m := newMeter(p, id)
	m.enter(ph)
	dir, release, err := p.restoreStage(ctx, id)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	set, err := p.newRestoreSet(ctx, plan.Steps, dir, m)
	if err != nil {
		return err
	}
	stop := m.run(ctx, cancel)
	defer stop()
	err = fn(ctx, set)
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// restoreStage makes a stage for fetched files and removes those of restores that died. Its own job keeps it apart from the stages of runs.
func (p *Pipeline) restoreStage(ctx context.Context, id ID) (dir StageDir, release func() error, err error) {
	if p.cfg.Stager == nil {
		return StageDir{}, func() error { return nil }, nil
	}
	job := p.restoreJob()
	if err := p.sweepRestores(ctx, job); err != nil {
		return StageDir{}, nil, err
	}
	if dir, err = p.cfg.Stager.Stage(ctx, job, id); err != nil {
		return StageDir{}, nil, err
	}
	lock, err := takeLock(ctx, dir)
	release = func() error {
		clean, done := p.cleanup(ctx)
		defer done()
		return errors.Join(lock.Release(), p.cfg.Stager.Release(clean, dir))
	}
	if err != nil {
		return StageDir{}, nil, errors.Join(err, release())
	}
	return dir, release, nil
}

func (p *Pipeline) restoreJob() string { return p.cfg.Job + "~restore" }

// sweepRestores leaves young stages alone: their restore may not have got to its lock yet.
func (p *Pipeline) sweepRestores(ctx context.Context, job string) error {
	dirs, err := p.cfg.Stager.Leftovers(ctx, job)
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if t, err := d.ID.Time(); err != nil || p.cfg.Now().Sub(t) < time.Minute {
			continue
		}
		lock, err := filelock.Take(filepath.Join(d.Path, lockName))
		if err != nil {
			continue
		}
		if err := errors.Join(lock.Release(), p.cfg.Stager.Release(ctx, d)); err != nil {
			return err
		}
	}
	return nil
}
