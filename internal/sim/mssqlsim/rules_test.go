package mssqlsim_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

const (
	fullTo = `BACKUP DATABASE sales TO DISK = 'S:\backup\x' WITH FORMAT`
	logTo  = `BACKUP LOG sales TO DISK = 'S:\backup\y' WITH FORMAT`
)

// Each rule: what was before, the statement that breaks it, and the numbers the server answers.
func TestMoreRules(t *testing.T) {
	t.Parallel()
	state := func(s mssqlsim.State) func(*bench) {
		return func(b *bench) { require.NoError(b, b.instance.SetState("sales", s)) }
	}
	replica := func(r mssqlsim.Replica) func(*bench) {
		return func(b *bench) { require.NoError(b, b.instance.JoinGroup("sales", r)) }
	}
	config := func(f func(*mssqlsim.Config)) func(*mssqlsim.Config) { return f }
	edition := func(name string) func(*mssqlsim.Config) { return config(func(c *mssqlsim.Config) { c.Edition = name }) }
	right := func(r mssqlsim.Right) func(*mssqlsim.Config) {
		return config(func(c *mssqlsim.Config) { c.Rights = map[string]mssqlsim.Right{"SA": r} })
	}
	both := []string{fullTo, logTo}
	restoring := []string{fullTo, logTo, `RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH NORECOVERY, ` + as("c")}
	for _, c := range []struct {
		name  string
		how   func(*mssqlsim.Config)
		first []string
		then  func(*bench)
		fails string
		with  []int32
	}{
		{name: "offline", then: state(mssqlsim.Offline), fails: fullTo, with: []int32{942, 3013}},
		{name: "emergency", then: state(mssqlsim.Emergency), fails: fullTo, with: []int32{3033, 3013}},
		{name: "suspect", then: state(mssqlsim.Suspect), fails: fullTo, with: []int32{926, 3013}},
		{name: "data lost", then: func(b *bench) { require.NoError(b, b.instance.LoseData("sales")) }, fails: fullTo, with: []int32{945, 3013}},
		{name: "log of lost data without a word", first: both, then: func(b *bench) { require.NoError(b, b.instance.LoseData("sales")) }, fails: logTo, with: []int32{945, 3013}},
		{name: "snapshot", then: func(b *bench) { require.NoError(b, b.instance.Snapshot("sales", "snap")) }, fails: `BACKUP DATABASE snap TO DISK = 'S:\backup\x'`, with: []int32{3002, 3013}},
		{name: "damaged page", then: func(b *bench) { require.NoError(b, b.instance.Corrupt("sales")) }, fails: fullTo + ", CHECKSUM", with: []int32{3043, 3013}},
		{name: "full on a secondary", then: replica(mssqlsim.Replica{}), fails: fullTo, with: []int32{3059, 3013}},
		{name: "differential on a secondary", first: both, then: replica(mssqlsim.Replica{}), fails: fullTo + ", DIFFERENTIAL, COPY_ONLY", with: []int32{3059, 3013}},
		{name: "copy-only log on a secondary", first: both, then: replica(mssqlsim.Replica{}), fails: logTo + ", COPY_ONLY", with: []int32{3059, 3013}},
		{name: "a secondary that is behind", then: replica(mssqlsim.Replica{NotSynchronizing: true}), fails: fullTo + ", COPY_ONLY", with: []int32{3062, 3013}},
		{name: "restore of a replica", first: both, then: replica(mssqlsim.Replica{Primary: true}), fails: `RESTORE DATABASE sales FROM DISK = 'S:\backup\x' WITH REPLACE`, with: []int32{3104, 3013}},
		{name: "compression in Express", how: edition("Express Edition (64-bit)"), fails: fullTo + ", COMPRESSION", with: []int32{1844, 3013}},
		{name: "mirror in Standard", how: edition("Standard Edition (64-bit)"), fails: `BACKUP DATABASE sales TO DISK = 'S:\backup\x' MIRROR TO DISK = 'S:\backup\y' WITH FORMAT`, with: []int32{3218, 3013}},
		{name: "mirror without FORMAT", fails: `BACKUP DATABASE sales TO DISK = 'S:\backup\x' MIRROR TO DISK = 'S:\backup\y'`, with: []int32{3215, 3013}},
		{name: "no right to back up", how: right(mssqlsim.NoRight), fails: fullTo, with: []int32{262, 3013}},
		{name: "no right to restore", how: right(mssqlsim.BackupOperator), first: []string{fullTo}, fails: `RESTORE DATABASE sales FROM DISK = 'S:\backup\x' WITH REPLACE`, with: []int32{3110, 3013}},
		{name: "no right to create by restore", how: right(mssqlsim.BackupOperator), first: []string{fullTo}, fails: `RESTORE DATABASE c FROM DISK = 'S:\backup\x'`, with: []int32{262, 3013}},
		{name: "no right to read headers", how: right(mssqlsim.BackupOperator), first: []string{fullTo}, fails: `RESTORE HEADERONLY FROM DISK = 'S:\backup\x'`, with: []int32{262, 3013}},
		{name: "no right to create", how: right(mssqlsim.BackupOperator), fails: "CREATE DATABASE x", with: []int32{262}},
		{name: "no right to check", how: right(mssqlsim.BackupOperator), fails: "DBCC CHECKDB (sales)", with: []int32{7983}},
		{name: "block size no power", fails: fullTo + ", BLOCKSIZE = 1000", with: []int32{3253, 3013}},
		{name: "block size too large", fails: fullTo + ", BLOCKSIZE = 131072", with: []int32{3250, 3013}},
		{name: "transfer size odd", fails: fullTo + ", MAXTRANSFERSIZE = 100000", with: []int32{3217, 3013}},
		{name: "transfer size too large", fails: fullTo + ", MAXTRANSFERSIZE = 8388608", with: []int32{3250, 3013}},
		{name: "contradiction", fails: fullTo + ", CHECKSUM, NO_CHECKSUM", with: []int32{3031, 3013}},
		{name: "no such certificate", fails: fullTo + ", ENCRYPTION (ALGORITHM = AES_256, SERVER CERTIFICATE = [none])", with: []int32{15151, 3013}},
		{name: "certificate expired", then: func(b *bench) {
			b.instance.AddCertificate(mssqlsim.Certificate{Name: "old", Expires: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)})
		}, fails: fullTo + ", ENCRYPTION (ALGORITHM = AES_256, SERVER CERTIFICATE = old)", with: []int32{3096, 3013}},
		{name: "not expired", first: []string{fullTo + ", RETAINDAYS = 3"}, fails: `BACKUP DATABASE sales TO DISK = 'S:\backup\x' WITH INIT`, with: []int32{4030, 3013}},
		{name: "another medium", first: []string{fullTo + ", MEDIANAME = 'a'"}, fails: `BACKUP DATABASE sales TO DISK = 'S:\backup\x' WITH MEDIANAME = 'b'`, with: []int32{4037, 3013}},
		{name: "both kinds of device", fails: `BACKUP DATABASE sales TO DISK = 'S:\backup\x', URL = 's3://h/b/k'`, with: []int32{3011, 3013}},
		{name: "no name of a device", fails: `BACKUP DATABASE sales TO DISK = ''`, with: []int32{3044, 3013}},
		{name: "too many devices", fails: `BACKUP DATABASE sales TO ` + strings.Repeat("DISK = 'x', ", 64) + "DISK = 'x'", with: []int32{3205, 3013}},
		{name: "URL nobody serves", fails: `BACKUP DATABASE sales TO URL = 's3://h:1/b/k' WITH FORMAT`, with: []int32{3201, 3013}},
		{name: "tail while others are in", first: []string{fullTo, "USE sales"}, fails: logTo + ", NORECOVERY", with: []int32{3101, 3013}},
		{name: "tail of model", first: []string{`BACKUP DATABASE model TO DISK = 'S:\backup\x'`}, fails: `BACKUP LOG model TO DISK = 'S:\backup\y' WITH NORECOVERY`, with: []int32{4220, 3013}},
		{name: "files of another database", first: []string{fullTo}, fails: `RESTORE DATABASE c FROM DISK = 'S:\backup\x'`, with: []int32{1834, 3156, 1834, 3156, 3119, 3013}},
		{name: "two files in one place", first: []string{fullTo}, fails: `RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH MOVE 'sales' TO 'S:\data\c', MOVE 'sales_log' TO 'S:\data\C'`, with: []int32{3176, 3119, 3013}},
		{name: "a file moved twice", first: []string{fullTo}, fails: `RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH MOVE 'sales' TO 'S:\data\c', MOVE 'sales' TO 'S:\data\d'`, with: []int32{4353, 3013}},
		{name: "no such folder", how: config(func(c *mssqlsim.Config) { c.Folders = []string{`S:\more`} }), first: []string{fullTo},
			fails: `RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH MOVE 'sales' TO 'S:\none\c', MOVE 'sales_log' TO 'S:\more\C'`, with: []int32{5133, 3156, 3119, 3013}},
		{name: "a file of nobody", first: []string{fullTo}, then: func(b *bench) { b.instance.LeaveFile(`S:\data\c.mdf`) },
			fails: `RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH ` + as("c"), with: []int32{3142, 3119, 3013}},
		{name: "no room", how: config(func(c *mssqlsim.Config) { c.FreeBytes = 1 << 20 }), first: []string{fullTo},
			fails: `RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH ` + as("c"), with: []int32{3257, 3119, 3013}},
		{name: "tail that a moment needs", first: []string{fullTo}, then: func(b *bench) { b.insert("unsaved") },
			fails: `RESTORE DATABASE sales FROM DISK = 'S:\backup\x' WITH NORECOVERY, STOPAT = '2027-01-01T00:00:00'`, with: []int32{3173, 3013}},
		{name: "a full from after the moment", first: []string{fullTo}, fails: `RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH NORECOVERY, STOPAT = '2026-01-01T00:00:00'`, with: []int32{4338, 3013}},
		{name: "a mark in a full", first: []string{fullTo}, fails: `RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH STOPATMARK = 'm'`, with: []int32{4340, 3013}},
		{name: "an LSN that is none", first: restoring, fails: `RESTORE LOG c FROM DISK = 'S:\backup\y' WITH STOPATMARK = 'lsn:x'`, with: []int32{4334, 3013}},
		{name: "an LSN that is over", first: restoring, fails: `RESTORE LOG c FROM DISK = 'S:\backup\y' WITH STOPATMARK = 'lsn:1'`, with: []int32{4335, 3013}},
		{name: "log files do not move", first: restoring, fails: `RESTORE LOG c FROM DISK = 'S:\backup\y' WITH MOVE 'sales' TO 'S:\data\z'`, with: []int32{3174, 3013}},
		{name: "check of what is being restored", first: restoring, fails: "DBCC CHECKDB (N'c')", with: []int32{927}},
		{name: "master while all are there", first: []string{`BACKUP DATABASE master TO DISK = 'S:\backup\x'`}, fails: `RESTORE DATABASE master FROM DISK = 'S:\backup\x' WITH REPLACE`, with: []int32{3108, 3013}},
		{name: "master in two steps", how: config(func(c *mssqlsim.Config) { c.SingleUser = true }), first: []string{`BACKUP DATABASE master TO DISK = 'S:\backup\x'`},
			fails: `RESTORE DATABASE master FROM DISK = 'S:\backup\x' WITH NORECOVERY`, with: []int32{3109, 3013}},
		{name: "another than master", how: config(func(c *mssqlsim.Config) { c.SingleUser = true }), first: []string{fullTo},
			fails: `RESTORE DATABASE sales FROM DISK = 'S:\backup\x' WITH REPLACE`, with: []int32{3112, 3013}},
		{name: "drop what is not there", fails: "DROP DATABASE nothing", with: []int32{3701}},
		{name: "drop what is used", first: []string{"USE sales"}, fails: "DROP DATABASE sales", with: []int32{3702}},
		{name: "drop msdb", fails: "DROP DATABASE msdb", with: []int32{3708}},
		{name: "create twice", fails: "CREATE DATABASE sales", with: []int32{1801}},
		{name: "credential twice", first: []string{"CREATE CREDENTIAL [s3://h/b] WITH IDENTITY = 'S3 Access Key', SECRET = 'a:b'"}, fails: "CREATE CREDENTIAL [s3://h/b] WITH IDENTITY = 'S3 Access Key', SECRET = 'a:b'", with: []int32{15530}},
		{name: "credential that is not there", fails: "DROP CREDENTIAL [s3://h/b]", with: []int32{15151}},
		{name: "two columns of a name", fails: "SELECT name FROM sys.databases d JOIN sys.master_files f ON f.database_id = d.database_id", with: []int32{209}},
		{name: "a table nobody named", fails: "SELECT x.name FROM sys.databases d", with: []int32{4104}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var how []func(*mssqlsim.Config)
			if c.how != nil {
				how = append(how, c.how)
			}
			b := newBench(t, how...)
			b.run(c.first...)
			if c.then != nil {
				c.then(b)
			}
			assert.Equal(t, c.with, b.fails(c.fails))
		})
	}
}

