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

// TestInspectSQLServerBackup runs the command on files such as a server writes: whole, damaged, cut, and in the container that only a server reads.
func TestInspectSQLServerBackup(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte("a page of a database"), 8192)
	data = data[:len(data)/512*512]
	at := time.Date(2025, 3, 30, 1, 59, 59, 0, time.UTC)
	set := tapesim.Set{Type: 'D', Database: "sales", Server: "DB7", Machine: "DB7", First: tapesim.LSN{34, 2048, 37}, Last: tapesim.LSN{34, 2080, 1}, Started: at, Finished: at.Add(time.Minute),
		Zone: 8, Major: 16, Checksum: true, Groups: []string{"PRIMARY"}, Files: []tapesim.Database{{Logical: "sales", Physical: `D:\sales.mdf`, Group: 1}}, Pages: [][]byte{data}}
	file := tapesim.File{SetID: [16]byte{1}, Family: 1, Families: 2, Sets: []tapesim.Set{set}}
	whole := file.Bytes()
	spoilt := bytes.Clone(whole)
	spoilt[bytes.Index(spoilt, data)+70000] ^= 1

	name := filepath.Join(t.TempDir(), "sales.bak")
	inspect := func(b []byte, code int, args ...string) (string, Inspected) {
		t.Helper()
		require.NoError(t, os.WriteFile(name, b, 0o600))
		var out, errs bytes.Buffer
		p := &Program{Name: "obm", Stdin: new(bytes.Buffer), Stdout: &out, Stderr: &errs}
		require.Equal(t, code, p.Run(t.Context(), append([]string{"inspect", name}, args...)), "%s%s", &out, &errs)
		if len(args) == 0 {
			return out.String(), Inspected{}
		}
		var found []Inspected
		require.NoError(t, json.Unmarshal(out.Bytes(), &found))
		require.Len(t, found, 1)
		return "", found[0]
	}

	text, _ := inspect(whole, 0)
	assert.Contains(t, text, "SQL Server backup")
	assert.Contains(t, text, "1: full of sales on DB7, finished 2025-03-30 02:00:59 +02:00, LSN 34000000204800037 to 34000000208000001")
	assert.Contains(t, text, "stripe: 1 of 2")
	assert.Contains(t, text, "all data by its checksums")
	_, one := inspect(whole, 0, "--json")
	assert.True(t, one.OK)
	sets := one.Details.(map[string]any)["sets"].([]any)
	require.Len(t, sets, 1)
	assert.Equal(t, "34000000208000001", sets[0].(map[string]any)["last_lsn"])
	assert.Equal(t, []any{`sales = D:\sales.mdf`}, sets[0].(map[string]any)["files"])

	_, one = inspect(spoilt, 1, "--json")
	require.Len(t, one.Problems, 1)
	assert.Contains(t, one.Problems[0], "the pages from here")

	text, _ = inspect(whole[:20000], 1)
	assert.Contains(t, text, "PROBLEM: byte 20000: the file ends here")
	assert.Contains(t, text, "1: full of sales on DB7, started 2025-03-30 01:59:59 +02:00")

	text, _ = inspect([]byte("MSSQLBAK\x02\x00\x00\x00\x01\x00\x00\x00and what only a server reads"), 0)
	assert.Contains(t, text, "container: MSSQLBAK")
	assert.Contains(t, text, "RESTORE VERIFYONLY")
}
