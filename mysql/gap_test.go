package mysql

import (
	"context"
	"database/sql"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/internal/dbserver"
)

// chain is a job with a full and a log on a server of its own.
type chain struct {
	*testing.T
	srv  *dbserver.Server
	db   *sql.DB
	sink *backuptest.MemSink
}

func newChain(t *testing.T) *chain {
	t.Helper()
	srv, db := startServer(t, &dbserver.Options{Binlog: true, LocalInfile: true})
	c := &chain{T: t, srv: srv, db: db, sink: backuptest.NewMemSink()}
	c.do("CREATE DATABASE d", "CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "INSERT INTO d.t (v) VALUES (1)")
	require.Equal(t, backup.Full, c.take(c.srv, backup.Full).Kind)
	c.do("INSERT INTO d.t (v) VALUES (2)")
	require.Equal(t, backup.Log, c.take(c.srv, backup.Log).Kind)
	c.do("INSERT INTO d.t (v) VALUES (3)")
	return c
}

func (c *chain) do(qs ...string) {
	c.Helper()
	for _, q := range qs {
		_, err := c.db.ExecContext(c.Context(), q)
		require.NoError(c, err, q)
	}
}

func (c *chain) pipeline(srv *dbserver.Server) *backup.Pipeline {
	c.Helper()
	p, err := backup.New(backup.Config{Job: "d", Source: newSource(c, srv, &Options{Instance: "db"}), Sink: c.sink, Logger: testLog(c)})
	require.NoError(c, err)
	return p
}

func (c *chain) take(srv *dbserver.Server, kind backup.Kind) backup.Item {
	c.Helper()
	m, err := c.pipeline(srv).Backup(c.Context(), kind)
	require.NoError(c, err)
	require.Len(c, m.Items, 1)
	return m.Items[0]
}

// alone waits until nobody follows the log: what somebody reads is not purged, and a reader that has just left counts for a moment.
func (c *chain) alone() {
	c.Helper()
	require.Eventually(c, func() bool {
		var n int
		err := c.db.QueryRowContext(c.Context(), "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'").Scan(&n)
		return err == nil && n == 0
	}, time.Minute, 20*time.Millisecond)
}

// promoted demands that the next log becomes a full for a reason that is told, that log follows it, and that both restore.
func (c *chain) promoted(srv *dbserver.Server, db *sql.DB, reason string) {
	c.Helper()
	it := c.take(srv, backup.Log)
	require.Equal(c, backup.Full, it.Kind)
	assert.Regexp(c, reason, it.Reason)
	_, err := db.ExecContext(c.Context(), "INSERT INTO d.t (v) VALUES (99)")
	require.NoError(c, err)
	it = c.take(srv, backup.Log)
	require.Equal(c, backup.Log, it.Kind, it.Reason)
	want := rowsOf(c.Context(), c.T, db)
	_, err = db.ExecContext(c.Context(), "DROP DATABASE d")
	require.NoError(c, err)
	p := c.pipeline(srv)
	plan, err := p.Plan(c.Context(), backup.Target{})
	require.NoError(c, err)
	require.Len(c, plan.Steps, 2, "log from before the gap must not be applied to what came after it")
	require.NoError(c, p.Restore(c.Context(), plan, backup.RestoreOptions{Options: map[string]string{"binlog": "off"}}))
	assert.Equal(c, want, rowsOf(c.Context(), c.T, db))
}

func rowsOf(ctx context.Context, t *testing.T, db *sql.DB) (all string) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(ctx, "SELECT CONCAT(COUNT(*), ' rows: ', LEFT(GROUP_CONCAT(CONCAT(id, '=', v) ORDER BY id), 2000), BIT_XOR(CRC32(CONCAT(id, '=', v)))) FROM d.t").Scan(&all))
	return all
}

