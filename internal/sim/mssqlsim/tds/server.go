package tds

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
)

// Handler answers what clients ask. It is called by one goroutine for each session, so that one session never asks twice at once.
type Handler interface {
	// Batch answers one query. ctx ends when the client cancels (cause ErrAttention), when the connection breaks (ErrGone) and when the server stops.
	//
	// A returned Message is said to the client and ends the batch. ErrAttention is understood. Any other error closes the connection
	// in the middle of the answer, as a server does that dies; what was flushed before has left.
	Batch(ctx context.Context, s *Session, q Query, a *Answer) error
}

// Keeper is a Handler that keeps something for each session.
type Keeper interface {
	Handler
	// Open is called after the password was found right. A Message refuses the login; for instance 4060, which 18456 then follows.
	// It may move the session to its default database.
	Open(s *Session) error
	// Reset is called when a client takes the connection for another use: settings and database are those of the login again.
	Reset(s *Session)
	// Close is called once when the session is over, if Open let it in.
	Close(s *Session)
}

// Version is the version a server says it has.
type Version struct {
	Major, Minor byte
	Build        uint16
}

// Config describes a server.
type Config struct {
	// Name is what messages carry as server name, at most 128 characters. Required.
	Name string
	// Version of the server. The zero value is 16.0.1000, the first build of SQL Server 2022.
	Version Version
	// Users are login names, which ignore case, and their passwords. Required: there is no other way in.
	Users map[string]string
	// Encryption is what the server offers; all but NotSupported need a Certificate.
	Encryption  Encryption
	Certificate *tls.Certificate
	// Handler answers. Required.
	Handler Handler
	// Log hears why a session ended other than by the client's hanging up. nil discards.
	Log *slog.Logger
}

// Server speaks TDS with any number of clients.
type Server struct {
	config   Config
	sessions atomic.Uint32
}

// firstSession is the lowest number of a user session; SQL Server keeps those below for itself.
const firstSession = 51

// NewServer checks the configuration. It starts nothing.
func NewServer(c Config) (*Server, error) {
	var problems []error
	if c.Name == "" || textUnits(c.Name) > maxName {
		problems = append(problems, fmt.Errorf("tds: server name %q, want 1 to %d characters", c.Name, maxName))
	}
	if len(c.Users) == 0 {
		problems = append(problems, errors.New("tds: no users: nobody could log in"))
	}
	if c.Handler == nil {
		problems = append(problems, errors.New("tds: no Handler"))
	}
	if c.Encryption < NotSupported || c.Encryption > Strict {
		problems = append(problems, fmt.Errorf("tds: there is no encryption mode %d", c.Encryption))
	}
	if c.Encryption != NotSupported && c.Certificate == nil {
		problems = append(problems, errors.New("tds: encryption without a certificate"))
	}
	if c.Version == (Version{}) {
		c.Version = Version{Major: 16, Build: 1000}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return &Server{config: c}, nil
}

// Serve accepts clients until ctx ends, then closes the listener and every connection, and returns when all sessions are over.
// It returns nil then, or why the listener failed.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var sessions sync.WaitGroup
	defer sessions.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		nc, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil // the caller asked for it
			}
			return err
		}
		sessions.Go(func() {
			if err := s.ServeConn(ctx, nc); err != nil {
				s.config.Log.Warn("session ended", "err", err)
			}
		})
	}
}

// ServeConn speaks with one client until it hangs up or ctx ends, and closes the connection. It returns nil when the client left in good order.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer stop()
	defer func() { _ = nc.Close() }()
	session, err := s.welcome(ctx, nc)
	if err != nil {
		return err
	}
	if k, ok := s.config.Handler.(Keeper); ok {
		defer k.Close(session)
	}
	c := &conn{session: session, requests: make(chan request)}
	return c.serve(ctx, cancel)
}
