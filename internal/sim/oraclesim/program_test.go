package oraclesim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func (l *lab) rmanRun(script string) Result {
	return l.RunProgram(l.t.Context(), Call{Args: []string{"rman", "target", "/", "nocatalog"}, Input: script})
}

func (l *lab) rmanMust(script string) string {
	l.t.Helper()
	res := l.rmanRun(script)
	require.Equal(l.t, 0, res.Exit, res.Output)
	assert.NotContains(l.t, res.Output, "RMAN-00569")
	return res.Output
}

func (l *lab) sqlplusRun(script string) Result {
	return l.RunProgram(l.t.Context(), Call{Args: []string{"sqlplus", "-s", "-L", "/ as sysdba"}, Input: script})
}

// lose deletes all data files and control files of a dead instance.
func (l *lab) lose() {
	l.t.Helper()
	files, controls := l.Files(), l.params.list("control_files")
	l.Crash()
	for _, f := range files {
		require.NoError(l.t, os.Remove(f.Path))
	}
	for _, c := range controls {
		require.NoError(l.t, os.Remove(c))
	}
}

func TestSQLPlusStartsAndStops(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.write(3)
	truth, err := l.Contents()
	require.NoError(t, err)
	res := l.sqlplusRun("WHENEVER SQLERROR EXIT FAILURE\nSHUTDOWN IMMEDIATE\nSTARTUP NOMOUNT\nALTER DATABASE MOUNT;\nALTER DATABASE OPEN;\nSET HEADING OFF COLSEP '|'\nSELECT STATUS, THREAD# FROM V$INSTANCE;\nEXIT\n")
	require.Equal(t, 0, res.Exit, res.Output)
	assert.Contains(t, res.Output, "OPEN|1\n")
	got, err := l.Contents()
	require.NoError(t, err)
	assert.Equal(t, truth, got)
	res = l.sqlplusRun("WHENEVER SQLERROR EXIT FAILURE\nALTER DATABASE MOUNT;\nPROMPT not reached\n")
	assert.Equal(t, 1, res.Exit)
	assert.Contains(t, res.Output, "ORA-01100")
	assert.NotContains(t, res.Output, "not reached")
	res = l.sqlplusRun("WHENEVER SQLERROR EXIT SQL.SQLCODE\nFLASHBACK DATABASE;\n")
	assert.Equal(t, 900&0xFF, res.Exit, res.Output)
	res = l.RunProgram(t.Context(), Call{Args: []string{"sqlplus", "scott/tiger"}})
	assert.Equal(t, 1, res.Exit)
}

func TestSQLPlusRecoverAsksForLogs(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	dir := filepath.Join(l.dir, "backup")
	l.hot(dir, true)
	l.write(4)
	l.must("ALTER SYSTEM ARCHIVE LOG CURRENT")
	truth, err := l.Contents()
	require.NoError(t, err)
	l.restore(dir)
	res := l.sqlplusRun("RECOVER DATABASE UNTIL CANCEL USING BACKUP CONTROLFILE\nAUTO\nWHENEVER SQLERROR EXIT FAILURE\nALTER DATABASE OPEN RESETLOGS;\n")
	require.Equal(t, 0, res.Exit, res.Output)
	assert.Contains(t, res.Output, "Specify log: ")
	assert.Contains(t, res.Output, "ORA-00308")
	got, err := l.Contents()
	require.NoError(t, err)
	assert.Equal(t, texts(truth), texts(got))
}

