package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"time"
)

// undoTime bounds what is undone after a failure: releasing locks, ending sessions.
const undoTime = 15 * time.Second

// session is one connection with its state. It is never shared and never put back into a pool: when it breaks, whatever
// it held is gone, and a silent second connection would not have it.
type session struct {
	conn *sql.Conn
	wire *wire // nil when rows must come through the driver
	src  *Source
	id   int64
	stop func() bool
}

// readSettings is the state of a session that reads. Names binary means no conversion: bytes come as they are stored. Statements that the server may not know
// are marked with a question mark and allowed to fail.
func readSettings() []string {
	return []string{
		"SET NAMES binary",
		"SET SESSION sql_mode=''",
		"SET SESSION time_zone='+00:00'",
		"?SET SESSION sql_quote_show_create=1",
		"?SET SESSION wait_timeout=86400",
		"?SET SESSION net_write_timeout=1800", // as MySQL Shell: the stage may keep us from reading for a while
		"?SET SESSION net_read_timeout=1800",
		"?SET SESSION information_schema_stats_expiry=0",
		"?SET SESSION print_identified_with_as_hex=1",
		"?SET SESSION max_statement_time=0", // MariaDB: a long read is not a runaway query
		"?SET SESSION max_execution_time=0", // MySQL
	}
}

// open takes a connection and brings it into state. When ctx ends before close, the server is told to end the session, so that a lock it waits
// for or holds goes at once and not when the server next looks at the socket.
func (s *Source) open(ctx context.Context, settings []string) (*session, error) {
	t := &tap{}
	conn, err := s.db.Conn(context.WithValue(ctx, tapKey{}, t))
	if err != nil {
		return nil, s.fail(ctx, "connect to", "", err)
	}
	c := &session{conn: conn, src: s}
	if t.conn != nil && s.plain {
		c.wire = newWire(t.conn)
	}
	if err := conn.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&c.id); err != nil {
		c.close()
		return nil, s.fail(ctx, "connect to", "", err)
	}
	c.stop = context.AfterFunc(ctx, func() { s.kill(ctx, c.id) })
	for _, q := range settings {
		q, may := strings.CutPrefix(q, "?")
		if _, err := conn.ExecContext(ctx, q); err != nil && !(may && number(err) != 0) {
			c.close()
			return nil, s.fail(ctx, "prepare a session on", q, err)
		}
	}
	return c, nil
}

func (s *Source) kill(ctx context.Context, id int64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	// A failure means the session is gone already, or the server is.
	_, _ = s.db.ExecContext(ctx, fmt.Sprintf("KILL %d", id))
}

// close ends the session. It is idempotent.
func (c *session) close() {
	if c == nil || c.conn == nil {
		return
	}
	if c.stop != nil {
		c.stop()
	}
	// ErrBadConn makes the pool close the connection instead of keeping it with our settings.
	_ = c.conn.Raw(func(any) error { return driver.ErrBadConn })
	c.conn.Close()
	c.conn = nil
}

func (c *session) exec(ctx context.Context, q string) error {
	_, err := c.conn.ExecContext(ctx, q)
	return err
}

// row is one row of a small result, by column name in lower case: MySQL and MariaDB differ in case.
type row struct {
	at   map[string]int
	vals []sql.NullString
}

// get returns the named column, or "" where it is NULL or absent.
func (r row) get(name string) string {
	if i, ok := r.at[name]; ok {
		return r.vals[i].String
	}
	return ""
}

// has reports whether the column is there and not NULL.
func (r row) has(name string) bool {
	i, ok := r.at[name]
	return ok && r.vals[i].Valid
}

// col returns the i-th column.
func (r row) col(i int) string { return r.vals[i].String }

// rows runs a query with a small result.
func (c *session) rows(ctx context.Context, q string) ([]row, error) {
	rs, err := c.conn.QueryContext(ctx, q)
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	names, err := rs.Columns()
	if err != nil {
		return nil, err
	}
	at := make(map[string]int, len(names))
	for i, n := range names {
		at[strings.ToLower(n)] = i
	}
	var out []row
	dest := make([]any, len(names))
	for rs.Next() {
		vals := make([]sql.NullString, len(names))
		for i := range vals {
			dest[i] = &vals[i]
		}
		if err := rs.Scan(dest...); err != nil {
			return nil, err
		}
		out = append(out, row{at, vals})
	}
	return out, rs.Err()
}

// one runs a query for one row; ok is false when there is none.
func (c *session) one(ctx context.Context, q string) (r row, ok bool, err error) {
	rs, err := c.rows(ctx, q)
	if err != nil || len(rs) == 0 {
		return row{}, false, err
	}
	return rs[0], true, nil
}

// text runs a query for one value, "" when there is no row.
func (c *session) text(ctx context.Context, q string) (string, error) {
	r, ok, err := c.one(ctx, q)
	if err != nil || !ok {
		return "", err
	}
	return r.col(0), nil
}
