package dominosim_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
)

const db = "mail/a.nsf"

// served is a server with one database that has something in it.
func served(t *testing.T) (*dominosim.Server, notes.Thread) {
	t.Helper()
	s := archiving(t)
	require.NoError(t, s.CreateDB(db, dominosim.DB{Title: "A"}))
	write(t, s, db, 40)
	return s, thread(t, s)
}

func begin(t *testing.T, th notes.Thread, name string) (notes.Handle, notes.BackupContext, int64) {
	t.Helper()
	h, err := th.Open(t.Context(), name)
	require.NoError(t, err)
	c, size, err := th.BackupStart(t.Context(), h)
	require.NoError(t, err)
	return h, c, size
}

func TestCopies(t *testing.T) {
	t.Parallel()
	every := func(s *dominosim.Server) func(int64) {
		return func(at int64) {
			require.NoError(t, s.Write(db, fmt.Sprintf("k%03d", at/4096%40), fmt.Sprintf("%0300d", at)))
		}
	}
	for name, tt := range map[string]struct {
		copier copier
		writes func(*dominosim.Server) func(int64)
		wrong  string
		none   bool // no change information
	}{
		"nothing changed":            {none: true},
		"nothing changed, no apply":  {none: true, copier: copier{noApply: true}},
		"changed":                    {writes: every},
		"changed, no marks":          {writes: every, copier: copier{noMark: true}},
		"changed, not applied":       {writes: every, copier: copier{noApply: true}, wrong: "inconsistent"},
		"marks for what is not read": {writes: every, copier: copier{markLate: 1 << 30}, wrong: "inconsistent"},
		"changed before the first piece, not applied": {copier: copier{noApply: true}, wrong: "lacks its change information", writes: func(s *dominosim.Server) func(int64) {
			return func(at int64) {
				if at == 0 {
					require.NoError(t, s.Write(db, "k000", "other"))
				}
			}
		}},
		"grown": {writes: func(s *dominosim.Server) func(int64) {
			return func(at int64) { require.NoError(t, s.Write(db, fmt.Sprintf("new%d", at), fmt.Sprintf("%04000d", at))) }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, th := served(t)
			want, err := s.Read(db)
			require.NoError(t, err)
			c := tt.copier
			if tt.writes != nil {
				c.change = tt.writes(s)
			}
			to := filepath.Join(t.TempDir(), "copy.nsf")
			_, size := c.backup(t, th, db, to)
			assert.Equal(t, tt.none, size == 0)
			f, err := dominosim.ReadFile(to)
			if tt.wrong == "" {
				require.NoError(t, err)
				assert.Equal(t, want, f.Contents, "the state when the backup began")
				return
			}
			require.ErrorContains(t, err, tt.wrong)
			path := filepath.Join(s.DataDir(), "again.nsf")
			move(t, to, path)
			_, err = th.Recover(t.Context(), []string{path}, notes.RecoverZapID, time.Time{}, nil)
			assert.ErrorIs(t, err, notes.StatusRMFixupDB)
		})
	}
}

