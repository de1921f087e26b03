package exchange

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// pending is what a run has open in Exchange until the fate of the backup is known: sessions of the streaming API, or a snapshot.
type pending struct {
	s   *Source
	log *slog.Logger
	job string
	// keep: no logs are truncated. spoiled: the snapshot holds a group that failed.
	keep, spoiled bool
	began         time.Time
	sessions      []*openGroup
	shadow        Shadow
	workDir       string
	marker        *marker
	// stuck is why something that the note tells of could not be ended.
	stuck error

	mu   sync.Mutex
	over bool
}

// idle reports whether nothing is open that has to wait.
func (p *pending) idle() bool { return len(p.sessions) == 0 && (p.shadow == nil || p.spoiled) }

// Commit implements backup.Pending: Exchange learns that the backup is safe, and truncates logs.
func (p *pending) Commit(ctx context.Context, m *backup.Manifest) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return nil
	}
	p.over = true
	var errs []error
	for _, o := range p.sessions {
		it, ok := m.Item(o.name)
		good := ok && !it.Failed() && o.good
		if good && o.truncate {
			errs = append(errs, o.truncateLogs(ctx))
		}
		errs = append(errs, o.end(ctx, good))
	}
	if p.shadow != nil {
		if err := p.shadow.Complete(ctx); err != nil {
			errs = append(errs, fmt.Errorf("tell Exchange that the backup is complete: %w", err))
		}
	}
	errs = append(errs, p.forget(m))
	return p.s.fail(ctx, "end the backup of", p.job, p.close(errs))
}

// forget drops the notes of restores that fulls of this backup make needless.
func (p *pending) forget(m *backup.Manifest) error {
	var errs []error
	for _, it := range m.Items {
		if it.Kind == backup.Full && !it.Failed() && !it.CopyOnly && it.Name != itemSystem {
			errs = append(errs, forgetRestored(p.s.opt.StateDir, p.s.opt.Instance, it.Name, p.began))
		}
	}
	return errors.Join(errs...)
}

// Abort implements backup.Pending: everything is ended, and no log is truncated.
func (p *pending) Abort(ctx context.Context) error {
	return p.s.fail(ctx, "end the backup of", p.job, p.abort(ctx))
}

func (p *pending) abort(ctx context.Context) error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return nil
	}
	p.over = true
	var errs []error
	for _, o := range p.sessions {
		errs = append(errs, o.end(ctx, false))
	}
	if p.shadow != nil {
		errs = append(errs, p.shadow.Abort(ctx))
	}
	return p.close(errs)
}

// unmade ends what may be left of a snapshot that could not be made. Its maker leaves nothing behind, unless it was interrupted.
func (p *pending) unmade(ctx context.Context) {
	if len(p.marker.text.Shadow) == 0 {
		return
	}
	undo, stop := p.s.undoing(ctx)
	defer stop()
	p.stuck = p.s.opt.Tools.Shadows.Remove(undo, p.marker.text.Shadow)
}

// close removes the note of the run, unless something could not be ended: then the next run does that.
func (p *pending) close(errs []error) error {
	if p.workDir != "" {
		errs = append(errs, removeDir(p.workDir))
	}
	err := errors.Join(append(errs, p.stuck)...)
	if err == nil && p.marker != nil {
		err = p.marker.drop()
	}
	return err
}

var _ backup.Pending = (*pending)(nil)
