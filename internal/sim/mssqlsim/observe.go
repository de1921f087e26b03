package mssqlsim

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// Statement is a batch that reached the server.
type Statement struct {
	Session uint16
	Program string
	Text    string
	// Params are those of sp_executesql, by name.
	Params map[string]any
	// Err is what the server said, or why the connection broke; nil when all went well and while the batch runs.
	Err error
}

// Statements returns the batches that reached the server, oldest first.
func (in *Instance) Statements() []Statement {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.seen)
}

// note keeps a batch; the function it returns adds how it ended.
func (in *Instance) note(s *tds.Session, q tds.Query) (ended func(error)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	n := len(in.seen)
	st := Statement{Session: s.ID, Program: s.Login.App, Text: q.Text, Params: map[string]any{}}
	if q.Procedure != "" {
		st.Text = q.Procedure
	}
	for _, p := range q.Params {
		st.Params[p.Name] = p.Value
	}
	in.seen = append(in.seen, st)
	return func(err error) {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.seen[n].Err = err
	}
}

// Presence is a session that is open.
type Presence struct {
	ID       uint16
	Login    string
	Program  string
	Database string
	// Command is what it is doing, as sys.dm_exec_requests calls it; "" when idle. Only long statements have one.
	Command string
}

// Sessions returns the sessions that are open, by number.
func (in *Instance) Sessions() []Presence {
	in.mu.Lock()
	defer in.mu.Unlock()
	all := make([]Presence, 0, len(in.sessions))
	for s, p := range in.sessions {
		o := Presence{ID: s.ID, Login: s.Login.User, Program: s.Login.App, Database: p.database}
		if r := in.running[s.ID]; r != nil {
			o.Command = r.command
		}
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b Presence) int { return int(a.ID) - int(b.ID) })
	return all
}

// Point is where in a statement a fault strikes.
type Point int

// The points of a fault.
const (
	// Before the statement did anything.
	Before Point = iota
	// Inside a BACKUP, RESTORE or DBCC, after its last progress message and before its effect.
	Inside
	// After the effect, before the client is told.
	After
)

// Fault is what goes wrong with statements.
type Fault struct {
	// Match is a part of the batch's text, case ignored. Batches that do not contain it are left alone.
	Match string
	// Nth is which of the statements that match is struck, from 1; 0 strikes them all.
	Nth int
	// When in the statement.
	When Point
	// Do is what happens. A tds.Message that it returns becomes the statement's error, tds.ErrGone breaks the connection, nil lets it go on.
	// It may say something by the answer, and wait for ctx, which ends when the client cancels.
	Do func(ctx context.Context, a *tds.Answer) error

	matched int
}

// Inject adds a fault. Several may strike the same statement.
func (in *Instance) Inject(f Fault) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.faults = append(in.faults, &f)
}

// Break is a Fault.Do: the connection breaks.
func Break(context.Context, *tds.Answer) error { return tds.ErrGone }

// Fail is a Fault.Do: the statement fails with these messages, of which the last is returned.
func Fail(messages ...tds.Message) func(context.Context, *tds.Answer) error {
	return func(_ context.Context, a *tds.Answer) error {
		last := len(messages) - 1
		for _, m := range messages[:last] {
			if err := a.Message(m); err != nil {
				return err
			}
		}
		return messages[last]
	}
}

// Say is a Fault.Do: the client hears these messages at once, and the statement goes on.
func Say(messages ...tds.Message) func(context.Context, *tds.Answer) error {
	return func(_ context.Context, a *tds.Answer) error {
		for _, m := range messages {
			if err := a.Message(m); err != nil {
				return err
			}
		}
		return a.Flush()
	}
}

// Stall is a Fault.Do: reached is closed, then nothing happens until release is closed or the client cancels.
func Stall(reached chan<- struct{}, release <-chan struct{}) func(context.Context, *tds.Answer) error {
	return func(ctx context.Context, _ *tds.Answer) error {
		close(reached)
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil
	}
}

// strike is the faults of one statement.
type strike struct{ faults []*Fault }

// fault returns the faults that the next statement of a batch meets.
func (in *Instance) fault(text string) *strike {
	in.mu.Lock()
	defer in.mu.Unlock()
	st := &strike{}
	for _, f := range in.faults {
		if !strings.Contains(strings.ToLower(text), strings.ToLower(f.Match)) {
			continue
		}
		if f.matched++; f.Nth == 0 || f.Nth == f.matched {
			st.faults = append(st.faults, f)
		}
	}
	return st
}

func (st *strike) strike(ctx context.Context, at Point, a *tds.Answer) error {
	for _, f := range st.faults {
		if f.When != at {
			continue
		}
		if err := f.Do(ctx, a); err != nil && !(errors.Is(err, tds.ErrAttention) && ctx.Err() != nil) {
			return err
		}
	}
	return nil
}
