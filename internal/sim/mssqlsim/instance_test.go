package mssqlsim_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	mssql "github.com/microsoft/go-mssqldb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// bench is an instance behind a port, a clock that moves a minute at each look, and a connection of the genuine driver.
type bench struct {
	*testing.T
	instance *mssqlsim.Instance
	media    *mssqlsim.MemoryMedia
	db       *sql.DB
	conn     *sql.Conn

	mu    sync.Mutex
	clock time.Time
}

func (b *bench) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clock = b.clock.Add(time.Minute)
	return b.clock
}

func newBench(t *testing.T, change ...func(*mssqlsim.Config)) *bench {
	t.Helper()
	b := &bench{T: t, media: mssqlsim.NewMemoryMedia(`S:\backup`), clock: time.Date(2026, 3, 1, 8, 0, 0, 0, time.FixedZone("", 3600))}
	c := mssqlsim.Config{Name: "SIM", Now: b.now, Media: b.media}
	for _, f := range change {
		f(&c)
	}
	var err error
	b.instance, err = mssqlsim.New(c)
	require.NoError(t, err)
	require.NoError(t, b.instance.CreateDatabase("sales", mssqlsim.Full))
	server, err := tds.NewServer(tds.Config{Name: "SIM", Users: map[string]string{"sa": "secret"}, Handler: b.instance})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { assert.NoError(t, server.Serve(ctx, l)) })
	t.Cleanup(func() { cancel(); serving.Wait() })
	u := url.URL{Scheme: "sqlserver", User: url.UserPassword("sa", "secret"), Host: l.Addr().String(), RawQuery: "database=master&encrypt=disable"}
	connector, err := mssql.NewConnector(u.String())
	require.NoError(t, err)
	b.db = sql.OpenDB(connector)
	t.Cleanup(func() { _ = b.db.Close() })
	b.conn, err = b.db.Conn(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.conn.Close() })
	return b
}

// as is the MOVE clauses that put the files of sales elsewhere, for a copy of that name.
func as(name string) string {
	return "MOVE 'sales' TO 'S:\\data\\" + name + ".mdf', MOVE 'sales_log' TO 'S:\\data\\" + name + ".ldf'"
}

// run executes statements that must succeed.
func (b *bench) run(statements ...string) {
	b.Helper()
	for _, s := range statements {
		_, err := b.conn.ExecContext(b.Context(), s)
		require.NoError(b, err, s)
	}
}

// fails executes a statement and returns the numbers of its errors in order.
func (b *bench) fails(statement string) []int32 {
	b.Helper()
	_, err := b.conn.ExecContext(b.Context(), statement)
	return numbers(b.T, err, statement)
}

func numbers(t *testing.T, err error, what string) (all []int32) {
	t.Helper()
	var e mssql.Error
	require.ErrorAs(t, err, &e, what)
	for _, x := range e.All {
		all = append(all, x.Number)
	}
	return all
}

func (b *bench) insert(texts ...string) {
	b.Helper()
	for _, x := range texts {
		require.NoError(b, b.instance.Insert("sales", x))
	}
}

func (b *bench) holds(database string, want ...string) {
	b.Helper()
	got, err := b.instance.Contents(database)
	require.NoError(b, err)
	assert.Equal(b, want, got)
}

// row reads one row by column name.
func (b *bench) row(query string, args ...any) map[string]any {
	b.Helper()
	rows, err := b.conn.QueryContext(b.Context(), query, args...)
	require.NoError(b, err, query)
	defer func() { require.NoError(b, rows.Close()) }()
	names, err := rows.Columns()
	require.NoError(b, err)
	require.True(b, rows.Next(), "no row: %s %v", query, rows.Err())
	values, into := make([]any, len(names)), make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	require.NoError(b, rows.Scan(into...))
	m := map[string]any{}
	for i, n := range names {
		m[n] = values[i]
		if raw, ok := values[i].([]byte); ok {
			m[n] = string(raw)
		}
	}
	return m
}

