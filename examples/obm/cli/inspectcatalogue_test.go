package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/sim/tapesim"
)

// catalogued runs the command on a directory and returns what is said of databases, by name.
func catalogued(t *testing.T, dir string, code int) map[string]map[string]any {
	t.Helper()
	var out, errs bytes.Buffer
	p := &Program{Name: "obm", Stdin: new(bytes.Buffer), Stdout: &out, Stderr: &errs}
	require.Equal(t, code, p.Run(t.Context(), []string{"inspect", dir, "--json"}), "%s%s", &out, &errs)
	var found []Inspected
	require.NoError(t, json.Unmarshal(out.Bytes(), &found))
	databases := map[string]map[string]any{}
	for _, i := range found {
		if i.Type == "SQL Server database" {
			require.True(t, i.OK)
			require.Equal(t, dir, i.Path)
			details := i.Details.(map[string]any)
			databases[details["database"].(string)] = details
		}
	}
	return databases
}

// TestInspectTellsOfDatabases puts a chain with a hole, a stripe without its other half, and a damaged log into a directory.
func TestInspectTellsOfDatabases(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	n := byte(0)
	write := func(name string, kind byte, database string, first, last uint32, families int, change func([]byte)) {
		n++
		family := [16]byte{database[0]}
		set := tapesim.Set{Type: kind, GUID: [16]byte{n}, Database: database, Server: "DB7", FamilyGUID: family, Fork: family, FirstFork: family, First: tapesim.LSN{34, first, 1},
			Last: tapesim.LSN{34, last, 1}, Started: at, Finished: at.Add(time.Minute), Major: 16, Checksum: true, Groups: []string{"PRIMARY"},
			Files: []tapesim.Database{{Logical: database, Physical: `D:\` + database + ".mdf", Group: 1}}}
		at = at.Add(time.Hour)
		if kind == 'L' {
			set.Log = bytes.Repeat([]byte{n}, 64<<10)
		} else {
			set.Pages = [][]byte{bytes.Repeat([]byte{n}, 64<<10)}
		}
		file := tapesim.File{SetID: [16]byte{n}, Family: 1, Families: families, Sets: []tapesim.Set{set}}.Bytes()
		if change != nil {
			change(file)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), file, 0o600))
	}
	write("sales.bak", 'D', "sales", 100, 200, 1, nil)
	write("sales-1.trn", 'L', "sales", 100, 300, 1, nil)
	write("sales-2.trn", 'L', "sales", 400, 500, 1, nil)
	write("sales-3.trn", 'L', "sales", 500, 600, 1, func(b []byte) { b[bytes.Index(b, bytes.Repeat([]byte{n}, 1000))+70] ^= 1 })
	write("notes-1of2.bak", 'D', "notes", 100, 200, 2, nil)

	found := catalogued(t, dir, 1)
	require.Len(t, found, 2)
	sales := found["sales"]
	require.Len(t, sales["backups"], 3, "the damaged file is no backup")
	assert.Equal(t, []any{"sales.bak"}, sales["backups"].([]any)[0].(map[string]any)["files"])
	require.Len(t, sales["missing_log"], 1)
	gap := sales["missing_log"].([]any)[0].(map[string]any)
	assert.Equal(t, "34000000030000001", gap["from_lsn"])
	assert.Equal(t, "34000000040000001", gap["to_lsn"])
	require.NotEmpty(t, sales["windows"])
	for _, w := range sales["windows"].([]any) {
		assert.Less(t, w.(map[string]any)["to"], "2026-03-01T10:00:00Z", "up to the hole")
	}
	notes := found["notes"]
	assert.Equal(t, []any{2.0}, notes["backups"].([]any)[0].(map[string]any)["missing_stripes"])
	assert.Empty(t, notes["windows"])
	require.Len(t, notes["unusable"], 1)

	var out bytes.Buffer
	p := &Program{Name: "obm", Stdin: new(bytes.Buffer), Stdout: &out, Stderr: new(bytes.Buffer)}
	p.Run(t.Context(), []string{"inspect", dir})
	assert.Contains(t, out.String(), "LSN 34000000030000001 to 34000000040000001")
	assert.Contains(t, out.String(), "notes-1of2.bak, without stripe 2")
	assert.Contains(t, out.String(), "2026-03-01T08:01:00Z")
}

// TestInspectGenuineDatabases reads backups that SQL Server wrote.
func TestInspectGenuineDatabases(t *testing.T) {
	t.Parallel()
	root, ok := os.LookupEnv("QUIESCE_TESTDATA")
	if !ok {
		t.Skip("QUIESCE_TESTDATA names no folder with genuine files")
	}
	dir := t.TempDir()
	for _, pattern := range []string{"rtc_*", "stripe_*"} {
		names, err := filepath.Glob(filepath.Join(root, "bak", pattern))
		require.NoError(t, err)
		require.NotEmpty(t, names)
		for _, name := range names {
			content, err := os.ReadFile(name)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(name)), content, 0o600))
		}
	}
	found := catalogued(t, dir, 0)
	require.Len(t, found, 2)
	clean := found["RestoreTimeClean"]
	assert.Len(t, clean["backups"], 8)
	assert.Empty(t, clean["missing_log"])
	assert.Empty(t, clean["unusable"])
	windows := clean["windows"].([]any)
	require.Len(t, windows, 2, "the full, and all from then on")
	assert.Equal(t, "2017-06-01T12:59:13+02:00", windows[1].(map[string]any)["from"])
	assert.Equal(t, "2017-06-01T13:29:13+02:00", windows[1].(map[string]any)["to"])
	striped := found["RestoreTimeStripe"]["backups"].([]any)
	require.Len(t, striped, 2)
	assert.Equal(t, []any{"stripe_full_1of2.bak", "stripe_full_2of2.bak"}, striped[0].(map[string]any)["files"])

	require.NoError(t, os.Remove(filepath.Join(dir, "rtc_RestoreTimeClean_2.trn")))
	require.NoError(t, os.Remove(filepath.Join(dir, "stripe_log1_2of2.trn")))
	found = catalogued(t, dir, 0)
	gap := found["RestoreTimeClean"]["missing_log"].([]any)[0].(map[string]any)
	assert.Equal(t, "25000000015300001", gap["from_lsn"])
	assert.Equal(t, "25000000016300001", gap["to_lsn"])
	assert.Len(t, found["RestoreTimeStripe"]["unusable"], 1)
}
