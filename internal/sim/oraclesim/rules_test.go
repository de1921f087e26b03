package oraclesim

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sijms/go-ora/v2/network"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/oracle/blockfile"
)

func TestBackupModeRules(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *Config) {
		c.Tablespaces = []Tablespace{{Name: "USERS", Files: 2}, {Name: "OLD", ReadOnly: true}, {Name: "AWAY", Offline: true}, {Name: "BIG", Bigfile: true, Blocks: 20}}
	})
	l.refused(1142, "ALTER DATABASE END BACKUP")
	l.refused(1142, "ALTER TABLESPACE USERS END BACKUP")
	l.refused(1199, "ALTER DATABASE DATAFILE 4 END BACKUP")
	l.refused(1642, "ALTER TABLESPACE OLD BEGIN BACKUP")
	l.refused(1140, "ALTER TABLESPACE OLD END BACKUP")
	l.refused(1128, "ALTER TABLESPACE AWAY BEGIN BACKUP")
	l.refused(959, "ALTER TABLESPACE NONE BEGIN BACKUP")
	l.refused(3217, "ALTER TABLESPACE TEMP BEGIN BACKUP")
	l.must(`ALTER TABLESPACE "USERS" BEGIN BACKUP`)
	assert.Equal(t, []int{4, 5}, l.InBackupMode())
	assert.Equal(t, "2", l.one("SELECT COUNT(*) FROM V$BACKUP WHERE STATUS = 'ACTIVE' AND CHANGE# > 0 AND TIME IS NOT NULL"))
	l.refused(1146, "ALTER TABLESPACE USERS BEGIN BACKUP")
	l.refused(1146, "ALTER DATABASE BEGIN BACKUP")
	l.refused(1150, "ALTER TABLESPACE USERS READ ONLY")
	l.refused(1150, "ALTER TABLESPACE USERS OFFLINE")
	assert.Equal(t, 1149, code(l.Shutdown(false)))
	l.must("ALTER DATABASE DATAFILE 4 END BACKUP", "ALTER TABLESPACE USERS END BACKUP")
	l.must("ALTER DATABASE BEGIN BACKUP")
	assert.Equal(t, []int{1, 2, 3, 4, 5, 8}, l.InBackupMode(), "read-only and offline files are left out")
	l.must("ALTER DATABASE END BACKUP")
	assert.Empty(t, l.InBackupMode())
	require.NoError(t, l.Shutdown(false))
	require.NoError(t, l.Startup(Mounted))
	l.connect()
	l.refused(1109, "ALTER DATABASE BEGIN BACKUP")
	l.refused(1109, "ALTER TABLESPACE USERS BEGIN BACKUP")
	l.refused(1109, "ALTER SYSTEM ARCHIVE LOG CURRENT")
	l.must("ALTER DATABASE NOARCHIVELOG", "ALTER DATABASE OPEN")
	l.refused(1123, "ALTER DATABASE BEGIN BACKUP")
	l.refused(258, "ALTER SYSTEM ARCHIVE LOG CURRENT")
	l.refused(900, "ALTER DATABASE BEGIN BACKUP;")
	l.refused(900, "FLASHBACK DATABASE TO SCN 1")
}

func TestCrashInBackupMode(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.write(3)
	l.must("ALTER TABLESPACE USERS BEGIN BACKUP")
	l.write(3)
	truth, err := l.Contents()
	require.NoError(t, err)
	l.Crash()
	_, err = l.db.ExecContext(t.Context(), "ALTER SYSTEM CHECKPOINT")
	assert.ErrorContains(t, err, "ORA-01034")
	assert.Equal(t, 10873, code(l.Startup(Open)))
	assert.Equal(t, Mounted, l.State())
	l.connect()
	l.refused(10873, "ALTER DATABASE OPEN")
	l.must("ALTER DATABASE END BACKUP", "ALTER DATABASE OPEN")
	got, err := l.Contents()
	require.NoError(t, err)
	assert.Equal(t, truth, got)

	l.must("ALTER TABLESPACE USERS BEGIN BACKUP")
	l.write(2)
	truth, err = l.Contents()
	require.NoError(t, err)
	l.Crash()
	require.Equal(t, 10873, code(l.Startup(Open)))
	l.connect()
	l.must("ALTER DATABASE RECOVER DATABASE", "ALTER DATABASE OPEN")
	got, err = l.Contents()
	require.NoError(t, err)
	assert.Equal(t, truth, got, "recovery is the other way out")
}

func TestEndBackupOnARestoredFileIsFound(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	f := l.Files()[3]
	l.must("ALTER TABLESPACE USERS BEGIN BACKUP")
	l.write(3)
	require.NoError(t, l.Checkpoint())
	b, err := os.ReadFile(f.Path)
	require.NoError(t, err)
	for range 3 {
		l.write(40)
		require.NoError(t, l.Checkpoint())
	}
	l.Crash()
	require.NoError(t, os.WriteFile(f.Path, b, 0o600))
	require.Equal(t, 10873, code(l.Startup(Open)))
	l.connect()
	l.must("ALTER DATABASE END BACKUP")
	err = l.exec("ALTER DATABASE OPEN")
	require.Error(t, err)
	assert.Regexp(t, "ORA-00600.*3020|ORA-01578", err.Error())
}

