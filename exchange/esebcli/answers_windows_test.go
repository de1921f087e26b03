package esebcli_test

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/windows"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim/esebcli2"
	"github.com/quiesce-go/quiesce/internal/winetest"
)

func TestLibraryAnswers(t *testing.T) {
	api, ctx := loaded(t), t.Context()
	sim := server(t)
	g := sim.Groups[0]

	_, _, err := api.Prepare(ctx, "NOBODY", esebcli.InformationStore)
	require.ErrorIs(t, err, esebcli.HrServerUnavailable)
	assert.Contains(t, backup.Hint(err), "Enable Remote Streaming Backup")
	_, _, err = api.Prepare(ctx, "EXCH1\x00", esebcli.InformationStore)
	require.ErrorIs(t, err, fs.ErrInvalid)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, _, err = api.Prepare(ended, "EXCH1", esebcli.InformationStore)
	require.ErrorIs(t, err, context.Canceled)

	s, _, err := api.Prepare(ctx, "EXCH1", esebcli.InformationStore)
	require.NoError(t, err)
	other, _, err := api.Prepare(ctx, "EXCH1", esebcli.InformationStore)
	require.NoError(t, err)
	_, err = s.LogFiles(ctx)
	require.ErrorIs(t, err, esebcli.HrInvalidSequence)
	require.ErrorIs(t, s.Setup(ctx, 99, esebcli.Full), esebcli.HrInvalidArgument)
	require.NoError(t, s.Setup(ctx, bigID, esebcli.Full))
	require.ErrorIs(t, other.Setup(ctx, bigID, esebcli.Full), esebcli.HrBackupInProgress)
	require.NoError(t, other.Setup(ctx, -2, esebcli.Full), "another group")
	_, _, err = other.OpenFile(ctx, sim.Groups[1].Databases[1].File, 1)
	require.ErrorIs(t, err, esebcli.HrDatabaseNotFound, "not mounted")

	_, _, err = s.OpenFile(ctx, `C:\no such`, 4096)
	require.ErrorIs(t, err, esebcli.HrErrorFromESECall)
	require.ErrorIs(t, err, fs.ErrNotExist, "what GetLastError says")
	assert.ErrorContains(t, err, `HrESEBackupOpenFile C:\no such`)

	f, _, err := s.OpenFile(ctx, g.Databases[0].File, 4096)
	require.NoError(t, err)
	n, err := f.Read(ctx, nil)
	require.NoError(t, err)
	assert.Zero(t, n)
	_, err = s.LogFiles(ctx)
	require.ErrorIs(t, err, esebcli.HrInvalidSequence, "a file is open")
	require.NoError(t, f.Close(ctx))
	require.NoError(t, f.Close(ctx))
	_, err = f.Read(ctx, make([]byte, 1))
	require.ErrorIs(t, err, os.ErrClosed)
	list, err := s.LogFiles(ctx)
	require.NoError(t, err)
	assert.Equal(t, []string{filepath.Join(g.LogDir, "E0000001.log")}, list)
	list, err = s.TruncateLogFiles(ctx)
	require.NoError(t, err)
	assert.Empty(t, list)
	_, _, err = s.OpenFile(ctx, g.Databases[1].File, 4096)
	require.ErrorIs(t, err, esebcli.HrInvalidSequence, "after the logs were asked for")
	require.NoError(t, s.End(ended), "it ends whatever the context says")
	require.ErrorIs(t, s.TruncateLogs(ctx), os.ErrClosed)
	require.NoError(t, other.EndInstance(ctx, false))
	require.NoError(t, other.Setup(ctx, bigID, esebcli.Full), "the first has ended")
	require.NoError(t, other.End(ctx))
}

func TestLibraryFindsDamage(t *testing.T) {
	api, ctx := loaded(t), t.Context()
	sim := server(t)
	put(t, sim, "k", "v")
	require.NoError(t, sim.Flush(&sim.Groups[0]))
	b, err := os.ReadFile(sim.Groups[0].Databases[0].File)
	require.NoError(t, err)
	b[2*8192+100] ^= 4
	require.NoError(t, os.WriteFile(sim.Groups[0].Databases[0].File, b, 0o600))
	_, _, err = backUp(ctx, api, sim.Groups[0].Name, esebcli.Full, func() {})
	require.ErrorIs(t, err, esebcli.HrErrorFromESECall)
	require.ErrorIs(t, err, esebcli.FromJET(-1018))
}

