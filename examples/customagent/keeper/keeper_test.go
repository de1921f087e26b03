package keeper

import (
	"database/sql"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newDatabase makes a database in WAL mode and leaves a connection open, as an application does.
func newDatabase(t *testing.T) (path string, app *sql.Conn) {
	path = filepath.Join(t.TempDir(), "app.db")
	db, err := Open(path, "_pragma=journal_mode(wal)")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	app, err = db.Conn(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, app.Close()) })
	execute(t, app, "CREATE TABLE t (a INTEGER, b BLOB)")
	return path, app
}

func execute(t *testing.T, app *sql.Conn, query string) {
	t.Helper()
	_, err := app.ExecContext(t.Context(), query)
	require.NoError(t, err)
}

func newKeeper(t *testing.T, path string, o *Options) *Keeper {
	k, err := New(path, o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, k.Close()) })
	return k
}

// look returns what a look found.
func look(t *testing.T, k *Keeper) *Snapshot {
	t.Helper()
	s, err := k.Look(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Close())
	return s
}

const insert = "INSERT INTO t VALUES (1, randomblob(3000))"

func TestLogIsKeptAcrossCheckpoints(t *testing.T) {
	t.Parallel()
	path, app := newDatabase(t)
	k := newKeeper(t, path, &Options{Checkpoint: 10})
	require.NoError(t, k.Hold(t.Context()))
	first := look(t, k)
	salts := map[uint32]bool{}
	for range 60 {
		execute(t, app, insert)
		// The application's own checkpoints must not take away what nobody saw yet.
		execute(t, app, "PRAGMA wal_checkpoint(PASSIVE)")
		s := look(t, k)
		assert.Equal(t, first.Stream, s.Stream, s.Reason)
		w, err := readWAL(path+"-wal", mark{})
		require.NoError(t, err)
		salts[w.salt()] = true
		assert.Less(t, w.frame, int64(30), "the log grows without end")
	}
	assert.Greater(t, len(salts), 3, "the log was never begun anew, so nothing was tested")
}

func TestTwoKeepersShareTheJournal(t *testing.T) {
	t.Parallel()
	path, app := newDatabase(t)
	resident, visitor := newKeeper(t, path, nil), newKeeper(t, path, nil)
	require.NoError(t, resident.Hold(t.Context()))
	first := look(t, resident)
	for i := range 10 {
		execute(t, app, insert)
		k := resident
		if i%2 == 0 {
			k = visitor
		}
		s := look(t, k)
		assert.Equal(t, first.Stream, s.Stream, s.Reason)
		assert.Equal(t, first.Pos+int64(i)+1, s.Pos)
	}
}

func TestWithoutAHoldAnEmptyLogProvesNothing(t *testing.T) {
	t.Parallel()
	path, app := newDatabase(t)
	k := newKeeper(t, path, nil)
	execute(t, app, "PRAGMA wal_checkpoint(TRUNCATE)")
	first := look(t, k)
	execute(t, app, insert)
	execute(t, app, "PRAGMA wal_checkpoint(TRUNCATE)") // looks as before
	s := look(t, k)
	assert.NotEqual(t, first.Stream, s.Stream)
	assert.Contains(t, s.Reason, "reset by somebody else")
}

func TestLostJournalBeginsAStream(t *testing.T) {
	t.Parallel()
	path, app := newDatabase(t)
	k := newKeeper(t, path, nil)
	first := look(t, k)
	execute(t, app, insert)
	require.NoError(t, os.Remove(path+"-quiesce"))
	s := look(t, k)
	assert.NotEqual(t, first.Stream, s.Stream)
	assert.Contains(t, s.Reason, "not kept before")
}

