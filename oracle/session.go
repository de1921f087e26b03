package oracle

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"time"
)

const (
	// undoTime bounds what is undone after a failure, END BACKUP among it.
	undoTime = 5 * time.Minute
	// grace is how long a server has to answer a cancel, or a logoff, before its connection is closed.
	grace = 5 * time.Second
)

// session is one connection for one conversation. It is never shared, never put back into a pool, and no statement is ever run again on another one without its caller knowing.
type session struct {
	conn *sql.Conn
	src  *Source
	// hangUp closes the network connection under the driver; nil when the pool is not ours.
	hangUp func()
}

// open logs in.
func (s *Source) open(ctx context.Context) (*session, error) {
	login, cancel := context.WithTimeoutCause(ctx, s.opt.ConnectTimeout, fmt.Errorf("no answer within %s", s.opt.ConnectTimeout))
	defer cancel()
	conn, err := s.db.Conn(login)
	if err != nil {
		return nil, s.fail(login, "connect to", "", err)
	}
	c := &session{conn: conn, src: s}
	_ = conn.Raw(func(dc any) error {
		if w, ok := dc.(interface{ hangUp() }); ok {
			c.hangUp = w.hangUp
		}
		return nil
	})
	return c, nil
}

// close ends the session. It is idempotent. The driver says goodbye and waits for the answer [GO]; a server that gives none is left.
func (c *session) close() {
	if c == nil || c.conn == nil {
		return
	}
	if c.hangUp != nil {
		late := time.AfterFunc(grace, c.hangUp)
		defer late.Stop()
	}
	// A session that broke is closed already.
	_ = c.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = c.conn.Close()
	c.conn = nil
}

// bounded runs one call. When ctx ends, the driver asks the server to cancel it; without an answer the connection is closed. The error is then that of ctx, whatever the driver makes of it.
func (c *session) bounded(ctx context.Context, call func() error) error {
	if ctx.Err() != nil {
		return &unsent{context.Cause(ctx)}
	}
	if c.hangUp != nil {
		over := make(chan struct{})
		defer close(over)
		stop := context.AfterFunc(ctx, func() {
			t := time.NewTimer(grace)
			defer t.Stop()
			select {
			case <-t.C:
				c.hangUp()
			case <-over:
			}
		})
		defer stop()
	}
	err := call()
	if err != nil && ctx.Err() != nil {
		return &cancelled{cause: context.Cause(ctx), said: err}
	}
	return err
}

// exec runs one statement without rows. It has no terminating semicolon, and no bind variables where it is DDL [SQL].
func (c *session) exec(ctx context.Context, statement string, args ...any) error {
	err := c.bounded(ctx, func() error {
		_, err := c.conn.ExecContext(ctx, statement, args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", brief(statement), err)
	}
	return nil
}

// brief is a statement as messages quote it.
func brief(statement string) string {
	const most = 120
	if len(statement) <= most {
		return statement
	}
	return statement[:most] + "..."
}

// each runs a query and calls do for each row. Columns are found by name.
func (c *session) each(ctx context.Context, query string, do func(r row)) error {
	err := c.bounded(ctx, func() error { return c.rows(ctx, query, do) })
	if err != nil {
		return fmt.Errorf("%s: %w", brief(query), err)
	}
	return nil
}

func (c *session) rows(ctx context.Context, query string, do func(r row)) error {
	rs, err := c.conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = rs.Close() }() // its error, if any, was seen by Err
	names, err := rs.Columns()
	if err != nil {
		return err
	}
	r := row{at: make(map[string]int, len(names)), values: make([]any, len(names)), bad: new(error)}
	dest := make([]any, len(names))
	for i, n := range names {
		r.at[strings.ToUpper(n)] = i
		dest[i] = &r.values[i]
	}
	for rs.Next() {
		if err := rs.Scan(dest...); err != nil {
			return err
		}
		do(r)
		if *r.bad != nil {
			return *r.bad
		}
	}
	return rs.Err()
}

// one runs a query of which one row is expected.
func (c *session) one(ctx context.Context, query string, do func(r row)) error {
	n := 0
	err := c.each(ctx, query, func(r row) { n++; do(r) })
	if err == nil && n != 1 {
		err = fmt.Errorf("%s: %d rows came, not one", brief(query), n)
	}
	return err
}