func TestMarks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.insert("one")
	b.run(fullTo)
	b.insert("two")
	require.NoError(t, b.instance.Mark("sales", "release", "marked"))
	b.insert("three")
	b.run(logTo)
	at := b.row("SELECT lsn, mark_name FROM msdb.dbo.logmarkhistory")
	assert.Equal(t, "release", at["mark_name"])
	for i, c := range []struct {
		clause string
		want   []string
	}{
		{"STOPATMARK = 'release'", []string{"one", "two", "marked"}},
		{"STOPBEFOREMARK = 'RELEASE'", []string{"one", "two"}},
		{"STOPATMARK = 'lsn:" + at["lsn"].(string) + "'", []string{"one", "two", "marked"}},
		{"STOPBEFOREMARK = 'lsn:" + at["lsn"].(string) + "'", []string{"one", "two"}},
	} {
		name := "c" + string(rune('a'+i))
		b.run(`RESTORE DATABASE `+name+` FROM DISK = 'S:\backup\x' WITH NORECOVERY, `+as(name), `RESTORE LOG `+name+` FROM DISK = 'S:\backup\y' WITH RECOVERY, `+c.clause)
		b.holds(name, c.want...)
	}
	b.run(`RESTORE DATABASE d FROM DISK = 'S:\backup\x' WITH NORECOVERY, `+as("d"), `RESTORE LOG d FROM DISK = 'S:\backup\y' WITH RECOVERY, STOPATMARK = 'never'`)
	assert.Equal(t, "RESTORING", b.row("SELECT state_desc FROM sys.databases WHERE name = 'd'")["state_desc"], "the mark may be in the next log")
}