func TestFilesHaveTheLayoutOfTheServer(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *Config) {
		c.Tablespaces = []Tablespace{{Name: "USERS"}, {Name: "BIG", Bigfile: true}, {Name: "OLD", ReadOnly: true}}
	})
	l.write(4)
	l.must("ALTER DATABASE BEGIN BACKUP")
	dir := t.TempDir()
	for _, f := range l.Files() {
		file, err := os.Open(f.Path)
		require.NoError(t, err)
		d, err := blockfile.VerifyData(t.Context(), file, blockfile.Options{Hot: true})
		require.NoError(t, err)
		require.NoError(t, file.Close())
		assert.Equal(t, uint64(f.SizeBytes), uint64(d.SizeBytes))
		assert.Equal(t, f.Tablespace, d.TablespaceName)
		assert.Equal(t, f.Tablespace != "OLD", d.InBackup(), f.Tablespace)
		if f.Tablespace != "OLD" {
			assert.EqualValues(t, 2, d.Fractured, "blocks are being written")
		}
	}
	l.must("ALTER DATABASE END BACKUP", "ALTER SYSTEM ARCHIVE LOG CURRENT", "ALTER DATABASE BACKUP CONTROLFILE TO '"+dir+"/c'")
	name := l.one("SELECT NAME FROM V$ARCHIVED_LOG")
	file, err := os.Open(name)
	require.NoError(t, err)
	defer file.Close()
	r, err := blockfile.VerifyRedo(t.Context(), file)
	require.NoError(t, err)
	assert.Equal(t, l.one("SELECT NEXT_CHANGE# FROM V$ARCHIVED_LOG"), fmt.Sprint(r.NextSCN))
	st, err := file.Stat()
	require.NoError(t, err)
	assert.Equal(t, l.one("SELECT BLOCKS FROM V$ARCHIVED_LOG"), fmt.Sprint(st.Size()/512-1))
	online, err := os.Open(l.one("SELECT MEMBER FROM V$LOGFILE WHERE GROUP# = 2"))
	require.NoError(t, err)
	defer online.Close()
	_, err = blockfile.VerifyRedo(t.Context(), online)
	require.Error(t, err, "an online log is no backup")
	control, err := os.Open(dir + "/c")
	require.NoError(t, err)
	defer control.Close()
	c, err := blockfile.VerifyControl(t.Context(), control)
	require.NoError(t, err)
	assert.Equal(t, l.one("SELECT DBID FROM V$DATABASE"), fmt.Sprint(c.DBID))
}

func TestStatementsOnFiles(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	dir := t.TempDir()
	l.must("ALTER DATABASE BACKUP CONTROLFILE TO '" + dir + "/it''s'")
	l.refused(1580, "ALTER DATABASE BACKUP CONTROLFILE TO '"+dir+"/it''s'")
	l.must("ALTER DATABASE BACKUP CONTROLFILE TO '"+dir+"/it''s' REUSE", "ALTER DATABASE BACKUP CONTROLFILE TO TRACE AS '"+dir+"/t'")
	l.refused(1580, "ALTER DATABASE BACKUP CONTROLFILE TO '/nowhere/x/y'")
	l.refused(1580, "ALTER DATABASE BACKUP CONTROLFILE TO TRACE AS '"+dir+"/t'")
	b, err := os.ReadFile(dir + "/t")
	require.NoError(t, err)
	assert.Contains(t, string(b), "ADD TEMPFILE")
	l.must("CREATE PFILE='"+dir+"/p' FROM SPFILE", "CREATE PFILE = '"+dir+"/m' FROM MEMORY", "CREATE SPFILE='"+dir+"/spfilex.ora' FROM PFILE='"+dir+"/p'")
	b, err = os.ReadFile(dir + "/p")
	require.NoError(t, err)
	assert.Contains(t, string(b), "*.control_files='")
	l.refused(1537, "ALTER TABLESPACE TEMP ADD TEMPFILE '"+l.one("SELECT NAME FROM V$TEMPFILE")+"' SIZE 1M REUSE")
	l.must("ALTER TABLESPACE TEMP ADD TEMPFILE '" + dir + "/temp' SIZE 1M REUSE")
	l.refused(1516, "ALTER DATABASE RENAME FILE '/a' TO '"+dir+"/p'")
	l.refused(1141, "ALTER DATABASE RENAME FILE '"+l.Files()[3].Path+"' TO '/nowhere'")
	l.refused(1121, "ALTER DATABASE RENAME FILE '"+l.Files()[3].Path+"' TO '"+dir+"/p'")
	n := newLab(t, func(c *Config) { c.NoSPFile = true })
	n.refused(1565, "CREATE PFILE='"+dir+"/none' FROM SPFILE")
	n.must("CREATE PFILE='" + dir + "/mem' FROM MEMORY")
}