// TestPowerFailureBeginsAStream loses the last commit after it was seen, as a power failure may where programs do not wait for the disk. Another commit then
// takes its place in the log, as long as the lost one.
func TestPowerFailureBeginsAStream(t *testing.T) {
	t.Parallel()
	path, app := newDatabase(t)
	execute(t, app, insert)
	before, err := readWAL(path+"-wal", mark{})
	require.NoError(t, err)
	execute(t, app, insert)
	k := newKeeper(t, path, nil)
	first := look(t, k)

	after := filepath.Join(t.TempDir(), "app.db")
	for _, suffix := range []string{"", "-wal", "-quiesce"} {
		b, err := os.ReadFile(path + suffix)
		require.NoError(t, err)
		if suffix == "-wal" {
			b = b[:32+int(before.frame)*(24+int(binary.BigEndian.Uint32(b[8:])))]
		}
		require.NoError(t, os.WriteFile(after+suffix, b, 0o600))
	}
	db, err := Open(after, "mode=rw")
	require.NoError(t, err)
	defer db.Close()
	app, err = db.Conn(t.Context())
	require.NoError(t, err)
	defer app.Close()
	execute(t, app, insert)
	seen, err := readWAL(path+"-wal", mark{})
	require.NoError(t, err)
	now, err := readWAL(after+"-wal", mark{})
	require.NoError(t, err)
	require.Equal(t, seen.frame, now.frame, "the case was not made")
	require.Equal(t, seen.salt(), now.salt(), "the case was not made")
	s := look(t, newKeeper(t, after, nil))
	assert.NotEqual(t, first.Stream, s.Stream)
}

func TestForgottenChangesAreGone(t *testing.T) {
	t.Parallel()
	path, app := newDatabase(t)
	k := newKeeper(t, path, nil)
	look(t, k)
	execute(t, app, insert)
	one := look(t, k)
	execute(t, app, insert)
	two := look(t, k)
	require.NoError(t, k.Forget(t.Context(), "another stream", two.Pos))
	assert.Equal(t, int64(0), look(t, k).Kept)
	for range 2 {
		require.NoError(t, k.Forget(t.Context(), one.Stream, one.Pos))
	}
	s, err := k.Look(t.Context())
	require.NoError(t, err)
	defer s.Close()
	assert.Equal(t, one.Pos, s.Kept)
	pages := 0
	for p, err := range s.Changes(t.Context(), 0) {
		require.NoError(t, err)
		assert.Equal(t, two.Pos, p.Pos)
		pages++
	}
	assert.Positive(t, pages)
}

// TestOnlyWhatWasCommittedCounts cuts and damages a log everywhere: the pages that are read are those of the commits before.
func TestOnlyWhatWasCommittedCounts(t *testing.T) {
	t.Parallel()
	path, app := newDatabase(t)
	execute(t, app, insert)
	execute(t, app, "PRAGMA cache_size=5; BEGIN; "+insert)
	for range 20 {
		execute(t, app, insert) // more than the cache holds: uncommitted pages are written to the log
	}
	log, err := os.ReadFile(path + "-wal")
	require.NoError(t, err)
	execute(t, app, "ROLLBACK")
	whole, err := readWAL(path+"-wal", mark{})
	require.NoError(t, err)
	frame := 24 + int(binary.BigEndian.Uint32(log[8:]))
	require.Greater(t, len(log), 32+int(whole.frame+1)*frame, "nothing uncommitted is in the log, so nothing was tested")

	file := filepath.Join(t.TempDir(), "log")
	for cut := 0; cut <= len(log); cut += 997 {
		require.NoError(t, os.WriteFile(file, log[:cut], 0o600))
		w, err := readWAL(file, whole.mark)
		require.NoError(t, err)
		assert.LessOrEqual(t, w.frame, int64(max(0, cut-32)/frame))
		assert.Equal(t, cut >= 32+int(whole.frame)*frame, w.found, "cut at %d", cut)
	}
	for at := 0; at < 32+int(whole.frame)*frame; at += 997 {
		bad := append([]byte(nil), log...)
		bad[at] ^= 0x20
		require.NoError(t, os.WriteFile(file, bad, 0o600))
		w, err := readWAL(file, whole.mark)
		require.NoError(t, err)
		assert.False(t, w.found, "a bit at %d", at)
		assert.LessOrEqual(t, w.frame, int64(max(0, at-32)/frame))
	}
}
