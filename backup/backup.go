package backup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/internal/diskroom"
	"github.com/quiesce-go/quiesce/internal/filelock"
)

// BackupOptions are the choices of one backup.
type BackupOptions struct { //nolint:revive // beside RestoreOptions and VerifyOptions
	Kind Kind
	// Options are agent-specific switches of this run. They are recorded in the manifest and must not be secret.
	Options map[string]string
}

// Backup is BackupWith without options.
func (p *Pipeline) Backup(ctx context.Context, kind Kind) (*Manifest, error) {
	return p.BackupWith(ctx, BackupOptions{Kind: kind})
}

// BackupWith makes one run: it takes the job's lease, sees to what a dead run left, asks the source for a backup of the given kind, ships it and
// seals it with a manifest. A kind or an option that the source does not take is refused before anything is touched; for an option the error wraps ErrOption.
//
// It returns the manifest of the new backup. When some items failed the manifest comes with an error that wraps ErrPartial; when all did there is none. When a full was
// asked for and an interrupted full of the same options could be completed from its stage, that one is returned. A run that failed after the source was done keeps its stage, and the next Backup continues from it.
func (p *Pipeline) BackupWith(ctx context.Context, o BackupOptions) (*Manifest, error) {
	if p.cfg.Source == nil {
		return nil, p.fail("back up", "", errors.New("the pipeline has no source"))
	}
	if err := o.check(p.cfg.Source.Describe()); err != nil {
		return nil, p.fail("back up", "", err)
	}
	id := NewID(p.cfg.Now(), "")
	p.emit(RunStarted{Job: p.cfg.Job, ID: id, Kind: o.Kind})
	p.log.Info("run started", "id", id, "kind", o.Kind)
	m, err := p.backup(ctx, id, o)
	if err != nil {
		err = p.fail("back up", id, err)
	} else {
		err = m.Err()
	}
	p.logEnd(id, m, err)
	p.emit(RunFinished{Job: p.cfg.Job, ID: id, Manifest: m, Err: err})
	return m, err
}

// check reports what the source does not take.
func (o BackupOptions) check(d Description) error {
	if !slices.Contains(d.Kinds, o.Kind) {
		return fmt.Errorf("kind %q: the source offers %v", o.Kind, d.Kinds)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Options)) {
		if slices.Contains(d.Options, name) {
			continue
		}
		advice := "it takes no options for a backup"
		if len(d.Options) > 0 {
			advice = "it takes " + strings.Join(d.Options, ", ")
		}
		return &Error{Op: "back up", App: d.Application, Instance: d.Instance, Err: fmt.Errorf("%w %q", ErrOption, name), Advice: advice}
	}
	return nil
}

func (p *Pipeline) logEnd(id ID, m *Manifest, err error) {
	switch {
	case m == nil:
		p.log.Error("run failed", "id", id, "err", err)
	case err != nil:
		p.log.Warn("run finished, some items failed", "id", m.ID, "err", err)
	default:
		p.log.Info("run finished", "id", m.ID, "bytes", m.Bytes, "stored", m.StoredBytes, "dur", m.Finished.Sub(m.Started))
	}
}

// session is one holding of the job's lease.
type session struct {
	p       *Pipeline
	lease   *lease
	id      ID   // of a new run
	tried   bool // to write its manifest
	remains []ID // runs whose objects are still at the target without a manifest
	history History
}

func (p *Pipeline) backup(ctx context.Context, id ID, o BackupOptions) (m *Manifest, err error) {
	p.emit(PhaseStarted{Job: p.cfg.Job, ID: id, Phase: PhaseLease})
	stages, err := p.leftovers(ctx)
	if err != nil {
		return nil, err
	}
	defer stages.unlock()
	if p.cfg.Stager != nil {
		// What a killed restore left is the application in plain text, and the next restore may be years away.
		if err := p.sweepRestores(ctx, p.restoreJob()); err != nil {
			return nil, err
		}
	}
	err = p.hold(ctx, []ID{id}, stages, func(ctx context.Context, s *session, orphans []ID) error {
		s.id = id
		m, err = s.backup(ctx, o, stages, orphans)
		return err
	})
	return m, err
}