func TestRecoveryAnswers(t *testing.T) {
	t.Parallel()
	for _, ends := range []bool{false, true} {
		l := newLab(t, func(c *Config) { c.RecoveryEndsOnError = ends })
		dir := t.TempDir()
		l.hot(dir, true)
		l.must("ALTER SYSTEM ARCHIVE LOG CURRENT")
		l.logs(dir)
		logs, err := filepath.Glob(dir + "/1_*.dbf")
		require.NoError(t, err)
		require.Len(t, logs, 2)
		l.restore(dir)
		l.refused(1589, "ALTER DATABASE OPEN")
		l.refused(1610, "ALTER DATABASE RECOVER DATABASE UNTIL CANCEL")
		l.refused(1112, "ALTER DATABASE RECOVER CANCEL")
		l.refused(1112, "ALTER DATABASE RECOVER LOGFILE '"+logs[0]+"'")
		start := "ALTER DATABASE RECOVER DATABASE UNTIL CANCEL USING BACKUP CONTROLFILE"
		l.refused(289, start)
		l.refused(280, "ALTER DATABASE RECOVER LOGFILE '"+logs[0]+"'")
		l.refused(310, "ALTER DATABASE RECOVER LOGFILE '"+logs[0]+"'")
		other, err := l.db.Conn(t.Context())
		require.NoError(t, err)
		_, err = other.ExecContext(t.Context(), "ALTER DATABASE RECOVER CANCEL")
		assert.ErrorContains(t, err, "ORA-01112", "it belongs to a session")
		if ends {
			l.refused(1112, "ALTER DATABASE RECOVER CANCEL")
			l.refused(279, start)
		}
		_, err = other.ExecContext(t.Context(), start)
		assert.ErrorContains(t, err, "ORA-01153")
		l.refused(1156, "ALTER DATABASE OPEN RESETLOGS")
		l.refused(308, "ALTER DATABASE RECOVER LOGFILE '/nowhere'")
		if !ends {
			l.must("ALTER DATABASE RECOVER CANCEL")
			l.must("ALTER DATABASE OPEN RESETLOGS")
			continue
		}
		require.NoError(t, l.conn.Close())
		require.NoError(t, other.Close())
		l.Crash()
	}
}

func TestRecoveryThatStopsTooEarly(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	dir := t.TempDir()
	l.must("ALTER DATABASE BEGIN BACKUP")
	for _, f := range l.Files() {
		copyTo(t, dir, f.Path)
	}
	l.write(2)
	l.must("ALTER SYSTEM ARCHIVE LOG CURRENT")
	l.write(2)
	l.must("ALTER DATABASE END BACKUP", "ALTER SYSTEM ARCHIVE LOG CURRENT", "ALTER DATABASE BACKUP CONTROLFILE TO '"+dir+"/control.bak'")
	l.restore(dir)
	l.refused(279, "ALTER DATABASE RECOVER DATABASE UNTIL CANCEL USING BACKUP CONTROLFILE")
	l.refused(279, "ALTER DATABASE RECOVER CONTINUE DEFAULT")
	err := l.exec("ALTER DATABASE RECOVER CANCEL")
	require.Error(t, err)
	assert.Regexp(t, "(?s)ORA-01547.*ORA-01195.*ORA-01110", err.Error())
	l.refused(1195, "ALTER DATABASE OPEN RESETLOGS")
	l.refused(279, "ALTER DATABASE RECOVER DATABASE UNTIL CANCEL USING BACKUP CONTROLFILE")
	l.refused(279, "ALTER DATABASE RECOVER CONTINUE DEFAULT")
	l.must("ALTER DATABASE RECOVER CANCEL", "ALTER DATABASE OPEN RESETLOGS")
	l.refused(1531, "ALTER DATABASE OPEN")
}

func TestLostFileIsRecoveredCompletely(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	dir := t.TempDir()
	l.hot(dir, true)
	l.write(5)
	l.must("ALTER SYSTEM SWITCH LOGFILE")
	l.write(5)
	truth, err := l.Contents()
	require.NoError(t, err)
	f := l.Files()[3]
	l.must("ALTER DATABASE DATAFILE 4 OFFLINE")
	copyTo(t, filepath.Dir(f.Path), filepath.Join(dir, filepath.Base(f.Path)))
	l.refused(1113, "ALTER DATABASE DATAFILE 4 ONLINE")
	l.must("ALTER DATABASE RECOVER AUTOMATIC TABLESPACE USERS", "ALTER DATABASE DATAFILE 4 ONLINE")
	got, err := l.Contents()
	require.NoError(t, err)
	assert.Equal(t, truth, got)
	require.NoError(t, l.Shutdown(false))
	require.NoError(t, os.Remove(f.Path))
	assert.Equal(t, 1157, code(l.Startup(Open)))
	l.connect()
	l.refused(1139, "ALTER DATABASE OPEN RESETLOGS")
	copyTo(t, filepath.Dir(f.Path), filepath.Join(dir, filepath.Base(f.Path)))
	l.refused(1113, "ALTER DATABASE OPEN")
	l.must("ALTER DATABASE RECOVER AUTOMATIC DATABASE", "ALTER DATABASE OPEN")
	got, err = l.Contents()
	require.NoError(t, err)
	assert.Equal(t, truth, got)
}

