package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/quiesce-go/quiesce/internal/filelock"
)

// leftover is the stage of a run that is no longer alive. Its lock is ours while we look at it.
type leftover struct {
	dir  StageDir
	lock *filelock.Lock
	run  runRecord
	// salvaged says that it was completed without all that the application had been asked for.
	salvaged bool
}

type leftovers []leftover

// leftovers finds the stages of dead runs. A stage whose run is alive is locked and left alone.
func (p *Pipeline) leftovers(ctx context.Context) (leftovers, error) {
	if p.cfg.Stager == nil {
		return nil, nil
	}
	dirs, err := p.cfg.Stager.Leftovers(ctx, p.cfg.Job)
	if err != nil {
		return nil, err
	}
	var all leftovers
	for _, d := range dirs {
		lock, err := filelock.Take(filepath.Join(d.Path, lockName))
		if errors.Is(err, filelock.ErrHeld) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			all.unlock()
			return nil, fmt.Errorf("look at an earlier stage: %w", err)
		}
		l := leftover{dir: d, lock: lock}
		// Without a readable journal the stage says nothing and is only fit to be removed.
		_, _ = readJournal(d.Path, func(r record) error {
			if r.Run != nil {
				l.run = *r.Run
			}
			return errStop
		})
		all = append(all, l)
	}
	return all, nil
}

var errStop = errors.New("stop")

func (all leftovers) unlock() {
	for i := range all {
		all[i].lock.Release()
	}
}

// holdsToken reports whether the holder of a lease with that token died on this machine: its stage is here and no process has it locked.
func (all leftovers) holdsToken(token string) bool {
	return slices.ContainsFunc(all, func(l leftover) bool { return l.run.Token == token })
}

// settle sees to everything earlier runs left: a run whose source was done is completed from its stage, of any other it is
// completed what a Salvager vouches for, and the rest is buried. resumed is the last run that was completed whole.
func (s *session) settle(ctx context.Context, stages leftovers, orphans, tombstones []ID) (resumed *Manifest, err error) {
	for i := range stages {
		m, err := s.settleStage(ctx, &stages[i])
		if err != nil {
			return nil, err
		}
		if m != nil {
			if !stages[i].salvaged {
				resumed = m
			}
			s.forget(m.ID)
			orphans = slices.DeleteFunc(orphans, func(id ID) bool { return id == m.ID })
		}
	}
	for _, id := range orphans {
		if err := s.bury(ctx, id); err != nil {
			return nil, fmt.Errorf("clear away dead run %s: %w", id, err)
		}
		s.forget(id)
	}
	s.sweepTombstones(ctx, tombstones)
	return resumed, s.lease.write(ctx, s.remains, false)
}

// settleStage completes the run of one stage, or removes the stage. Nil, nil means removed.
func (s *session) settleStage(ctx context.Context, l *leftover) (*Manifest, error) {
	why, err := s.p.whyNotResume(ctx, l)
	if err != nil {
		return nil, fmt.Errorf("look at interrupted run %s: %w", l.run.ID, err)
	}
	if why == nil {
		s.p.log.Info("completing an interrupted run from its stage", "id", l.run.ID)
		m, err := s.resume(ctx, l)
		if errors.Is(err, errNotResumable) {
			m, err = s.salvage(ctx, l, err)
		}
		if err == nil || !errors.Is(err, errNotResumable) {
			return m, err
		}
		why = err
	}
	if l.run.ID != "" && !errors.Is(why, errSealed) {
		s.p.warn(l.run.ID, "an interrupted run is given up: %v", why)
		if l.belongs(s.p) {
			// It may have sent parts after another machine had buried it, and then no lease tells of them.
			if err := s.bury(ctx, l.run.ID); err != nil {
				return nil, fmt.Errorf("clear away dead run %s: %w", l.run.ID, err)
			}
		}
	}
	l.lock.Release()
	if err := s.p.cfg.Stager.Release(ctx, l.dir); err != nil {
		return nil, fmt.Errorf("remove an earlier stage: %w", err)
	}
	return nil, nil
}