// hold runs fn while this process holds the job. ids are the runs fn may leave at the target without a manifest. The context of fn ends when the lease is lost.
func (p *Pipeline) hold(ctx context.Context, ids []ID, stages leftovers, fn func(context.Context, *session, []ID) error) error {
	claim := leaseClaim{vault: p.vault, keys: p.keys, ttl: p.cfg.LeaseTTL, now: p.cfg.Now, runs: ids, dead: stages.holdsToken}
	l, orphans, err := claim.acquire(ctx)
	if err != nil {
		return err
	}
	orphans = slices.DeleteFunc(orphans, func(id ID) bool { return slices.Contains(ids, id) })
	// Whatever happens from here on, earlier orphans stay on record until they have been seen to.
	s := &session{p: p, lease: l, remains: append(slices.Clone(ids), orphans...)}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err = l.write(ctx, s.remains, false)
	if err == nil {
		err = l.dropOlder(ctx) // all they name is on our record now
	}
	if err == nil {
		l.keep(ctx, cancel)
		err = fn(ctx, s, orphans)
	}
	clean, done := p.cleanup(ctx)
	defer done()
	if rerr := l.release(clean, s.remains); rerr != nil && !errors.Is(err, ErrLeaseLost) {
		p.warn(s.id, "the lease of job %s could not be given back and will expire: %v", p.cfg.Job, rerr)
	}
	return err
}

// cleanup returns a context for undoing what ctx, which may be cancelled, was used for.
func (p *Pipeline) cleanup(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), p.cfg.CleanupTimeout)
}

func (s *session) enter(ph Phase) {
	s.p.emit(PhaseStarted{Job: s.p.cfg.Job, ID: s.id, Phase: ph})
}

// backup is the body of a run under the lease.
func (s *session) backup(ctx context.Context, o BackupOptions, stages leftovers, orphans []ID) (*Manifest, error) {
	s.enter(PhaseHistory)
	h, tombstones, err := s.p.readHistory(ctx)
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	s.history = h
	s.enter(PhaseRecover)
	resumed, err := s.settle(ctx, stages, orphans, tombstones)
	if err != nil {
		return nil, err
	}
	if r, ok := s.p.cfg.Source.(Recoverer); ok {
		if err := r.Recover(ctx, s.p.cfg.Job, s.history); err != nil {
			return nil, fmt.Errorf("end what an earlier run left in the application: %w", err)
		}
	}
	if resumed != nil && resumed.Kind == Full && o.Kind == Full && maps.Equal(resumed.Options, o.Options) {
		s.remains = slices.DeleteFunc(s.remains, func(id ID) bool { return id == s.id })
		return resumed, nil
	}
	return s.fresh(ctx, o)
}

// fresh makes a new backup.
func (s *session) fresh(ctx context.Context, o BackupOptions) (*Manifest, error) {
	if err := s.renumber(ctx); err != nil {
		return nil, err
	}
	r, err := s.prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	m, err := s.perform(ctx, r)
	if m != nil || err == nil {
		s.forget(s.id)
	}
	return m, err
}

// renumber makes sure that the run's id comes after all in the history, though the clock may have gone back.
func (s *session) renumber(ctx context.Context) error {
	if len(s.history) == 0 || s.id > s.history[len(s.history)-1].ID {
		return nil
	}
	old := s.id
	s.id = NewID(s.p.cfg.Now(), s.history[len(s.history)-1].ID)
	s.forget(old)
	s.remains = append(s.remains, s.id)
	return s.lease.write(ctx, s.remains, false)
}

func (s *session) forget(id ID) {
	s.remains = slices.DeleteFunc(slices.Clone(s.remains), func(r ID) bool { return r == id })
}

// prepare checks whether the run can succeed, makes its stage and its journal.
func (s *session) prepare(ctx context.Context, o BackupOptions) (r *run, err error) {
	s.enter(PhasePreflight)
	var dir StageDir
	if s.p.cfg.Stager != nil {
		if dir, err = s.p.cfg.Stager.Stage(ctx, s.p.cfg.Job, s.id); err != nil {
			s.forget(s.id)
			return nil, err
		}
	}
	r = newRun(s.p, s.id, o, dir)
	err = s.preflight(ctx, r)
	if err == nil && r.staged() {
		if r.lock, err = takeLock(ctx, dir); err == nil {
			r.journal, err = createJournal(dir.Path, runRecord{ID: s.id, Job: s.p.cfg.Job, Kind: o.Kind, Options: o.Options, Token: s.lease.rec.Token,
				Started: r.started, PartSize: int64(r.partSize), Suffix: s.p.vault.suffix, Boot: bootID(), App: s.p.app()})
			if err == nil && r.salvage {
				err = errors.Join(r.journal.sync(), syncStageDir(dir.Path))
			}
		}
	}
	if err != nil {
		s.forget(s.id)
		return nil, errors.Join(err, s.releaseStage(ctx, r))
	}
	return r, nil
}

