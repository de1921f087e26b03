package tds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// Session is one client's connection after its login. Handlers may compare and keep pointers to it; its methods belong to the goroutine of the Handler.
type Session struct {
	// ID is the session id, @@SPID.
	ID uint16
	// Login is what the client said about itself.
	Login Login

	server      *Server
	in          io.Reader
	out         *packetWriter
	database    string
	home        string // the database after login
	transaction uint64 // 0 when there is none
	begun       uint64 // transactions so far
}

// Database is the current one.
func (s *Session) Database() string { return s.database }

// SetDatabase moves the session without telling the client. It is for Keeper.Open, when the login names no database or another name for it.
func (s *Session) SetDatabase(name string) { s.database = name }

// InTransaction reports whether the client has begun a transaction that is not over.
func (s *Session) InTransaction() bool { return s.transaction != 0 }

// welcome brings a connection through PRELOGIN and LOGIN7.
func (s *Server) welcome(ctx context.Context, nc net.Conn) (*Session, error) {
	loginRW, rw, err := s.prelogin(ctx, nc)
	if err != nil {
		return nil, err
	}
	first, err := readPacketOf(loginRW, rw)
	if err != nil {
		return nil, err
	}
	if first.kind != kindLogin {
		return nil, fmt.Errorf("tds: message of type %d where LOGIN7 is due", first.kind)
	}
	login, err := parseLogin(first.body)
	session := &Session{Login: login, server: s, in: rw, database: "master", ID: firstSession + uint16(s.sessions.Add(1)-1)}
	session.out = &packetWriter{w: rw, kind: kindReply, size: min(defaultPacketSize, max(login.PacketSize, minPacketSize)), spid: session.ID}
	if err == nil {
		err = s.admit(login)
	}
	if err != nil {
		return nil, s.refuse(session, err)
	}
	if login.Database != "" {
		session.database = login.Database
	}
	if k, ok := s.config.Handler.(Keeper); ok {
		if err := k.Open(session); err != nil {
			return nil, s.refuse(session, err, Message{Number: 18456, State: 1, Class: 14, Text: "Login failed for user '" + login.User + "'."})
		}
	}
	session.home, session.Login.password = session.database, ""
	size := packetSize(login.PacketSize, rw != io.ReadWriter(nc))
	answer, err := s.loginAnswer(session, size)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(session.out.write(answer), session.out.finish()); err != nil {
		return nil, err
	}
	session.out.size = size
	return session, nil
}

// readPacketOf reads LOGIN7. With an encrypted login, only its first packet is encrypted: that is how clients do it.
func readPacketOf(login, after io.Reader) (message, error) {
	k, status, body, err := readPacket(login)
	if err != nil || status&statusLast != 0 {
		return message{kind: k, body: body}, err
	}
	rest, err := readMessage(after)
	if err == nil && rest.kind != k {
		err = fmt.Errorf("tds: a packet of type %d inside a message of type %d", rest.kind, k)
	}
	return message{kind: k, body: append(body, rest.body...)}, err
}

// refuse tells the client why it does not come in, if the reason is one for clients, and returns the reason.
func (s *Server) refuse(session *Session, reason error, more ...Message) error {
	var m Message
	if !errors.As(reason, &m) {
		return reason
	}
	b, err := s.loginRefused(append([]Message{m}, more...)...)
	return errors.Join(reason, err, session.out.write(b), session.out.finish())
}

