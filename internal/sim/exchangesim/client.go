package exchangesim

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
)

// Call is a call of a tool, as a Fault sees it.
type Call struct {
	// N counts the calls since SetFault, from 1. Name is the method with its tool: "Session.TruncateLogs".
	N    int
	Name string
	// Args are paths, names and flags as text.
	Args []string
	// After: the server has done it, the program has not yet been told.
	After bool
}

// Fault is asked before each call and after each that succeeded. What it returns the program is told; ErrDie ends the program at that point; nil lets things go on.
type Fault func(c Call) error

var (
	// ErrDie is returned by a Fault to end the program.
	ErrDie = errors.New("exchangesim: the program dies here")
	// ErrDead is returned by calls of a program that has ended.
	ErrDead = errors.New("exchangesim: the program has ended")
)

// SetFault has all clients ask f from now on; nil ends that.
func (s *Server) SetFault(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault, s.calls = f, 0
}

// Client is a program on the server that uses its tools.
type Client struct {
	s *Server
	// The rest is guarded by the server's lock.
	dead     bool
	sessions map[*session]bool
	restores map[*restore]bool
	shadows  map[*shadow]bool
}

// Client begins a program.
func (s *Server) Client() *Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &Client{s: s, sessions: map[*session]bool{}, restores: map[*restore]bool{}, shadows: map[*shadow]bool{}}
	s.clients[c] = true
	return c
}

// Tools are those of a program of its own.
func (s *Server) Tools() exchange.Tools { return s.Client().Tools() }

// Tools are what the program works with.
func (c *Client) Tools() exchange.Tools {
	return exchange.Tools{Streaming: &streaming{c}, Shadows: &shadows{c}, Management: &management{c}, SystemState: &systemState{c}, Engine: &engine{c}}
}

// Kill ends the program in the middle of whatever it does. Backups and restores by the streaming API end as failed (RPC rundown); the writer is told that a backup by snapshot was given up, and the snapshot itself stays.
func (c *Client) Kill() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.dead = true
	delete(c.s.clients, c)
	for x := range c.sessions {
		x.rundown()
	}
	for r := range c.restores {
		r.over = true
	}
	for h := range c.shadows {
		h.forsake()
	}
	clear(c.sessions)
	clear(c.restores)
	clear(c.shadows)
}

// Open is how much programs have open, and snapshots that exist: all are 0 when they have put things in order.
type Open struct{ Sessions, Files, InBackup, Restores, Shadows int }

// Open counts.
func (s *Server) Open() (o Open) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.clients {
		o.Sessions += len(c.sessions)
		o.Restores += len(c.restores)
		for x := range c.sessions {
			o.Files += len(x.files)
		}
		for r := range c.restores {
			o.Files += r.writers
		}
	}
	for _, g := range s.groups {
		if g.backup != nil {
			o.InBackup++
		}
	}
	o.Shadows = len(s.shadows)
	return o
}

// call does one call: f under the server's lock, between the questions to the Fault.
func (c *Client) call(ctx context.Context, name string, args []string, f func() error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", name, context.Cause(ctx))
	}
	if err := c.ask(name, args, false); err != nil {
		return err
	}
	if err := c.s.locked(func() error {
		if c.dead {
			return ErrDead
		}
		return f()
	}); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return c.ask(name, args, true)
}

// remote is call for what the information store does itself: not when it is down.
func (c *Client) remote(ctx context.Context, name string, args []string, f func() error) error {
	return c.call(ctx, name, args, func() error {
		if c.s.down {
			return fmt.Errorf("the server is gone: %w", esebcli.HrServerUnavailable)
		}
		return f()
	})
}

// library is remote for functions of the library. Like the genuine one it answers hrErrorFromESECall, with the cause behind it, where the engine failed in a way of which the library knows no more.
func (c *Client) library(ctx context.Context, name string, args []string, f func() error) error {
	return c.remote(ctx, name, args, func() error {
		err := f()
		var hr esebcli.HRESULT
		if !errors.As(err, &hr) || hr.JET() == 0 || slices.Contains([]esebcli.HRESULT{
			esebcli.HrBackupInProgress, esebcli.HrNoBackup, esebcli.HrInvalidSequence, esebcli.HrMissingFullBackup, esebcli.HrLogBadSignature, esebcli.HrLogNotContiguous,
		}, hr) {
			return err
		}
		return fmt.Errorf("%w: %w", esebcli.HrErrorFromESECall, err)
	})
}

func (c *Client) ask(name string, args []string, after bool) error {
	c.s.mu.Lock()
	fault, dead := c.s.fault, c.dead
	if !after {
		c.s.calls++
	}
	n := c.s.calls
	c.s.mu.Unlock()
	if dead {
		return fmt.Errorf("%s: %w", name, ErrDead)
	}
	if fault == nil {
		return nil
	}
	err := fault(Call{N: n, Name: name, Args: args, After: after})
	if errors.Is(err, ErrDie) {
		c.Kill()
		return fmt.Errorf("%s: %w", name, ErrDead)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