func TestProgramsOverASocket(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	wait, err := l.Listen(t.Context(), socket)
	require.NoError(t, err)
	t.Cleanup(func() { wait() })
	script, log := filepath.Join(dir, "x.rman"), filepath.Join(dir, "x.log")
	require.NoError(t, os.WriteFile(script, []byte("BACKUP SPFILE FORMAT '"+dir+"/%U';"), 0o600))
	exit, err := Program(t.Context(), socket, []string{"rman", "target", "/", "cmdfile=" + script, "log", log}, strings.NewReader(""), nil)
	require.NoError(t, err)
	text, err := os.ReadFile(log)
	require.NoError(t, err)
	assert.Equal(t, 0, exit, string(text))
	var out strings.Builder
	exit, err = Program(t.Context(), socket, []string{"sqlplus", "/", "as", "sysdba"}, strings.NewReader("SELECT STATUS FROM V$INSTANCE;"), &out)
	require.NoError(t, err)
	assert.Equal(t, 0, exit)
	assert.Equal(t, "STATUS\nOPEN\n", out.String())
}

func TestRMANSetsIncrementsAndLogs(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *Config) { c.Threads = 2 })
	dir := t.TempDir()
	l.write(3)
	l.rmanMust("RUN { ALLOCATE CHANNEL c DEVICE TYPE DISK; BACKUP INCREMENTAL LEVEL 0 DATABASE FORMAT '" + dir + "/zero_%U' TAG 'Z'; }")
	l.write(3)
	out := l.rmanMust("# changes only\nBACKUP AS COMPRESSED BACKUPSET INCREMENTAL LEVEL 1 DATABASE FORMAT '" + dir + "/one_%U';")
	assert.Contains(t, out, "piece handle="+dir+"/one_")
	l.clock.tick()
	_, err := l.CommitOn(2, "USERS", "by the other instance")
	require.NoError(t, err)
	l.write(3)
	l.rmanMust("BACKUP ARCHIVELOG ALL NOT BACKED UP 1 TIMES FORMAT '" + dir + "/logs_%U';\nBACKUP CURRENT CONTROLFILE FORMAT '" + dir + "/ctl';")
	l.rmanMust("RESTORE DATABASE VALIDATE;\nRESTORE DATABASE PREVIEW SUMMARY;\nVALIDATE DATABASE CHECK LOGICAL;\nCROSSCHECK BACKUP;")
	truth, err := l.Contents()
	require.NoError(t, err)
	last := truth[len(truth)-1]
	l.rmanMust("DELETE NOPROMPT ARCHIVELOG ALL;")
	l.lose()
	l.rmanMust("STARTUP NOMOUNT;\nRESTORE CONTROLFILE FROM '" + dir + "/ctl';\nALTER DATABASE MOUNT;\nRESTORE DATABASE;")
	res := l.rmanRun("ALTER DATABASE OPEN RESETLOGS;")
	assert.Equal(t, 1, res.Exit)
	assert.Contains(t, res.Output, "RMAN-00569")
	assert.Contains(t, res.Output, "ORA-01194")
	res = l.rmanRun("RECOVER DATABASE;")
	assert.Contains(t, res.Output, "RMAN-06054", "no log holds the end")
	l.rmanMust("RUN { SET UNTIL TIME \"to_date('" + last.At.Format("2006-01-02 15:04:05") + "','YYYY-MM-DD HH24:MI:SS')\"; RESTORE DATABASE; RECOVER DATABASE; }\nALTER DATABASE OPEN RESETLOGS;")
	got, err := l.Contents()
	require.NoError(t, err)
	assert.Contains(t, texts(got), "by the other instance")
	assert.Equal(t, texts(truth[:len(truth)-1]), texts(got))
}

