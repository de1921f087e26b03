package backuptest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/quiesce-go/quiesce/backup"
)

// Op names a method of a Sink.
type Op string

// The methods a fault can strike.
const (
	OpPut         Op = "Put"
	OpPutIfAbsent Op = "PutIfAbsent"
	OpGet         Op = "Get"
	OpList        Op = "List"
	OpDelete      Op = "Delete"
)

// Action is what a fault does to a call.
type Action int

const (
	// Fail returns the error and does nothing else.
	Fail Action = iota
	// Tear lets Fault.After bytes (of List: rows) pass and then fails. A torn put stores nothing; a torn Get breaks off inside Read.
	Tear
	// Lost carries the call out and then returns the error, as when the answer of a server is lost.
	Lost
	// Stall blocks after Fault.After bytes until the context ends, and returns its cause.
	Stall
	// Pass lets the call through. It is for faults that only have a Do.
	Pass
)

// ErrFault is what a fault returns that names no error. It counts as transient.
var ErrFault = errors.New("scripted fault")

// Fault strikes calls of a FaultySink.
type Fault struct {
	Op    Op     // the method; empty strikes every method
	Key   string // strikes only calls whose key (of List: prefix) contains this
	Nth   int    // the first matching call that is struck, from 1; 0 means 1
	Times int    // how many matching calls in a row are struck; 0 means 1, negative means for ever
	// Action is what happens to the call.
	Action Action
	Err    error  // what the call returns; nil means ErrFault
	After  int64  // bytes or rows that pass before Tear and Stall strike
	Do     func() // called when the fault strikes, before anything else: to cancel a context, to kill a process
}

// strikes reports whether the n-th matching call is struck.
func (f Fault) strikes(n int) bool {
	first := max(f.Nth, 1)
	return n >= first && (f.Times < 0 || n < first+max(f.Times, 1))
}

func (f Fault) err(op Op, key string) error {
	if f.Err != nil {
		return fmt.Errorf("%s %s: %w", op, key, f.Err)
	}
	return fmt.Errorf("%s %s: %w", op, key, ErrFault)
}

// Call is one call a FaultySink has seen.
type Call struct {
	Op     Op
	Key    string
	Struck bool // a fault struck it
}

// FaultySink is a Sink that goes wrong as scripted. The first fault of the script that strikes a call is applied.
//
// It has PutIfAbsent whatever is below; on a Sink without it the call fails with errors.ErrUnsupported. Embed a FaultySink as a
// plain backup.Sink in a struct to hide the method.
type FaultySink struct {
	under backup.Sink

	mu     sync.Mutex
	script []*scripted
	calls  []Call
}

type scripted struct {
	Fault
	seen int
}

// NewFaultySink returns a Sink that passes calls to under except where a fault strikes.
func NewFaultySink(under backup.Sink, script ...Fault) *FaultySink {
	s := &FaultySink{under: under}
	s.Script(script...)
	return s
}

// Script replaces the faults and begins to count anew. No fault means that all goes well from now on.
func (s *FaultySink) Script(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = nil
	for _, f := range faults {
		s.script = append(s.script, &scripted{Fault: f})
	}
}

// Calls returns the calls seen so far, in the order they began.
func (s *FaultySink) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Count returns how many calls of op have begun.
func (s *FaultySink) Count(op Op) int {
	n := 0
	for _, c := range s.Calls() {
		if c.Op == op {
			n++
		}
	}
	return n
}

// next records a call and returns the fault that strikes it.
func (s *FaultySink) next(op Op, key string) Fault {
	s.mu.Lock()
	hit := Fault{Action: Pass}
	struck := false
	for _, f := range s.script {
		if f.Op != "" && f.Op != op || !strings.Contains(key, f.Key) {
			continue
		}
		f.seen++
		if !struck && f.strikes(f.seen) {
			hit, struck = f.Fault, true
		}
	}
	s.calls = append(s.calls, Call{Op: op, Key: key, Struck: struck})
	s.mu.Unlock()
	if hit.Do != nil {
		hit.Do()
	}
	return hit
}

// Put implements backup.Sink.
func (s *FaultySink) Put(ctx context.Context, key string, r io.Reader) error {
	return s.put(ctx, OpPut, key, r, s.under.Put)
}

// PutIfAbsent implements backup.PutIfAbsenter.
func (s *FaultySink) PutIfAbsent(ctx context.Context, key string, r io.Reader) error {
	create := func(context.Context, string, io.Reader) error {
		return fmt.Errorf("create %s: %w", key, errors.ErrUnsupported)
	}
	if u, ok := s.under.(backup.PutIfAbsenter); ok {
		create = u.PutIfAbsent
	}
	return s.put(ctx, OpPutIfAbsent, key, r, create)
}

func (s *FaultySink) put(ctx context.Context, op Op, key string, r io.Reader,
	put func(context.Context, string, io.Reader) error) error {
	f := s.next(op, key)
	switch f.Action {
	case Fail:
		return f.err(op, key)
	case Tear, Stall:
		// The bytes are taken from r, as by a network that dies; a Sink is whole or absent, so nothing is stored.
		if _, err := io.CopyN(io.Discard, r, f.After); err != nil && err != io.EOF {
			return err
		}
		return f.end(ctx, op, key)
	case Lost:
		if err := put(ctx, key, r); err != nil {
			return err
		}
		return f.err(op, key)
	default:
		return put(ctx, key, r)
	}
}

// end is how a torn or stalled call returns.
func (f Fault) end(ctx context.Context, op Op, key string) error {
	if f.Action == Stall {
		<-ctx.Done()
		return fmt.Errorf("%s %s: %w", op, key, context.Cause(ctx))
	}
	return f.err(op, key)
}

// Get implements backup.Sink.
func (s *FaultySink) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	f := s.next(OpGet, key)
	if f.Action == Fail || f.Action == Lost {
		return nil, f.err(OpGet, key)
	}
	rc, err := s.under.Get(ctx, key)
	if err != nil || f.Action == Pass {
		return rc, err
	}
	return &faultyReader{ReadCloser: rc, left: f.After, end: func() error { return f.end(ctx, OpGet, key) }}, nil
}

type faultyReader struct {
	io.ReadCloser
	left int64
	end  func() error
}

func (r *faultyReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, r.end()
	}
	n, err := r.ReadCloser.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	return n, err
}

// List implements backup.Sink.
func (s *FaultySink) List(ctx context.Context, prefix string) iter.Seq2[backup.Object, error] {
	return func(yield func(backup.Object, error) bool) {
		f := s.next(OpList, prefix)
		left := f.After
		if f.Action == Fail || f.Action == Lost {
			left = 0
		}
		for o, err := range s.under.List(ctx, prefix) {
			if f.Action != Pass && left <= 0 {
				break
			}
			left--
			if !yield(o, err) || err != nil {
				return
			}
		}
		if f.Action != Pass {
			yield(backup.Object{}, f.end(ctx, OpList, prefix))
		}
	}
}

// Delete implements backup.Sink.
func (s *FaultySink) Delete(ctx context.Context, key string) error {
	f := s.next(OpDelete, key)
	switch f.Action {
	case Fail, Tear, Stall:
		return f.end(ctx, OpDelete, key)
	case Lost:
		if err := s.under.Delete(ctx, key); err != nil {
			return err
		}
		return f.err(OpDelete, key)
	default:
		return s.under.Delete(ctx, key)
	}
}

var _ interface {
	backup.Sink
	backup.PutIfAbsenter
} = (*FaultySink)(nil)
