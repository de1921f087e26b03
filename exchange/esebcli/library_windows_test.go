package esebcli_test

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/windows/registry"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/ese"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim/esebcli2"
)

const dllPaths = `SYSTEM\CurrentControlSet\Control\BackupRestore\DLLPaths`

func TestLibraryThroughTheRegistry(t *testing.T) {
	path := standIn(t)
	_ = registry.DeleteKey(registry.LOCAL_MACHINE, dllPaths)
	_, err := esebcli.Load("")
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.Contains(t, backup.Hint(err), "management tools")

	key, _, err := registry.CreateKey(registry.LOCAL_MACHINE, dllPaths, registry.ALL_ACCESS)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, registry.DeleteKey(registry.LOCAL_MACHINE, dllPaths)) })
	defer key.Close()
	_, err = esebcli.Find()
	require.ErrorContains(t, err, "value esebcli2")

	t.Setenv("QSIM_FOLDER", filepath.Dir(path))
	require.NoError(t, key.SetExpandStringValue("esebcli2", `%QSIM_FOLDER%\`+filepath.Base(path)))
	lib, err := esebcli.Load("")
	require.NoError(t, err)
	assert.Equal(t, path, lib.Path())
	require.NoError(t, key.SetStringValue("esebcli2", path))
	_, err = esebcli.Load("")
	require.NoError(t, err)

	require.NoError(t, key.SetStringValue("esebcli2", `C:\nowhere\esebcli2.dll`))
	_, err = esebcli.Load("")
	require.ErrorContains(t, err, `C:\nowhere\esebcli2.dll`)
	assert.Contains(t, backup.Hint(err), "bitness")
	_, err = esebcli.Load("kernel32.dll")
	require.ErrorContains(t, err, "HrESEBackupPrepare")
	assert.Contains(t, backup.Hint(err), "another library")
}

func TestLibraryTellsWhatTheServerHas(t *testing.T) {
	api := loaded(t)
	sim := server(t)
	for _, machine := range []string{"EXCH1", ""} {
		s, groups, err := api.Prepare(t.Context(), machine, esebcli.InformationStore)
		require.NoError(t, err)
		g0, g1 := sim.Groups[0], sim.Groups[1]
		assert.Equal(t, []esebcli.Instance{
			{ID: bigID, Name: "Erste Speichergruppe", Databases: []esebcli.Database{
				{Name: "Postfächer", GUID: oneID, Streams: []string{g0.Databases[0].File}, Mounted: true},
				{Name: "public", GUID: twoID, Streams: []string{g0.Databases[1].File, g0.Databases[1].StreamFile}, Mounted: true},
			}},
			{ID: -2, Name: "second", Databases: []esebcli.Database{
				{Name: "archive", Streams: []string{g1.Databases[0].File}, Mounted: true},
				{Name: "cold", Streams: []string{g1.Databases[1].File}},
			}},
		}, groups)
		require.NoError(t, s.End(t.Context()))
		require.NoError(t, s.End(t.Context()))
	}
}

// TestLibraryFullLogsRestore is the life of a storage group: a full under load, two log backups, and restores to each of the three points and to now.
func TestLibraryFullLogsRestore(t *testing.T) {
	api, ctx := loaded(t), t.Context()
	sim := server(t)
	g := &sim.Groups[0]
	_, _, err := backUp(ctx, api, g.Name, esebcli.LogsOnly, nil)
	require.ErrorIs(t, err, esebcli.HrMissingFullBackup)

	fill := strings.Repeat("x", 3000)
	for i := range 40 { // more than one log
		put(t, sim, string(rune('A'+i)), fill)
	}
	require.NoError(t, sim.Flush(g))
	put(t, sim, "in log only", "0")
	full, logs, err := backUp(ctx, api, g.Name, esebcli.Full, func() {
		put(t, sim, "meanwhile", "0")
		require.NoError(t, sim.Flush(g)) // what has been read already changes in the file
		put(t, sim, "A", "changed meanwhile")
	})
	require.NoError(t, err)
	judge(t, g, full, logs)
	left, err := g.Logs()
	require.NoError(t, err)
	assert.NotContains(t, left, uint32(1), "truncated")
	assert.Len(t, left, len(logs), "what the backup holds is still needed by the databases")

	put(t, sim, "first", "1")
	require.NoError(t, sim.Flush(g))
	one, _, err := backUp(ctx, api, g.Name, esebcli.LogsOnly, nil)
	require.NoError(t, err)
	put(t, sim, "second", "2")
	two, _, err := backUp(ctx, api, g.Name, esebcli.LogsOnly, nil)
	require.NoError(t, err)
	put(t, sim, "third", "3")

	dismount(t, sim, g)
	for name, c := range map[string]struct {
		sets   []copied
		target string
		want   []string
	}{
		"the full":         {[]copied{full}, "", []string{"meanwhile"}},
		"the first logs":   {[]copied{full, one}, "", []string{"meanwhile", "first"}},
		"the second logs":  {[]copied{full, one, two}, "", []string{"meanwhile", "first", "second"}},
		"now":              {[]copied{full, one, two}, g.Name, []string{"meanwhile", "first", "second", "third"}},
		"now, by a server": {[]copied{full, one, two}, g.Name, []string{"meanwhile", "first", "second", "third"}},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(name, "server") {
				t.Setenv("QSIM_RESTORE_FILES", "1")
			}
			all := copied{}
			for _, set := range c.sets {
				maps.Copy(all, set)
			}
			require.NoError(t, bringBack(t, api, *g, all, c.target, 0))
			for _, d := range g.Databases {
				got, err := esebcli2.Content(d.File)
				require.NoError(t, err)
				assert.Equal(t, d.Name+" changed meanwhile", got["A"])
				assert.Equal(t, d.Name+" "+fill, got["B"])
				for _, key := range []string{"meanwhile", "first", "second", "third"} {
					_, there := got[key]
					assert.Equal(t, slices.Contains(c.want, key), there, "%s in %s", key, d.Name)
				}
			}
		})
	}
	all := maps.Clone(full)
	maps.Copy(all, one)
	maps.Copy(all, two)
	restored := slices.Sorted(maps.Keys(all))
	restored = slices.DeleteFunc(restored, func(path string) bool { return filepath.Ext(path) != ".log" })
	require.Greater(t, len(restored), 2)
	delete(all, restored[1])
	err = bringBack(t, api, *g, all, "", 0)
	require.ErrorIs(t, err, esebcli.HrLogNotContiguous)
	require.NoError(t, os.Remove(filepath.Join(g.SystemDir, "restore", filepath.Base(restored[0]))))
	all = maps.Clone(full)
	delete(all, restored[0])
	err = bringBack(t, api, *g, all, "", 0)
	require.ErrorIs(t, err, esebcli.FromJET(-543))
	require.ErrorIs(t, err, esebcli.HrErrorFromESECall)
}

// judge looks at a full with the eyes of package ese.
func judge(t *testing.T, g *esebcli2.Group, full copied, logs []string) {
	t.Helper()
	var chain []ese.NamedLog
	for _, path := range logs {
		l, err := ese.VerifyLog(t.Context(), bytes.NewReader(full[path]))
		require.NoError(t, err)
		chain = append(chain, ese.NamedLog{Name: filepath.Base(path), Log: l})
	}
	require.NoError(t, ese.CheckChain(chain[0].Log.Signature, chain))
	for _, d := range g.Databases {
		b := full[d.File]
		v, err := ese.VerifyDatabase(t.Context(), bytes.NewReader(b), int64(len(b)))
		require.NoError(t, err)
		require.NotNil(t, v.Trailer)
		assert.Equal(t, chain[0].Log.Generation, v.Trailer.Full.First)
		assert.GreaterOrEqual(t, v.Trailer.Full.Last, v.Trailer.Full.First)
		assert.LessOrEqual(t, v.Trailer.Full.Last, chain[len(chain)-1].Log.Generation)
		if d.StreamFile != "" {
			want, err := os.ReadFile(d.StreamFile)
			require.NoError(t, err)
			assert.Equal(t, want, full[d.StreamFile])
		}
	}
}