func TestFileAddedAfterTheBackup(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	dir := t.TempDir()
	l.hot(dir, true)
	path, err := l.AddFile("EXTRA", "")
	require.NoError(t, err)
	_, err = l.Commit("EXTRA", "in the new file")
	require.NoError(t, err)
	l.must("ALTER SYSTEM ARCHIVE LOG CURRENT")
	truth, err := l.Contents()
	require.NoError(t, err)
	l.logs(dir)
	l.restore(dir)
	err = l.recover("DATABASE UNTIL CANCEL USING BACKUP CONTROLFILE", dir)
	require.Error(t, err)
	assert.Regexp(t, "(?s)ORA-00283.*ORA-01244.*ORA-01110: data file 5: '"+path, err.Error())
	name := l.one("SELECT NAME FROM V$DATAFILE WHERE FILE# = 5")
	assert.Contains(t, name, "UNNAMED00005")
	l.must("ALTER DATABASE CREATE DATAFILE '" + name + "' AS '" + path + "'")
	require.NoError(t, l.recover("DATABASE UNTIL CANCEL USING BACKUP CONTROLFILE", dir))
	l.must("ALTER DATABASE OPEN RESETLOGS")
	got, err := l.Contents()
	require.NoError(t, err)
	assert.Equal(t, texts(truth), texts(got))
}

func TestThreadsAreRecoveredTogether(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *Config) { c.Threads = 2 })
	dir := t.TempDir()
	l.hot(dir, true)
	for n := range 6 {
		l.clock.tick()
		_, err := l.CommitOn(1+n%2, "USERS", fmt.Sprint("row ", n))
		require.NoError(t, err)
		if n == 3 {
			l.must("ALTER SYSTEM ARCHIVE LOG CURRENT")
		}
	}
	l.must("ALTER SYSTEM ARCHIVE LOG CURRENT")
	truth, err := l.Contents()
	require.NoError(t, err)
	assert.Equal(t, "6", l.one("SELECT COUNT(*) FROM V$ARCHIVED_LOG"))
	l.logs(dir)
	l.restore(dir)
	err = l.exec("ALTER DATABASE RECOVER DATABASE UNTIL CANCEL USING BACKUP CONTROLFILE")
	require.Equal(t, 279, code(err))
	logs := []string{"1_1", "2_1", "1_2", "2_2", "1_3", "2_3"}
	for _, log := range logs {
		all, gerr := filepath.Glob(filepath.Join(dir, log+"_*"))
		require.NoError(t, gerr)
		require.Len(t, all, 1)
		assert.Contains(t, err.Error(), "needed for thread "+log[:1])
		err = l.exec("ALTER DATABASE RECOVER LOGFILE '" + all[0] + "'")
		require.Equal(t, 279, code(err))
	}
	l.must("ALTER DATABASE RECOVER CANCEL", "ALTER DATABASE OPEN RESETLOGS")
	got, err := l.Contents()
	require.NoError(t, err)
	assert.Equal(t, texts(truth), texts(got))
}

func TestContainers(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *Config) {
		c.PDBs = []string{"SHOP"}
		c.Tablespaces = []Tablespace{{Name: "USERS"}, {Name: "USERS", PDB: "SHOP"}}
	})
	_, err := l.Commit("SHOP.USERS", "sold")
	require.NoError(t, err)
	db := l.OpenDB(Login{PDB: "shop"})
	defer db.Close()
	_, err = db.ExecContext(t.Context(), "ALTER SYSTEM ARCHIVE LOG CURRENT")
	assert.ErrorContains(t, err, "ORA-65040")
	_, err = db.ExecContext(t.Context(), "ALTER DATABASE BEGIN BACKUP")
	require.NoError(t, err)
	assert.Equal(t, []int{7, 8, 9}, l.InBackupMode())
	var id string
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT SYS_CONTEXT('USERENV', 'CON_ID') AS CON_ID FROM DUAL").Scan(&id))
	assert.Equal(t, "3", id)
	assert.Equal(t, "1", l.one("SELECT SYS_CONTEXT('USERENV', 'CON_ID') AS CON_ID FROM DUAL"))
	assert.Equal(t, "YES", l.one("SELECT CDB FROM V$DATABASE"))
	assert.Equal(t, "READ ONLY", l.one("SELECT OPEN_MODE FROM V$PDBS WHERE CON_ID = 2"))
}

