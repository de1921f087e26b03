package tds_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	mssql "github.com/microsoft/go-mssqldb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// stuck answers until it is told to stop, except for "select 1;" and the questions of TestCancel.
type stuck struct {
	started chan struct{}
	ended   chan error
	rows    bool // a result set is open when the cancel comes
}

func (h stuck) Batch(ctx context.Context, s *tds.Session, q tds.Query, a *tds.Answer) error {
	if q.Text != "stay here" {
		return one(tds.Int(), int(s.ID))(ctx, s, q, a)
	}
	if h.rows {
		if err := errors.Join(a.Columns(tds.Column{Name: "a", Type: tds.Int()}), a.Row(1), a.Flush()); err != nil {
			return err
		}
	}
	close(h.started)
	<-ctx.Done()
	h.ended <- context.Cause(ctx)
	if err := a.Row(2); err == nil {
		return errors.New("a row after the cancel")
	}
	// SQL Server tells why the backup ended, then acknowledges.
	return errors.Join(
		a.Message(tds.Message{Number: 3204, State: 1, Class: 16, Text: "The backup or restore was aborted."}),
		a.Message(tds.Message{Number: 3013, State: 1, Class: 16, Text: "BACKUP DATABASE is terminating abnormally."}),
		context.Cause(ctx),
	)
}

func TestCancelKeepsTheConnection(t *testing.T) {
	t.Parallel()
	for _, withRows := range []bool{false, true} {
		for _, args := range [][]any{nil, {"x"}} {
			h := stuck{started: make(chan struct{}), ended: make(chan error, 1), rows: withRows}
			c, err := connect(t, h).Conn(t.Context())
			require.NoError(t, err)
			before := spid(t, c)
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-h.started; cancel() }()
			_, err = c.ExecContext(ctx, "stay here", args...)
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, <-h.ended, tds.ErrAttention)
			assert.Equal(t, before, spid(t, c), "the same session goes on")
			require.NoError(t, c.Close())
		}
	}
}

func spid(t *testing.T, c *sql.Conn) (id int) {
	t.Helper()
	require.NoError(t, c.QueryRowContext(t.Context(), "select @@SPID").Scan(&id))
	return id
}

func TestConnectionLostEndsTheRequest(t *testing.T) {
	t.Parallel()
	h := stuck{started: make(chan struct{}), ended: make(chan error, 1)}
	d := &cut{}
	cn, err := mssql.NewConnector(dsn(listen(t, newServer(t, h))))
	require.NoError(t, err)
	cn.Dialer = d
	db := sql.OpenDB(cn)
	defer func() { require.NoError(t, db.Close()) }()
	go func() { <-h.started; _ = d.conn.Close() }()
	_, err = db.Exec("stay here")
	require.Error(t, err)
	require.ErrorIs(t, <-h.ended, tds.ErrGone)
}

// cut dials once and keeps the connection, so that a test can cut it.
type cut struct{ conn net.Conn }

func (d *cut) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	d.conn = c
	return c, err
}

func TestServerGoneInTheMiddle(t *testing.T) {
	t.Parallel()
	var calls int
	db := connect(t, handler(func(_ context.Context, _ *tds.Session, _ tds.Query, a *tds.Answer) error {
		calls++
		return errors.Join(a.Columns(tds.Column{Name: "a", Type: tds.Int()}), a.Row(1), a.Flush(), tds.ErrGone)
	}))
	rows, err := db.Query("select and vanish")
	require.NoError(t, err)
	defer func() { _ = rows.Close() }()
	require.True(t, rows.Next(), "what was flushed arrives")
	require.False(t, rows.Next())
	require.Error(t, rows.Err())
	assert.Equal(t, 1, calls)
}

func TestStoppingTheServerEndsSessions(t *testing.T) {
	t.Parallel()
	h := stuck{started: make(chan struct{}), ended: make(chan error, 1)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() { assert.NoError(t, newServer(t, h).Serve(ctx, l)) })
	db := open(t, dsn(l.Addr().String()))
	go func() { <-h.started; cancel() }()
	_, err = db.Exec("stay here")
	require.Error(t, err)
	serving.Wait() // no session is left
}

