package oracle

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/diskroom"
)

// roomy restores with disks of these sizes: below each folder is one.
func (l *lab) roomy(free map[string]int64, to backup.Target, overwrite bool, options map[string]string) error {
	l.t.Helper()
	src := l.source()
	src.room = func(dir string) (diskroom.Volume, bool) {
		for folder, n := range free {
			if rel, err := filepath.Rel(folder, dir); err == nil && !strings.HasPrefix(rel, "..") {
				return diskroom.Volume{ID: folder, FreeBytes: n}, true
			}
		}
		return diskroom.Volume{}, false
	}
	p, err := backup.New(backup.Config{Job: "lab", Source: src, Sink: l.sink})
	require.NoError(l.t, err)
	plan, err := p.Plan(l.t.Context(), to)
	require.NoError(l.t, err)
	return p.Restore(l.t.Context(), plan, backup.RestoreOptions{Overwrite: overwrite, Options: options})
}

// tree lists all files below a folder.
func (l *lab) tree() (out []string) {
	l.t.Helper()
	require.NoError(l.t, filepath.WalkDir(filepath.Join(l.dir, "server"), func(path string, d os.DirEntry, err error) error {
		out = append(out, path)
		return err
	}))
	return out
}

func TestARestoreThatDisksCannotHoldIsRefused(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, twoSpaces)
	l.programs()
	l.busy("before")
	l.take(backup.Full)
	truth := l.contents()
	var all int64
	for _, f := range l.sim.Files() {
		all += f.SizeBytes
	}
	l.sim.Crash()
	before := l.tree()
	data, fra := filepath.Join(l.dir, "server", "oradata"), filepath.Join(l.dir, "server", "fra")

	// What is there is to be replaced, and gives no room before that.
	err := l.roomy(map[string]int64{data: all, fra: 1 << 40}, backup.Target{}, true, map[string]string{"execute": "none"})
	require.ErrorIs(t, err, backup.ErrRefused)
	require.ErrorContains(t, err, "the disk of "+data)
	require.ErrorContains(t, err, "and has "+strconv.FormatInt(all, 10))
	assert.NotContains(t, err.Error(), fra)
	assert.Contains(t, backup.Hint(err), "move")
	assert.Equal(t, before, l.tree(), "nothing is written")

	err = l.roomy(map[string]int64{data: 100, fra: 100}, backup.Target{}, true, map[string]string{"execute": "none"})
	require.ErrorContains(t, err, "the disk of "+fra, "each disk is named")
	require.ErrorContains(t, err, "the disk of "+data)

	// A place that tells nothing is no reason to refuse, and twice the data files is room for the logs and all else.
	require.NoError(t, l.roomy(map[string]int64{data: 2 * all}, backup.Target{}, true, with(open, "execute", "sqlplus")))
	assert.Equal(t, truth, l.contents())
}

func TestATablespaceThatItsDiskCannotHoldIsRefused(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, twoSpaces)
	l.busy("before")
	l.take(backup.Full)
	truth := l.contents()
	server := filepath.Join(l.dir, "server")
	var size int64
	for _, path := range l.filesOf("USERS") {
		info, err := os.Stat(path)
		require.NoError(t, err)
		size += info.Size()
	}
	sql := map[string]string{"execute": "sql"}
	err := l.roomy(map[string]int64{server: size}, only("USERS"), true, sql)
	require.ErrorIs(t, err, backup.ErrRefused, "the script needs room too")
	assert.Empty(t, l.ran(`ALTER TABLESPACE "USERS" OFFLINE`))
	require.NoError(t, l.roomy(map[string]int64{server: size + 64<<10}, only("USERS"), true, sql))
	assert.Equal(t, truth, l.contents())
}

// The younger file that the server makes itself needs room as well.
func TestADataFileThatIsMadeNeedsRoom(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, twoSpaces)
	l.busy("before")
	l.take(backup.Full)
	disk := filepath.Join(l.dir, "disk2")
	require.NoError(t, os.Mkdir(disk, 0o700))
	path, err := l.sim.AddFile("USERS", filepath.Join(disk, "late.dbf"))
	require.NoError(t, err)
	l.take(backup.Log)
	info, err := os.Stat(path)
	require.NoError(t, err)
	l.remove(path)
	err = l.roomy(map[string]int64{disk: info.Size() - 1}, only("USERS"), false, map[string]string{"execute": "sql"})
	require.ErrorIs(t, err, backup.ErrRefused)
	require.ErrorContains(t, err, "needs "+strconv.FormatInt(info.Size(), 10)+" bytes")
	l.lose()
	err = l.roomy(map[string]int64{disk: info.Size() - 1}, backup.Target{}, false, nil)
	require.ErrorContains(t, err, "needs "+strconv.FormatInt(info.Size(), 10)+" bytes")
	require.NoError(t, l.roomy(map[string]int64{disk: info.Size()}, backup.Target{}, false, nil))
}
