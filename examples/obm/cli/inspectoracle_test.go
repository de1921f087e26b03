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

	"github.com/quiesce-go/quiesce/internal/sim/oraclesim/blocks"
)

// TestInspectOracleFiles runs the command on files as Oracle Database lays them out: whole, fractured in and outside of backup mode, damaged and cut.
func TestInspectOracleFiles(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "file")
	inspect := func(b []byte, code int) (string, Inspected) {
		t.Helper()
		require.NoError(t, os.WriteFile(name, b, 0o600))
		var text, found bytes.Buffer
		for out, args := range map[*bytes.Buffer][]string{&text: {"inspect", name}, &found: {"inspect", name, "--json"}} {
			p := &Program{Name: "obm", Stdin: new(bytes.Buffer), Stdout: out, Stderr: new(bytes.Buffer)}
			require.Equal(t, code, p.Run(t.Context(), args), "%s", out)
		}
		var all []Inspected
		require.NoError(t, json.Unmarshal(found.Bytes(), &all))
		require.Len(t, all, 1)
		return text.String(), all[0]
	}

	at := time.Date(2026, 2, 28, 23, 59, 58, 0, time.UTC)
	data := func(status uint16, tear int) []byte {
		f := blocks.DataFile{Blocks: 4, DBID: 1498277274, Database: "SHOP", Compatible: 0x13000000, File: 7, Tablespace: 5, TablespaceName: "US\x1bERS", CheckpointSCN: 1 << 60, BackupSCN: 1 << 60,
			CheckpointTime: at, Status: status}
		var out bytes.Buffer
		w, err := blocks.NewDataWriter(&out, f)
		require.NoError(t, err)
		old, err := f.Block(2, 10, 1, []byte("old"))
		require.NoError(t, err)
		young, err := f.Block(2, 11, 1, []byte("new"))
		require.NoError(t, err)
		require.NoError(t, w.Raw(blocks.Torn(old, young, tear)))
		require.NoError(t, w.Close())
		return out.Bytes()
	}
	text, one := inspect(data(blocks.InBackup, 0), 0)
	assert.Contains(t, text, "Oracle data file")
	assert.Contains(t, text, "state: in backup mode since SCN 1152921504606846976")
	assert.Contains(t, text, `tablespace: US\x1bERS`)
	assert.Contains(t, text, "checked: structure, and all blocks by their checksums")
	assert.Equal(t, "1152921504606846976", one.Details.(map[string]any)["checkpoint_scn"])
	assert.Equal(t, "2026-02-28 23:59:58 server's time", one.Details.(map[string]any)["checkpoint_time"])

	text, one = inspect(data(blocks.InBackup, 4096), 0)
	assert.Contains(t, text, "fractured: 1")
	assert.Contains(t, one.Details.(map[string]any)["fractured_blocks"].([]any)[0], "block 2: fractured")
	text, _ = inspect(data(blocks.Online, 4096), 1)
	assert.Contains(t, text, "state: open, and not in backup mode")
	assert.Contains(t, text, "PROBLEM: block 2 (byte 16384): fractured")
	text, _ = inspect(data(blocks.Closed, 0)[:30000], 1)
	assert.Contains(t, text, "PROBLEM: byte 30000: the file ends here, inside block 3; its header gives it 4 blocks")

	l := blocks.Log{DBID: 1498277274, Database: "SHOP", Compatible: 0x0B200400, Thread: 1, Sequence: 17, First: 100, Next: 200, FirstTime: at, ResetlogsID: 5, ResetlogsSCN: 3}
	log := func() []byte {
		var out bytes.Buffer
		_, err := l.Write(&out, [][]byte{bytes.Repeat([]byte("redo"), 500)})
		require.NoError(t, err)
		return out.Bytes()
	}
	text, _ = inspect(log(), 0)
	assert.Contains(t, text, "Oracle redo log")
	assert.Contains(t, text, "first scn: 100")
	assert.Contains(t, text, "next time: unknown")
	spoilt := log()
	spoilt[1600] ^= 1
	_, one = inspect(spoilt, 1)
	require.Len(t, one.Problems, 1)
	assert.Contains(t, one.Problems[0], "block 3 (byte 1536): its checksum is")
	l.Next = blocks.NoSCN
	text, _ = inspect(log(), 1)
	assert.Contains(t, text, "next scn: none")

	var control bytes.Buffer
	require.NoError(t, blocks.Control{DBID: 7, Database: "SHOP", Sequence: 22125}.Write(&control, nil))
	text, _ = inspect(control.Bytes(), 0)
	assert.Contains(t, text, "Oracle control file")
	assert.Contains(t, text, "checked: header and length; only a server reads the content")
	_, one = inspect(control.Bytes()[:control.Len()-1], 1)
	assert.Len(t, one.Problems, 1)
}
