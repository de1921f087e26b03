package backup_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

// tinyDisk mounts a file system of a few hundred KiB, or skips the test.
func tinyDisk(t *testing.T) string {
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=400k"); err != nil {
		t.Skipf("a file system in memory can be mounted by root only: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	return dir
}

// quietSource is a LedgerSource that does not say how much is coming, so that nothing but the disk stops it.
type quietSource struct{ *backuptest.LedgerSource }

func (quietSource) Estimate(context.Context, backup.Request) (int64, error) { return 0, nil }

// The stage's disk runs full: before the run, where the estimate tells; in the middle, through us and by the server, where it does not.
func TestAFullStageIsSaidSo(t *testing.T) {
	for name, c := range map[string]struct {
		serverFiles, quiet bool
	}{
		"refused before it begins":     {false, false},
		"in the middle of an artifact": {false, true},
		"while the server writes":      {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, true)
			w.stage = tinyDisk(t)
			w.l = backuptest.NewLedger(&backuptest.LedgerOptions{Ballast: 1 << 20})
			own := w.l.Source(&backuptest.LedgerSourceOptions{ServerFiles: c.serverFiles})
			w.source = own
			if c.quiet {
				w.source = quietSource{own}
			}
			// Nothing leaves the stage while it fills.
			w.sink.Script(backuptest.Fault{Op: backuptest.OpPut, Key: "/runs/", Times: -1, Action: backuptest.Stall})
			_, err := w.pipeline(t).Backup(t.Context(), backup.Full)
			require.ErrorIs(t, err, backup.ErrStageFull)
			require.Contains(t, backup.Hint(err), "free space")
			w.sink.Script()
			w.settled(t, 0, 0)
			requireEmptyStage(t, w.stage)
			require.Empty(t, w.mem.Keys(worldJob+"/runs/"))

			// With a quota below what is free the same database goes through the same disk.
			w.source = w.l.Source(nil)
			w.change = func(c *backup.Config) { c.Stager = backup.DirStager{Dir: w.stage, Quota: 128 << 10} }
			w.goesOn(t)
		})
	}
}

// The stage's disk is full when a dead run is to be salvaged, and the decision cannot be noted. The run fails, and the log is saved once there is room.
func TestAFullStageLosesNoLogThatWasGivenUp(t *testing.T) {
	w := newWreck(t, true, false)
	tiny := tinyDisk(t)
	require.NoError(t, os.CopyFS(tiny, os.DirFS(w.stage)))
	w.stage = tiny
	journal := filepath.Join(tiny, worldJob, string(w.id), "journal.jsonl")
	before, err := os.ReadFile(journal)
	require.NoError(t, err)
	// The last page of the journal has some room, in which a part of the line comes to lie.
	w.answer = func(ctx context.Context, d *backup.DeadRun) (backup.Salvaged, error) {
		got, err := w.source.(salvager).LedgerSalvager.Salvage(ctx, d)
		got.Warnings = []string{strings.Repeat("long ", 4096)}
		return got, err
	}
	filler := filepath.Join(tiny, "filler")
	fill(t, filler, 4096)
	_, err = w.pipeline(t).Backup(t.Context(), backup.Log)
	require.ErrorIs(t, err, backup.ErrStageFull)
	require.NotEmpty(t, backup.Hint(err))
	after, err := os.ReadFile(journal)
	require.NoError(t, err)
	require.Equal(t, string(before), string(after), "half a line hides what follows it")
	require.NoError(t, os.Remove(filler))
	w.answer = nil
	w.saved(t)
}

// fill writes a file until the disk is full.
func fill(t *testing.T, name string, step int) {
	f, err := os.Create(name)
	require.NoError(t, err)
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, step))
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
}