func TestBulkLoggedChanges(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run("ALTER DATABASE sales SET RECOVERY BULK_LOGGED", fullTo)
	b.insert("one")
	moment := b.now().Format("2006-01-02T15:04:05.0000000")
	require.NoError(t, b.instance.Bulk("sales", "load"))
	b.run(logTo)
	assert.Equal(t, true, b.row(`RESTORE HEADERONLY FROM DISK = 'S:\backup\y'`)["HasBulkLoggedData"])
	b.run(`RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH NORECOVERY, ` + as("c"))
	assert.Equal(t, []int32{4341, 3013}, b.fails(`RESTORE LOG c FROM DISK = 'S:\backup\y' WITH STOPAT = '`+moment+`'`))
	b.run(`RESTORE LOG c FROM DISK = 'S:\backup\y'`)
	b.holds("c", "one", "load")
	require.NoError(t, b.instance.Bulk("sales", "more"))
	require.NoError(t, b.instance.LoseData("sales"))
	assert.Equal(t, []int32{4202, 3013}, b.fails(logTo+", NO_TRUNCATE"))
}

func TestTailOfLostData(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run(fullTo)
	b.insert("only in the log")
	require.NoError(t, b.instance.LoseData("sales"))
	b.run(logTo + ", NORECOVERY, NO_TRUNCATE")
	h := b.row(`RESTORE HEADERONLY FROM DISK = 'S:\backup\y'`)
	assert.Equal(t, []any{true, true, true, int64(32 | 64 | 128 | 256)}, []any{h["IsDamaged"], h["HasIncompleteMetaData"], h["IsCopyOnly"], h["Flags"]})
	b.run(`RESTORE DATABASE sales FROM DISK = 'S:\backup\x' WITH NORECOVERY`, `RESTORE LOG sales FROM DISK = 'S:\backup\y'`)
	b.holds("sales", "only in the log")
}