func TestOrderOfABackup(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, th := served(t)
	h, c, size := begin(t, th, db)
	_, _, err := th.BackupStart(ctx, h)
	assert.ErrorIs(t, err, notes.StatusBackupAlreadyInProgress)
	_, err = th.ChangeInfoSize(ctx, h, c)
	assert.ErrorIs(t, err, notes.StatusInvalidChangeInfoContext, "before the stop")
	_, err = th.NextChangeInfo(ctx, h, c, make([]byte, 10))
	assert.ErrorIs(t, err, notes.StatusInvalidChangeInfoContext, "before the stop")
	assert.ErrorIs(t, th.BackupEnd(ctx, h, c, false), notes.StatusValueFlags, "before the stop")
	require.NoError(t, th.BackupHighWater(ctx, h, c, 5000))
	assert.ErrorIs(t, th.BackupHighWater(ctx, h, c, 4000), notes.StatusValueFlags)
	assert.ErrorIs(t, th.BackupHighWater(ctx, h, c, size+1), notes.StatusValueFlags)
	require.NoError(t, th.BackupStop(ctx, h, c))
	assert.ErrorIs(t, th.BackupStop(ctx, h, c), notes.StatusNotDoingBackup)
	assert.ErrorIs(t, th.BackupHighWater(ctx, h, c, size), notes.StatusNotDoingBackup)
	busy, err := s.InBackup()
	require.NoError(t, err)
	assert.Equal(t, []string{filepath.Join(s.DataDir(), "mail", "a.nsf")}, busy)
	assert.ErrorIs(t, s.Compact(db), notes.StatusAlreadyLocked)
	require.NoError(t, th.BackupEnd(ctx, h, c, false))
	assert.ErrorIs(t, th.BackupEnd(ctx, h, c, false), notes.StatusNotDoingBackup)
	busy, err = s.InBackup()
	require.NoError(t, err)
	assert.Empty(t, busy)

	// Aborted at once; reset under the program's feet.
	_, c, _ = begin(t, th, db)
	assert.ErrorContains(t, th.BackupEnd(ctx, h, c, true), "another handle")
	require.NoError(t, s.ResetBackup(db))
	h, c, _ = begin(t, th, db)
	require.NoError(t, s.ResetBackup(db))
	assert.ErrorIs(t, th.BackupStop(ctx, h, c), notes.StatusBackupAborted)
	h, c, _ = begin(t, th, db)
	require.NoError(t, th.BackupEnd(ctx, h, c, true))
}

func TestChangeInformationOfAnother(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, th := served(t)
	take := func() (to string, info []byte) {
		h, c, size := begin(t, th, db)
		to = filepath.Join(t.TempDir(), "copy")
		copier{noMark: true}.copy(t, th, h, c, filepath.Join(s.DataDir(), "mail", "a.nsf"), to, size)
		require.NoError(t, s.Write(db, "k001", "later"))
		_, err := th.ApplyStart(ctx, filepath.Join(s.DataDir(), "mail", "a.nsf"), 1)
		require.ErrorIs(t, err, notes.StatusDBInUse, "the database itself is no copy")
		require.NoError(t, th.BackupStop(ctx, h, c))
		n, err := th.ChangeInfoSize(ctx, h, c)
		require.NoError(t, err)
		info = make([]byte, n)
		filled, err := th.NextChangeInfo(ctx, h, c, info)
		require.NoError(t, err)
		require.Len(t, info, filled)
		filled, err = th.NextChangeInfo(ctx, h, c, make([]byte, 10))
		require.NoError(t, err)
		require.Zero(t, filled, "the end")
		require.NoError(t, th.BackupEnd(ctx, h, c, false))
		require.NoError(t, th.Close(ctx, h))
		return to, info
	}
	first, own := take()
	_, other := take()

	applied := func(info []byte, size int64) error {
		a, err := th.ApplyStart(ctx, first, size)
		require.NoError(t, err)
		err = th.Apply(ctx, a, info)
		if err != nil {
			assert.ErrorIs(t, th.Apply(ctx, a, nil), err, "it stays so")
			assert.ErrorIs(t, th.ApplyEnd(ctx, a, false), err)
			return err
		}
		return th.ApplyEnd(ctx, a, false)
	}
	damaged := append([]byte(nil), own...)
	damaged[len(damaged)-1]++
	assert.ErrorIs(t, applied(other, int64(len(other))), notes.StatusCorruptChangeInfo, "of another backup")
	assert.ErrorIs(t, applied(damaged, int64(len(damaged))), notes.StatusCorruptChangeInfo, "damaged")
	assert.ErrorIs(t, applied(own, int64(len(own)-1)), notes.StatusCorruptChangeInfo, "more than announced")
	assert.ErrorIs(t, applied(own[:len(own)-1], int64(len(own))), notes.StatusCorruptChangeInfo, "less than announced")
	require.NoError(t, applied(own, int64(len(own))))
	_, err := dominosim.ReadFile(first)
	require.NoError(t, err)

	assert.ErrorIs(t, th.Apply(ctx, 7, nil), notes.StatusInvalidChangeInfoContext)
	assert.ErrorIs(t, th.ApplyEnd(ctx, 7, true), notes.StatusInvalidChangeInfoContext)
	_, err = th.ApplyStart(ctx, first+"x", 0)
	assert.ErrorIs(t, err, notes.StatusNoExist)
	_, err = th.ApplyStart(ctx, s.IniPath(), 0)
	assert.ErrorIs(t, err, notes.StatusNotNSF)
}

