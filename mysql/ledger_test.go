package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/internal/dbserver"
)

// entry is what the workload knows of one moment: the state behind a transaction.
type entry struct {
	gtid  string
	at    time.Time // by the clock of the server, when the transaction had returned
	state string
}

// workload writes to a server over one session and keeps a ledger.
type workload struct {
	t      *testing.T
	db     *sql.DB
	c      *sql.Conn
	rnd    *rand.Rand
	n      int
	extra  int // columns added so far
	ledger []entry
}

func newWorkload(t *testing.T, db *sql.DB) *workload {
	t.Helper()
	c, err := db.Conn(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	w := &workload{t: t, db: db, c: c, rnd: rand.New(rand.NewPCG(7, 9))}
	w.do("CREATE DATABASE books", "USE books",
		"CREATE TABLE account (id INT AUTO_INCREMENT PRIMARY KEY, v BIGINT, f FLOAT, at TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), note VARCHAR(200), twice BIGINT AS (v * 2))",
		"CREATE TABLE audit (id INT AUTO_INCREMENT PRIMARY KEY, account INT, what TEXT) ENGINE=InnoDB",
		"CREATE TRIGGER tr AFTER UPDATE ON account FOR EACH ROW INSERT INTO audit (account, what) VALUES (NEW.id, CONCAT(OLD.v, ' to ', NEW.v))",
		"INSERT INTO account (v, f, note) SELECT seq, seq / 3, REPEAT('n', seq % 100) FROM seq_1_to_500")
	return w
}

func (w *workload) do(qs ...string) {
	w.t.Helper()
	for _, q := range qs {
		_, err := w.c.ExecContext(w.t.Context(), q)
		require.NoError(w.t, err, q)
	}
}

// fingerprint is equal for equal content. CHECKSUM TABLE is not: on MariaDB 10.11 two equal tables with a virtual column were seen to differ in it.
func fingerprint(ctx context.Context, t *testing.T, db *sql.DB) string {
	t.Helper()
	rows, err := db.QueryContext(ctx, "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA='books' AND TABLE_TYPE='BASE TABLE' ORDER BY 1")
	require.NoError(t, err)
	defer rows.Close()
	var names []string
	for rows.Next() {
		var n string
		require.NoError(t, rows.Scan(&n))
		names = append(names, n)
	}
	require.NoError(t, rows.Err())
	var out strings.Builder
	for _, n := range names {
		var columns, table, ddl, sums string
		require.NoError(t, db.QueryRowContext(ctx, "SELECT GROUP_CONCAT(CONCAT('BIT_XOR(CRC32(CONCAT(id, '':'', IFNULL(HEX(CONCAT(', COLUMN_NAME, IF(DATA_TYPE = 'float', ' + 0e0', ''), ')), ''NULL''))))') ORDER BY ORDINAL_POSITION SEPARATOR ', '' '', ') FROM information_schema.COLUMNS WHERE TABLE_SCHEMA='books' AND TABLE_NAME='"+n+"'").Scan(&columns))
		require.NoError(t, db.QueryRowContext(ctx, "SELECT CONCAT(COUNT(*), ' ', "+columns+") FROM books."+n).Scan(&sums))
		require.NoError(t, db.QueryRowContext(ctx, "SHOW CREATE TABLE books."+n).Scan(&table, &ddl))
		// The counter of a table is no part of its content: what was rolled back moves it.
		if i := strings.Index(ddl, " AUTO_INCREMENT="); i >= 0 {
			j := strings.IndexByte(ddl[i+1:], ' ')
			ddl = ddl[:i] + ddl[i+1+j:]
		}
		fmt.Fprintf(&out, "%s %s %s\n", n, sums, ddl)
	}
	return out.String()
}

// run commits n transactions and notes each.
func (w *workload) run(n int) {
	w.t.Helper()
	for range n {
		w.n++
		w.one()
		var gtid, at string
		require.NoError(w.t, w.c.QueryRowContext(w.t.Context(), "SELECT @@last_gtid, SYSDATE(6)").Scan(&gtid, &at))
		when, err := time.Parse("2006-01-02 15:04:05", at)
		require.NoError(w.t, err)
		w.ledger = append(w.ledger, entry{gtid: gtid, at: when, state: fingerprint(w.t.Context(), w.t, w.db)})
	}
}

// one is one transaction of some kind.
func (w *workload) one() {
	id := func() int { return 1 + w.rnd.IntN(500) }
	switch k := w.rnd.IntN(20); {
	case k < 8:
		w.do(fmt.Sprintf("UPDATE account SET v = v + %d WHERE id IN (%d, %d)", w.n, id(), id()), fmt.Sprintf("INSERT INTO account (v, f, note) VALUES (%d, RAND(), UUID())", w.n))
	case k < 12:
		w.do("BEGIN", fmt.Sprintf("UPDATE account SET v = %d WHERE id = %d", w.n, id()), "SAVEPOINT a", fmt.Sprintf("DELETE FROM account WHERE id = %d", id()), "ROLLBACK TO a",
			fmt.Sprintf("INSERT INTO account (v, note) VALUES (%d, 'in a transaction')", w.n), "COMMIT")
	case k < 14:
		w.do("BEGIN", fmt.Sprintf("UPDATE account SET v = -1 WHERE id = %d", id()), "ROLLBACK", fmt.Sprintf("INSERT INTO audit (what) VALUES ('%d')", w.n))
	case k < 16:
		w.do("CREATE TEMPORARY TABLE tmp AS SELECT * FROM account LIMIT 10", "INSERT INTO audit (what) SELECT CONCAT('tmp ', v) FROM tmp", "DROP TEMPORARY TABLE tmp", fmt.Sprintf("DELETE FROM account WHERE id = %d", 500+w.n))
	case k < 17:
		w.extra++
		w.do(fmt.Sprintf("ALTER TABLE account ADD COLUMN c%d INT DEFAULT %d", w.extra, w.n))
	case k < 18:
		w.do(fmt.Sprintf("CREATE TABLE extra%d (id INT PRIMARY KEY, v INT)", w.n), fmt.Sprintf("INSERT INTO extra%d VALUES (1, %d)", w.n, w.n))
	case k < 19:
		w.do(fmt.Sprintf("UPDATE account SET note = REPEAT('%d ', 20)", w.n))
	default:
		w.do("SET binlog_format = 'STATEMENT'", fmt.Sprintf("UPDATE account SET v = v + 1 WHERE id < %d", id()), "SET binlog_format = 'ROW'")
	}
}

// pause waits for the next second, which is as fine as the log of MariaDB knows times.
func (w *workload) pause() time.Time {
	w.t.Helper()
	var at string
	require.NoError(w.t, w.c.QueryRowContext(w.t.Context(), "SELECT SYSDATE(6), SLEEP(1.001 - MICROSECOND(SYSDATE(6)) / 1e6)").Scan(&at, new(any)))
	when, err := time.Parse("2006-01-02 15:04:05", at)
	require.NoError(w.t, err)
	return when.Truncate(time.Second).Add(time.Second)
}

func TestRestoreToEveryTransactionOfALedger(t *testing.T) {
	t.Parallel()
	srv, db := startServer(t, &dbserver.Options{Binlog: true, LocalInfile: true, Args: []string{"--default-time-zone=+00:00", "--max-binlog-size=65536"}})
	if srv.Installation().Flavour != dbserver.MariaDB {
		t.Skip("the workload speaks MariaDB")
	}
	src := newSource(t, srv, nil)
	p, err := backup.New(backup.Config{Job: "books", Source: src, Sink: backuptest.NewMemSink(), Logger: testLog(t)})
	require.NoError(t, err)
	take := func(kind backup.Kind) *backup.Manifest {
		t.Helper()
		m, err := p.Backup(t.Context(), kind)
		require.NoError(t, err)
		require.Equal(t, kind, m.Items[0].Kind, m.Items[0].Reason)
		return m
	}
	w := newWorkload(t, db)
	w.run(5)
	w.ledger = nil // what comes before the full cannot be told apart
	take(backup.Full)
	times := map[time.Time]int{} // how much of the ledger had happened by then
	for round := range 4 {
		for range 3 {
			w.run(6)
			times[w.pause()] = len(w.ledger)
		}
		if round%2 == 1 {
			w.do("FLUSH BINARY LOGS")
		}
		take(backup.Log)
	}
	report, err := p.Verify(t.Context(), backup.VerifyOptions{Level: backup.ProofFormat})
	require.NoError(t, err)
	require.Empty(t, report.Bad)

	restore := func(target backup.Target, options map[string]string) string {
		t.Helper()
		plan, err := p.Plan(t.Context(), target)
		require.NoError(t, err)
		all := map[string]string{"binlog": "off"}
		for k, v := range options {
			all[k] = v
		}
		_, err = db.ExecContext(t.Context(), "SET GLOBAL event_scheduler = OFF")
		require.NoError(t, err)
		_, err = db.ExecContext(t.Context(), "DROP DATABASE books")
		require.NoError(t, err)
		require.NoError(t, p.Restore(t.Context(), plan, backup.RestoreOptions{Overwrite: true, Options: all}))
		return fingerprint(t.Context(), t, db)
	}
	assert.Equal(t, w.ledger[len(w.ledger)-1].state, restore(backup.Target{}, nil), "the latest state")
	for at, n := range times {
		assert.Equal(t, w.ledger[n-1].state, restore(backup.Target{Time: at}, nil), "to %s", at)
	}
	tries := 30
	if testing.Short() {
		tries = 5
	}
	for range tries {
		i := w.rnd.IntN(len(w.ledger))
		assert.Equal(t, w.ledger[i].state, restore(backup.Target{}, map[string]string{"stop_at_gtid": w.ledger[i].gtid}), "behind %s", w.ledger[i].gtid)
	}
	plan, err := p.Plan(t.Context(), backup.Target{})
	require.NoError(t, err)
	before := fingerprint(t.Context(), t, db)
	err = p.Restore(t.Context(), plan, backup.RestoreOptions{Overwrite: true, Options: map[string]string{"stop_at_gtid": "0-1-99999999"}})
	require.ErrorIs(t, err, backup.ErrNoBackup)
	assert.Equal(t, before, fingerprint(t.Context(), t, db), "a place that is not there must be found out before anything is touched")
}