func TestStandby(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.chain()
	b.run(`RESTORE DATABASE c FROM DISK = 'S:\backup\full.bak' WITH STANDBY = 'S:\data\c.undo', ` + as("c"))
	b.holds("c", "one")
	row := b.row("SELECT is_in_standby, is_read_only, state_desc FROM sys.databases WHERE name = 'c'")
	assert.Equal(t, map[string]any{"is_in_standby": true, "is_read_only": true, "state_desc": "ONLINE"}, row)
	require.Error(t, b.instance.Insert("c", "x"))
	assert.Equal(t, []int32{3036, 3013}, b.fails(`BACKUP DATABASE c TO DISK = 'S:\backup\z'`))
	b.run(`RESTORE LOG c FROM DISK = 'S:\backup\log1.trn' WITH NORECOVERY`)
	assert.Equal(t, b.row(`RESTORE HEADERONLY FROM DISK = 'S:\backup\log1.trn'`)["LastLSN"],
		b.row("SELECT MAX(redo_start_lsn) AS reached FROM sys.master_files WHERE database_id = DB_ID('c')")["reached"])
	b.run(`RESTORE LOG c FROM DISK = 'S:\backup\log2.trn' WITH STANDBY = 'S:\data\c.undo'`, `RESTORE DATABASE c WITH RECOVERY, RESTRICTED_USER`)
	b.holds("c", "one", "two", "three", "four")
	assert.Equal(t, "RESTRICTED_USER", b.row("SELECT user_access_desc FROM sys.databases WHERE name = 'c'")["user_access_desc"])
}

