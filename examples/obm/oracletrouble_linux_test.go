package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

// TestOracleFullStage has a stage whose disk is too small: seen before the run by its estimate, and in the middle by what comes to be there meanwhile.
func TestOracleFullStage(t *testing.T) {
	for _, meanwhile := range []bool{false, true} {
		l := newOracleLab(t, nil)
		stage := filepath.Join(l.dir, "stage")
		require.NoError(t, os.MkdirAll(stage, 0o700))
		size := "size=256k"
		if meanwhile {
			size = "size=16m"
		}
		if err := syscall.Mount("none", stage, "tmpfs", 0, size); err != nil {
			t.Skipf("a file system in memory can be mounted by root only: %v", err)
		}
		t.Cleanup(func() { require.NoError(t, syscall.Unmount(stage, 0)) })
		filler := filepath.Join(stage, "filler")
		l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
			if meanwhile && m == oraclesim.After && s.Text == `ALTER TABLESPACE "SYSTEM" BEGIN BACKUP` {
				f, err := os.Create(filler)
				for err == nil {
					_, err = f.Write(make([]byte, 4096))
				}
				assert.ErrorIs(t, err, syscall.ENOSPC)
				assert.NoError(t, f.Close())
			}
			return nil
		})
		_, say := l.obm(1, "backup", "erp")
		assert.Contains(t, say, "hint: ")
		assert.Contains(t, say, "stage")
		assert.Equal(t, meanwhile, len(l.began()) > 0)
		assert.Empty(t, l.sim.InBackupMode())
		if meanwhile {
			require.NoError(t, os.Remove(filler))
			l.hooked(nil)
			l.obm(0, "backup", "erp")
		}
	}
}
