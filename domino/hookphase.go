package domino

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/hook"
)

// calling is a time in which Domino is expected to call: one load of its backup task, or a restore.
type calling struct {
	// take answers a call.
	take func(ctx context.Context, c hook.Call) (reference string, err error)

	// oneBackup says that all calls must be of one backup of Domino.
	oneBackup bool

	mu     sync.Mutex
	start  string // of that backup, by Domino's word
	active int
	calls  int
	done   bool
	over   bool
	stir   chan struct{}
}

func newCalling(take func(context.Context, hook.Call) (string, error)) *calling {
	return &calling{take: take, stir: make(chan struct{}, 1)}
}

// handle answers a call, or notes that Domino is through.
func (p *calling) handle(ctx context.Context, c hook.Call) (string, error) {
	if err := p.enter(c); err != nil || c.Op == hook.Done {
		return "", err
	}
	defer p.leave()
	return p.take(ctx, c)
}

var errNotWaiting = errors.New("no backup or restore of Quiesce is waiting for this")

func (p *calling) enter(c hook.Call) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.over:
		return errNotWaiting
	case p.oneBackup && c.Start != "" && p.start != "" && c.Start != p.start:
		return fmt.Errorf("%w: it belongs to the backup that began at %s, and Quiesce waits for that of %s", errNotWaiting, c.Start, p.start)
	}
	if c.Start != "" {
		p.start = c.Start
	}
	if c.Op == hook.Done {
		p.done = true
	} else {
		p.calls++
		p.active++
	}
	p.stirred()
	return nil
}

func (p *calling) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active--
	p.stirred()
}

func (p *calling) stirred() {
	select {
	case p.stir <- struct{}{}:
	default:
	}
}

// ended reports whether Domino is through: it has said so, and finished says that nothing more is needed, which it does always but in a restore. Else it returns how long to wait for the next call.
func (p *calling) ended(first, idle time.Duration, finished func() bool) (over bool, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.active > 0:
		return false, 0
	case p.done && finished():
		p.over = true
		return true, 0
	case p.calls == 0:
		return false, first
	}
	return false, idle
}

// close ends the time: later calls are refused. It reports whether Domino had called at all, and said that it is through.
func (p *calling) close() (called, said bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	return p.calls > 0 || p.done, p.done
}

// wait returns when Domino is through, or has been silent for too long.
func (p *calling) wait(ctx context.Context, first, idle time.Duration, finished func() bool) error {
	for {
		over, silence := p.ended(first, idle, finished)
		if over {
			return nil
		}
		var timer *time.Timer
		var silent <-chan time.Time
		if silence > 0 {
			timer = time.NewTimer(silence)
			silent = timer.C
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-silent:
			return errSilent
		case <-p.stir:
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

var errSilent = errors.New("domino does not call")

// switchboard leads calls to whoever expects them now.
type switchboard struct {
	mu  sync.Mutex
	now *calling
}

func (b *switchboard) handle(ctx context.Context, c hook.Call) (string, error) {
	b.mu.Lock()
	p := b.now
	b.mu.Unlock()
	if p == nil {
		return "", errNotWaiting
	}
	return p.handle(ctx, c)
}

func (b *switchboard) expect(p *calling) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = p
}

// attending runs do while calls of Domino are answered as b has it, and returns when none is under way any more.
func (h *hookSource) attending(ctx context.Context, b *switchboard, do func(ctx context.Context) error) error {
	l, err := hook.Listen(h.opt.CallDir)
	if err != nil {
		return err
	}
	serving, stop := context.WithCancelCause(ctx)
	ended := make(chan error, 1)
	go func() {
		err := l.Serve(serving, b.handle)
		if err != nil {
			stop(err) // nobody can call any more
		}
		ended <- err
	}()
	err = do(serving)
	stop(errNotWaiting)
	return errors.Join(err, <-ended, l.Close())
}

// load has Domino run its backup task with options, and takes what it hands over.
func (r *hookRun) load(ctx context.Context, b *switchboard, options string, take func(context.Context, hook.Call) (string, error)) error {
	p := newCalling(take)
	p.oneBackup = true
	b.expect(p)
	defer b.expect(nil)
	r.req.Log.Info("have Domino begin its backup", "options", options)
	if err := r.h.begin(ctx, options); err != nil {
		p.close()
		return err
	}
	err := p.wait(ctx, r.h.opt.StartTimeout, r.h.opt.IdleTimeout, func() bool { return true })
	called, said := p.close()
	switch {
	case err == nil || !errors.Is(err, errSilent):
		return err
	case !called:
		return &backup.Error{Op: "be called by", App: application, Instance: r.h.base.opt.Instance, Artifact: "load backup " + options, Advice: hookAdvice,
			Err: fmt.Errorf("%w: %s after the command it had not called quiesce-hook once", errSilent, r.h.opt.StartTimeout)}
	case !said:
		r.r.warn("Domino did not say that its backup (%s) was through; nothing came for %s, and that was taken for its end: let Post-Backup Command call quiesce-hook done", options, r.h.opt.IdleTimeout)
	}
	return nil
}