// takeLock locks a stage that was just made. Another process that looks for leftovers may have it locked for a moment.
func takeLock(ctx context.Context, dir StageDir) (lock *filelock.Lock, err error) {
	for range 50 {
		lock, err = filelock.Take(filepath.Join(dir.Path, lockName))
		if !errors.Is(err, filelock.ErrHeld) {
			return lock, err
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return nil, err
		}
	}
	return nil, err
}

// preflight asks the source's Checker and compares its Estimator with the room there is.
func (s *session) preflight(ctx context.Context, r *run) error {
	if c, ok := s.p.cfg.Source.(Checker); ok {
		for _, f := range c.Check(ctx, r.dir) {
			if f.Err != nil {
				return &Error{Op: "check", App: s.p.app(), Artifact: f.What, Err: f.Err, Advice: f.Hint}
			}
		}
	}
	e, ok := s.p.cfg.Source.(Estimator)
	if !ok {
		return ctx.Err()
	}
	need, err := e.Estimate(ctx, s.request(r))
	if err != nil {
		return fmt.Errorf("estimate: %w", err)
	}
	r.meter.expect(0, need)
	if !r.staged() {
		return nil
	}
	// With a quota the stage never holds more than that.
	if q := r.dir.Quota; q > 0 {
		need = min(need, q)
	}
	if v, ok := diskroom.At(r.dir.Path); ok && v.FreeBytes < need {
		return &Error{Op: "check", Artifact: "room in the stage " + r.dir.Path, Err: fmt.Errorf("%w: %d bytes needed, %d free", ErrStageFull, need, v.FreeBytes),
			Advice: "free space, set a stage quota below what is free, or stream"}
	}
	return nil
}

func (s *session) request(r *run) Request {
	return Request{ID: r.id, Job: s.p.cfg.Job, Kind: r.kind, Options: maps.Clone(r.options), Anchors: s.history.Anchors(), Log: s.p.log.With("id", r.id)}
}

// perform asks the source, ships and seals. It ends the source's pending action one way or the other.
func (s *session) perform(ctx context.Context, r *run) (*Manifest, error) {
	runCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := r.meter.run(runCtx, cancel)
	defer stop()
	r.ship.start(runCtx, func(err error) {
		// A staged run lets the source finish, so that only the shipping has to be made up for.
		if !r.staged() {
			cancel(err)
		}
	})
	r.meter.enter(PhaseBackup)
	res, err := s.p.cfg.Source.Backup(runCtx, s.request(r), &Stage{r})
	if err == nil {
		err = r.sourceDone(res)
	}
	if err != nil {
		err = firstCause(runCtx, r, r.stageFull(err))
		if r.worthSalvaging() {
			r.ship.abandon(err)
			return nil, errors.Join(err, s.suspend(ctx, r, res.Pending, "what the application delivered stays in the stage; the next run saves what is whole"))
		}
		return nil, errors.Join(err, s.undo(ctx, r, res.Pending, err))
	}
	if err := allFailed(res.Items); err != nil {
		return nil, errors.Join(err, s.undo(ctx, r, res.Pending, err))
	}
	result := resultRecord{Items: res.Items, Untaken: res.Untaken, Meta: res.Meta, Warnings: res.Warnings}
	for _, w := range res.Warnings {
		s.p.warn(r.id, "%s", w)
	}
	m, err := s.complete(runCtx, r, result, true)
	if err != nil {
		return nil, errors.Join(err, s.suspend(ctx, r, res.Pending, "all data is in the stage; the next run sends the rest"))
	}
	s.commit(ctx, r, m, res.Pending)
	return m, nil
}