func TestOpening(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, th := served(t)
	opened := func(name string) error {
		h, err := th.Open(ctx, name)
		if err != nil {
			return err
		}
		return th.Close(ctx, h)
	}
	require.NoError(t, opened("mail/a"))
	require.NoError(t, opened(filepath.Join(s.DataDir(), "mail", "a.nsf")))
	assert.ErrorIs(t, opened("none.nsf"), notes.StatusNoExist)
	assert.ErrorIs(t, opened("server!!mail/a.nsf"), notes.StatusNotLocal)
	assert.ErrorIs(t, opened("notes.ini"), notes.StatusNotNSF)

	h, err := th.Open(ctx, "mail")
	require.NoError(t, err)
	folder, err := th.IsDirectory(ctx, h)
	require.NoError(t, err)
	assert.True(t, folder)
	_, _, err = th.BackupStart(ctx, h)
	assert.ErrorIs(t, err, notes.StatusNotNSF)

	require.NoError(t, s.CreateDB("old.nsf", dominosim.DB{ODS: 20}))
	h, err = th.Open(ctx, "old.nsf")
	require.NoError(t, err)
	_, _, err = th.BackupStart(ctx, h)
	assert.ErrorIs(t, err, notes.StatusOnlyV5Databases)
	require.NoError(t, s.CreateDB("new.nsf", dominosim.DB{ODS: 99}))
	assert.ErrorIs(t, opened("new.nsf"), notes.StatusNSFVersion)

	path := filepath.Join(s.DataDir(), "mail", "a.nsf")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(s.DataDir(), "cut.nsf"), b[:len(b)/2], 0o600))
	assert.ErrorIs(t, opened("cut.nsf"), notes.StatusObjectTruncated)

	for want, mark := range map[notes.Status]func(string) (func() error, error){
		notes.StatusCompactMode: s.Compacting, notes.StatusCantBackupDuringCompact: s.CompactingInPlace, notes.StatusAlreadyLocked: s.Replicating,
	} {
		h, err := th.Open(ctx, db)
		require.NoError(t, err)
		done, err := mark(db)
		require.NoError(t, err)
		_, _, err = th.BackupStart(ctx, h)
		require.ErrorIs(t, err, want)
		require.NoError(t, done())
		require.NoError(t, th.Close(ctx, h))
	}

	older, err := os.ReadFile(path)
	require.NoError(t, err)
	write(t, s, db, 3)
	require.NoError(t, os.WriteFile(path, older, 0o600))
	assert.ErrorIs(t, opened(db), notes.StatusRMDownLevel)

	require.NoError(t, s.CreateDB("bad.nsf", dominosim.DB{}))
	require.NoError(t, s.Corrupt("bad.nsf"))
	assert.ErrorIs(t, opened("bad.nsf"), notes.StatusNSFCorrupt)
	require.NoError(t, s.CreateDB("page.nsf", dominosim.DB{}))
	require.NoError(t, s.CorruptPage("page.nsf"))
	require.NoError(t, opened("page.nsf"))
	_, err = s.Read("page.nsf")
	assert.ErrorIs(t, err, notes.StatusNSFCorrupt2)
}