// request is a message with the context its answer lives in.
type request struct {
	message
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// conn is a session being served. One goroutine reads, so that an attention is seen while the other one answers.
type conn struct {
	session  *Session
	requests chan request

	mu        sync.Mutex
	running   context.CancelCauseFunc // of the request being answered, nil when there is none
	attention bool                    // the client asked for its end
}

// serve answers until the connection ends. It returns when the reading goroutine has ended too.
func (c *conn) serve(ctx context.Context, stop context.CancelCauseFunc) error {
	var reading sync.WaitGroup
	var readErr error
	reading.Go(func() {
		readErr = c.read(ctx)
		stop(ErrGone)
		close(c.requests)
	})
	var err error
	for r := range c.requests {
		if err = c.answer(r); err != nil {
			break
		}
	}
	stop(ErrGone) // closes the connection, which ends the reading
	reading.Wait()
	if errors.Is(readErr, io.EOF) || errors.Is(readErr, net.ErrClosed) || errors.Is(readErr, io.ErrClosedPipe) {
		readErr = nil // hung up, by the client or by us
	}
	return errors.Join(err, readErr)
}

func (c *conn) read(ctx context.Context) error {
	for {
		m, err := readMessage(c.session.in)
		if err != nil {
			return err
		}
		r := request{message: m, ctx: ctx}
		if m.kind == kindAttention {
			if c.interrupt() {
				continue
			}
		} else if r.ctx, r.cancel, err = c.begin(ctx); err != nil {
			return err
		}
		select {
		case c.requests <- r:
		case <-ctx.Done():
			return ErrGone
		}
	}
}

// begin marks a request as running.
func (c *conn) begin(ctx context.Context) (context.Context, context.CancelCauseFunc, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running != nil {
		return nil, nil, errors.New("tds: a request while another is being answered")
	}
	ctx, c.running = context.WithCancelCause(ctx)
	return ctx, c.running, nil
}

// interrupt ends the running request. It reports false when there is none: then the attention is answered by itself.
func (c *conn) interrupt() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running == nil {
		return false
	}
	c.attention = true
	c.running(ErrAttention)
	return true
}

// end marks the request as answered, before the last packet leaves, and reports whether the client has cancelled it.
// An attention that comes later gets an answer of its own.
func (c *conn) end() (attention bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	attention, c.attention, c.running = c.attention, false, nil
	return attention
}

func (c *conn) answer(r request) error {
	s := c.session
	if r.kind == kindAttention {
		return errors.Join(s.out.write(done{token: tokenDone, status: doneAttention}.append(nil)), s.out.finish())
	}
	defer r.cancel(nil)
	a := &Answer{ctx: r.ctx, session: s, out: s.out, procedure: r.kind == kindRPC}
	if r.status&(statusReset|statusResetKeep) != 0 {
		if err := s.reset(a, r.status&statusResetKeep != 0); err != nil {
			return err
		}
	}
	err := s.dispatch(r, a)
	var m Message
	switch {
	case err == nil:
	case errors.As(err, &m):
		if err := a.Message(m); err != nil {
			return err
		}
	case errors.Is(err, ErrAttention):
	default:
		return err
	}
	if err := a.finish(c.end()); err != nil {
		return err
	}
	if a.fatal {
		return fmt.Errorf("tds: session %d ended by message %d", s.ID, a.lastError)
	}
	return nil
}

// dispatch reads a request and has it answered.
func (s *Session) dispatch(r request, a *Answer) error {
	c := &cursor{b: r.body}
	transaction := c.headers()
	if c.err == nil && transaction != s.transaction {
		return Message{Number: 3989, State: 1, Class: 16, Text: "New request is not allowed to start because it should come with valid transaction descriptor."}
	}
	var q Query
	var err error
	switch r.kind {
	case kindBatch:
		q, err = parseBatch(c)
	case kindRPC:
		q, err = parseRPC(c)
	case kindTransaction:
		t, err := parseTransaction(c)
		if err != nil {
			return err
		}
		return s.transact(t, a)
	default:
		return fmt.Errorf("tds: message of type %d is not known here", r.kind)
	}
	if err != nil {
		return err
	}
	return s.server.config.Handler.Batch(r.ctx, s, q, a)
}

func (s *Session) transact(t transactionRequest, a *Answer) error {
	if t.what == transactionBegin {
		if s.transaction != 0 {
			return errors.New("tds: a transaction inside a transaction is not known here")
		}
		s.begun++
		s.transaction = uint64(s.ID)<<32 | s.begun
		return a.token(appendEnvBytes(nil, envBegin, transactionID(s.transaction), nil))
	}
	what, number, word := byte(envCommit), int32(3902), "COMMIT"
	if t.what == transactionRollback {
		what, number, word = envRollback, 3903, "ROLLBACK"
	}
	if s.transaction == 0 {
		return Message{Number: number, State: 1, Class: 16, Text: "The " + word + " TRANSACTION request has no corresponding BEGIN TRANSACTION."}
	}
	old := transactionID(s.transaction)
	s.transaction = 0
	return a.token(appendEnvBytes(nil, what, nil, old))
}

// reset puts the session back to what it was after login, and says so before anything else.
func (s *Session) reset(a *Answer, keep bool) error {
	if !keep {
		s.transaction = 0
	}
	s.database = s.home
	if k, ok := s.server.config.Handler.(Keeper); ok {
		k.Reset(s)
	}
	return a.token(appendEnvBytes(nil, envReset, nil, nil))
}