func TestEncryptedBackups(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.instance.AddCertificate(mssqlsim.Certificate{Name: "vault"})
	b.run(fullTo+", ENCRYPTION (ALGORITHM = AES_256, SERVER CERTIFICATE = [vault])", `BACKUP DATABASE sales TO DISK = 'S:\backup\plain'`)
	h := b.row(`RESTORE HEADERONLY FROM DISK = 'S:\backup\x'`)
	assert.Equal(t, []any{"aes_256", "CERTIFICATE", string(c.Thumbprint)}, []any{h["KeyAlgorithm"], h["EncryptorType"], h["EncryptorThumbprint"]})
	require.NoError(t, b.instance.Encrypt("sales", "vault"))
	b.run(`BACKUP DATABASE sales TO DISK = 'S:\backup\tde'`)
	assert.Equal(t, string(c.Thumbprint), b.row("SELECT encryptor_thumbprint FROM sys.dm_database_encryption_keys")["encryptor_thumbprint"])
	assert.Equal(t, []int32{3095, 3013}, b.fails(`BACKUP DATABASE sales TO DISK = 'S:\backup\plain' WITH ENCRYPTION (ALGORITHM = AES_128, SERVER CERTIFICATE = vault)`))
	b.instance.RemoveCertificate("vault")
	for _, s := range []string{`RESTORE HEADERONLY FROM DISK = 'S:\backup\x'`, `RESTORE VERIFYONLY FROM DISK = 'S:\backup\x'`,
		`RESTORE FILELISTONLY FROM DISK = 'S:\backup\tde'`, `RESTORE DATABASE c FROM DISK = 'S:\backup\tde' WITH ` + as("c")} {
		assert.Equal(t, []int32{33111, 3013}, b.fails(s), s)
	}
	b.row(`RESTORE HEADERONLY FROM DISK = 'S:\backup\tde'`)
	b.instance.AddCertificate(c)
	b.run(`RESTORE DATABASE c FROM DISK = 'S:\backup\tde' WITH ` + as("c"))
	assert.Equal(t, true, b.row("SELECT is_encrypted FROM sys.databases WHERE name = 'c'")["is_encrypted"])
}

func TestVersions(t *testing.T) {
	t.Parallel()
	media := mssqlsim.NewMemoryMedia(`S:\backup`)
	at := func(major byte) func(*mssqlsim.Config) {
		return func(c *mssqlsim.Config) { c.Media, c.Version = media, tds.Version{Major: major, Build: 1000} }
	}
	newer, older := newBench(t, at(16)), newBench(t, at(15))
	newer.run(`BACKUP DATABASE sales TO DISK = 'S:\backup\new'`, `BACKUP DATABASE msdb TO DISK = 'S:\backup\msdb'`)
	older.run(`BACKUP DATABASE sales TO DISK = 'S:\backup\old'`)
	assert.Equal(t, []int32{3169, 3013}, older.fails(`RESTORE DATABASE c FROM DISK = 'S:\backup\new' WITH `+as("c")))
	assert.Equal(t, []int32{3168, 3013}, older.fails(`RESTORE DATABASE msdb FROM DISK = 'S:\backup\msdb' WITH REPLACE`))
	assert.Equal(t, []int32{3180, 3013}, newer.fails(`RESTORE DATABASE c FROM DISK = 'S:\backup\old' WITH STANDBY = 'S:\data\u', `+as("c")))
	newer.run(`RESTORE DATABASE c FROM DISK = 'S:\backup\old' WITH ` + as("c"))
	assert.Contains(t, newer.row(`RESTORE HEADERONLY FROM DISK = 'S:\backup\new'`), "LastValidRestoreTime")
	assert.NotContains(t, older.row(`RESTORE HEADERONLY FROM DISK = 'S:\backup\old'`), "LastValidRestoreTime")
}

func TestMasterIsRestoredInOneStep(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *mssqlsim.Config) { c.SingleUser = true })
	b.run(`BACKUP DATABASE master TO DISK = 'S:\backup\x'`)
	other, err := b.db.Conn(t.Context())
	if err == nil {
		_ = other.Close()
	}
	assert.Equal(t, []int32{18461, 18456}, numbers(t, err, "a second connection"))
	_, err = b.conn.ExecContext(t.Context(), `RESTORE DATABASE master FROM DISK = 'S:\backup\x' WITH REPLACE`)
	require.Error(t, err, "the server has stopped")
	require.Error(t, b.db.PingContext(t.Context()))
	b.instance.Restart(false)
	require.NoError(t, b.db.PingContext(t.Context()))
}