func TestLibraryRefusesToRestore(t *testing.T) {
	api, ctx := loaded(t), t.Context()
	sim := server(t)
	g := sim.Groups[0]
	_, err := api.RestoreOpen(ctx, "EXCH1", esebcli.InformationStore, "no such group", "")
	require.ErrorIs(t, err, esebcli.HrDatabaseNotFound)
	_, err = api.RestoreReopen(ctx, "EXCH1", "", g.LogDir)
	require.ErrorIs(t, err, fs.ErrNotExist)
	r, err := api.RestoreOpen(ctx, "", esebcli.InformationStore, g.Name, filepath.Join(g.SystemDir, "elsewhere"))
	require.NoError(t, err)
	_, err = r.AddDatabase(ctx, g.Databases[0].Name, oneID, []string{"a"})
	require.ErrorIs(t, err, esebcli.HrDatabaseInUse)
	assert.Contains(t, backup.Hint(err), "dismount")
	require.ErrorIs(t, r.AddDatabaseTo(ctx, g.Databases[0].Name, twoID, []string{"a"}, []string{"b"}), esebcli.HrDatabaseNotFound, "the GUID of another")

	sim.Groups[0].Databases[1].Mounted, sim.Groups[0].Databases[1].Overwrite = false, true
	require.NoError(t, sim.Describe())
	require.NoError(t, r.Close(ctx, false))
	require.NoError(t, r.Close(ctx, false))
	r, err = api.RestoreOpen(ctx, "", esebcli.InformationStore, g.Name, filepath.Join(g.SystemDir, "elsewhere"))
	require.NoError(t, err)
	require.NoError(t, r.AddDatabaseTo(ctx, "public", twoID, []string{"a.edb", "a.stm"}, []string{`C:\new.edb`, `C:\new.stm`}))
	for path, known := range map[string]bool{`C:\new.edb`: true, `C:\new.stm`: true, g.Databases[1].File: false, filepath.Join(g.SystemDir, "elsewhere", "E0000001.log"): true} {
		_, atFileLevel, err := r.OpenFile(ctx, path)
		assert.Equal(t, known, err == nil, path)
		assert.Equal(t, known, atFileLevel, path)
	}
	e, err := r.Environment(ctx)
	require.NoError(t, err)
	assert.Equal(t, esebcli.Environment{RestoreLogPath: filepath.Join(g.SystemDir, "elsewhere"), SourceInstance: g.Name, LogBase: "E00"}, e)
	require.ErrorIs(t, r.Complete(ctx, "x", "x", "", 0), esebcli.HrInvalidSequence, "before SaveEnvironment")
	require.NoError(t, r.Close(ctx, true))
	_, err = r.Environment(ctx)
	require.ErrorIs(t, err, os.ErrClosed)
}

func TestLibraryRefusesLogsOfCircularLogging(t *testing.T) {
	api, ctx := loaded(t), t.Context()
	sim, err := esebcli2.New(winetest.TempDir(t), "EXCH1", time.Now, esebcli2.Group{ID: 1, Name: "g", Circular: true, Databases: []esebcli2.Database{{Name: "d", Mounted: true}}})
	require.NoError(t, err)
	t.Setenv("QSIM_EXCHANGE", sim.Description())
	_, _, err = backUp(ctx, api, "g", esebcli.Full, func() {})
	require.NoError(t, err)
	_, _, err = backUp(ctx, api, "g", esebcli.LogsOnly, func() {})
	require.ErrorIs(t, err, esebcli.FromJET(-526))
	require.ErrorIs(t, err, esebcli.HrErrorFromESECall)
	assert.ErrorContains(t, err, "circular logging")
}

// TestLibraryWithoutRights runs itself as a process from which the privileges were taken for good.
func TestLibraryWithoutRights(t *testing.T) {
	if os.Getenv("ESEBCLI_CHILD") == "" {
		require.NoError(t, esebcli.EnablePrivileges())
		standIn(t)
		server(t)
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLibraryWithoutRights$")
		cmd.Env = append(os.Environ(), "ESEBCLI_CHILD=1")
		out, err := cmd.CombinedOutput()
		require.NoErrorf(t, err, "%s", out)
		return
	}
	var token windows.Token
	require.NoError(t, windows.OpenProcessToken(windows.CurrentProcess(), windows.TOKEN_ADJUST_PRIVILEGES|windows.TOKEN_QUERY, &token))
	defer token.Close()
	p := windows.Tokenprivileges{PrivilegeCount: 1}
	p.Privileges[0].Attributes = windows.SE_PRIVILEGE_REMOVED
	name, err := windows.UTF16PtrFromString("SeRestorePrivilege")
	require.NoError(t, err)
	require.NoError(t, windows.LookupPrivilegeValue(nil, name, &p.Privileges[0].Luid))
	require.NoError(t, windows.AdjustTokenPrivileges(token, false, &p, uint32(unsafe.Sizeof(p)), nil, nil))

	err = esebcli.EnablePrivileges()
	require.ErrorIs(t, err, esebcli.HrPrivilegeNotHeld)
	require.ErrorContains(t, err, "SeRestorePrivilege")
	assert.NotContains(t, err.Error(), "SeBackupPrivilege")
	assert.Contains(t, backup.Hint(err), "Restore files and directories")
	_, _, err = loaded(t).Prepare(t.Context(), "EXCH1", esebcli.InformationStore)
	require.ErrorIs(t, err, esebcli.HrPrivilegeNotHeld)
}