func TestLinks(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, th := served(t)
	outside, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	file := filepath.Join(outside, "far.nsf")
	require.NoError(t, s.CreateDB(file, dominosim.DB{Title: "Far"}))
	require.NoError(t, os.WriteFile(filepath.Join(s.DataDir(), "ext.dir"), []byte(outside+"\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(s.DataDir(), "link.nsf"), []byte(file), 0o600))
	for _, name := range []string{"ext/far.nsf", "link.nsf"} {
		h, err := th.Open(ctx, name)
		require.NoError(t, err)
		path, err := th.Path(ctx, h)
		require.NoError(t, err)
		assert.Equal(t, file, path)
		info, err := th.LogInfo(ctx, h)
		require.NoError(t, err)
		assert.True(t, info.Logged)
		require.NoError(t, th.Close(ctx, h))
	}
	before := instance(t, th, "link.nsf")
	h, err := th.Open(ctx, file)
	require.NoError(t, err)
	info, err := th.LogInfo(ctx, h)
	require.NoError(t, err)
	assert.False(t, info.Logged, "by a path outside the data directory")
	assert.NotEqual(t, before, info.DBIID)
}

func instance(t *testing.T, th notes.Thread, name string) notes.UNID {
	t.Helper()
	h, err := th.Open(t.Context(), name)
	require.NoError(t, err)
	info, err := th.LogInfo(t.Context(), h)
	require.NoError(t, err)
	require.NoError(t, th.Close(t.Context(), h))
	return info.DBIID
}

func TestInstances(t *testing.T) {
	t.Parallel()
	s, th := served(t)
	id := instance(t, th, db)
	same := func(why string) { t.Helper(); assert.Equal(t, id, instance(t, th, db), why) }
	another := func(why string) {
		t.Helper()
		now := instance(t, th, db)
		assert.NotEqual(t, id, now, why)
		id = now
	}
	write(t, s, db, 3)
	same("written to")
	copier{}.backup(t, th, db, filepath.Join(t.TempDir(), "copy"))
	same("backed up")
	require.NoError(t, s.Restart())
	th = thread(t, s)
	same("server restarted")
	require.NoError(t, s.Compact(db))
	another("compacted")
	require.NoError(t, s.Fixup(db))
	another("fixed up")
	require.NoError(t, s.SetLogged(db, false))
	another("logging switched off")
	write(t, s, db, 3)
	same("written to, not logged")
	require.NoError(t, s.SetLogged(db, true))
	another("logging switched on")
	require.NoError(t, s.RecreateLog())
	another("new series of the log")
	require.NoError(t, s.Rename(db, "b.nsf"))
	assert.Equal(t, id, instance(t, th, "b.nsf"), "renamed")
	move(t, filepath.Join(s.DataDir(), "b.nsf"), filepath.Join(s.DataDir(), "twin.nsf"))
	assert.NotEqual(t, id, instance(t, th, "twin.nsf"), "a copy of an active database")
	assert.Equal(t, id, instance(t, th, "b.nsf"), "the original")
}

func TestArchiving(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, th := served(t)
	_, err := th.FirstLog(ctx)
	require.ErrorIs(t, err, notes.StatusNoSuchTransLog, "without begin")
	require.NoError(t, th.ArchivingBegin(ctx))
	assert.ErrorIs(t, th.ArchivingBegin(ctx), notes.StatusTransLogArchiveInProgress)
	other := s.Process()
	oth, err := other.Thread(ctx)
	require.NoError(t, err)
	assert.ErrorIs(t, oth.ArchivingBegin(ctx), notes.StatusTransLogArchiveInProgress)

	e, err := th.FirstLog(ctx)
	require.ErrorIs(t, err, notes.StatusNoTransLogsToArchive)
	assert.FileExists(t, e.Path, "the current extent is named")
	assert.ErrorIs(t, th.LogDone(ctx, e.LogID, e.Number), notes.StatusNoArchivedExtent, "the current extent")

	for range 3 {
		write(t, s, db, 1)
		require.NoError(t, s.SwitchLog())
	}
	assert.ErrorIs(t, th.LogDone(ctx, e.LogID, e.Number), notes.StatusNoArchivedExtent, "full, but not offered")
	first, err := th.FirstLog(ctx)
	require.NoError(t, err)
	assert.Equal(t, e, first)
	second, err := th.NextLog(ctx)
	require.NoError(t, err)
	assert.Equal(t, first.Number+1, second.Number)
	require.NoError(t, th.LogDone(ctx, first.LogID, first.Number))
	assert.ErrorIs(t, th.LogDone(ctx, first.LogID, first.Number), notes.StatusNoSuchTransLog, "twice")
	assert.ErrorIs(t, th.LogDone(ctx, notes.UNID{1}, second.Number), notes.StatusNoSuchTransLog, "of another series")

	// The archiver dies; what it did not call done is offered again.
	die(t, s, "NSFGetNextLogToArchive")
	_, err = th.NextLog(ctx)
	require.ErrorIs(t, err, dominosim.ErrDead)
	s.SetFault(nil)
	require.NoError(t, oth.ArchivingBegin(ctx))
	again, err := oth.FirstLog(ctx)
	require.NoError(t, err)
	assert.Equal(t, second, again)
	require.NoError(t, oth.ArchivingEnd(ctx))
	assert.Error(t, oth.ArchivingEnd(ctx))
}

// die has the process die before the next call of a function.
func die(t *testing.T, s *dominosim.Server, function string) {
	t.Helper()
	s.SetFault(func(_ context.Context, c dominosim.Call) error {
		if c.Name == function && !c.After {
			return dominosim.ErrDie
		}
		return nil
	})
}

func TestStyles(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, style := range []notes.LogStyle{notes.LogCircular, notes.LogLinear} {
		s := newServer(t, dominosim.Config{Style: style, ExtentSize: 8 << 10})
		require.NoError(t, s.CreateDB(db, dominosim.DB{}))
		th := thread(t, s)
		got, err := th.LogStyle(ctx)
		require.NoError(t, err)
		assert.Equal(t, style, got)
		assert.ErrorIs(t, th.ArchivingBegin(ctx), notes.StatusTransLogNotArchived)
		to := filepath.Join(s.DataDir(), "copy.nsf")
		copier{}.backup(t, th, db, to)
		write(t, s, db, 300)
		names, err := filepath.Glob(filepath.Join(s.LogDir(), "*.TXN"))
		require.NoError(t, err)
		assert.Len(t, names, 4, "the oldest are overwritten")
		_, err = th.Recover(ctx, []string{to}, notes.RecoverZapID, time.Time{}, nil)
		assert.ErrorIs(t, err, notes.StatusRMCannotRecover)
	}
	s := newServer(t, dominosim.Config{Unlogged: true})
	require.NoError(t, s.CreateDB(db, dominosim.DB{}))
	write(t, s, db, 2)
	th := thread(t, s)
	_, err := th.LogStyle(ctx)
	assert.ErrorIs(t, err, notes.StatusServerNotTransLogged)
	assert.ErrorIs(t, th.ArchivingBegin(ctx), notes.StatusServerNotTransLogged)
	info, _ := copier{}.backup(t, th, db, filepath.Join(t.TempDir(), "copy"))
	assert.False(t, info.Logged)

	s = newServer(t, dominosim.Config{Style: notes.LogArchive, ExtentSize: 8 << 10, MaxExtents: 3})
	require.NoError(t, s.CreateDB(db, dominosim.DB{}))
	for err = nil; err == nil; err = s.Write(db, "k", fmt.Sprintf("%02000d", 1)) {
	}
	assert.ErrorIs(t, err, dominosim.ErrLogFull)
}
