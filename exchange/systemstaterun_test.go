package exchange_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange"
)

// savingInto notes into which folder a state is saved.
type savingInto struct {
	exchange.SystemState
	dir string
}

func (s *savingInto) Save(ctx context.Context, dir string) ([]exchange.SavedFile, error) {
	s.dir = dir
	return s.SystemState.Save(ctx, dir)
}

// holding cannot remove what was saved.
type holding struct{ exchange.SystemState }

func (holding) Remove(context.Context, string) error {
	return errors.New("the file is used by another process")
}

// withSystemState is a server of Exchange 2019 whose machine has wbadmin.
func withSystemState(t *testing.T, w exchange.World) (l *restoreLab, tool *savingInto, target string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("a folder is no target there; that of the run is, which the tests of the tools use")
	}
	l = newRestoreLab(t, 2019, exchange.WayVSS, databases("DB01"))
	target = t.TempDir()
	tool = &savingInto{SystemState: exchange.NewWbadmin(&exchange.WbadminOptions{Program: exchange.StandInAt(t, "wbadmin", w), Target: target, RoomBytes: -1})}
	l.opt.SkipSystemState = false
	return l, tool, target
}

func (l *restoreLab) jobWith(tool exchange.SystemState) *backup.Pipeline {
	opt := l.opt
	opt.Tools = l.sim.Tools()
	opt.Tools.SystemState = tool
	return l.jobOf(opt)
}

func TestStateIsAnItemOfAFull(t *testing.T) {
	t.Parallel()
	l, tool, target := withSystemState(t, exchange.World{})
	p := l.jobWith(tool)
	m, err := p.Backup(t.Context(), backup.Full)
	require.NoError(t, err)
	require.Len(t, m.Items, 2)
	assert.Equal(t, "system state", m.Items[0].Name, "it comes first")
	assert.True(t, m.Items[0].ByName)
	assert.Equal(t, 4, m.Items[0].Artifacts)
	left, err := os.ReadDir(target)
	require.NoError(t, err)
	assert.Empty(t, left, "what was saved is removed when it is copied")
	assert.NoDirExists(t, tool.dir)

	m, err = p.Backup(t.Context(), backup.Log)
	require.NoError(t, err)
	assert.Len(t, m.Items, 1, "log runs save none")

	to := t.TempDir()
	_, err = l.restoreBy(p, backup.Target{Select: []backup.Selection{{Name: "system state"}}}, backup.RestoreOptions{Options: map[string]string{"to": to}})
	require.NoError(t, err)
	images, err := filepath.Glob(filepath.Join(to, "system state", "WindowsImageBackup", "*", "SystemStateBackup", "Backup *", "*.vhdx"))
	require.NoError(t, err)
	require.Len(t, images, 1)
	text, err := os.ReadFile(images[0])
	require.NoError(t, err)
	assert.Equal(t, "vhdxfile"+strings.Repeat("a", 4096), string(text))
}

func TestStateThatFailsCostsItselfOnly(t *testing.T) {
	t.Parallel()
	l, tool, target := withSystemState(t, exchange.World{Exit: 5, Says: "Access is denied."})
	m, err := l.jobWith(tool).Backup(t.Context(), backup.Full)
	require.ErrorIs(t, err, backup.ErrPartial)
	state, ok := m.Item("system state")
	require.True(t, ok)
	assert.Contains(t, state.Error, "Access is denied.")
	db, ok := m.Item("DB01")
	require.True(t, ok)
	assert.False(t, db.Failed())
	left, err := os.ReadDir(target)
	require.NoError(t, err)
	assert.Empty(t, left)
}

// A run that died between saving and copying: the next one, which may have another tool by now, finds its note.
func TestStateThatADeadRunSavedIsRemoved(t *testing.T) {
	t.Parallel()
	l, tool, target := withSystemState(t, exchange.World{})
	_, err := l.jobWith(tool).Backup(t.Context(), backup.Full)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(tool.dir, 0o700))
	_, err = tool.Save(t.Context(), tool.dir) // as the run does that then dies
	require.NoError(t, err)
	left, err := os.ReadDir(target)
	require.NoError(t, err)
	require.NotEmpty(t, left)

	// As long as something holds the files they stay, which costs no backup of databases.
	m, err := l.jobWith(holding{tool}).Backup(t.Context(), backup.Log)
	require.NoError(t, err)
	assert.Contains(t, strings.Join(m.Warnings, "\n"), "is still on the server")
	left, err = os.ReadDir(target)
	require.NoError(t, err)
	require.NotEmpty(t, left)

	_, err = l.jobWith(exchange.NewSystemState()).Backup(t.Context(), backup.Log)
	require.NoError(t, err)
	left, err = os.ReadDir(target)
	require.NoError(t, err)
	assert.Empty(t, left)
	assert.NoDirExists(t, tool.dir)
}
