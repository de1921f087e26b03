package dominosim

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/filelock"
)

// Process is a program that has initialised the Notes API at the server. It is what a backup agent sees.
type Process struct {
	s *Server

	mu      sync.Mutex
	ended   error // why there are no more calls
	current map[*Thread]bool

	// The rest is guarded by the server's lock.
	handles  map[notes.Handle]*handle
	backups  map[notes.BackupContext]*backup
	applies  map[notes.ApplyContext]*application
	archiver *filelock.Lock
	list     *archiveList
	recovery *filelock.Lock
}

// Call is a call of the C API, as a Fault sees it.
type Call struct {
	Name  string   // of the C function
	Args  []string // paths, numbers and flags as text, in the order of the function
	After bool     // Domino has done it, the program has not yet been told
}

// Fault is asked before and after each call. A notes.Status is what the program is told; ErrDie ends the program at that point; nil lets things go on. It may take its time
// and should then heed ctx.
type Fault func(ctx context.Context, c Call) error

// ErrDie is returned by a Fault to end the process.
var ErrDie = errors.New("dominosim: the process dies here")

// ErrDead is returned by calls of a process that has ended.
var ErrDead = errors.New("dominosim: the process of the Notes API has ended")

// SetFault has all processes ask f from now on; nil ends that.
func (s *Server) SetFault(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Process begins a program at the server.
func (s *Server) Process() *Process {
	p := &Process{
		s: s, current: map[*Thread]bool{}, handles: map[notes.Handle]*handle{}, backups: map[notes.BackupContext]*backup{}, applies: map[notes.ApplyContext]*application{},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending[p] = true
	return p
}

// Thread is NotesInitThread.
func (p *Process) Thread(ctx context.Context) (notes.Thread, error) {
	t := &Thread{p: p}
	if err := t.begun(ctx); err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.current[t] = true
	p.mu.Unlock()
	return t, t.call(ctx, "NotesInitThread", nil, func() error { return nil })
}

// Close is NotesTerm and the end of the process. What it left begun is left as by Kill.
func (p *Process) Close() error {
	p.Kill()
	return nil
}

// Kill ends the process in the middle of whatever it does. Databases in backup stay in backup, databases offline stay offline; the log is free for another archiver.
func (p *Process) Kill() {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.die()
}

// die needs the server's lock.
func (p *Process) die() {
	p.mu.Lock()
	p.ended = ErrDead
	clear(p.current)
	p.mu.Unlock()
	for _, h := range p.handles {
		p.s.opened[h.path]--
	}
	clear(p.handles)
	p.releaseArchiver()
	p.releaseRecovery()
	delete(p.s.pending, p)
}

func (p *Process) releaseArchiver() {
	if p.archiver != nil {
		p.archiver.Release()
		p.archiver, p.list, p.s.archive = nil, nil, nil
	}
}

func (p *Process) releaseRecovery() {
	if p.recovery != nil {
		p.recovery.Release()
		p.recovery, p.s.recover = nil, nil
	}
}

// take takes a lock that one process at the server can have, unless another has it.
func (p *Process) take(name string, busy notes.Status, by **Process) (*filelock.Lock, error) {
	if *by != nil {
		return nil, busy
	}
	l, err := filelock.Take(filepath.Join(p.s.simDir(), name))
	if errors.Is(err, filelock.ErrHeld) {
		return nil, busy
	}
	if err == nil {
		*by = p
	}
	return l, err
}

// Thread is a thread of Notes' own in a Process.
type Thread struct {
	p    *Process
	busy sync.Mutex
	lost error
}

func (t *Thread) begun(ctx context.Context) error {
	if t.lost != nil {
		return t.lost
	}
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	if t.p.ended != nil {
		return t.p.ended
	}
	return context.Cause(ctx)
}

// call does one call of the API: f under the server's lock, between the questions to the Fault.
func (t *Thread) call(ctx context.Context, name string, args []string, f func() error) error {
	return t.unlocked(ctx, name, args, func() error { return t.p.s.do(ctx, f) })
}

// unlocked is call for an f that takes the lock itself.
func (t *Thread) unlocked(ctx context.Context, name string, args []string, f func() error) error {
	if !t.busy.TryLock() {
		return fmt.Errorf("dominosim: %s: the thread is in another call", name)
	}
	defer t.busy.Unlock()
	if err := t.begun(ctx); err != nil {
		t.lose(ctx)
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := t.ask(ctx, Call{Name: name, Args: args}); err != nil {
		return err
	}
	if err := f(); err != nil {
		t.lose(ctx)
		return err
	}
	return t.ask(ctx, Call{Name: name, Args: args, After: true})
}

func (t *Thread) ask(ctx context.Context, c Call) error {
	t.p.s.mu.Lock()
	fault := t.p.s.fault
	t.p.s.mu.Unlock()
	if fault == nil {
		return t.begun(ctx)
	}
	err := fault(ctx, c)
	switch {
	case errors.Is(err, ErrDie):
		t.p.Kill()
		return fmt.Errorf("%s: %w", c.Name, ErrDead)
	case context.Cause(ctx) != nil:
		t.lose(ctx)
		return fmt.Errorf("%s: %w", c.Name, context.Cause(ctx))
	case err != nil:
		return err
	}
	return t.begun(ctx) // the process may have been killed meanwhile
}

// lose gives the thread up when its caller has: nobody waits for what Domino answers.
func (t *Thread) lose(ctx context.Context) {
	if cause := context.Cause(ctx); cause != nil && t.lost == nil {
		t.lost = fmt.Errorf("dominosim: the thread was left in the middle of a call: %w", cause)
		t.p.mu.Lock()
		delete(t.p.current, t)
		t.p.mu.Unlock()
	}
}

// End is NotesTermThread.
func (t *Thread) End() error {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	if !t.p.current[t] {
		return nil
	}
	delete(t.p.current, t)
	t.lost = errors.New("dominosim: the thread has ended")
	return nil
}

var (
	_ notes.API    = (*Process)(nil)
	_ notes.Thread = (*Thread)(nil)
)