func TestLoginsAndStates(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *Config) {
		c.Users = map[string]User{"BOB": {Password: "b"}, "ANN": {Password: "a", Administrative: []string{"SYSBACKUP"}}, "POOR": {Password: "p", Powerless: true}}
	})
	login := func(x Login) error {
		db := l.OpenDB(x)
		defer db.Close()
		return db.PingContext(t.Context())
	}
	assert.ErrorContains(t, login(Login{User: "bob", Password: "x"}), "ORA-01017")
	assert.ErrorContains(t, login(Login{User: "bob", Password: "b", Privilege: "SYSDBA"}), "ORA-01031")
	require.NoError(t, login(Login{User: "ann", Password: "a", Privilege: "SYSBACKUP"}))
	poor := l.OpenDB(Login{User: "POOR", Password: "p"})
	defer poor.Close()
	_, err := poor.ExecContext(t.Context(), "ALTER DATABASE BEGIN BACKUP")
	assert.ErrorContains(t, err, "ORA-01031")
	_, err = poor.QueryContext(t.Context(), "SELECT NAME FROM V$DATABASE") //nolint:sqlclosecheck // it fails
	assert.ErrorContains(t, err, "ORA-00942")
	bob := l.OpenDB(Login{User: "bob", Password: "b"})
	defer bob.Close()
	_, err = bob.ExecContext(t.Context(), "CREATE PFILE='/tmp/x' FROM MEMORY")
	assert.ErrorContains(t, err, "ORA-01031")

	l.FillRecoveryArea(true)
	assert.ErrorContains(t, login(Login{User: "bob", Password: "b"}), "ORA-00257")
	l.refused(19809, "ALTER SYSTEM ARCHIVE LOG CURRENT")
	assert.Equal(t, "FAILED", l.one("SELECT ARCHIVER FROM V$INSTANCE"))
	l.FillRecoveryArea(false)
	l.must("ALTER SYSTEM ARCHIVE LOG CURRENT")

	require.NoError(t, l.Shutdown(false))
	assert.ErrorContains(t, login(Login{}), "ORA-01034")
	require.NoError(t, l.Startup(Started))
	assert.ErrorContains(t, login(Login{User: "bob", Password: "b"}), "ORA-01033")
	l.connect()
	l.refused(1507, "ALTER DATABASE BACKUP CONTROLFILE TO '/tmp/x'")
	_, err = l.conn.QueryContext(t.Context(), "SELECT NAME FROM V$DATABASE") //nolint:sqlclosecheck // it fails
	assert.ErrorContains(t, err, "ORA-01507")
	assert.Equal(t, "STARTED", l.one("SELECT STATUS FROM V$INSTANCE"))
	l.must("ALTER DATABASE MOUNT")
	_, err = l.conn.QueryContext(t.Context(), "SELECT STATUS FROM DBA_TABLESPACES") //nolint:sqlclosecheck // it fails
	assert.ErrorContains(t, err, "ORA-01219")
	l.must("ALTER DATABASE OPEN READ ONLY")
	l.refused(16000, "ALTER DATABASE BEGIN BACKUP")
	l.refused(16000, `CREATE OR REPLACE DIRECTORY "D" AS '/tmp'`)
	assert.Equal(t, "READ ONLY", l.one("SELECT OPEN_MODE FROM V$DATABASE"))
}

func TestQueries(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	assert.Equal(t, "18446744073709551615", l.one("SELECT NEXT_CHANGE# FROM V$LOG WHERE STATUS = 'CURRENT'"))
	var at time.Time
	require.NoError(t, l.conn.QueryRowContext(t.Context(), "SELECT SYSTIMESTAMP AS NOW FROM DUAL").Scan(&at))
	assert.True(t, at.Equal(l.clock.read()))
	assert.Equal(t, l.clock.read().Format("2006-01-02 15:04:05"), l.one("SELECT TO_CHAR(FIRST_TIME,'YYYY-MM-DD HH24:MI:SS') FROM V$LOG WHERE SEQUENCE# = 1"))
	assert.Equal(t, "4", l.one("SELECT MAX(FILE#) FROM V$DATAFILE WHERE TS# IN (0, 1, 2, 3) AND (ENABLED = 'READ WRITE' OR FILE# <> 1)"))
	assert.Equal(t, "4", l.one("SELECT FILE# FROM V$DATAFILE D WHERE D.NAME IS NOT NULL ORDER BY FILE# DESC"))
	for query, code := range map[string]int{
		"SELECT NONE FROM V$DATABASE":                   904,
		"SELECT NAME FROM V$DATABASE WHERE NONE = 1":    904,
		"SELECT NAME FROM V$ARCHIVED_LOG ORDER BY NONE": 904,
		"SELECT NAME FROM V$NOTHING":                    942,
		"SELECT NAME FROM V$DATABASE GROUP BY NAME":     900,
		"SELECT NAME": 923,
		"SELECT NAME FROM V$DATABASE WHERE NAME LIKE 'X%'":     900,
		"SELECT REGEXP_COUNT(NAME) FROM V$DATABASE":            900,
		"SELECT TO_CHAR(CREATED, 'HH12') FROM V$DATABASE":      1821,
		"SELECT NAME FROM V$DATABASE WHERE NAME = 'unfinished": 1756,
	} {
		_, err := l.conn.QueryContext(t.Context(), query) //nolint:sqlclosecheck // it fails
		require.Error(t, err, query)
		assert.Contains(t, err.Error(), fmt.Sprintf("ORA-%05d", code), query)
		var e *network.OracleError
		require.ErrorAs(t, err, &e)
	}
	old := newLab(t, func(c *Config) { c.Version = "11.2.0.4.0" })
	_, err := old.conn.QueryContext(t.Context(), "SELECT CDB FROM V$DATABASE") //nolint:sqlclosecheck // it fails
	assert.ErrorContains(t, err, "ORA-00904")
	assert.Equal(t, "11.2.0.4.0", old.one("SELECT VERSION FROM V$INSTANCE"))
}