func TestLateAttentionIsAnsweredAlone(t *testing.T) {
	t.Parallel()
	d := &cut{}
	cn, err := mssql.NewConnector(dsn(listen(t, newServer(t, one(tds.Int(), 1)))))
	require.NoError(t, err)
	cn.Dialer = d
	db := sql.OpenDB(cn)
	defer func() { require.NoError(t, db.Close()) }()
	require.NoError(t, db.Ping())
	// The driver is idle now; an attention that crossed the answer on its way arrives.
	_, err = d.conn.Write([]byte{6, 1, 0, 8, 0, 0, 1, 0})
	require.NoError(t, err)
	answer := make([]byte, 8+13)
	_, err = io.ReadFull(d.conn, answer)
	require.NoError(t, err)
	assert.Equal(t, []byte{4, 1, 0, 21}, answer[:4])
	assert.Equal(t, []byte{0xFD, 0x20, 0}, answer[8:11])
	require.NoError(t, db.Ping(), "the connection goes on")
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	db := connect(t, handler(func(ctx context.Context, s *tds.Session, q tds.Query, a *tds.Answer) error {
		return one(tds.Bit(), s.InTransaction())(ctx, s, q, a)
	}))
	c, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	inside := func(q interface {
		QueryRowContext(context.Context, string, ...any) *sql.Row
	}) (yes bool) {
		require.NoError(t, q.QueryRowContext(t.Context(), "select in transaction").Scan(&yes))
		return yes
	}
	for _, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
		assert.False(t, inside(c))
		tx, err := c.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelSerializable})
		require.NoError(t, err)
		assert.True(t, inside(tx))
		require.NoError(t, end(tx))
	}
	assert.False(t, inside(c))
}

// keeper counts what happens to sessions.
type keeper struct {
	handler
	events chan string
	refuse error
}

func (k keeper) Open(s *tds.Session) error {
	k.events <- "open " + s.Database()
	return k.refuse
}
func (k keeper) Reset(s *tds.Session) { k.events <- "reset " + s.Database() }
func (k keeper) Close(*tds.Session)   { k.events <- "close" }

func TestPooledConnectionIsReset(t *testing.T) {
	t.Parallel()
	k := keeper{events: make(chan string, 10), handler: func(_ context.Context, s *tds.Session, _ tds.Query, a *tds.Answer) error {
		k := s.Database()
		if k != "sales" {
			return tds.Message{Number: 50000, Class: 16, Text: "still in " + k}
		}
		return a.UseDatabase("master")
	}}
	db := open(t, dsn(listen(t, newServer(t, k)), "database", "sales"))
	db.SetMaxOpenConns(1)
	for range 2 {
		_, err := db.Exec("USE master")
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
	assert.Equal(t, "open sales", <-k.events)
	assert.Equal(t, "reset sales", <-k.events)
	last := <-k.events
	for last == "reset sales" { // database/sql decides how often
		last = <-k.events
	}
	assert.Equal(t, "close", last)
}

func TestKeeperRefusesLogin(t *testing.T) {
	t.Parallel()
	k := keeper{events: make(chan string, 10), refuse: tds.Message{Number: 4060, State: 1, Class: 11, Text: `Cannot open database "x" requested by the login. The login failed.`}}
	err := open(t, dsn(listen(t, newServer(t, k)), "database", "x")).Ping()
	var e mssql.Error
	require.ErrorAs(t, err, &e)
	require.Len(t, e.All, 2)
	assert.EqualValues(t, 4060, e.All[0].Number)
	assert.EqualValues(t, 18456, e.All[1].Number)
	assert.Equal(t, "open x", <-k.events)
	assert.Empty(t, k.events, "a session that was not let in is not closed")
}
