package esebcli_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/exchange/esebcli"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim/esebcli2"
)

// backupCalls are the functions of a full, in the order in which they are called first.
var backupCalls = []string{
	"HrESEBackupPrepare", "HrESEBackupSetup", "HrESEBackupOpenFile", "HrESEBackupReadFile", "HrESEBackupCloseFile", "HrESEBackupGetLogAndPatchFiles", "HrESEBackupTruncateLogs", "HrESEBackupInstanceEnd", "HrESEBackupEnd",
}

// TestLibraryKilled kills the process before each call of a full, and takes another one then.
func TestLibraryKilled(t *testing.T) {
	if os.Getenv("ESEBCLI_CHILD") != "" {
		_, _, err := backUp(t.Context(), loaded(t), "Erste Speichergruppe", esebcli.Full, func() {})
		require.NoError(t, err)
		return
	}
	api := loaded(t)
	var truncated []bool // by the kill at the call of this number
	for n, killed := 1, true; killed; n++ {
		t.Run(fmt.Sprint("call ", n), func(t *testing.T) {
			sim := server(t)
			g := &sim.Groups[0]
			for i := range 20 {
				put(t, sim, fmt.Sprint(i), string(make([]byte, 2000)))
			}
			require.NoError(t, sim.Flush(g))
			before, err := g.Logs()
			require.NoError(t, err)
			require.NotEmpty(t, before)
			if killed = killedAt(t, "TestLibraryKilled", "1", n); !killed {
				return
			}
			after, err := g.Logs()
			require.NoError(t, err)
			truncated = append(truncated, len(after) == 0 || after[0] != before[0])

			put(t, sim, "after", "the kill")
			full, _, err := backUp(t.Context(), api, g.Name, esebcli.Full, func() {})
			require.NoError(t, err, "the dead process holds nothing")
			dismount(t, sim, g)
			require.NoError(t, bringBack(t, api, *g, full, "", 0))
			got, err := esebcli2.Content(g.Databases[0].File)
			require.NoError(t, err)
			assert.Len(t, got, 21)
		})
	}
	require.Greater(t, len(truncated), 20)
	ends := len(truncated) - 2 // InstanceEnd and End follow TruncateLogs
	for i, gone := range truncated {
		assert.Equal(t, i >= ends, gone, "logs after the kill at call %d of %d", i+1, len(truncated))
	}
}

// killedAt runs a test as a process of its own in which the library kills it before its call of this number, and reports whether there was one.
func killedAt(t *testing.T, test, child string, call int) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), "ESEBCLI_CHILD="+child, fmt.Sprintf("QSIM_FAULT=*@%d=kill", call))
	out, err := cmd.CombinedOutput()
	if err == nil {
		return false
	}
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "%s", out)
	require.Equal(t, 137, exit.ExitCode(), "%s", out)
	return true
}

// TestLibraryFails makes each function of a full fail once: the error says what, and nothing is left open.
func TestLibraryFails(t *testing.T) {
	api := loaded(t)
	if os.Getenv("ESEBCLI_CHILD") != "" {
		_, _, err := backUp(t.Context(), api, "Erste Speichergruppe", esebcli.Full, func() {})
		require.ErrorIs(t, err, esebcli.HRESULT(0xC7FF1234))
		require.ErrorContains(t, err, os.Getenv("ESEBCLI_CHILD"))
		return
	}
	sim := server(t)
	for _, fn := range backupCalls {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLibraryFails$")
		cmd.Env = append(os.Environ(), "ESEBCLI_CHILD="+fn, "QSIM_FAULT="+fn+"@1=C7FF1234")
		out, err := cmd.CombinedOutput()
		if fn == "HrESEBackupEnd" { // whose session the stand-in then still has
			assert.Contains(t, string(out), "not given back")
			assert.NotContains(t, string(out), "is not in err chain")
			continue
		}
		require.NoErrorf(t, err, "%s: %s", fn, out)
	}
	left, err := sim.Groups[0].Logs()
	require.NoError(t, err)
	assert.Equal(t, uint32(1), left[0])
}

// TestLibraryKilledInRestore kills the process before each call of a restore, and restores again.
func TestLibraryKilledInRestore(t *testing.T) {
	if dir := os.Getenv("ESEBCLI_CHILD"); dir != "" {
		sim, full, err := reread(dir)
		require.NoError(t, err)
		require.NoError(t, bringBack(t, loaded(t), sim, full, "", 0))
		return
	}
	api := loaded(t)
	sim := server(t)
	g := &sim.Groups[0]
	put(t, sim, "k", "v")
	full, _, err := backUp(t.Context(), api, g.Name, esebcli.Full, func() {})
	require.NoError(t, err)
	dismount(t, sim, g)
	saved := filepath.Join(filepath.Dir(sim.Description()), "saved")
	require.NoError(t, os.Mkdir(saved, 0o700))
	for path, b := range full {
		require.NoError(t, os.WriteFile(filepath.Join(saved, filepath.Base(path)), b, 0o600))
	}
	calls := 0
	for n, killed := 1, true; killed; n++ {
		t.Run(fmt.Sprint("call ", n), func(t *testing.T) {
			if killed = killedAt(t, "TestLibraryKilledInRestore", saved, n); killed {
				calls++
			}
			require.NoError(t, bringBack(t, api, *g, maps.Clone(full), "", 0))
			got, err := esebcli2.Content(g.Databases[1].File)
			require.NoError(t, err)
			assert.Equal(t, map[string]string{"k": "public v"}, got)
		})
	}
	assert.GreaterOrEqual(t, calls, 10)
}

// reread finds the group and the full of the parent process.
func reread(saved string) (g esebcli2.Group, full copied, err error) {
	dir := filepath.Dir(saved)
	data := filepath.Join(dir, "data0")
	g = esebcli2.Group{Name: "Erste Speichergruppe", SystemDir: filepath.Join(dir, "system0"), LogDir: filepath.Join(dir, "logs0"), Databases: []esebcli2.Database{
		{Name: "Postfächer", GUID: oneID, File: filepath.Join(data, "Postfächer.edb")},
		{Name: "public", GUID: twoID, File: filepath.Join(data, "public.edb"), StreamFile: filepath.Join(data, "public.stm")},
	}}
	entries, err := os.ReadDir(saved)
	full = copied{}
	for _, e := range entries {
		b, rerr := os.ReadFile(filepath.Join(saved, e.Name()))
		err = errors.Join(err, rerr)
		to := data
		if filepath.Ext(e.Name()) == ".log" {
			to = g.LogDir
		}
		full[filepath.Join(to, e.Name())] = b
	}
	return g, full, err
}
