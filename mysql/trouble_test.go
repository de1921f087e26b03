package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

// bank makes accounts with a fixed sum, in a transactional table and one without transactions.
func bank(t testing.TB, db *sql.DB, n int) {
	t.Helper()
	var vals []string
	for i := range n {
		vals = append(vals, fmt.Sprintf("(%d,1000,REPEAT('p',100))", i))
	}
	all := strings.Join(vals, ",")
	exec1(t, db, "CREATE DATABASE bank; CREATE TABLE bank.a (id INT PRIMARY KEY, v INT, pad VARCHAR(100)); CREATE TABLE bank.b LIKE bank.a",
		"INSERT INTO bank.a VALUES "+all, "INSERT INTO bank.b VALUES "+all, "ANALYZE TABLE bank.a, bank.b")
}

// transfer moves money between the two tables in single transactions until ctx ends, and returns how often it did.
func transfer(ctx context.Context, db *sql.DB, n int) (done int) {
	for ctx.Err() == nil {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			continue
		}
		x := rand.IntN(50)
		_, err1 := tx.ExecContext(ctx, "UPDATE bank.a SET v=v-? WHERE id=?", x, rand.IntN(n))
		_, err2 := tx.ExecContext(ctx, "UPDATE bank.b SET v=v+? WHERE id=?", x, rand.IntN(n))
		if err1 != nil || err2 != nil {
			tx.Rollback()
		} else if tx.Commit() == nil {
			done++
		}
	}
	return done
}

func TestWritersDuringBackup(t *testing.T) {
	t.Parallel()
	for _, mode := range []LockMode{LockAuto, LockTables, LockNone, LockSingle} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			srv, db := startServer(t, nil)
			const n = 3000
			bank(t, db, n)
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			moved := make([]int, 2)
			for i := range moved {
				wg.Go(func() { moved[i] = transfer(ctx, db, n) })
			}
			s := newSource(t, srv, &Options{Lock: mode, ChunkSize: 32 << 10})
			st := newMemStage()
			r, err := s.dump(t.Context(), st, backup.Request{Log: testLog(t)})
			cancel()
			wg.Wait()
			if errors.Is(err, errMoved) {
				t.Skip("never a quiet moment: ", err) // only MySQL without a lock; said to the caller, not hidden
			}
			require.NoError(t, err)
			require.Positive(t, moved[0]+moved[1], "nobody wrote")
			if mode != LockAuto {
				require.Equal(t, mode, r.idx.Server.Lock)
			} else if isMariaDB(srv) {
				require.Equal(t, LockStage, r.idx.Server.Lock)
			}
			require.NotEmpty(t, r.idx.Server.File)
			require.NoError(t, restoreFrom(t.Context(), t, s, st, false, backup.Selection{Name: "bank", As: "again"}))
			require.Equal(t, fmt.Sprint(2*n*1000), query1(t, db, "SELECT (SELECT SUM(v) FROM again.a)+(SELECT SUM(v) FROM again.b)"))
			require.Equal(t, fmt.Sprint(2*n*1000), query1(t, db, "SELECT (SELECT SUM(v) FROM bank.a)+(SELECT SUM(v) FROM bank.b)"))
		})
	}
}

// bigTable fills a table large enough that a dump of it can be interrupted.
func bigTable(t testing.TB, db *sql.DB) {
	t.Helper()
	exec1(t, db, "CREATE DATABASE big; CREATE TABLE big.t (id INT AUTO_INCREMENT PRIMARY KEY, pad CHAR(250)); CREATE TABLE big.my (id INT) ENGINE=MyISAM",
		"INSERT INTO big.t (pad) VALUES "+strings.Repeat("(REPEAT('x',250)),", 999)+"('y')")
	for range 5 {
		exec1(t, db, "INSERT INTO big.t (pad) SELECT pad FROM big.t")
	}
	exec1(t, db, "ANALYZE TABLE big.t")
}