func TestRMANCopiesMoveADatabase(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	dir, to := t.TempDir(), t.TempDir()
	l.write(3)
	l.rmanMust("BACKUP AS COPY DATABASE FORMAT '" + dir + "/%N_%f.dbf' TAG 'C';\nSQL 'ALTER SYSTEM ARCHIVE LOG CURRENT';")
	l.must("ALTER DATABASE BACKUP CONTROLFILE TO '" + dir + "/control.bak'")
	truth, err := l.Contents()
	require.NoError(t, err)
	l.lose()
	l.rmanMust("STARTUP NOMOUNT;\nRESTORE CONTROLFILE FROM '" + dir + "/control.bak';\nALTER DATABASE MOUNT;\nCATALOG START WITH '" + dir + "/' NOPROMPT;")
	res := l.rmanRun("RUN { SET UNTIL SEQUENCE 2 THREAD 1; SET NEWNAME FOR DATABASE TO '" + to + "/%b'; RESTORE DATABASE; SWITCH DATAFILE ALL; RECOVER DATABASE; }")
	require.Equal(t, 0, res.Exit, res.Output)
	l.rmanMust("ALTER DATABASE OPEN RESETLOGS;")
	got, err := l.Contents()
	require.NoError(t, err)
	assert.Equal(t, texts(truth), texts(got))
	for _, f := range l.Files() {
		assert.Equal(t, to, filepath.Dir(f.Path))
	}
}

func TestRMANRefuses(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	dir := t.TempDir()
	for script, want := range map[string]string{
		"BACKUP DATABASE":                         "RMAN-00558",
		"FLASHBACK DATABASE TO SCN 1;":            "RMAN-00558",
		"RESTORE DATABASE VALIDATE;":              "RMAN-06023",
		"RESTORE CONTROLFILE FROM '/nowhere';":    "RMAN-06496",
		"BACKUP DATABASE FORMAT '/nowhere/x/%U';": "ORA-19504",
		"SQL 'ALTER DATABASE MOUNT';":             "ORA-01100",
		"CATALOG DATAFILECOPY '/nowhere';":        "ORA-19505",
	} {
		res := l.rmanRun(script)
		assert.Equal(t, 1, res.Exit, script)
		assert.Contains(t, res.Output, want, script)
		assert.Contains(t, res.Output, "RMAN-00569", script)
	}
	l.rmanMust("BACKUP DATABASE FORMAT '" + dir + "/piece_%U';")
	all, err := filepath.Glob(dir + "/piece_*")
	require.NoError(t, err)
	require.Len(t, all, 3, "the files, the control file, the parameters")
	for _, p := range all {
		b, err := os.ReadFile(p)
		require.NoError(t, err)
		b[len(b)-100] ^= 1
		require.NoError(t, os.WriteFile(p, b, 0o600))
	}
	res := l.rmanRun("RESTORE DATABASE VALIDATE;")
	assert.Equal(t, 1, res.Exit)
	assert.Contains(t, res.Output, "ORA-19599")
	res = l.RunProgram(t.Context(), Call{Args: []string{"rman"}, Input: "BACKUP DATABASE;"})
	assert.Contains(t, res.Output, "RMAN-06171")
}

func TestStartupWithAParameterFile(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	dir := t.TempDir()
	l.must("CREATE PFILE='" + dir + "/init.ora' FROM SPFILE")
	for _, command := range []string{"STARTUP FORCE NOMOUNT PFILE='" + dir + "/init.ora'", "STARTUP FORCE PFILE=" + dir + "/init.ora NOMOUNT"} {
		res := l.sqlplusRun("WHENEVER SQLERROR EXIT FAILURE\n" + command + "\nALTER DATABASE MOUNT;\nALTER DATABASE OPEN;\nCREATE PFILE='" + dir + "/none' FROM SPFILE;\n")
		assert.Equal(t, 1, res.Exit, res.Output)
		assert.Contains(t, res.Output, "ORA-01565", "it was started without an SPFILE")
		assert.Equal(t, Open, l.State(), res.Output)
	}
	res := l.sqlplusRun("WHENEVER SQLERROR EXIT FAILURE\nSTARTUP FORCE PFILE='/nowhere'\n")
	assert.Equal(t, 1, res.Exit)
	assert.Contains(t, res.Output, "LRM-00109")
	res = l.sqlplusRun("ALTER DATABASE MOUNT;\n")
	assert.Contains(t, res.Output, "ORA-01034")
}
