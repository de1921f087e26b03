package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sijms/go-ora/v2/network"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

// TestOracleTrouble is what goes wrong around a database. Each time the operator is told what it is and what to do, nothing stays in backup mode that the next run does not end, and that run is well again.
func TestOracleTrouble(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]func(t *testing.T){
		"wrong password":                   troubleOfPassword,
		"server cannot write to the stage": troubleOfStage,
		"target gone in the middle":        troubleOfTarget,
		"connection lost in backup mode":   troubleOfConnection,
		"state directory lost with it":     troubleOfState,
		"damaged part":                     troubleOfPart,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trouble(t)
		})
	}
}

func troubleOfPassword(t *testing.T) {
	l := newOracleLab(t, func(c *oraclesim.Config) { c.Users = map[string]oraclesim.User{"QUIESCE": {Password: "swordfish"}} })
	l.login = oraclesim.Login{User: "QUIESCE", Password: "catfish"}
	out, _ := l.obm(1, "check", "erp")
	assert.Contains(t, out, "FAIL  erp  application: server is reachable and takes the login")
	_, say := l.obm(1, "backup", "erp")
	for _, text := range []string{out, say} {
		assert.Contains(t, text, "ORA-01017")
		assert.Contains(t, text, "try the same values with sqlplus")
		assert.NotContains(t, text, "fish")
	}
	l.login.Password = "swordfish"
	l.obm(0, "backup", "erp")
}

func troubleOfStage(t *testing.T) {
	l := newOracleLab(t, nil)
	for copies := range int32(2) { // that of the check before the run, then that of the run itself
		var seen atomic.Int32
		l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
			if m == oraclesim.Before && strings.HasPrefix(s.Text, "ALTER DATABASE BACKUP CONTROLFILE TO '") && seen.Add(1) > copies {
				return &network.OracleError{ErrCode: 27040, ErrMsg: "ORA-27040: file create error, unable to create file\nLinux-x86_64 Error: 13: Permission denied"}
			}
			return nil
		})
		_, say := l.obm(1, "backup", "erp")
		assert.Contains(t, say, "ORA-27040")
		assert.Contains(t, say, filepath.Join(l.dir, "stage"))
		assert.Contains(t, say, "the server's own account writes the file")
		assert.Empty(t, l.sim.InBackupMode())
	}
	l.hooked(nil)
	l.obm(0, "backup", "erp")
}

// beginsBackup reports whether files are in backup mode from now on.
func beginsBackup(s oraclesim.Statement, m oraclesim.Moment) bool {
	return m == oraclesim.After && strings.HasPrefix(s.Text, "ALTER ") && strings.HasSuffix(s.Text, " BEGIN BACKUP")
}

func troubleOfTarget(t *testing.T) {
	l := newOracleLab(t, nil)
	target, away := filepath.Join(l.dir, "target"), filepath.Join(l.dir, "away")
	l.obm(0, "backup", "erp")
	var gone atomic.Bool
	l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
		if beginsBackup(s, m) && gone.CompareAndSwap(false, true) {
			assert.NoError(t, os.Rename(target, away))
			assert.NoError(t, os.WriteFile(target, nil, 0o600)) // so that nobody makes it anew
		}
		return nil
	})
	_, say := l.obm(1, "backup", "erp")
	require.True(t, gone.Load())
	assert.Contains(t, say, target)
	assert.Contains(t, say, "hint: ")
	assert.Empty(t, l.sim.InBackupMode())
	require.NoError(t, os.Remove(target))
	require.NoError(t, os.Rename(away, target))
	l.hooked(nil)
	l.obm(0, "backup", "erp", "--kind", "log")
	l.obm(0, "verify", "erp", "--level", "format")
}

// loseConnection loses the connection for good while files are in backup mode, so that END BACKUP does not get through.
func loseConnection(t *testing.T, l *oracleLab) {
	t.Helper()
	l.obm(0, "backup", "erp")
	var dead atomic.Bool
	l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
		if dead.Load() || beginsBackup(s, m) {
			dead.Store(true)
			return io.ErrUnexpectedEOF
		}
		return nil
	})
	_, say := l.obm(1, "backup", "erp")
	assert.Contains(t, say, "hint: ")
	assert.Contains(t, say, "END BACKUP")
	require.NotEmpty(t, l.sim.InBackupMode())
	l.hooked(nil)
}

func troubleOfConnection(t *testing.T) {
	l := newOracleLab(t, nil)
	loseConnection(t, l)
	l.obm(0, "backup", "erp", "--kind", "log")
	assert.Empty(t, l.sim.InBackupMode())
}

func troubleOfState(t *testing.T) {
	l := newOracleLab(t, nil)
	loseConnection(t, l)
	left := l.sim.InBackupMode()
	require.NoError(t, os.RemoveAll(filepath.Join(l.dir, "state")))
	l.obm(0, "check", "erp")
	_, say := l.obm(4, "backup", "erp")
	assert.Contains(t, say, "data files are in backup mode already")
	assert.Contains(t, say, "END BACKUP")
	assert.Equal(t, left, l.sim.InBackupMode(), "nothing proves that it is ours")
	l.obm(0, "backup", "erp", "--kind", "log") // logs go on all the same
	db := l.sim.OpenDB(oraclesim.Login{})
	defer db.Close()
	_, err := db.ExecContext(t.Context(), "ALTER DATABASE END BACKUP")
	require.NoError(t, err)
	l.obm(0, "backup", "erp")
}

func troubleOfPart(t *testing.T) {
	l := newOracleLab(t, nil)
	l.obm(0, "backup", "erp")
	parts, err := filepath.Glob(filepath.Join(l.dir, "target", "erp", "runs", "*", "data", "*", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, parts)
	b, err := os.ReadFile(parts[0])
	require.NoError(t, err)
	b[len(b)/2] ^= 1
	require.NoError(t, os.WriteFile(parts[0], b, 0o600))
	_, say := l.obm(1, "restore", "erp", "--files", filepath.Join(l.dir, "out"), "--yes")
	assert.Contains(t, say, "hint: ")
	_, say = l.obm(1, "verify", "erp", "--level", "bytes")
	assert.Contains(t, say, "corrupt")
	require.NoError(t, l.sim.Shutdown(true))
	before := l.sim.Files()
	_, say = l.obm(4, "restore", "erp", "--yes", "--overwrite") // now that it is known
	assert.Contains(t, say, "is damaged")
	assert.Contains(t, say, "hint: ")
	assert.Equal(t, before, l.sim.Files())
	require.NoError(t, l.sim.Startup(oraclesim.Open), "nothing was replaced")
}