func TestCancelLeavesNothing(t *testing.T) {
	t.Parallel()
	srv, db := startServer(t, nil)
	db.SetMaxOpenConns(1)
	bigTable(t, db)
	s := newSource(t, srv, &Options{ChunkSize: 512 << 10})
	for after := range 12 {
		ctx, cancel := context.WithCancelCause(t.Context())
		st := newMemStage()
		writes := 0
		var mu sync.Mutex
		st.hook = func(string, int) error {
			mu.Lock()
			defer mu.Unlock()
			if writes++; writes > after {
				cancel(errors.New("operator went home"))
			}
			return nil
		}
		if after == 0 {
			time.AfterFunc(3*time.Millisecond, func() { cancel(errors.New("operator went home")) })
		}
		_, err := s.dump(ctx, st, backup.Request{Log: testLog(t)})
		require.ErrorContains(t, err, "operator went home", "cancelled at write %d", after)
		require.ErrorIs(t, verify(t.Context(), st), backup.ErrCorrupt, "a cut-short dump passes for whole")
		wctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
		_, err = db.ExecContext(wctx, "INSERT INTO big.my VALUES (1)")
		require.NoError(t, err, "a lock was left")
		_, err = db.ExecContext(wctx, "ALTER TABLE big.t COMMENT='x"+fmt.Sprint(after)+"'")
		require.NoError(t, err, "a lock was left")
		stop()
		cancel(nil)
	}
	requireNoSessions(t, db)
}

func TestCancelWhileWaitingForTheLock(t *testing.T) {
	t.Parallel()
	srv, db := startServer(t, nil)
	bigTable(t, db)
	// A transaction that has written to a table makes FLUSH TABLES WITH READ LOCK wait.
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.Exec("LOCK TABLES big.my WRITE")
	require.NoError(t, err)
	s := newSource(t, srv, &Options{Lock: LockTables, LockWait: time.Minute})
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err = s.dump(ctx, newMemStage(), backup.Request{Log: testLog(t)})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = tx.Exec("UNLOCK TABLES")
	require.NoError(t, err)
	require.NoError(t, tx.Rollback())
	wctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	_, err = db.ExecContext(wctx, "INSERT INTO big.my VALUES (1)")
	require.NoError(t, err, "the lock came after the cancel and stayed")

	// The wait itself is bounded, and the other ways are tried.
	tx, err = db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.Exec("LOCK TABLES big.my WRITE")
	require.NoError(t, err)
	s = newSource(t, srv, &Options{Lock: LockTables, LockWait: time.Second, LockAttempts: 2})
	_, err = s.dump(t.Context(), newMemStage(), backup.Request{Log: testLog(t)})
	require.EqualValues(t, erLockWait, number(err), "%v", err)
	require.Contains(t, backup.Hint(err), "PROCESSLIST")
	require.NoError(t, tx.Rollback())
}

func TestServerDiesMidDump(t *testing.T) {
	t.Parallel()
	srv, db := startServer(t, nil)
	bigTable(t, db)
	s := newSource(t, srv, &Options{ChunkSize: 512 << 10, Instance: "db1"})
	st := newMemStage()
	var once sync.Once
	st.hook = func(name string, n int) error {
		if strings.HasSuffix(name, ".tsv") && n > 0 {
			once.Do(srv.Kill)
		}
		return nil
	}
	_, err := s.dump(t.Context(), st, backup.Request{Log: testLog(t)})
	require.Error(t, err)
	var e *backup.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, "db1", e.Instance)
	assert.Contains(t, backup.Hint(err), "not reachable or broke the connection", "%v", err)
	require.ErrorIs(t, verify(t.Context(), st), backup.ErrCorrupt)
	require.NoError(t, srv.Restart(t.Context()))
	st, _ = dumpTo(t, s)
	require.NotEmpty(t, st.files)
}