func TestLogThatWasPurged(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	var file, x string
	c.do("FLUSH BINARY LOGS", "INSERT INTO d.t (v) VALUES (4)", "FLUSH BINARY LOGS")
	require.NoError(t, c.db.QueryRowContext(t.Context(), "SHOW MASTER STATUS").Scan(&file, &x, &x, &x))
	c.alone()
	require.Eventually(t, func() bool { // what the server may need for its own recovery stays for a moment
		var first string
		c.do("PURGE BINARY LOGS TO '" + file + "'")
		rows, err := c.db.QueryContext(t.Context(), "SHOW BINARY LOGS")
		require.NoError(t, err)
		defer rows.Close()
		return rows.Next() && rows.Scan(&first, &x) == nil && first == file
	}, time.Minute, 50*time.Millisecond)
	c.promoted(c.srv, c.db, `is gone from the server, whose oldest binary log is .*: it was purged before it was backed up`)
}

func TestLogThatWasReset(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.alone()
	c.do("RESET MASTER", "INSERT INTO d.t (v) VALUES (5)")
	c.promoted(c.srv, c.db, `it was reset|binary log was reset`)
}

// A reset server that has written more than before has a file of the old name, longer than the old one, and higher numbers.
func TestLogThatWasResetAndOvertookItself(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.alone()
	time.Sleep(1100 * time.Millisecond) // files tell when they were made to the second
	c.do("RESET MASTER")
	for range 40 {
		c.do("INSERT INTO d.t (v) VALUES (6)")
	}
	c.promoted(c.srv, c.db, `is another file than the one of that name before: the binary log was reset`)
}

func TestLogOfAnotherServer(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	other, db := startServer(t, &dbserver.Options{Binlog: true, LocalInfile: true, Args: []string{"--server-id=4711"}})
	for _, q := range []string{"CREATE DATABASE d", "CREATE TABLE d.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "INSERT INTO d.t (v) VALUES (7)"} {
		_, err := db.ExecContext(t.Context(), q)
		require.NoError(t, err)
	}
	c.promoted(other, db, `is of another server`)
}

func TestLogFileThatWasCut(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	var base, file, x string
	require.NoError(t, c.db.QueryRowContext(t.Context(), "SELECT @@log_bin_basename").Scan(&base))
	require.NoError(t, c.db.QueryRowContext(t.Context(), "SHOW MASTER STATUS").Scan(&file, &x, &x, &x))
	c.do("FLUSH BINARY LOGS", "INSERT INTO d.t (v) VALUES (8)")
	path := base[:len(base)-len("binlog")] + file
	if _, err := os.Stat(path); err != nil {
		path = base + file[len(file)-len(".000001"):]
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(path, info.Size()/2))
	c.promoted(c.srv, c.db, `bytes and had at least`)
}

// A link that dies on its way leaves nothing, and the next one takes what it would have taken.
func TestLogRunThatIsCancelled(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	ctx, cancel := context.WithCancel(t.Context())
	c.sink = backuptest.NewMemSink()
	require.Equal(t, backup.Full, c.take(c.srv, backup.Full).Kind)
	c.do("INSERT INTO d.t (v) SELECT seq FROM d.seq_1_to_200000")
	p, err := backup.New(backup.Config{Job: "d", Source: newSource(c, c.srv, &Options{Instance: "db"}), Sink: c.sink, PartSize: 64 << 10, Logger: testLog(c),
		Events: func(e backup.Event) {
			if _, ok := e.(backup.Progress); ok {
				cancel()
			}
		}})
	require.NoError(t, err)
	if _, err := p.Backup(ctx, backup.Log); err == nil {
		t.Log("the run was over before it could be cancelled")
	} else {
		require.ErrorIs(t, err, context.Canceled)
	}
	cancel()
	it := c.take(c.srv, backup.Log)
	require.Equal(t, backup.Log, it.Kind, it.Reason)
	want := rowsOf(t.Context(), t, c.db)
	c.do("DROP DATABASE d")
	plan, err := c.pipeline(c.srv).Plan(t.Context(), backup.Target{})
	require.NoError(t, err)
	require.NoError(t, c.pipeline(c.srv).Restore(t.Context(), plan, backup.RestoreOptions{Options: map[string]string{"binlog": "off"}}))
	assert.Equal(t, want, rowsOf(t.Context(), t, c.db))
}