// chain makes a full, a differential and two log backups of sales, with records between them.
func (b *bench) chain() {
	b.insert("one")
	b.run(`BACKUP DATABASE [sales] TO DISK = N'S:\backup\full.bak' WITH INIT, CHECKSUM, NAME = N'nightly'`)
	b.insert("two")
	b.run(`BACKUP LOG sales TO DISK = 'S:\backup\log1.trn' WITH INIT`)
	b.insert("three")
	b.run(`BACKUP DATABASE sales TO DISK = 'S:\backup\diff.bak' WITH INIT, DIFFERENTIAL`)
	b.insert("four")
	b.run(`BACKUP LOG sales TO DISK = 'S:\backup\log2.trn' WITH INIT`)
}

func TestChainFitsTogether(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.chain()
	header := func(file string) map[string]any {
		return b.row("RESTORE HEADERONLY FROM DISK = @p1", `S:\backup\`+file)
	}
	full, log1, diff, log2 := header("full.bak"), header("log1.trn"), header("diff.bak"), header("log2.trn")
	assert.Equal(t, "nightly", full["BackupName"])
	assert.Equal(t, true, full["HasBackupChecksums"])
	assert.EqualValues(t, 1, full["BackupType"])
	assert.EqualValues(t, 5, diff["BackupType"])
	assert.EqualValues(t, 2, log1["BackupType"])
	assert.Equal(t, full["CheckpointLSN"], diff["DatabaseBackupLSN"])
	assert.Equal(t, full["CheckpointLSN"], diff["DifferentialBaseLSN"])
	assert.Equal(t, full["BackupSetGUID"], diff["DifferentialBaseGUID"])
	assert.Equal(t, full["FirstLSN"], log1["FirstLSN"])
	assert.Equal(t, log1["LastLSN"], log2["FirstLSN"])
	assert.Less(t, log1["LastLSN"], log2["LastLSN"])
	assert.Equal(t, true, log1["BeginsLogChain"])
	assert.Equal(t, false, log2["BeginsLogChain"])
	assert.Equal(t, full["FamilyGUID"], log2["FamilyGUID"])
	assert.Nil(t, full["DifferentialBaseGUID"])
	label := b.row(`RESTORE LABELONLY FROM DISK = 'S:\backup\full.bak'`)
	assert.EqualValues(t, 1, label["FamilyCount"])
	file := b.row(`RESTORE FILELISTONLY FROM DISK = 'S:\backup\full.bak'`)
	assert.Equal(t, "sales", file["LogicalName"])
	assert.Equal(t, "D", file["Type"])
	b.run(`RESTORE VERIFYONLY FROM DISK = 'S:\backup\full.bak' WITH CHECKSUM`)
	newest := b.row("SELECT * FROM msdb.dbo.backupset WHERE database_name = @p1 AND type = 'L' ORDER BY backup_set_id DESC", "SALES")
	assert.Equal(t, log2["LastLSN"], newest["last_lsn"])
	assert.Equal(t, log2["LastLSN"], b.row("SELECT last_log_backup_lsn FROM sys.database_recovery_status WHERE database_id = 5")["last_log_backup_lsn"])
}

func TestCopyOnlyIsIgnoredWithDifferential(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run(`BACKUP DATABASE sales TO DISK = 'S:\backup\x' WITH COPY_ONLY`, `BACKUP DATABASE sales TO DISK = 'S:\backup\x'`,
		`BACKUP DATABASE sales TO DISK = 'S:\backup\y' WITH DIFFERENTIAL, COPY_ONLY`)
	assert.Equal(t, true, b.row(`RESTORE HEADERONLY FROM DISK = 'S:\backup\x'`)["IsCopyOnly"])
	assert.Equal(t, false, b.row(`RESTORE HEADERONLY FROM DISK = 'S:\backup\y'`)["IsCopyOnly"])
}

func TestRestoreUnderAnotherName(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.chain()
	b.insert("never backed up")
	b.run(`RESTORE DATABASE copy FROM DISK = 'S:\backup\full.bak' WITH NORECOVERY, MOVE 'sales' TO 'S:\data\copy.mdf', MOVE 'sales_log' TO 'S:\data\copy.ldf'`,
		`RESTORE DATABASE copy FROM DISK = 'S:\backup\diff.bak' WITH NORECOVERY`,
		`RESTORE LOG copy FROM DISK = 'S:\backup\log2.trn' WITH NORECOVERY`)
	assert.Equal(t, "RESTORING", b.row("SELECT state_desc FROM sys.databases WHERE name = 'copy'")["state_desc"])
	_, err := b.instance.Contents("copy")
	require.Error(t, err)
	b.run("RESTORE DATABASE copy WITH RECOVERY")
	b.holds("copy", "one", "two", "three", "four")
	assert.Equal(t, `S:\data\copy.mdf`, b.row("SELECT physical_name FROM sys.master_files WHERE name = 'sales' AND database_id = 6")["physical_name"])
}

func TestRestoreToAMoment(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.insert("one")
	b.run(`BACKUP DATABASE sales TO DISK = 'S:\backup\full.bak' WITH INIT`)
	b.insert("two")
	moment := b.now().Format("2006-01-02T15:04:05")
	b.insert("three")
	b.run(`BACKUP LOG sales TO DISK = 'S:\backup\log1.trn' WITH INIT`)
	b.insert("four")
	b.run(`BACKUP LOG sales TO DISK = 'S:\backup\old.trn' WITH INIT`)
	b.instance.DropDatabase("sales")
	b.run(`RESTORE DATABASE sales FROM DISK = 'S:\backup\full.bak' WITH NORECOVERY`,
		`RESTORE LOG sales FROM DISK = 'S:\backup\log1.trn' WITH RECOVERY, STOPAT = '`+moment+`'`)
	b.holds("sales", "one", "two")
	// Another future begins: its log does not fit the old one, nor the other way round.
	b.insert("another three")
	b.run(`BACKUP LOG sales TO DISK = 'S:\backup\new.trn' WITH INIT`)
	b.run(`RESTORE DATABASE c FROM DISK = 'S:\backup\full.bak' WITH NORECOVERY, `+as("c"), `RESTORE LOG c FROM DISK = 'S:\backup\log1.trn' WITH NORECOVERY`)
	assert.Equal(t, []int32{4330, 3013}, b.fails(`RESTORE LOG c FROM DISK = 'S:\backup\new.trn' WITH NORECOVERY`))
	b.run(`RESTORE LOG c FROM DISK = 'S:\backup\old.trn' WITH RECOVERY`)
	b.holds("c", "one", "two", "three", "four")
	b.run(`RESTORE DATABASE d FROM DISK = 'S:\backup\full.bak' WITH NORECOVERY, `+as("d"),
		`RESTORE LOG d FROM DISK = 'S:\backup\log1.trn' WITH NORECOVERY, STOPAT = '`+moment+`'`,
		`RESTORE LOG d FROM DISK = 'S:\backup\new.trn' WITH RECOVERY`)
	b.holds("d", "one", "two", "another three")
}

func TestLogThatEndsBeforeTheMoment(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.chain()
	later := b.now().Add(time.Hour).Format("2006-01-02T15:04:05")
	b.run(`RESTORE DATABASE c FROM DISK = 'S:\backup\full.bak' WITH NORECOVERY, `+as("c"), `RESTORE LOG c FROM DISK = 'S:\backup\log1.trn' WITH RECOVERY, STOPAT = '`+later+`'`)
	assert.Equal(t, "RESTORING", b.row("SELECT state_desc FROM sys.databases WHERE name = 'c'")["state_desc"])
}

func TestMomentThatIsOver(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.chain()
	early := b.now().Add(-24 * time.Hour).Format("2006-01-02T15:04:05")
	b.run(`RESTORE DATABASE c FROM DISK = 'S:\backup\full.bak' WITH NORECOVERY, ` + as("c"))
	assert.Equal(t, []int32{4335, 3013}, b.fails(`RESTORE LOG c FROM DISK = 'S:\backup\log1.trn' WITH NORECOVERY, STOPAT = '`+early+`'`))
	b.run(`RESTORE LOG c FROM DISK = 'S:\backup\log1.trn' WITH RECOVERY`)
	b.holds("c", "one", "two")
}

func TestTailOfTheLog(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.chain()
	assert.Equal(t, []int32{3159, 3013}, b.fails(`RESTORE DATABASE sales FROM DISK = 'S:\backup\full.bak' WITH NORECOVERY`))
	b.insert("tail")
	b.run(`BACKUP LOG sales TO DISK = 'S:\backup\tail.trn' WITH INIT, NORECOVERY`,
		`RESTORE DATABASE sales FROM DISK = 'S:\backup\full.bak' WITH NORECOVERY`)
	for _, log := range []string{"log1", "log2", "tail"} {
		b.run(`RESTORE LOG sales FROM DISK = 'S:\backup\` + log + `.trn' WITH NORECOVERY`)
	}
	b.run(`RESTORE DATABASE sales WITH RECOVERY`)
	b.holds("sales", "one", "two", "three", "four", "tail")
}

func TestRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		first []string
		fails string
		with  []int32
	}{
		{"log of a simple database", []string{"ALTER DATABASE sales SET RECOVERY SIMPLE"}, `BACKUP LOG sales TO DISK = 'S:\backup\x'`, []int32{4208, 3013}},
		{"log before any full", nil, `BACKUP LOG sales TO DISK = 'S:\backup\x'`, []int32{4214, 3013}},
		{"log after a copy-only full", []string{`BACKUP DATABASE sales TO DISK = 'S:\backup\x' WITH COPY_ONLY`}, `BACKUP LOG sales TO DISK = 'S:\backup\y'`, []int32{4214, 3013}},
		{"log after simple and back", []string{`BACKUP DATABASE sales TO DISK = 'S:\backup\x'`, "ALTER DATABASE sales SET RECOVERY SIMPLE", "ALTER DATABASE sales SET RECOVERY FULL"},
			`BACKUP LOG sales TO DISK = 'S:\backup\y'`, []int32{4214, 3013}},
		{"differential without base", nil, `BACKUP DATABASE sales TO DISK = 'S:\backup\x' WITH DIFFERENTIAL`, []int32{3035, 3013}},
		{"differential after copy-only", []string{`BACKUP DATABASE sales TO DISK = 'S:\backup\x' WITH COPY_ONLY`}, `BACKUP DATABASE sales TO DISK = 'S:\backup\y' WITH DIFFERENTIAL`, []int32{3035, 3013}},
		{"differential of master", nil, `BACKUP DATABASE master TO DISK = 'S:\backup\x' WITH DIFFERENTIAL`, []int32{3024, 3013}},
		{"log of master", nil, `BACKUP LOG master TO DISK = 'S:\backup\x'`, []int32{4212, 3013}},
		{"tempdb", nil, `BACKUP DATABASE tempdb TO DISK = 'S:\backup\x'`, []int32{3147, 3013}},
		{"no such database", nil, `BACKUP DATABASE nowhere TO DISK = 'S:\backup\x'`, []int32{911, 3013}},
		{"no such folder", nil, `BACKUP DATABASE sales TO DISK = 'S:\nowhere\x'`, []int32{3201, 3013}},
		{"no such file", nil, `RESTORE DATABASE x FROM DISK = 'S:\backup\x'`, []int32{3201, 3013}},
		{"no such file to look at", nil, `RESTORE HEADERONLY FROM DISK = 'S:\backup\x'`, []int32{3201, 3013}},
		{"roll forward what is online", []string{`BACKUP DATABASE sales TO DISK = 'S:\backup\x'`, `BACKUP LOG sales TO DISK = 'S:\backup\y'`},
			`RESTORE LOG sales FROM DISK = 'S:\backup\y'`, []int32{3117, 3013}},
		{"another database of that name", []string{`BACKUP DATABASE model TO DISK = 'S:\backup\x'`}, `RESTORE DATABASE sales FROM DISK = 'S:\backup\x'`, []int32{3154, 3013}},
		{"one's own database", []string{`BACKUP DATABASE sales TO DISK = 'S:\backup\x'`, "USE sales"}, `RESTORE DATABASE sales FROM DISK = 'S:\backup\x' WITH REPLACE`, []int32{3102, 3013}},
		{"a stripe is missing", []string{`BACKUP DATABASE sales TO DISK = 'S:\backup\x', DISK = 'S:\backup\y'`}, `RESTORE DATABASE c FROM DISK = 'S:\backup\y'`, []int32{3132, 3013}},
		{"a stripe of another set", []string{`BACKUP DATABASE sales TO DISK = 'S:\backup\x'`, `BACKUP DATABASE sales TO DISK = 'S:\backup\y'`},
			`RESTORE DATABASE c FROM DISK = 'S:\backup\x', DISK = 'S:\backup\y'`, []int32{3258, 3013}},
		{"a set that is not there", []string{`BACKUP DATABASE sales TO DISK = 'S:\backup\x'`}, `RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH FILE = 2`, []int32{4038, 3013}},
		{"a log that is none", []string{`BACKUP DATABASE sales TO DISK = 'S:\backup\x'`, `RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH NORECOVERY, ` + as("c")},
			`RESTORE LOG c FROM DISK = 'S:\backup\x'`, []int32{3135, 3013}},
		{"a moment in a simple database", []string{`BACKUP DATABASE msdb TO DISK = 'S:\backup\x'`},
			`RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH STOPAT = '2026-01-01T00:00:00'`, []int32{3145, 3013}},
		{"checksums that are not there", []string{`BACKUP DATABASE sales TO DISK = 'S:\backup\x'`}, `RESTORE VERIFYONLY FROM DISK = 'S:\backup\x' WITH CHECKSUM`, []int32{3187, 3013}},
		{"another number of stripes", []string{`BACKUP DATABASE sales TO DISK = 'S:\backup\x', DISK = 'S:\backup\y'`}, `BACKUP DATABASE sales TO DISK = 'S:\backup\x'`, []int32{3231, 3013}},
		{"a differential without its full", []string{`BACKUP DATABASE sales TO DISK = 'S:\backup\x'`, `BACKUP DATABASE sales TO DISK = 'S:\backup\y' WITH DIFFERENTIAL`},
			`RESTORE DATABASE c FROM DISK = 'S:\backup\y'`, []int32{3118, 3013}},
		{"a file that is not in it", []string{`BACKUP DATABASE sales TO DISK = 'S:\backup\x'`}, `RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH MOVE 'nothing' TO 'x'`, []int32{3234, 3013}},
		{"recovered twice", nil, `RESTORE DATABASE sales WITH RECOVERY`, []int32{3153, 3013}},
		{"backup of what is being restored", []string{`BACKUP DATABASE sales TO DISK = 'S:\backup\x'`, `RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH NORECOVERY, ` + as("c")},
			`BACKUP DATABASE c TO DISK = 'S:\backup\y'`, []int32{927, 3013}},
		{"use of what is being restored", []string{`BACKUP DATABASE sales TO DISK = 'S:\backup\x'`, `RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH NORECOVERY, ` + as("c")}, "USE c", []int32{927}},
		{"settings of what is being restored", []string{`BACKUP DATABASE sales TO DISK = 'S:\backup\x'`, `RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH NORECOVERY, ` + as("c")},
			"ALTER DATABASE c SET RECOVERY SIMPLE", []int32{5052}},
		{"a log gap", []string{`BACKUP DATABASE sales TO DISK = 'S:\backup\x'`, `BACKUP DATABASE sales TO DISK = 'S:\backup\x2'`, `BACKUP LOG sales TO DISK = 'S:\backup\y'`,
			`BACKUP DATABASE sales TO DISK = 'S:\backup\x3'`, `BACKUP LOG sales TO DISK = 'S:\backup\z'`, `RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH NORECOVERY, ` + as("c")},
			`RESTORE LOG c FROM DISK = 'S:\backup\z'`, []int32{4305, 3013}},
		{"a log from before", []string{`BACKUP DATABASE sales TO DISK = 'S:\backup\x'`, `BACKUP LOG sales TO DISK = 'S:\backup\y'`, `BACKUP DATABASE sales TO DISK = 'S:\backup\z'`,
			`RESTORE DATABASE c FROM DISK = 'S:\backup\z' WITH NORECOVERY, ` + as("c")}, `RESTORE LOG c FROM DISK = 'S:\backup\y'`, []int32{4326, 3013}},
		{"a differential of another base", []string{`BACKUP DATABASE sales TO DISK = 'S:\backup\x'`, `BACKUP DATABASE sales TO DISK = 'S:\backup\y'`,
			`BACKUP DATABASE sales TO DISK = 'S:\backup\z' WITH DIFFERENTIAL`, `RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH NORECOVERY, ` + as("c")},
			`RESTORE DATABASE c FROM DISK = 'S:\backup\z'`, []int32{3136, 3013}},
		{"a moment nobody can read", []string{`BACKUP DATABASE sales TO DISK = 'S:\backup\x'`, `BACKUP LOG sales TO DISK = 'S:\backup\y'`, `RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH NORECOVERY, ` + as("c")},
			`RESTORE LOG c FROM DISK = 'S:\backup\y' WITH STOPAT = 'last Tuesday'`, []int32{241}},
		{"no such procedure", nil, "sp_nothing", []int32{2812}},
		{"no such view", nil, "SELECT a FROM sys.nothing", []int32{208}},
		{"no such column", nil, "SELECT nothing FROM sys.databases", []int32{207}},
		{"use of what is not there", nil, "USE nothing", []int32{911}},
		{"a variable nobody gave", nil, "BACKUP DATABASE @a TO DISK = 'x'", []int32{137}},
		{"a quotation mark that stays open", nil, "SELECT 'x", []int32{105}},
		{"a sign nobody knows", nil, "SELECT ? AS x", []int32{102}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.run(c.first...)
			assert.Equal(t, c.with, b.fails(c.fails))
		})
	}
}

func TestUnknownIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, s := range []string{
		"DROP TABLE sales", "BACKUP DATABASE sales TO TAPE = 'x'", `BACKUP DATABASE sales TO DISK = 'S:\backup\x' WITH METADATA_ONLY`,
		`BACKUP LOG sales TO DISK = 'S:\backup\x' WITH DIFFERENTIAL`, `BACKUP DATABASE sales TO DISK = 'S:\backup\x' WITH NORECOVERY`,
		`BACKUP DATABASE sales`, "RESTORE REWINDONLY FROM DISK = 'x'", `RESTORE LOG x`, "ALTER DATABASE sales SET OFFLINE now",
		"SELECT name FROM sys.databases GROUP BY name", "SELECT LOWER('x')", "SELECT 1 EXEC x",
		`BACKUP DATABASE sales TO DISK = 'S:\backup\x' WITH STATS = 0`, "ALTER DATABASE sales SET RECOVERY NONE",
	} {
		assert.Equal(t, []int32{50000}, b.fails(s), s)
	}
	_, _, err := b.media.Read(t.Context(), `S:\backup\x`)
	require.Error(t, err, "what is refused leaves nothing behind")
}

func TestNotInATransaction(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	tx, err := b.conn.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.Exec(`BACKUP DATABASE sales TO DISK = 'S:\backup\x'`)
	assert.Equal(t, []int32{3021, 3013}, numbers(t, err, "backup"))
	require.NoError(t, tx.Rollback())
	b.run(`BACKUP DATABASE sales TO DISK = 'S:\backup\x'`)
}

func TestSetsAreAppendedUnlessInit(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.insert("one")
	b.run(`BACKUP DATABASE sales TO DISK = 'S:\backup\x'`)
	b.insert("two")
	b.run(`BACKUP DATABASE sales TO DISK = 'S:\backup\x'`)
	assert.EqualValues(t, 2, b.row("SELECT position FROM msdb.dbo.backupset WHERE backup_set_id = 2")["position"])
	b.run(`RESTORE DATABASE a FROM DISK = 'S:\backup\x' WITH `+as("a"), `RESTORE DATABASE b FROM DISK = 's:/BACKUP/x' WITH FILE = 2, `+as("b"))
	b.holds("a", "one")
	b.holds("b", "one", "two")
	b.run(`BACKUP DATABASE sales TO DISK = 'S:\backup\x' WITH INIT`)
	assert.Equal(t, []int32{4038, 3013}, b.fails(`RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH FILE = 2`))
}

func TestExclusiveAccess(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run(`BACKUP DATABASE sales TO DISK = 'S:\backup\x'`)
	other, err := b.db.Conn(t.Context())
	require.NoError(t, err)
	_, err = other.ExecContext(t.Context(), "USE sales")
	require.NoError(t, err)
	assert.Equal(t, []int32{3101, 3013}, b.fails(`RESTORE DATABASE sales FROM DISK = 'S:\backup\x' WITH REPLACE`))
	b.run("ALTER DATABASE sales SET SINGLE_USER WITH ROLLBACK IMMEDIATE", `RESTORE DATABASE sales FROM DISK = 'S:\backup\x' WITH REPLACE`)
	_, err = other.ExecContext(t.Context(), "select 1")
	require.Error(t, err, "the other session was thrown out")
	_ = other.Close()
	b.run("ALTER DATABASE sales SET MULTI_USER")
}

func TestCancelledBackupLeavesNothing(t *testing.T) {
	t.Parallel()
	started := make(chan struct{})
	var once sync.Once
	b := newBench(t, func(c *mssqlsim.Config) {
		c.Pace = func(ctx context.Context, _ string, percent int) error {
			if percent == 50 {
				once.Do(func() { close(started); <-ctx.Done() })
			}
			return nil
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-started; cancel() }()
	_, err := b.conn.ExecContext(ctx, `BACKUP DATABASE sales TO DISK = 'S:\backup\x' WITH STATS`)
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, []int32{3201, 3013}, b.fails(`RESTORE HEADERONLY FROM DISK = 'S:\backup\x'`))
	assert.Equal(t, []int32{4214, 3013}, b.fails(`BACKUP LOG sales TO DISK = 'S:\backup\x'`))
	b.run(`BACKUP DATABASE sales TO DISK = 'S:\backup\x' WITH STATS = 50`)
}

func TestOneBackupAtATime(t *testing.T) {
	t.Parallel()
	started, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b := newBench(t, func(c *mssqlsim.Config) {
		c.Pace = func(context.Context, string, int) error {
			once.Do(func() { close(started); <-release })
			return nil
		}
	})
	var first sync.WaitGroup
	first.Go(func() {
		_, err := b.db.Exec(`BACKUP DATABASE sales TO DISK = 'S:\backup\x'`)
		assert.NoError(t, err)
	})
	<-started
	assert.Equal(t, []int32{3023, 3013}, b.fails(`BACKUP DATABASE sales TO DISK = 'S:\backup\y'`))
	close(release)
	first.Wait()
}

func TestProgressSeenFromOutside(t *testing.T) {
	t.Parallel()
	started, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b := newBench(t, func(c *mssqlsim.Config) {
		c.Pace = func(_ context.Context, _ string, percent int) error {
			if percent == 75 {
				once.Do(func() { close(started); <-release })
			}
			return nil
		}
	})
	var working sync.WaitGroup
	working.Go(func() {
		_, err := b.db.Exec(`BACKUP DATABASE sales TO DISK = 'S:\backup\x' WITH STATS = 25`)
		assert.NoError(t, err)
	})
	<-started
	assert.Equal(t, map[string]any{"percent_complete": 75.0, "database_id": int64(5)},
		b.row("SELECT percent_complete, database_id FROM sys.dm_exec_requests WHERE command = 'BACKUP DATABASE'"))
	close(release)
	working.Wait()
	rows, err := b.conn.QueryContext(t.Context(), "SELECT * FROM sys.dm_exec_requests")
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	assert.False(t, rows.Next())
	require.NoError(t, rows.Err())
	id := b.row("SELECT media_set_id FROM msdb.dbo.backupset")["media_set_id"]
	assert.Equal(t, `S:\backup\x`, b.row("SELECT physical_device_name FROM msdb.dbo.backupmediafamily WHERE media_set_id = @p1", id)["physical_device_name"])
}

func TestBackupCutOff(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *mssqlsim.Config) {
		c.Pace = func(context.Context, string, int) error { return errors.New("power failure") }
	})
	_, err := b.conn.ExecContext(t.Context(), `BACKUP DATABASE sales TO DISK = 'S:\backup\x'`)
	require.Error(t, err)
	var e mssql.Error
	assert.False(t, errors.As(err, &e), "the connection broke: no message came")
}

func TestSelects(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var n int
	require.NoError(t, b.conn.QueryRowContext(t.Context(), "select 1;").Scan(&n))
	assert.Equal(t, 1, n)
	got := b.row("SELECT @@SERVERNAME AS s, SERVERPROPERTY('InstanceDefaultDataPath') AS d, SERVERPROPERTY('nothing') AS n, SYSDATETIMEOFFSET() AS t, DB_NAME() AS db")
	assert.Equal(t, "SIM", got["s"])
	assert.Equal(t, `S:\data\`, got["d"])
	assert.Nil(t, got["n"])
	assert.Equal(t, "master", got["db"])
	_, offset := got["t"].(time.Time).Zone()
	assert.Equal(t, 3600, offset)
	rows, err := b.conn.QueryContext(t.Context(), "SELECT name, recovery_model_desc FROM sys.databases WHERE name <> 'tempdb' ORDER BY name")
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	var all []string
	for rows.Next() {
		var name, model string
		require.NoError(t, rows.Scan(&name, &model))
		all = append(all, fmt.Sprint(name, " ", model))
	}
	require.NoError(t, rows.Err())
	assert.Equal(t, []string{"master SIMPLE", "model FULL", "msdb SIMPLE", "sales FULL"}, all)
}