var (
	errNotResumable = errors.New("it cannot be completed from its stage")
	errSealed       = errors.New("it was complete already")
)

// belongs reports whether the journal was written for this job and this stage.
func (l *leftover) belongs(p *Pipeline) bool {
	return l.run.ID != "" && l.run.ID == l.dir.ID && l.run.Job == p.cfg.Job
}

// whyNotResume returns no reason when the stage may hold a run worth completing. It fails when the target cannot tell: the stage may hold the only copy.
func (p *Pipeline) whyNotResume(ctx context.Context, l *leftover) (why, err error) {
	switch {
	case !l.belongs(p):
		return errors.New("its journal cannot be read"), nil
	case l.run.Suffix != p.vault.suffix && p.salvager() == nil:
		return fmt.Errorf("its parts were sealed as %q, the sink now seals as %q", l.run.Suffix, p.vault.suffix), nil
	case p.cfg.Now().Sub(l.run.Started) > p.resumeWithin():
		return fmt.Errorf("it is older than %s", p.resumeWithin()), nil
	}
	m, err := p.manifest(ctx, l.run.ID)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, ErrCorrupt):
		return err, nil
	case err != nil:
		return nil, err
	case m.Abandoned != "":
		return fmt.Errorf("another machine gave it up: %s", m.Abandoned), nil
	}
	return errSealed, nil
}

// resumeWithin is the age up to which a stage is worth completing. When it may hold the only copy of log, that is as long as the graves of dead
// runs are kept, less a day for clocks that disagree: beyond, nobody can tell whether another machine buried the run.
func (p *Pipeline) resumeWithin() time.Duration {
	if p.salvager() == nil {
		return p.cfg.ResumeWithin
	}
	return max(p.cfg.ResumeWithin, tombstoneLife-24*time.Hour)
}

// bury makes sure that a dead run can never be published, by taking the key of its manifest, and removes its objects. Its writer may only
// be suspended: when it wakes, its manifest is refused.
func (s *session) bury(ctx context.Context, id ID) error {
	key := s.p.keys.manifest(id)
	grave, err := encodeManifest(&Manifest{Format: FormatVersion, ID: id, Job: s.p.cfg.Job, Fence: s.lease.fence(),
		Abandoned: fmt.Sprintf("run ended without a manifest; buried under lease %d", s.lease.fence())})
	if err != nil {
		return err
	}
	err = s.p.vault.putIfAbsent(ctx, key, grave)
	if errors.Is(err, fs.ErrExist) {
		m, err := s.p.manifest(ctx, id)
		if errors.Is(err, ErrCorrupt) {
			return nil // it was sealed and is damaged now, which the history says; its parts are evidence
		}
		if err != nil {
			return err
		}
		if m.Abandoned == "" {
			return nil // it was sealed after all
		}
	} else if err != nil {
		return err
	}
	return s.deleteRun(ctx, id)
}

// deleteRun removes everything a run left at the target.
func (s *session) deleteRun(ctx context.Context, id ID) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(headersAtOnce)
	for o, err := range s.p.vault.list(ctx, s.p.keys.run(id)) {
		if err != nil {
			return errors.Join(err, g.Wait())
		}
		g.Go(func() error { return s.p.vault.delete(gctx, o.Key) })
	}
	return g.Wait()
}

// sweepTombstones removes graves nobody can wake from any more. What fails now is tried again by the next run.
func (s *session) sweepTombstones(ctx context.Context, tombstones []ID) {
	for _, id := range tombstones {
		if t, err := id.Time(); err == nil && s.p.cfg.Now().Sub(t) > tombstoneLife {
			if err := s.p.vault.delete(ctx, s.p.keys.manifest(id)); err != nil {
				s.p.log.Debug("tombstone stays", "id", id, "err", err)
			}
		}
	}
}
