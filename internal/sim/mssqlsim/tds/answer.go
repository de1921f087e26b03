package tds

import (
	"context"
	"fmt"
)

// Answer is where a Handler writes what a batch produces, statement by statement. Its methods are called from the goroutine of the Handler.
// After the client has cancelled they return ErrAttention and send nothing, except for errors: those still reach the client.
type Answer struct {
	ctx       context.Context // of the request, its end stops the results
	session   *Session
	out       *packetWriter
	procedure bool // the request was an RPC, whose DONE tokens differ
	columns   []Column
	open      bool // a result set is
	rows      uint64
	failed    bool // an error was said since the last end of a statement
	lastError int32
	fatal     bool
	pending   *done // the end of a statement that waits to learn whether it was the last
}

// Columns begins a result set. It ends the statement before it.
func (a *Answer) Columns(columns ...Column) error {
	if err := a.stopped(); err != nil {
		return err
	}
	if a.open || len(columns) == 0 {
		return fmt.Errorf("tds: %d columns begun, result set open: %t", len(columns), a.open)
	}
	b, err := appendColumns(nil, columns)
	if err != nil {
		return err
	}
	a.columns, a.open, a.rows = columns, true, 0
	return a.token(b)
}

// Row adds a row: int, int64, bool, float64, string, *big.Int, time.Time, GUID, []byte or nil, as the columns allow.
// A value that does not fit its column is an error of the Handler, never cut.
func (a *Answer) Row(values ...any) error {
	if err := a.stopped(); err != nil {
		return err
	}
	if !a.open {
		return fmt.Errorf("tds: a row outside a result set")
	}
	b, err := appendRow(nil, a.columns, values)
	if err != nil {
		return err
	}
	a.rows++
	return a.token(b)
}

// Message adds information or an error. It stays in the server until a packet is full; Flush sends it now, as SQL Server does with its progress messages.
func (a *Answer) Message(m Message) error {
	if err := a.stopped(); err != nil && !m.isError() {
		return err
	}
	b, err := m.append(nil, a.session.server.config.Name)
	if err != nil {
		return err
	}
	if m.isError() {
		a.failed, a.lastError = true, m.Number
		a.fatal = a.fatal || m.Class >= fatalClass
	}
	return a.token(b)
}

// Done ends a statement. The last one of a batch need not be ended.
func (a *Answer) Done() error {
	if err := a.stopped(); err != nil {
		return err
	}
	d := a.ending()
	if err := a.token(nil); err != nil {
		return err
	}
	a.pending = &d
	return nil
}

// UseDatabase changes the database of the session and tells the client.
func (a *Answer) UseDatabase(name string) error {
	if err := a.stopped(); err != nil {
		return err
	}
	old := a.session.Database()
	a.session.database = name
	b, err := databaseChanged(name).append(appendEnvText(nil, envDatabase, name, old), a.session.server.config.Name)
	if err != nil {
		return err
	}
	return a.token(b)
}

// Flush sends what the client has not been told yet.
func (a *Answer) Flush() error {
	if err := a.token(nil); err != nil {
		return err
	}
	return a.out.flush()
}

// stopped returns why the answer may not go on.
func (a *Answer) stopped() error {
	if a.ctx.Err() != nil {
		return context.Cause(a.ctx)
	}
	return nil
}

// ending closes the result set and describes the end of the statement.
func (a *Answer) ending() done {
	d := done{token: tokenDone}
	if a.procedure {
		d.token = tokenDoneInProc
	}
	if a.open {
		d.status |= doneCount
		d.command = commandSelect
		d.rows = a.rows
	}
	if a.failed {
		d.status |= doneError
	}
	a.open, a.failed, a.rows = false, false, 0
	return d
}

// token writes b behind the end of the statement before it, of which it is now known that more follows.
func (a *Answer) token(b []byte) error {
	if p := a.pending; p != nil {
		a.pending = nil
		p.status |= doneMore
		if a.session.transaction != 0 {
			p.status |= doneTransaction
		}
		if err := a.out.write(p.append(nil)); err != nil {
			return err
		}
	}
	return a.out.write(b)
}

// finish ends the answer. With attention, the client waits for that bit and nothing else.
func (a *Answer) finish(attention bool) error {
	d := a.pending
	a.pending = nil
	if d == nil {
		e := a.ending()
		d = &e
	}
	var b []byte
	switch {
	case attention:
		d = &done{token: tokenDone, status: doneAttention | d.status&doneError}
	case a.procedure:
		// The statement ends, then the procedure does, with 0 or the number of what went wrong.
		d.status |= doneMore
		b = d.append(b)
		b = append(b, tokenReturnStatus, byte(a.lastError), byte(a.lastError>>8), byte(a.lastError>>16), byte(a.lastError>>24))
		d = &done{token: tokenDoneProc, status: d.status & doneError}
	}
	if a.session.transaction != 0 {
		d.status |= doneTransaction
	}
	if a.fatal {
		d.status |= doneError | doneServerError
	}
	if err := a.out.write(d.append(b)); err != nil {
		return err
	}
	return a.out.finish()
}
