package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent/config"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/examples/obm/cli"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
	"github.com/quiesce-go/quiesce/oracle"
)

// oracleConfig is the configuration of the guide, with a DSN that nobody answers: the tests put a simulated database in its place.
const oracleConfig = `
sink: file://DIR/target
stage: {dir: stage}
seal: {plain: true}
agent: {listen: none}
transfer: {retry: 0}
jobs:
  erp:
    application: oracle
    oracle: {dsn: "oracle://quiesce:swordfish@db1:1521/orcl?DBA PRIVILEGE=SYSBACKUP", state_dir: state}
  far:
    application: oracle
    oracle: {dsn: "oracle://quiesce:swordfish@db1:1521/orcl", state_dir: state, mode: remote, scratch_dir: DIR/scratch}
`

// oracleLab is obm in this process, and a simulated database. All is as main has it, settings too, but for the driver: that of the simulator has no wire.
type oracleLab struct {
	t        *testing.T
	dir      string
	sim      *oraclesim.Instance
	login    oraclesim.Login
	out, err bytes.Buffer

	mu    sync.Mutex
	clock time.Time
	hook  func(s oraclesim.Statement, m oraclesim.Moment) error
}

func newOracleLab(t *testing.T, change func(c *oraclesim.Config)) *oracleLab {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	l := &oracleLab{t: t, dir: dir, clock: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "scratch"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "obm.yaml"), []byte(strings.ReplaceAll(oracleConfig, "DIR", dir)), 0o600))
	c := oraclesim.Config{SID: "ORCL", Dir: filepath.Join(dir, "server"), Now: l.now, Seed: 7, LogBlocks: 64}
	c.Hook = func(_ context.Context, s oraclesim.Statement, m oraclesim.Moment) error {
		l.mu.Lock()
		hook := l.hook
		l.mu.Unlock()
		if hook == nil {
			return nil
		}
		return hook(s, m)
	}
	if change != nil {
		change(&c)
	}
	l.sim, err = oraclesim.Create(c)
	require.NoError(t, err)
	return l
}

// now is the server's clock, a second later at every look.
func (l *oracleLab) now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock = l.clock.Add(time.Second)
	return l.clock
}

// hooked runs at each statement of the server from now on.
func (l *oracleLab) hooked(hook func(s oraclesim.Statement, m oraclesim.Moment) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hook = hook
}

// began are the statements that put something into backup mode.
func (l *oracleLab) began() (out []string) {
	for _, s := range l.sim.Statements() {
		if strings.HasSuffix(s.Text, " BEGIN BACKUP") {
			out = append(out, s.Text)
		}
	}
	return out
}

// obm runs a command, which must end with a code.
func (l *oracleLab) obm(code int, args ...string) (stdout, stderr string) {
	l.t.Helper()
	l.out.Reset()
	l.err.Reset()
	open := func(_ context.Context, s oracleSettings, _ string) (backup.Source, error) {
		return oracle.FromDB(l.sim.OpenDB(l.login), s.options())
	}
	p := &cli.Program{Applications: config.Registry{"oracle": config.App(open)}, Stdout: &l.out, Stderr: &l.err}
	got := p.Run(l.t.Context(), append([]string{"--config", filepath.Join(l.dir, "obm.yaml")}, args...))
	require.Equal(l.t, code, got, "%v\n%s\n%s", args, &l.out, &l.err)
	return l.out.String(), l.err.String()
}