// allFailed is the error of a run in which no item succeeded. It leaves no backup, since nothing of it could be restored.
func allFailed(items []Item) error {
	var errs []error
	for _, it := range items {
		if !it.Failed() {
			return nil
		}
		errs = append(errs, fmt.Errorf("%q: %s", it.Name, it.Error))
	}
	if len(errs) == 1 {
		return errs[0]
	}
	if len(errs) > 1 {
		return fmt.Errorf("all %d items failed: %w", len(errs), errors.Join(errs...))
	}
	return nil
}

// firstCause prefers the failure that made the source stop over the source's own words about a cancelled context.
func firstCause(ctx context.Context, r *run, err error) error {
	for _, cause := range []error{r.ship.failure(), context.Cause(ctx)} {
		if cause != nil && !errors.Is(err, cause) {
			return fmt.Errorf("%w (the source stopped: %w)", cause, err)
		}
	}
	return err
}

// complete ships what is left and writes the manifest. record says that the result is not yet in the journal.
func (s *session) complete(ctx context.Context, r *run, res resultRecord, fresh bool) (*Manifest, error) {
	r.meter.enter(PhaseShip)
	if fresh {
		err := r.syncStage()
		if err == nil {
			err = r.journal.write(record{Result: &res})
		}
		if err == nil {
			err = r.journal.sync()
		}
		if err != nil {
			r.ship.abandon(err)
			return nil, stageError(err)
		}
	}
	if err := r.ship.finish(); err != nil {
		return nil, err
	}
	r.meter.enter(PhaseSeal)
	return s.seal(ctx, r, res)
}

// commit tells the application that the backup is durable and gives the stage back. Failures are warnings: the backup is good.
func (s *session) commit(ctx context.Context, r *run, m *Manifest, pending Pending) {
	clean, done := s.p.cleanup(ctx)
	defer done()
	r.meter.enter(PhaseCommit)
	if pending != nil {
		if err := pending.Commit(clean, m); err != nil {
			s.p.warn(r.id, "the backup is durable, but the application could not be told: %v", err)
		}
	}
	r.meter.enter(PhaseRelease)
	if err := s.releaseStage(clean, r); err != nil {
		s.p.warn(r.id, "the stage could not be removed: %v", err)
	}
}

// undo ends a run that leads to nothing: the application is released, stage and target are cleaned.
func (s *session) undo(ctx context.Context, r *run, pending Pending, cause error) error {
	r.ship.abandon(cause)
	clean, done := s.p.cleanup(ctx)
	defer done()
	var errs []error
	if pending != nil {
		errs = append(errs, pending.Abort(clean))
	}
	errs = append(errs, s.releaseStage(clean, r))
	if err := s.clear(clean, r.id); err != nil {
		s.p.warn(r.id, "parts of the failed run stay at the target until the next run: %v", err)
	} else {
		s.forget(r.id)
	}
	return errors.Join(errs...)
}

// clear removes what a failed run left at the target. When its manifest may have arrived although the answer did not, it is buried first.
func (s *session) clear(ctx context.Context, id ID) error {
	if s.tried {
		return s.bury(ctx, id)
	}
	return s.deleteRun(ctx, id)
}

// suspend ends a run that could not be sealed but whose stage the next run can complete, or salvage; hope says which.
func (s *session) suspend(ctx context.Context, r *run, pending Pending, hope string) error {
	if !r.staged() {
		return s.undo(ctx, r, pending, ErrNoBackup)
	}
	clean, done := s.p.cleanup(ctx)
	defer done()
	var errs []error
	if pending != nil {
		errs = append(errs, pending.Abort(clean))
	}
	errs = append(errs, r.journal.close(), r.lock.Release())
	s.p.warn(r.id, "%s", hope)
	return errors.Join(errs...)
}

func (s *session) releaseStage(ctx context.Context, r *run) error {
	if !r.staged() {
		return nil
	}
	clean, done := s.p.cleanup(ctx)
	defer done()
	// Windows does not remove open files.
	return errors.Join(r.journal.close(), r.lock.Release(), s.p.cfg.Stager.Release(clean, r.dir))
}

// lockName is the file in a stage that its living run keeps locked.
const lockName = "run.lock"

// tombstoneLife is how long the grave of a dead run is kept: longer than a machine may be suspended in the middle of a run and ResumeWithin together.
const tombstoneLife = 30 * 24 * time.Hour