func TestLargeObjectsOfFiles(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *Config) { c.SessionMaxOpenFiles = 2 })
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(dir+"/f", []byte("0123456789"), 0o600))
	require.NoError(t, os.Symlink(dir+"/f", dir+"/soft"))
	l.must(`CREATE OR REPLACE DIRECTORY "QX" AS '` + dir + `'`)
	l.refused(65254, "CREATE DIRECTORY D AS '/tmp/../x'")
	length := "DECLARE f BFILE := BFILENAME(:1, :2); BEGIN DBMS_LOB.FILEOPEN(f, DBMS_LOB.FILE_READONLY); :3 := DBMS_LOB.GETLENGTH(f); DBMS_LOB.FILECLOSE(f); END;"
	part := "DECLARE f BFILE := BFILENAME(:1, :2); n INTEGER := :3; BEGIN DBMS_LOB.FILEOPEN(f, DBMS_LOB.FILE_READONLY); DBMS_LOB.READ(f, n, :4, :5); DBMS_LOB.FILECLOSE(f); END;"
	var n int64
	_, err = l.conn.ExecContext(t.Context(), length, "QX", "f", sql.Out{Dest: &n})
	require.NoError(t, err)
	assert.EqualValues(t, 10, n)
	var b []byte
	_, err = l.conn.ExecContext(t.Context(), part, "QX", "f", int64(4), int64(8), sql.Out{Dest: &b})
	require.NoError(t, err)
	assert.Equal(t, "789", string(b))
	for _, c := range []struct {
		dir, file string
		code      int
	}{{"NONE", "f", 22285}, {"qx", "f", 22285}, {"QX", "none", 22288}, {"QX", "soft", 22288}} {
		_, err = l.conn.ExecContext(t.Context(), length, c.dir, c.file, sql.Out{Dest: &n})
		assert.ErrorContains(t, err, fmt.Sprint("ORA-", c.code), c)
	}
	// A read that fails leaves its file open, until there are too many.
	for range 2 {
		_, err = l.conn.ExecContext(t.Context(), part, "QX", "f", int64(4), int64(11), sql.Out{Dest: &b})
		assert.ErrorContains(t, err, "ORA-01403")
	}
	_, err = l.conn.ExecContext(t.Context(), part, "QX", "f", int64(4), int64(1), sql.Out{Dest: &b})
	assert.ErrorContains(t, err, "ORA-22290")
	l.connect()
	_, err = l.conn.ExecContext(t.Context(), part, "QX", "f", int64(40000), int64(1), sql.Out{Dest: &b})
	assert.ErrorContains(t, err, "ORA-21560")
	_, err = l.conn.ExecContext(t.Context(), "BEGIN UTL_FILE.FREMOVE(:1, :2); END;", "QX", "f")
	require.NoError(t, err)
	assert.NoFileExists(t, dir+"/f")
	l.must(`DROP DIRECTORY "QX"`)
	l.refused(4043, `DROP DIRECTORY "QX"`)
}