func TestStageFails(t *testing.T) {
	t.Parallel()
	srv, db := startServer(t, nil)
	bigTable(t, db)
	s := newSource(t, srv, &Options{ChunkSize: 512 << 10})
	st := newMemStage()
	st.hook = func(name string, n int) error {
		if n > 0 && strings.HasSuffix(name, ".tsv") {
			return backup.ErrStageFull
		}
		return nil
	}
	_, err := s.dump(t.Context(), st, backup.Request{Log: testLog(t)})
	require.ErrorIs(t, err, backup.ErrStageFull)
	exec1(t, db, "ALTER TABLE big.t COMMENT='free'")
}

func TestCutShortIsDetected(t *testing.T) {
	t.Parallel()
	srv, db := startServer(t, nil)
	bigTable(t, db)
	exec1(t, db, "CREATE VIEW big.v AS SELECT 1 AS one")
	s := newSource(t, srv, &Options{ChunkSize: 2 << 20})
	whole, _ := dumpTo(t, s)
	dropAll(t, db)
	chunk := "big/t/data.00002.tsv"
	require.Contains(t, whole.files, chunk)
	for name, damage := range map[string]func(f map[string][]byte){
		"no index":       func(f map[string][]byte) { delete(f, indexName) },
		"half an index":  func(f map[string][]byte) { f[indexName] = f[indexName][:len(f[indexName])/2] },
		"chunk missing":  func(f map[string][]byte) { delete(f, chunk) },
		"chunk shorter":  func(f map[string][]byte) { f[chunk] = f[chunk][:len(f[chunk])-10] },
		"chunk unknown":  func(f map[string][]byte) { f["big/t/data.00099.tsv"] = nil },
		"view missing":   func(f map[string][]byte) { delete(f, "big/v/view.sql") },
		"rows replaced":  func(f map[string][]byte) { f[chunk] = []byte(strings.Replace(string(f[chunk]), "\n", "x", 1)) },
		"field replaced": func(f map[string][]byte) { f[chunk] = []byte(strings.Replace(string(f[chunk]), "\t", "x", 1)) },
		"one bit":        func(f map[string][]byte) { f[chunk] = append([]byte(nil), f[chunk]...); f[chunk][5000] ^= 1 },
		"bad escape":     func(f map[string][]byte) { f[chunk] = []byte(strings.Replace(string(f[chunk]), "xxx", "x\\q", 1)) },
		"ddl shifted":    func(f map[string][]byte) { f["big/v/view.sql"] = append([]byte("-- "), f["big/v/view.sql"]...) },
	} {
		st := newMemStage()
		for k, v := range whole.files {
			st.files[k] = v
		}
		damage(st.files)
		require.ErrorIs(t, verify(t.Context(), st), backup.ErrCorrupt, name)
		switch name {
		case "rows replaced", "field replaced", "bad escape", "one bit":
			// Found by reading, which a restore does as it goes.
			require.ErrorIs(t, restoreFrom(t.Context(), t, s, st, true), backup.ErrCorrupt, name)
			dropAll(t, db)
			continue
		}
		require.ErrorIs(t, restoreFrom(t.Context(), t, s, st, false), backup.ErrCorrupt, name)
		require.Empty(t, userSchemas(t, db), "%s: the server was changed", name)
	}
}