func TestRestoreThatIsBrokenOff(t *testing.T) {
	t.Parallel()
	started := make(chan struct{})
	b := newBench(t)
	b.insert("one")
	b.run(fullTo, logTo)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-started; cancel() }()
	b.instance.Inject(mssqlsim.Fault{Match: "RESTORE DATABASE", Nth: 1, When: mssqlsim.Inside, Do: mssqlsim.Stall(started, nil)})
	again := `RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH NORECOVERY, STATS = 50, ` + as("c")
	_, err := b.conn.ExecContext(ctx, again)
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, "RESTORING", b.row("SELECT state_desc FROM sys.databases WHERE name = 'c'")["state_desc"])
	assert.Nil(t, b.row("SELECT MAX(redo_start_lsn) AS m FROM sys.master_files WHERE database_id = DB_ID('c')")["m"])
	assert.Equal(t, []int32{4319, 3013}, b.fails(`RESTORE LOG c FROM DISK = 'S:\backup\y'`))
	assert.Equal(t, []int32{4333, 3013}, b.fails(`RESTORE DATABASE c WITH RECOVERY`))
	b.run(again, `RESTORE LOG c FROM DISK = 'S:\backup\y'`)
	b.holds("c", "one")
}

func TestDamagedBackup(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.insert("one")
	b.run(fullTo)
	b.media.Damage(`S:\backup\x`)
	b.row(`RESTORE HEADERONLY FROM DISK = 'S:\backup\x'`)
	assert.Equal(t, []int32{3183, 3013}, b.fails(`RESTORE VERIFYONLY FROM DISK = 'S:\backup\x'`))
	assert.Equal(t, []int32{3183, 3013}, b.fails(`RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH `+as("c")))
	assert.Equal(t, "RESTORING", b.row("SELECT state_desc FROM sys.databases WHERE name = 'c'")["state_desc"])
	b.run("DROP DATABASE c", "DROP DATABASE IF EXISTS c")
}

func TestChecks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run("DBCC CHECKDB (N'sales') WITH NO_INFOMSGS, ALL_ERRORMSGS", "DBCC CHECKDB (sales)")
	require.NoError(t, b.instance.Corrupt("sales"))
	assert.Equal(t, []int32{8939, 8928}, b.fails("DBCC CHECKDB (N'sales') WITH NO_INFOMSGS, ALL_ERRORMSGS"))
	b.run(fullTo+", CHECKSUM, CONTINUE_AFTER_ERROR", "DROP DATABASE sales")
	assert.Equal(t, []int32{3182, 3013}, b.fails(`RESTORE DATABASE sales FROM DISK = 'S:\backup\x'`))
	b.run(`RESTORE DATABASE sales FROM DISK = 'S:\backup\x' WITH CONTINUE_AFTER_ERROR`)
}

func TestURLDevices(t *testing.T) {
	t.Parallel()
	remote := mssqlsim.NewMemoryMedia("s3://h:9000/bucket/in")
	var keys []string
	b := newBench(t, func(c *mssqlsim.Config) {
		c.Remote = func(id, secret string) mssqlsim.Media { keys = append(keys, id+"/"+secret); return remote }
	})
	const to = `BACKUP DATABASE sales TO URL = 's3://h:9000/bucket/in/k'`
	assert.Equal(t, []int32{3201, 3013}, b.fails(to+" WITH FORMAT"), "no credential")
	b.run("CREATE CREDENTIAL [s3://h:9000/bucket] WITH IDENTITY = 'me', SECRET = 'a:b'")
	assert.Equal(t, []int32{3233, 3013}, b.fails(to+" WITH FORMAT"))
	b.run("ALTER CREDENTIAL [s3://h:9000/bucket] WITH IDENTITY = 'S3 Access Key', SECRET = 'a:b'",
		"CREATE CREDENTIAL [s3://h:9000/bucket/in] WITH IDENTITY = 'S3 Access Key', SECRET = 'c:d'", to+" WITH FORMAT, COMPRESSION, MAXTRANSFERSIZE = 20971520")
	assert.NotContains(t, keys, "a/b", "the longest name wins")
	assert.Contains(t, keys, "c/d")
	assert.Equal(t, []int32{3296, 3013}, b.fails(to+" WITH COMPRESSION"))
	assert.Equal(t, []int32{3250, 3013}, b.fails(to+" WITH FORMAT, MAXTRANSFERSIZE = 1048576"))
	assert.Equal(t, []int32{3217, 3013}, b.fails(to+" WITH FORMAT, MAXTRANSFERSIZE = 20971520"), "needs compression")
	assert.EqualValues(t, 9, b.row("RESTORE HEADERONLY FROM URL = 's3://h:9000/bucket/in/k'")["DeviceType"])
	assert.Equal(t, []int32{3291, 3013}, b.fails("RESTORE VERIFYONLY FROM URL = 's3://h:9000/bucket/in/k' WITH FILE = 1"))
	assert.Equal(t, []int32{3291, 3013}, b.fails("RESTORE DATABASE c FROM URL = 's3://h:9000/bucket/in/k' WITH BUFFERCOUNT = 3"))
	b.run("DROP CREDENTIAL [s3://h:9000/bucket]")
}