// TestOracleDay is what an operator does with a database: check, back up, look, prove, fetch the files for a restore by hand.
func TestOracleDay(t *testing.T) {
	t.Parallel()
	for _, job := range []string{"erp", "far"} {
		t.Run(job, func(t *testing.T) {
			t.Parallel()
			l := newOracleLab(t, nil)
			out, _ := l.obm(0, "check", job)
			assert.Contains(t, out, "in ARCHIVELOG")
			assert.Contains(t, out, "no data file is in backup mode")

			out, _ = l.obm(0, "backup", job, "--kind", "log")
			assert.Contains(t, out, "database: full", "a log has nothing to continue")
			assert.Contains(t, out, "no proven full to build on")
			_, err := l.sim.Commit("USERS", "apples", "pears")
			require.NoError(t, err)
			out, _ = l.obm(0, "backup", job, "--kind", "log")
			assert.Contains(t, out, "database: log")
			assert.Empty(t, l.sim.InBackupMode())
			l.obm(0, "verify", job, "--level", "format")
			out, _ = l.obm(0, "windows", job, "--json")
			assert.Contains(t, out, `"gaps": []`)

			l.obm(0, "restore", job, "--files", filepath.Join(l.dir, "out"), "--yes")
			for _, pattern := range []string{"data/*.dbf", "log/1_*.arc", "control/control.ctl", "control/control.sql", "config/server-pfile.ora", "config/init.ora", "config/password-file", "config/tempfiles.sql", "inventory.json"} {
				found, err := filepath.Glob(filepath.Join(l.dir, "out", "*", pattern))
				require.NoError(t, err)
				assert.NotEmpty(t, found, "the guide names %s", pattern)
			}
			plan, _ := l.obm(0, "plan", job, "--script")
			require.NoError(t, os.WriteFile(filepath.Join(l.dir, "out", "restore.sql"), []byte(plan), 0o600))
			out, _ = l.obm(0, "inspect", filepath.Join(l.dir, "out"))
			for _, kind := range []string{"Oracle data file", "Oracle redo log", "Oracle control file", "Oracle control file as SQL", "Oracle parameters", "Oracle password file", "Quiesce inventory of an Oracle database",
				"Quiesce script for the temporary files of an Oracle database", "Quiesce script that restores an Oracle database"} {
				assert.Contains(t, out, ": "+kind+"\n")
			}
			inventories, err := filepath.Glob(filepath.Join(l.dir, "out", "*", "inventory.json"))
			require.NoError(t, err)
			logs, err := filepath.Glob(filepath.Join(filepath.Dir(inventories[0]), "log", "*"))
			require.NoError(t, err)
			require.NoError(t, os.Truncate(logs[0], 512))
			require.NoError(t, os.Remove(filepath.Join(filepath.Dir(inventories[0]), "config", "init.ora")))
			out, _ = l.obm(1, "inspect", inventories[0])
			assert.Contains(t, out, filepath.Base(logs[0])+" has 512 bytes, and must have")
			assert.Contains(t, out, "files are not beside it")
		})
	}
}

// TestOracleOneTablespace has a tablespace that is lost while the database is open, and comes back.
func TestOracleOneTablespace(t *testing.T) {
	t.Parallel()
	l := newOracleLab(t, nil)
	_, err := l.sim.Commit("USERS", "apples")
	require.NoError(t, err)
	l.obm(0, "backup", "erp")
	_, err = l.sim.Commit("USERS", "pears")
	require.NoError(t, err)
	l.obm(0, "backup", "erp", "--kind", "log")
	at := l.now()
	_, err = l.sim.Commit("USERS", "plums") // in online logs only
	require.NoError(t, err)
	l.obm(0, "backup", "erp", "--kind", "log")

	restore := []string{"restore", "erp", "--item", "USERS", "--yes", "--option", "execute=sql"}
	_, say := l.obm(4, restore...)
	assert.Contains(t, say, "overwriting", "nothing of it is lost")
	_, say = l.obm(4, append(restore, "--at", at.Format(time.RFC3339))...)
	assert.Contains(t, say, "Data Pump")
	_, say = l.obm(4, "restore", "erp", "--item", "SYSTEM", "--yes", "--overwrite", "--option", "execute=sql")
	assert.Contains(t, say, "STARTUP MOUNT")
	out, _ := l.obm(0, "plan", "erp", "--item", "USERS", "--script")
	assert.Contains(t, out, `ALTER DATABASE RECOVER TABLESPACE "USERS";`)

	for _, f := range l.sim.Files() {
		if f.Tablespace == "USERS" {
			require.NoError(t, os.Remove(f.Path))
		}
	}
	l.obm(0, restore...)
	var rows []string
	all, err := l.sim.Contents()
	require.NoError(t, err)
	for _, r := range all {
		rows = append(rows, r.Text)
	}
	assert.Equal(t, []string{"apples", "pears", "plums"}, rows)
	assert.Equal(t, oraclesim.Open, l.sim.State())
}