func TestRestoreRefusesToOverwrite(t *testing.T) {
	t.Parallel()
	srv, db := startServer(t, nil)
	db.SetMaxOpenConns(1)
	exec1(t, db, "CREATE DATABASE x; CREATE TABLE x.t (a INT); CREATE TABLE x.u (a INT); CREATE PROCEDURE x.p() SELECT 1; INSERT INTO x.t VALUES (1)")
	s := newSource(t, srv, nil)
	st, _ := dumpTo(t, s)
	exec1(t, db, "DROP TABLE x.u; CREATE TABLE x.extra (a INT); UPDATE x.t SET a=2")
	before := picture(t, srv, "x")
	err := restoreFrom(t.Context(), t, s, st, false)
	require.ErrorIs(t, err, backup.ErrExists)
	require.ErrorContains(t, err, "`x`.`t`")
	require.ErrorContains(t, err, "procedure `x`.`p`")
	require.NotContains(t, err.Error(), "extra")
	require.Equal(t, before, picture(t, srv, "x"), "a refused restore changed the server")

	require.NoError(t, restoreFrom(t.Context(), t, s, st, true))
	require.Equal(t, "1", query1(t, db, "SELECT a FROM x.t"))
	require.Equal(t, "0", query1(t, db, "SELECT COUNT(*) FROM x.extra"), "what the backup does not hold must stay")

	err = restoreFrom(t.Context(), t, s, st, true, backup.Selection{Name: "nope"})
	require.ErrorIs(t, err, backup.ErrNoBackup)
	require.Contains(t, backup.Hint(err), "x")
	require.ErrorIs(t, restoreFrom(t.Context(), t, s, st, true, backup.Selection{Name: ItemName, As: "y"}), backup.ErrRefused)
	delete(st.meta, indexName)
	st.files[indexName] = []byte(strings.Replace(string(st.files[indexName]), `"flavour": "`, `"flavour": "other`, 1))
	require.ErrorIs(t, restoreFrom(t.Context(), t, s, st, true), backup.ErrRefused, "another flavour")
}

func TestErrorsNameTheThing(t *testing.T) {
	t.Parallel()
	srv, db := startServer(t, nil)
	exec1(t, db, "CREATE USER poor@localhost IDENTIFIED BY 'secret'; CREATE DATABASE x; CREATE TABLE x.t (a INT); GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON *.* TO poor@localhost")
	dsn := func(user string) string { return user + "@unix(" + srv.Socket() + ")/" }
	open := func(dsn string, o *Options) *Source {
		s, err := New(dsn, o)
		require.NoError(t, err)
		t.Cleanup(func() { s.Close() })
		return s
	}
	dump := func(s *Source) error {
		_, err := s.dump(t.Context(), newMemStage(), backup.Request{Log: testLog(t)})
		return err
	}

	err := dump(open(dsn("poor:wrong-pass"), nil))
	var my *driver.MySQLError
	require.ErrorAs(t, err, &my)
	require.EqualValues(t, erAccessDenied, my.Number)
	require.Contains(t, backup.Hint(err), "password")
	require.NotContains(t, err.Error(), "wrong-pass")

	err = dump(open(srv.DSN(), &Options{Include: []string{"nosuch"}}))
	require.ErrorContains(t, err, "nosuch")
	require.Contains(t, backup.Hint(err), "x")
	f := open(srv.DSN(), &Options{Include: []string{"nosuch"}}).Check(t.Context(), backup.StageDir{})
	require.True(t, hasError(f), "%v", f)

	// Without RELOAD a consistent snapshot is still possible, one connection or by comparing.
	poor := open(dsn("poor:secret"), nil)
	require.NoError(t, dump(poor))
	require.False(t, hasError(poor.Check(t.Context(), backup.StageDir{})))
	err = dump(open(dsn("poor:secret"), &Options{Lock: LockTables}))
	require.EqualValues(t, erSpecificAccess, number(err), "%v", err)
	require.Contains(t, backup.Hint(err), "GRANT")
	require.True(t, hasError(open(dsn("poor:secret"), &Options{Lock: LockTables}).Check(t.Context(), backup.StageDir{})))
	require.False(t, hasError(open(srv.DSN(), nil).Check(t.Context(), backup.StageDir{})))

	srv.Kill()
	s := open(srv.DSN(), nil)
	err = dump(s)
	require.Contains(t, backup.Hint(err), "not reachable", "%v", err)
	require.True(t, hasError(s.Check(t.Context(), backup.StageDir{})))
}

func hasError(f []backup.Finding) bool {
	for _, x := range f {
		if x.Err != nil {
			return true
		}
	}
	return false
}