func TestFaultsAndWhatIsLeft(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.instance.Inject(mssqlsim.Fault{Match: "BACKUP DATABASE", Nth: 2, When: mssqlsim.Inside,
		Do: mssqlsim.Fail(tds.Message{Number: 3202, State: 1, Class: 16, Text: "Write failed."})})
	b.instance.Inject(mssqlsim.Fault{Match: "BACKUP DATABASE", Nth: 4, When: mssqlsim.After, Do: mssqlsim.Break})
	b.run(fullTo)
	assert.Equal(t, []int32{3202, 3013}, b.fails(fullTo))
	b.run(fullTo)
	_, err := b.conn.ExecContext(t.Context(), fullTo)
	require.Error(t, err)
	assert.False(t, errors.As(err, new(tds.Message)))
	all := b.instance.Statements()
	assert.EqualValues(t, 4, len(slices.DeleteFunc(slices.Clone(all), func(s mssqlsim.Statement) bool { return s.Text != fullTo })))
	require.ErrorIs(t, all[len(all)-1].Err, tds.ErrGone)
	var n int
	require.NoError(t, b.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM msdb.dbo.backupset").Scan(&n))
	assert.Equal(t, 3, n, "the last one had its effect")
}

func TestSessionsAndLocks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other, err := b.db.Conn(t.Context())
	require.NoError(t, err)
	assert.Len(t, b.instance.Sessions(), 2)
	const lock = "DECLARE @r int; EXEC @r = sp_getapplock @Resource = N'x', @LockMode = N'Exclusive', @LockOwner = N'Session', @LockTimeout = 0; SELECT @r AS result"
	var r int
	require.NoError(t, other.QueryRowContext(t.Context(), lock).Scan(&r))
	assert.Equal(t, 0, r)
	assert.EqualValues(t, -1, b.row(lock)["result"])
	require.NoError(t, other.Raw(func(c any) error { return c.(interface{ Close() error }).Close() }))
	require.Eventually(t, func() bool { return len(b.instance.Sessions()) == 1 }, time.Minute, time.Millisecond)
	assert.EqualValues(t, 0, b.row(lock)["result"], "a session's locks end with it")
	_ = other.Close()
}

func TestSingleUserSlot(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run("ALTER DATABASE sales SET SINGLE_USER WITH ROLLBACK IMMEDIATE")
	other, err := b.db.Conn(t.Context())
	require.NoError(t, err)
	_, err = other.ExecContext(t.Context(), "USE sales")
	require.NoError(t, err, "the slot is for whoever comes first")
	assert.Equal(t, []int32{5064, 5069}, b.fails("ALTER DATABASE sales SET MULTI_USER"))
	assert.Equal(t, []int32{924}, b.fails("USE sales"))
	_, err = other.ExecContext(t.Context(), "USE master")
	require.NoError(t, err)
	b.run("ALTER DATABASE sales SET MULTI_USER", "ALTER DATABASE sales SET OFFLINE WITH NO_WAIT")
	assert.Equal(t, []int32{942}, b.fails("USE sales"))
	b.run("ALTER DATABASE sales SET ONLINE", "USE sales", "USE master")
	_ = other.Close()
}

