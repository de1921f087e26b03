package mssql

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
	"github.com/quiesce-go/quiesce/mssql/chain"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// readSets reads the files of a folder as a stranger finds them.
func readSets(t *testing.T, dir string) (sets []chain.Set) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.*"))
	require.NoError(t, err)
	for _, name := range names {
		f, err := os.Open(name)
		require.NoError(t, err)
		m, err := mtf.Verify(t.Context(), f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		sets = append(sets, chain.FromMedia(filepath.Base(name), m, nil)...)
	}
	return sets
}

// TestScriptFromFiles takes backups by hand, and restores them by the script of a plan that knows the files alone.
func TestScriptFromFiles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	require.NoError(t, s.CreateDatabase("shop", mssqlsim.Full))
	require.NoError(t, s.Insert("shop", "apples"))
	s.exec(`BACKUP DATABASE shop TO DISK = 'S:\stage\a.bak', DISK = 'S:\stage\b.bak' WITH CHECKSUM`)
	require.NoError(t, s.Insert("shop", "pears"))
	s.exec(`BACKUP LOG shop TO DISK = 'S:\stage\1.trn' WITH CHECKSUM`)
	require.NoError(t, s.Insert("shop", "plums"))
	at := s.now()
	require.NoError(t, s.Insert("shop", "nonsense"))
	s.exec(`BACKUP LOG shop TO DISK = 'S:\stage\2.trn' WITH CHECKSUM`)
	sets := readSets(t, s.dir)

	run := func(target chain.Target, name string, options map[string]string) []string {
		plan, err := chain.Make(sets, target)
		require.NoError(t, err)
		var out strings.Builder
		require.NoError(t, WriteScript(&out, plan, name, options))
		for batch := range strings.SplitSeq(out.String(), "\nGO\n") {
			var lines []string
			for line := range strings.Lines(batch) {
				if !strings.HasPrefix(line, "--") && !strings.HasPrefix(line, ":") {
					lines = append(lines, line)
				}
			}
			if text := strings.ReplaceAll(strings.Join(lines, ""), "$(Folder)", `S:\stage`); strings.TrimSpace(text) != "" {
				s.exec(text)
			}
		}
		got, err := s.Contents(plan.Database)
		if name != "" {
			got, err = s.Contents(name)
		}
		require.NoError(t, err)
		return got
	}
	options := map[string]string{"files": `S:\stage`, "data_dir": `S:\data`}
	assert.Equal(t, []string{"apples", "pears", "plums"}, run(chain.Target{Time: at}, "then", options))
	assert.Equal(t, []string{"apples", "pears"}, run(chain.Target{BeforeLSN: lastOf(sets, "1.trn")}, "before", options))
	s.DropDatabase("shop")
	assert.Equal(t, []string{"apples", "pears", "plums", "nonsense"}, run(chain.Target{}, "", nil))
}

// lastOf is where a file ends in the log.
func lastOf(sets []chain.Set, file string) (lsn mtf.LSN) {
	for _, s := range sets {
		if s.Devices[0] == file {
			lsn = s.LastLSN
		}
	}
	return lsn
}

func TestScriptFromFilesRefuses(t *testing.T) {
	t.Parallel()
	files := []chain.File{{Logical: "shop", Physical: `D:\shop.mdf`, Type: "D"}}
	plan := chain.Plan{Database: "shop", Steps: []chain.Step{{Set: chain.Set{Type: mtf.Database, Database: "shop", Files: files, Devices: []string{"a.bak"}, Stripes: 1, Finished: time.Unix(0, 0)}}}}
	for name, options := range map[string]map[string]string{
		"copy":   nil, // nobody knows where its files may go
		"shop":   {"nonsense": "1"},
		"shop2":  {"data_dir": `D:\`, "stop_at_mark": "payday"},
		"master": {"data_dir": `D:\`},
		"shop3":  {"move:other": `D:\x`, "data_dir": `D:\`},
	} {
		assert.ErrorIs(t, WriteScript(new(strings.Builder), plan, name, options), backup.ErrRefused, name)
	}
	var out strings.Builder
	require.NoError(t, WriteScript(&out, plan, "", nil))
	assert.Contains(t, out.String(), `RESTORE DATABASE [shop] FROM DISK = N'$(Folder)\a.bak' WITH FILE = 1, NORECOVERY`)
	plan.Steps = append(plan.Steps, chain.Step{Set: chain.Set{Type: mtf.Log}, Stop: chain.Stop{AtMark: "payday", After: "2026-03-01T00:00:00"}})
	require.ErrorIs(t, WriteScript(&out, plan, "", nil), backup.ErrRefused)
}
