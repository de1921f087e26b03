package exchange

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

func TestEseutilRecovers(t *testing.T) {
	t.Parallel()
	logs, data := testDir(t), testDir(t)
	put(filepath.Join(logs, "E00.log"), "")
	engine := NewEseutil(&EseutilOptions{Program: standInAt(t, "eseutil", world{})})
	require.NoError(t, engine.Recover(t.Context(), Recovery{Base: "E00", LogDir: logs, SystemDir: logs, DatabaseDir: data, AllowLoss: true, IgnoreMissing: true}))
	said, err := os.ReadFile(filepath.Join(data, "recovered"))
	require.NoError(t, err)
	assert.Equal(t, "/r E00 /l"+logs+" /s"+logs+" /d"+data+" /a /i", string(said))

	require.NoError(t, engine.Recover(t.Context(), Recovery{Base: "E00", LogDir: logs, SystemDir: data}))
	said, err = os.ReadFile(filepath.Join(logs, "recovered"))
	require.NoError(t, err)
	assert.Equal(t, "/r E00 /l"+logs+" /s"+data, string(said))
}

func TestEseutilSaysWhatTheEngineSaid(t *testing.T) {
	t.Parallel()
	logs := testDir(t)
	recovery := Recovery{Base: "E00", LogDir: logs, SystemDir: logs}
	err := NewEseutil(&EseutilOptions{Program: standInAt(t, "eseutil", world{})}).Recover(t.Context(), recovery)
	var jet JETError
	require.ErrorAs(t, err, &jet)
	assert.Equal(t, JETError(-528), jet)
	require.ErrorContains(t, err, "a log is missing")
	require.ErrorContains(t, err, "JET_errMissingLogFile", "its own words")
	assert.Contains(t, backup.Hint(err), "/ml")

	put(filepath.Join(logs, "E00.log"), "")
	err = NewEseutil(&EseutilOptions{Program: standInAt(t, "eseutil", world{Exit: 3, Says: "Not today."})}).Recover(t.Context(), recovery)
	require.ErrorContains(t, err, "code 3: Not today.")
	assert.False(t, errors.As(err, &jet))
	assert.NoFileExists(t, filepath.Join(logs, "recovered"))
}

func TestJETErrorsInOutputAndExitCodes(t *testing.T) {
	t.Parallel()
	windowsCode := uint32(0xFFFFFDBA)
	for want, e := range map[JETError]ended{
		-1018: {code: 1, output: "error -1 is short\nOperation terminated with error -1018 (JET_errReadVerifyFailure, Checksum error on a database page) after 1.2 seconds."},
		-543:  {code: -543},
		-582:  {code: int(windowsCode)}, // as Windows tells an exit code, where an int has room for it
		0:     {code: 1, output: "error in the arguments"},
		-9999: {code: 1, output: "Operation terminated with error -9999 after 0 seconds"},
	} {
		assert.Equal(t, want, saidJET(e))
	}
	assert.Equal(t, "JET error -9999", JETError(-9999).Error())
	assert.Empty(t, JETError(-9999).Hint())
}

func TestEseutilRefusesWhatIsNoRecovery(t *testing.T) {
	t.Parallel()
	engine := NewEseutil(&EseutilOptions{Program: standInAt(t, "eseutil", world{})})
	for _, r := range []Recovery{{}, {Base: "E00"}, {Base: "E0", LogDir: "a", SystemDir: "b"}, {Base: "/p ", LogDir: "a", SystemDir: "b"}, {Base: "E00", LogDir: "a"}} {
		require.ErrorIs(t, engine.Recover(t.Context(), r), backup.ErrOption)
	}
}

func TestEseutilIsKilledWithItsContext(t *testing.T) {
	t.Parallel()
	logs := testDir(t)
	put(filepath.Join(logs, "E00.log"), "")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	engine := NewEseutil(&EseutilOptions{Program: standInAt(t, "eseutil", world{Hang: true})})
	go func() { done <- engine.Recover(ctx, Recovery{Base: "E00", LogDir: logs, SystemDir: logs}) }()
	require.Eventually(t, func() bool { _, err := os.Stat(filepath.Join(logs, "recovered")); return err == nil }, time.Minute, 10*time.Millisecond)
	stop := errors.New("stop it")
	cancel(stop)
	require.ErrorIs(t, <-done, stop)
}

func TestEseutilNeedsWindows(t *testing.T) {
	t.Parallel()
	if systemProgram("esentutl.exe") != "esentutl.exe" {
		t.Skip("this machine has one")
	}
	err := NewEseutil(nil).Recover(t.Context(), Recovery{Base: "E00", LogDir: "a", SystemDir: "b"})
	require.Error(t, err)
	assert.NotEmpty(t, backup.Hint(err))
}