func TestHooks(t *testing.T) {
	t.Parallel()
	var hook func(context.Context, Statement, Moment) error
	l := newLab(t, func(c *Config) {
		c.Hook = func(ctx context.Context, s Statement, m Moment) error {
			if hook == nil {
				return nil
			}
			return hook(ctx, s, m)
		}
	})
	hook = func(_ context.Context, _ Statement, m Moment) error {
		if m == Before {
			return errors.New("not now")
		}
		return nil
	}
	require.EqualError(t, l.exec("ALTER DATABASE BEGIN BACKUP"), "not now")
	assert.Empty(t, l.InBackupMode())
	seen := 0
	hook = func(_ context.Context, _ Statement, m Moment) error {
		if m == Inside {
			if seen++; seen == 2 {
				return ErrKillSession
			}
		}
		return nil
	}
	l.refused(3113, "ALTER DATABASE BEGIN BACKUP")
	hook = nil
	assert.Equal(t, []int{1, 2}, l.InBackupMode(), "half of it has happened")
	assert.Equal(t, 0, l.Sessions())
	l.refused(3114, "ALTER DATABASE END BACKUP")
	_, err := l.conn.QueryContext(t.Context(), "SELECT DUMMY FROM DUAL") //nolint:sqlclosecheck // it fails
	require.ErrorIs(t, err, driver.ErrBadConn)
	l.connect()
	l.must("ALTER DATABASE END BACKUP")
	ctx, cancel := context.WithCancel(t.Context())
	hook = func(ctx context.Context, _ Statement, m Moment) error {
		if m == After {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	_, err = l.conn.ExecContext(ctx, "ALTER DATABASE BEGIN BACKUP")
	assert.ErrorContains(t, err, "ORA-01013")
	assert.NotEmpty(t, l.InBackupMode())
	hook = func(_ context.Context, s Statement, m Moment) error {
		if m == After {
			return ErrKillInstance
		}
		return nil
	}
	l.refused(3113, "ALTER DATABASE END BACKUP")
	hook = nil
	assert.Equal(t, Down, l.State())
	require.NoError(t, l.Startup(Open), "it had ended")
	all := l.Statements()
	assert.Equal(t, "ALTER DATABASE END BACKUP", all[len(all)-1].Text)
	require.Error(t, all[len(all)-1].Err)
}

func TestANewHost(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	dir := t.TempDir()
	l.write(3)
	l.hot(dir, true)
	l.logs(dir)
	truth, err := l.Contents()
	require.NoError(t, err)
	there := t.TempDir()
	n, err := Attach(Config{SID: "NEW", Name: "ORCL", Dir: there, Now: l.clock.read})
	require.NoError(t, err)
	assert.Equal(t, 1078, code(n.Startup(Open)))
	control, data := there+"/c.ctl", there+"/data"
	copyTo(t, there, dir+"/control.bak")
	require.NoError(t, os.Rename(there+"/control.bak", control))
	require.NoError(t, os.WriteFile(n.Home()+"/initNEW.ora", []byte("db_name='ORCL'\ncontrol_files='"+control+"'\nlog_archive_dest_1='LOCATION="+there+"'\n"), 0o600))
	require.NoError(t, n.Startup(Mounted))
	m := &lab{Instance: n, t: t, clock: l.clock}
	m.connect()
	for _, f := range n.Files() {
		copyTo(t, data, filepath.Join(dir, filepath.Base(f.Path)))
		m.must("ALTER DATABASE RENAME FILE '" + f.Path + "' TO '" + filepath.Join(data, filepath.Base(f.Path)) + "'")
	}
	for g := range 3 {
		name := m.one(fmt.Sprintf("SELECT MEMBER FROM V$LOGFILE WHERE GROUP# = %d", g+1))
		m.must("ALTER DATABASE RENAME FILE '" + name + "' TO '" + filepath.Join(data, filepath.Base(name)) + "'")
	}
	require.NoError(t, m.recover("DATABASE UNTIL CANCEL USING BACKUP CONTROLFILE", dir))
	m.must("ALTER DATABASE OPEN RESETLOGS")
	got, err := n.Contents()
	require.NoError(t, err)
	assert.Equal(t, texts(truth), texts(got))
	wrong, err := Attach(Config{SID: "X", Dir: t.TempDir(), Now: l.clock.read})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(wrong.Home()+"/initX.ora", []byte("db_name='OTHER'\ncontrol_files='"+control+"'\n"), 0o600))
	assert.Equal(t, 1103, code(wrong.Startup(Mounted)))
}

func TestLogsOfTwoDestinations(t *testing.T) {
	t.Parallel()
	second := t.TempDir()
	l := newLab(t, func(c *Config) { c.ArchiveDests = []string{"USE_DB_RECOVERY_FILE_DEST", second} })
	l.must("ALTER SYSTEM ARCHIVE LOG CURRENT")
	assert.Equal(t, "2", l.one("SELECT COUNT(*) FROM V$ARCHIVED_LOG WHERE SEQUENCE# = 1"))
	assert.Contains(t, l.one("SELECT NAME FROM V$ARCHIVED_LOG WHERE IS_RECOVERY_DEST_FILE = 'YES'"), "/o1_mf_1_1_")
	assert.Equal(t, second, filepath.Dir(l.one("SELECT NAME FROM V$ARCHIVED_LOG WHERE DEST_ID = 2")))
	l.DeferDest(2, true)
	l.must("ALTER SYSTEM ARCHIVE LOG CURRENT")
	assert.Equal(t, "1", l.one("SELECT COUNT(*) FROM V$ARCHIVED_LOG WHERE SEQUENCE# = 2"))
	assert.Equal(t, "DEFERRED", l.one("SELECT STATUS FROM V$ARCHIVE_DEST WHERE DEST_ID = 2"))
	require.NoError(t, os.Remove(l.one("SELECT NAME FROM V$ARCHIVED_LOG WHERE DEST_ID = 2")))
	l.rmanMust("CROSSCHECK ARCHIVELOG ALL;")
	assert.Equal(t, "1", l.one("SELECT COUNT(*) FROM V$ARCHIVED_LOG WHERE STATUS = 'X'"))
}

func TestResetlogsBeginsAnIncarnation(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	dir := t.TempDir()
	l.hot(dir, true)
	old := l.one("SELECT NAME FROM V$ARCHIVED_LOG")
	before := l.one("SELECT RESETLOGS_CHANGE# FROM V$DATABASE")
	l.write(3)
	truth, err := l.Contents()
	require.NoError(t, err)
	require.NoError(t, l.Shutdown(false))
	require.NoError(t, l.Startup(Mounted))
	l.connect()
	l.must("ALTER DATABASE RECOVER DATABASE UNTIL CANCEL")
	l.refused(1589, "ALTER DATABASE OPEN")
	l.must("ALTER DATABASE OPEN RESETLOGS")
	got, err := l.Contents()
	require.NoError(t, err)
	assert.Equal(t, truth, got)
	assert.Equal(t, before, l.one("SELECT RESETLOGS_CHANGE# FROM V$DATABASE_INCARNATION WHERE STATUS = 'PARENT'"))
	assert.NotEqual(t, before, l.one("SELECT RESETLOGS_CHANGE# FROM V$DATABASE"))
	l.hot(t.TempDir(), true)
	name := l.one("SELECT NAME FROM V$ARCHIVED_LOG WHERE SEQUENCE# = 1 AND RESETLOGS_CHANGE# > " + before)
	assert.NotEqual(t, old, name)

	f := l.Files()[3]
	l.must("ALTER DATABASE DATAFILE 4 OFFLINE")
	copyTo(t, filepath.Dir(f.Path), filepath.Join(dir, filepath.Base(f.Path)))
	l.refused(1190, "ALTER DATABASE RECOVER DATAFILE 4")
	l.restore(dir)
	l.refused(279, "ALTER DATABASE RECOVER DATABASE UNTIL CANCEL USING BACKUP CONTROLFILE")
	l.refused(342, "ALTER DATABASE RECOVER LOGFILE '"+name+"'")
	l.refused(279, "ALTER DATABASE RECOVER LOGFILE '"+old+"'")
	l.must("ALTER DATABASE RECOVER CANCEL")
}

func TestDamagedAndForeignLogsAreRefused(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	other := newLab(t, func(c *Config) { c.DBID = 77 })
	other.must("ALTER SYSTEM ARCHIVE LOG CURRENT")
	dir := t.TempDir()
	l.hot(dir, true)
	l.logs(dir)
	all, err := filepath.Glob(dir + "/1_1_*")
	require.NoError(t, err)
	require.Len(t, all, 1)
	b, err := os.ReadFile(all[0])
	require.NoError(t, err)
	l.restore(dir)
	l.refused(279, "ALTER DATABASE RECOVER DATABASE UNTIL CANCEL USING BACKUP CONTROLFILE")
	l.refused(342, "ALTER DATABASE RECOVER LOGFILE '"+other.one("SELECT NAME FROM V$ARCHIVED_LOG")+"'")
	bad := filepath.Join(dir, "bad")
	for _, damaged := range [][]byte{append(append([]byte{}, b[:3000]...), append([]byte{b[3000] ^ 1}, b[3001:]...)...), b[:len(b)-512]} {
		require.NoError(t, os.WriteFile(bad, damaged, 0o600))
		l.refused(353, "ALTER DATABASE RECOVER LOGFILE '"+bad+"'")
	}
	require.NoError(t, os.WriteFile(bad, []byte("no log"), 0o600))
	l.refused(308, "ALTER DATABASE RECOVER LOGFILE '"+bad+"'")
	l.refused(279, "ALTER DATABASE RECOVER LOGFILE '"+all[0]+"'")
	l.must("ALTER DATABASE RECOVER CANCEL", "ALTER DATABASE OPEN RESETLOGS")
}

func TestRedoFillsLogs(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *Config) { c.LogBlocks = 16; c.Blocks = 60 })
	l.write(200)
	n := l.one("SELECT COUNT(*) FROM V$ARCHIVED_LOG")
	assert.Greater(t, len(n), 0)
	assert.NotEqual(t, "0", n)
	truth, err := l.Contents()
	require.NoError(t, err)
	require.Len(t, truth, 200)
	l.Crash()
	require.NoError(t, l.Startup(Open))
	got, err := l.Contents()
	require.NoError(t, err)
	assert.Equal(t, truth, got, "online logs have what memory had")
	l.connect()
	l.FillRecoveryArea(true)
	for range 500 {
		if _, err = l.Commit("USERS", "more"); err != nil {
			break
		}
	}
	require.Error(t, err, "nothing goes on without the archiver")
}

func TestStandbyAndThreads(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *Config) { c.Role = "PHYSICAL STANDBY" })
	assert.Equal(t, "READ ONLY", l.one("SELECT OPEN_MODE FROM V$DATABASE"))
	assert.Equal(t, "PHYSICAL STANDBY", l.one("SELECT DATABASE_ROLE FROM V$DATABASE"))
	l.refused(16000, "ALTER DATABASE BEGIN BACKUP")
	r := newLab(t, nil)
	no, err := r.AddThread()
	require.NoError(t, err)
	_, err = r.CommitOn(no, "USERS", "there")
	require.NoError(t, err)
	r.must("ALTER SYSTEM ARCHIVE LOG CURRENT")
	assert.Equal(t, "2", r.one("SELECT COUNT(*) FROM V$ARCHIVED_LOG"))
	truth, err := r.Contents()
	require.NoError(t, err)
	r.Crash()
	require.NoError(t, r.Startup(Open))
	got, err := r.Contents()
	require.NoError(t, err)
	assert.Equal(t, truth, got)
}