func TestQuestionsOfAnAgent(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *mssqlsim.Config) { c.Name = `BOX\ONE` })
	b.insert("one")
	require.NoError(t, b.instance.Fill("sales", 80<<10))
	b.run(fullTo)
	require.NoError(t, b.instance.JoinGroup("sales", mssqlsim.Replica{Primary: true, Preferred: false}))
	require.NoError(t, b.instance.AddFile("sales", mssqlsim.File{Logical: "docs", Physical: `S:\data\docs`, Group: "streams", Stream: true}))
	got := b.row("SELECT CAST(SERVERPROPERTY('MachineName') AS nvarchar(128)) AS m, SERVERPROPERTY('InstanceName') AS i, IS_SRVROLEMEMBER('sysadmin') AS s, " +
		"HAS_PERMS_BY_NAME(N'[sales]', 'DATABASE', 'BACKUP LOG') AS l, HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW SERVER STATE') AS v, " +
		"sys.fn_hadr_backup_is_preferred_replica(N'sales') AS p, DB_ID('sales') AS id, SUSER_SNAME() AS me")
	assert.Equal(t, map[string]any{"m": "BOX", "i": "ONE", "s": int64(1), "l": int64(1), "v": int64(1), "p": false, "id": int64(5), "me": "sa"}, got)
	assert.Equal(t, "PRIMARY", b.row("SELECT replica_id, role_desc FROM sys.dm_hadr_availability_replica_states WHERE is_local = 1")["role_desc"])
	assert.Equal(t, "FILESTREAM", b.row("SELECT d.name AS db, f.type_desc FROM sys.databases AS d INNER JOIN sys.master_files f ON f.database_id = d.database_id " +
		"WHERE d.name IN ('sales', 'x') AND f.type >= 2 AND (f.name LIKE 'd%' OR NOT f.file_id <> 9) AND f.redo_start_lsn IS NULL ORDER BY f.file_id DESC")["type_desc"])
	assert.Equal(t, `S:\`, b.row("SELECT DISTINCT volume_mount_point, available_bytes FROM sys.master_files CROSS APPLY sys.dm_os_volume_stats(database_id, file_id)")["volume_mount_point"])
	assert.EqualValues(t, 26, b.row("SELECT allocated_extent_page_count AS n FROM [sales].sys.dm_db_file_space_usage")["n"])
	assert.Equal(t, "D", b.row("SELECT TOP (1) type FROM msdb.dbo.backupset WHERE database_name = @p1 AND is_copy_only = 0 ORDER BY backup_set_id DESC", "sales")["type"])
	assert.Contains(t, b.row("SELECT program_name, host_name FROM sys.dm_exec_sessions WHERE session_id = @@SPID"), "program_name")
	b.row("SELECT * FROM [sales].sys.dm_db_log_space_usage")
}

func TestKeepOptions(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	require.NoError(t, b.instance.Capture("sales"))
	b.run(fullTo, `RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH NORECOVERY, `+as("c"), `RESTORE DATABASE c WITH RECOVERY, KEEP_REPLICATION, KEEP_CDC, ENABLE_BROKER`,
		`RESTORE DATABASE d FROM DISK = 'S:\backup\x' WITH `+as("d"))
	const q = "SELECT is_published, is_cdc_enabled, is_broker_enabled FROM sys.databases WHERE name = @p1"
	assert.Equal(t, map[string]any{"is_published": true, "is_cdc_enabled": true, "is_broker_enabled": true}, b.row(q, "c"))
	assert.Equal(t, map[string]any{"is_published": false, "is_cdc_enabled": false, "is_broker_enabled": false}, b.row(q, "d"))
	assert.Equal(t, []int32{3031, 3013}, b.fails(`RESTORE DATABASE e FROM DISK = 'S:\backup\x' WITH NORECOVERY, KEEP_REPLICATION`))
}

func TestRestoreIsPaced(t *testing.T) {
	t.Parallel()
	started, release := make(chan struct{}), make(chan struct{})
	b := newBench(t, func(c *mssqlsim.Config) {
		c.Pace = func(_ context.Context, database string, percent int) error {
			if database == "c" && percent == 50 {
				close(started)
				<-release
			}
			return nil
		}
	})
	b.insert("one")
	b.run(fullTo)
	b.instance.Inject(mssqlsim.Fault{Match: "RESTORE DATABASE", When: mssqlsim.Inside, Do: mssqlsim.Say(tds.Message{Number: 823, State: 1, Class: 16, Text: "Said in passing."})})
	failed := make(chan error, 1)
	go func() {
		_, err := b.db.Exec(`RESTORE DATABASE c FROM DISK = 'S:\backup\x' WITH STATS = 50, ` + as("c"))
		failed <- err
	}()
	<-started
	assert.Equal(t, map[string]any{"command": "RESTORE DATABASE", "percent_complete": 50.0},
		b.row("SELECT command, percent_complete FROM sys.dm_exec_requests WHERE database_id = DB_ID('c')"))
	assert.Equal(t, []int32{3101, 3013}, b.fails(`RESTORE DATABASE c WITH RECOVERY`), "it is in use")
	close(release)
	assert.Equal(t, []int32{823}, numbers(t, <-failed, "restore"))
	b.holds("c", "one")
}
