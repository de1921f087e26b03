package mssql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	mssqldb "github.com/microsoft/go-mssqldb"

	"github.com/golang-sql/sqlexp"
)

// errBadConn makes the pool close a connection instead of keeping it.
var errBadConn = driver.ErrBadConn

// session is one connection, in master. It is never shared and never put back into a pool: single-user access and the settings of a session live and die
// with it.
type session struct {
	conn *sql.Conn
	src  *Source
	spid int
	// notices are the numbers of the informational messages of the last statement that run ran.
	notices []int32
}

// open takes a connection and brings it into master.
func (s *Source) open(ctx context.Context) (*session, error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, s.fail(ctx, "connect to", "", err)
	}
	c := &session{conn: conn, src: s}
	if _, err := conn.ExecContext(ctx, "USE master"); err != nil {
		c.close()
		return nil, s.fail(ctx, "connect to", "", err)
	}
	if err := conn.QueryRowContext(ctx, "SELECT @@SPID AS spid").Scan(&c.spid); err != nil {
		c.close()
		return nil, s.fail(ctx, "connect to", "", err)
	}
	return c, nil
}

// close ends the session. It is idempotent.
func (c *session) close() {
	if c == nil || c.conn == nil {
		return
	}
	// A session that was thrown out or broke is closed already.
	_ = c.conn.Raw(func(any) error { return errBadConn })
	_ = c.conn.Close()
	c.conn = nil
}

// run runs one BACKUP, RESTORE, DBCC or other statement without rows, and calls progress (which may be nil) with the percent the server reports. When the server
// gives up, the error holds everything it said, cause first; when ctx ends, the driver sends an attention and the error is that of ctx, whatever the
// server makes of it.
func (c *session) run(ctx context.Context, st statement, progress func(percent int)) error {
	var messages sqlexp.ReturnMessage
	c.notices = nil
	rows, err := c.conn.QueryContext(ctx, st.SQL, append([]any{&messages}, st.Args...)...)
	if err != nil {
		return c.ended(ctx, st, told(err), nil)
	}
	hear := listen(&messages, progress)
	for rows.NextResultSet() {
	}
	err = rows.Err()
	if cerr := rows.Close(); err == nil { //nolint:sqlclosecheck // its error is part of the answer
		err = cerr
	}
	heard := hear()
	c.notices = heard.notices
	if st.Terminates && slices.Contains(heard.notices, infoMasterDone) && ctx.Err() == nil {
		return nil // the server is done and shuts itself down; the connection dies with it
	}
	return c.ended(ctx, st, err, heard.errs)
}

// heard is what the server said while a statement ran.
type heard struct {
	notices []int32
	errs    []mssqldb.Error
}

// endOfMessages is put into the driver's queue behind the last message.
type endOfMessages struct{}

// listen takes the messages of a statement while its answer is read. The function it returns waits for the last one.
//
// In this mode of the driver the server's errors come as messages only, and those of the connection by way of the rows only: a connection that breaks leaves a reader
// of messages waiting for ever. So both are read side by side, and the end of the rows ends the messages. The queue is in order, so nothing that was
// said before is lost.
func listen(messages *sqlexp.ReturnMessage, progress func(percent int)) func() heard {
	var h heard
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			switch m := messages.Message(context.Background()).(type) {
			case endOfMessages:
				return
			case sqlexp.MsgNotice:
				n, ok := m.Message.(mssqldb.Error)
				if !ok {
					continue
				}
				h.notices = append(h.notices, n.Number)
				if p, ok := percent(n); ok && progress != nil {
					progress(p)
				}
			case sqlexp.MsgError:
				var e mssqldb.Error
				if errors.As(m.Error, &e) {
					h.errs = append(h.errs, e)
				}
			}
		}
	}()
	return func() heard {
		// It cannot fail: the context does not end, and the queue is being emptied.
		_ = sqlexp.ReturnMessageEnqueue(context.Background(), messages, endOfMessages{})
		<-done
		return h
	}
}

// ended decides what a statement came to.
func (c *session) ended(ctx context.Context, st statement, err error, errs []mssqldb.Error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%s: %w", st.What, cause)
	}
	if len(errs) > 0 {
		return fmt.Errorf("%s: %w", st.What, &refusal{errs})
	}
	if err != nil {
		return fmt.Errorf("%s: %w", st.What, err)
	}
	return nil
}

// percent reads message 3211, "10 percent processed.", in whatever language.
func percent(m mssqldb.Error) (int, bool) {
	if m.Number != infoProgress {
		return 0, false
	}
	isDigit := func(r rune) bool { return r >= '0' && r <= '9' }
	from := strings.IndexFunc(m.Message, isDigit)
	if from < 0 {
		return 0, false
	}
	digits := m.Message[from:]
	if to := strings.IndexFunc(digits, func(r rune) bool { return !isDigit(r) }); to >= 0 {
		digits = digits[:to]
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil
}

// query runs a query with a small result. Columns are found by name, in any case; those nobody asks for do not matter.
func (c *session) query(ctx context.Context, q string, args ...any) ([]row, error) {
	rs, err := c.conn.QueryContext(ctx, q, args...)
	if err != nil {
		return nil, told(err)
	}
	defer func() { _ = rs.Close() }() // its error, if any, was seen by Err
	names, err := rs.Columns()
	if err != nil {
		return nil, told(err)
	}
	at := make(map[string]int, len(names))
	for i, n := range names {
		at[strings.ToLower(n)] = i
	}
	var out []row
	for rs.Next() {
		r := row{at: at, values: make([]any, len(names))}
		dest := make([]any, len(names))
		for i := range dest {
			dest[i] = &r.values[i]
		}
		if err := rs.Scan(dest...); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	// An error may come after the last row.
	if err := rs.Err(); err != nil {
		return nil, told(err)
	}
	return out, told(rs.Close())
}

// one runs a query for the first row; ok is false when there is none.
func (c *session) one(ctx context.Context, q string, args ...any) (r row, ok bool, err error) {
	all, err := c.query(ctx, q, args...)
	if err != nil || len(all) == 0 {
		return row{}, false, err
	}
	return all[0], true, nil
}

// now is the server's clock, with the offset of its local time.
func (c *session) now(ctx context.Context) (time.Time, error) {
	r, ok, err := c.one(ctx, "SELECT SYSDATETIMEOFFSET() AS now")
	if err != nil {
		return time.Time{}, err
	}
	if t := r.time("now"); ok && !t.IsZero() {
		return t, nil
	}
	return time.Time{}, errors.New("the server does not tell its time")
}