// TestOracleRMAN has jobs of mode rman whose settings are wrong, or whose program is not there.
func TestOracleRMAN(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		section string
		code    int
		say     string
	}{
		"no program":   {"mode: rman, rman: {program: /nowhere/rman, connect: backup/swordfish@orcl, format: copy}", 1, "ORACLE_HOME"},
		"format":       {"mode: rman, rman: {format: tape}", 2, "backupset"},
		"other mode":   {"rman: {compressed: true}", 2, "mode rman"},
		"unknown key":  {"mode: rman, rman: {tag: X}", 2, "tag"},
		"unknown mode": {"mode: dump", 2, "rman"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newOracleLab(t, nil)
			text := strings.ReplaceAll(strings.ReplaceAll(oracleConfig, "DIR", l.dir), "state_dir: state}", "state_dir: state, "+c.section+"}")
			require.NoError(t, os.WriteFile(filepath.Join(l.dir, "obm.yaml"), []byte(text), 0o600))
			out, say := l.obm(c.code, "check", "erp")
			assert.Contains(t, out+say, c.say)
			assert.NotContains(t, out+say, "swordfish")
		})
	}
}

// TestOracleRefusals has databases that cannot be backed up, and one that somebody else is backing up.
func TestOracleRefusals(t *testing.T) {
	t.Parallel()
	t.Run("option", func(t *testing.T) {
		t.Parallel()
		_, say := newOracleLab(t, nil).obm(2, "backup", "erp", "--option", "nonsense=1")
		assert.Contains(t, say, "nonsense")
	})
	t.Run("no archived logs", func(t *testing.T) {
		t.Parallel()
		l := newOracleLab(t, func(c *oraclesim.Config) { c.NoArchiveLog = true })
		_, say := l.obm(4, "backup", "erp")
		assert.Contains(t, say, "ALTER DATABASE ARCHIVELOG")
	})
	t.Run("no state directory", func(t *testing.T) {
		t.Parallel()
		l := newOracleLab(t, nil)
		state := filepath.Join(l.dir, "state")
		require.NoError(t, os.WriteFile(state, nil, 0o600)) // a file is in its place
		out, _ := l.obm(1, "check", "erp")
		assert.Contains(t, out, "FAIL  erp  application: state directory can be written to: "+state)
		_, say := l.obm(1, "backup", "erp")
		assert.Contains(t, say, state)
		for _, s := range l.sim.Statements() {
			assert.NotContains(t, s.Text, "BEGIN BACKUP", "without a note nothing is begun")
		}
	})
	t.Run("no scratch folder", func(t *testing.T) {
		t.Parallel()
		l := newOracleLab(t, nil)
		require.NoError(t, os.Remove(filepath.Join(l.dir, "scratch")))
		out, _ := l.obm(1, "check", "far")
		assert.Contains(t, out, "FAIL  far  application: a file that the server writes can be read by this process")
		assert.Contains(t, out, "scratch dir")
		_, say := l.obm(1, "backup", "far")
		assert.Contains(t, say, "scratch dir")
		assert.Empty(t, l.sim.InBackupMode())
	})
	t.Run("somebody else's backup mode", func(t *testing.T) {
		t.Parallel()
		l := newOracleLab(t, nil)
		db := l.sim.OpenDB(oraclesim.Login{})
		defer db.Close()
		_, err := db.ExecContext(t.Context(), "ALTER TABLESPACE USERS BEGIN BACKUP")
		require.NoError(t, err)
		theirs := l.sim.InBackupMode()
		require.NotEmpty(t, theirs)
		out, _ := l.obm(0, "check", "erp")
		assert.Contains(t, out, fmt.Sprint(theirs))
		_, say := l.obm(4, "backup", "erp")
		assert.Contains(t, say, "V$BACKUP")
		assert.Equal(t, theirs, l.sim.InBackupMode(), "it is theirs to end")
	})
}
