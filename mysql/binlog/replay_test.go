package binlog_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/dbserver"
	"github.com/quiesce-go/quiesce/mysql/binlog"
)

// conn is binlog.Conn over database/sql.
type conn struct{ *sql.Conn }

func (c conn) Exec(ctx context.Context, statement string) error {
	_, err := c.ExecContext(ctx, statement)
	return err
}

func (c conn) Row(ctx context.Context, query string) ([]string, error) {
	var a, b string
	err := c.QueryRowContext(ctx, query).Scan(&a, &b)
	return []string{a, b}, err
}

// server starts a private server and skips the test where there is none.
func server(t *testing.T) *sql.DB {
	t.Helper()
	srv, err := dbserver.Start(t.Context(), &dbserver.Options{Binlog: true})
	if errors.Is(err, dbserver.ErrNotInstalled) && os.Getenv("QUIESCE_MYSQL_REQUIRED") == "" {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, srv.Stop()) })
	db, err := sql.Open("mysql", srv.DSN())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}

// replay replays a file up to the transaction for which stop is true.
func replay(t *testing.T, db *sql.DB, r io.Reader, o binlog.ReplayOptions, stop func(*binlog.Transaction) bool) error {
	t.Helper()
	c, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer c.Close()
	o.MariaDB = true
	if o.MaxPacket == 0 {
		o.MaxPacket = 16 << 20
	}
	rep, err := binlog.NewReplayer(conn{c}, o)
	require.NoError(t, err)
	for w := binlog.NewWalker(r); ; {
		st, err := w.Next()
		if err == io.EOF {
			return rep.Finish(t.Context())
		}
		if err != nil {
			return err
		}
		if st.First && stop != nil && stop(st.Transaction) {
			return rep.Finish(t.Context())
		}
		if err := rep.Apply(t.Context(), st); err != nil {
			return err
		}
	}
}

func genuine(t *testing.T, name string) *os.File {
	t.Helper()
	dir := os.Getenv("QUIESCE_TESTDATA")
	if dir == "" {
		t.Skip("QUIESCE_TESTDATA is not set")
	}
	f, err := os.Open(filepath.Join(dir, "mysql", name))
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func sum(t *testing.T, db *sql.DB, table string) (n int64) {
	t.Helper()
	var name string
	require.NoError(t, db.QueryRowContext(t.Context(), "CHECKSUM TABLE "+table).Scan(&name, &n))
	return n
}

func TestGenuineLogsOfMariaDB(t *testing.T) {
	db := server(t)
	for _, name := range []string{"mariadb-10.11-row.binlog", "mariadb-10.11-compressed.binlog"} {
		t.Run(name, func(t *testing.T) {
			_, err := db.ExecContext(t.Context(), "DROP DATABASE IF EXISTS blsmall")
			require.NoError(t, err)
			require.NoError(t, replay(t, db, genuine(t, name), binlog.ReplayOptions{}, nil))
			assert.Equal(t, int64(613528849), sum(t, db, "blsmall.t"))
			assert.Equal(t, int64(4003597263), sum(t, db, "blsmall.audit"))
		})
	}
}
