package domino

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/domino/notes"
)

// maxRestarts is how often a process of Notes that dies is started again within one call: a damaged database may take it down, and the others go on.
const maxRestarts = 3

// host is the process of Notes that a call works with, or several in turn.
type host struct {
	s *capiSource

	mu         sync.Mutex
	api        notes.API
	generation int   // of api; it grows with each process
	failed     error // why no more processes are started
}

func (s *capiSource) host() *host { return &host{s: s} }

// thread is one thread of Notes.
type thread struct {
	notes.Thread
	host       *host
	generation int
}

// errGaveUp is the end of starting processes.
var errGaveUp = errors.New("the process of Notes died too often")

// thread begins a thread of Notes, in a new process when the one before is dead.
func (h *host) thread(ctx context.Context) (*thread, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failed != nil {
		return nil, h.failed
	}
	if h.api == nil {
		if h.generation > maxRestarts {
			h.failed = errGaveUp
			return nil, h.failed
		}
		api, err := h.s.open(ctx)
		if err != nil {
			h.failed = fmt.Errorf("start the process of Notes: %w", err)
			return nil, h.failed
		}
		h.api = api
		h.generation++
	}
	t, err := h.api.Thread(ctx)
	if err != nil {
		if !isStatus(err) {
			h.drop(h.generation)
		}
		return nil, fmt.Errorf("begin a thread of Notes: %w", err)
	}
	return &thread{t, h, h.generation}, nil
}

// drop forgets a process that is dead or of which nothing is known. The caller holds mu.
func (h *host) drop(generation int) {
	if h.api != nil && h.generation == generation {
		_ = h.api.Close() // it is dead
		h.api = nil
	}
}

// lost tells that a call on t met err, and reports whether the process or thread is lost by it.
func (t *thread) lost(err error) bool {
	if err == nil || isStatus(err) {
		return false
	}
	t.host.mu.Lock()
	defer t.host.mu.Unlock()
	t.host.drop(t.generation)
	return true
}

// close ends the process.
func (h *host) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.api == nil {
		return nil
	}
	api := h.api
	h.api = nil
	return api.Close()
}

// isStatus reports whether Domino answered.
func isStatus(err error) bool {
	var st notes.Status
	return errors.As(err, &st)
}

// with runs do on a thread of a process of its own.
func (s *capiSource) with(ctx context.Context, do func(ctx context.Context, t *thread) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	h := s.host()
	defer func() { _ = h.close() }() // what was asked for was answered by then
	calls, stop := s.calls(ctx)
	defer stop()
	t, err := h.thread(calls)
	if err != nil {
		return err
	}
	err = do(calls, t)
	if !t.lost(err) {
		_ = t.End() // the process ends next
	}
	return err
}

// calls is the context for calls of Domino's functions. It outlives ctx by Options.EndTimeout: a call that is broken off costs its thread, and with it the chance to end a backup.
// Callers look at ctx between calls.
func (s *capiSource) calls(ctx context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.AfterFunc(s.opt.EndTimeout, func() { cancel(context.Cause(ctx)) })
		context.AfterFunc(out, func() { t.Stop() })
	})
	return out, func() { stop(); cancel(nil) }
}

// undoing is a context for ending what was begun.
func (s *capiSource) undoing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), s.opt.EndTimeout)
}
