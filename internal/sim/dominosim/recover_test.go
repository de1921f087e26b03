package dominosim_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
)

// stored is a server with a backup of its database, some log behind it that was archived and some that was not.
type stored struct {
	*dominosim.Server
	notes.Thread
	backup, logs string
}

func store(t *testing.T) stored {
	t.Helper()
	s, th := served(t)
	st := stored{s, th, filepath.Join(t.TempDir(), "backup"), t.TempDir()}
	copier{}.backup(t, th, db, st.backup)
	for range 3 {
		write(t, s, db, 3)
		require.NoError(t, s.SwitchLog())
	}
	require.Len(t, archive(t, th, st.logs), 3)
	write(t, s, db, 2)
	return st
}

// place puts a copy of the backup into the data directory.
func (s stored) place(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(s.DataDir(), name)
	move(t, s.backup, path)
	return path
}

func (s stored) put() putter { var asked []uint32; return putFrom(s.logs, &asked) }

type putter = func(context.Context, notes.UNID, uint32, string) error

func TestRecoveringIsRefused(t *testing.T) {
	t.Parallel()
	s := store(t)
	ctx := t.Context()
	now, _ := s.LastTransaction(db)
	refused := func(want notes.Status, failed int, flags notes.RecoverFlags, until time.Time, paths ...string) {
		t.Helper()
		r, err := s.Recover(ctx, paths, flags, until, s.put())
		assert.ErrorIs(t, err, want)
		assert.Equal(t, failed, r.Failed)
	}
	a := s.place(t, "x.nsf")
	refused(notes.StatusNoExist, 1, notes.RecoverZapID, time.Time{}, a, "none.nsf")
	refused(notes.StatusNotNSF, 0, notes.RecoverZapID, time.Time{}, s.IniPath())
	refused(notes.StatusValueFlags, -1, 0x80, time.Time{}, a)
	refused(notes.StatusValueFlags, -1, 0x04|notes.RecoverZapID, time.Time{}, a)
	refused(notes.StatusValueFlags, -1, notes.RecoverZapID, time.Time{})
	refused(notes.StatusRMDBIIDInUse, 0, 0, time.Time{}, a)
	refused(notes.StatusRMDBIIDInUse, 1, notes.RecoverZapID, time.Time{}, a, a)
	refused(notes.StatusRMLateBackup, 0, notes.RecoverPointInTime, now.Add(-time.Hour), a)
	_, err := s.Open(ctx, a)
	assert.ErrorIs(t, err, notes.StatusRMOpenBackup)
	release, err := s.Hold(a)
	require.NoError(t, err)
	refused(notes.StatusDBInUse, 0, notes.RecoverZapID, time.Time{}, a)
	require.NoError(t, release())

	plain := filepath.Join(s.DataDir(), "plain.nsf")
	move(t, filepath.Join(s.DataDir(), "mail", "a.nsf"), plain)
	refused(notes.StatusRMRecoverNonbackup, 0, notes.RecoverZapID, time.Time{}, plain)

	require.NoError(t, s.CreateDB("unlogged.nsf", dominosim.DB{Unlogged: true}))
	require.NoError(t, s.Write("unlogged.nsf", "k", "v"))
	copier{}.backup(t, s, "unlogged.nsf", filepath.Join(s.DataDir(), "u.nsf"))
	refused(notes.StatusOnlyV5Databases, 0, notes.RecoverZapID, time.Time{}, "u.nsf")
	h, err := s.Open(ctx, "u.nsf")
	require.NoError(t, err, "it is used as it is")
	require.NoError(t, s.Close(ctx, h))
	refused(notes.StatusRMRecoverNonbackup, 0, notes.RecoverZapID, time.Time{}, "u.nsf")

	// After all of that the first is still good.
	_, err = s.Recover(ctx, []string{a}, notes.RecoverZapID, time.Time{}, s.put())
	require.NoError(t, err)
	got, err := s.Read("x.nsf")
	require.NoError(t, err)
	want, err := s.Read(db)
	require.NoError(t, err)
	assert.Equal(t, want, got)

	b := s.place(t, "y.nsf")
	require.NoError(t, s.RecreateLog())
	refused(notes.StatusRMFixupDB, 0, notes.RecoverZapID, time.Time{}, b)
}

func TestBrokenRecoveriesSpoilTheBackup(t *testing.T) {
	t.Parallel()
	inject := func(status notes.Status) func(*testing.T, stored) putter {
		return func(_ *testing.T, s stored) putter {
			s.SetFault(func(_ context.Context, c dominosim.Call) error {
				if c.Name == "NSFRecoverDatabases" && !c.After {
					return status
				}
				return nil
			})
			return s.put()
		}
	}
	cause := errors.New("not on the sink")
	for name, tt := range map[string]struct {
		put  func(*testing.T, stored) putter
		want error
	}{
		"no callback": {func(*testing.T, stored) putter { return nil }, notes.StatusRMMQLogError},
		"callback fails": {func(*testing.T, stored) putter {
			return func(context.Context, notes.UNID, uint32, string) error { return cause }
		}, notes.StatusRMMQLogError},
		"extent not there": {func(*testing.T, stored) putter {
			return func(context.Context, notes.UNID, uint32, string) error { return nil }
		}, notes.StatusTransLogMissingSegs},
		"another extent": {func(_ *testing.T, s stored) putter {
			return func(ctx context.Context, id notes.UNID, n uint32, path string) error {
				return s.put()(ctx, id, 3-n%3, path)
			}
		}, notes.StatusTransLogMissingSegs},
		"log space critical": {inject(notes.StatusRMLogSpaceCritical), notes.StatusRMLogSpaceCritical},
		"extent damaged": {func(t *testing.T, s stored) putter {
			name := filepath.Join(s.logs, "2")
			b, err := os.ReadFile(name)
			require.NoError(t, err)
			b[200]++
			require.NoError(t, os.WriteFile(name, b, 0o600))
			return s.put()
		}, notes.StatusTransLogMissingSegs},
		"process dies": {func(t *testing.T, s stored) putter { die(t, s.Server, "LOGRESTORECALLBACK"); return s.put() }, dominosim.ErrDead},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := store(t)
			path := s.place(t, "x.nsf")
			_, err := s.Recover(t.Context(), []string{path}, notes.RecoverZapID, time.Time{}, tt.put(t, s))
			require.ErrorIs(t, err, tt.want)
			_, err = dominosim.ReadFile(path)
			require.Error(t, err, "it is worth nothing now")
			s.SetFault(nil)
			_, err = thread(t, s.Server).Recover(t.Context(), []string{path}, notes.RecoverZapID, time.Time{}, s.put())
			require.ErrorIs(t, err, notes.StatusRMFixupDB)

			path = s.place(t, "y.nsf")
			if name == "extent damaged" {
				return
			}
			_, err = thread(t, s.Server).Recover(t.Context(), []string{path}, notes.RecoverZapID, time.Time{}, s.put())
			require.NoError(t, err, "what is stored is as good as before")
		})
	}
}

func TestRecoveriesComeOneByOne(t *testing.T) {
	t.Parallel()
	s := store(t)
	ctx := t.Context()
	a, b := s.place(t, "x.nsf"), s.place(t, "y.nsf")
	other := thread(t, s.Server)
	asked := 0
	put := s.put()
	_, err := s.Recover(ctx, []string{a}, notes.RecoverZapID, time.Time{}, func(ctx context.Context, id notes.UNID, n uint32, path string) error {
		asked++
		_, err := other.Recover(ctx, []string{b}, notes.RecoverZapID, time.Time{}, nil)
		assert.ErrorIs(t, err, notes.StatusRMScanInProgress)
		assert.Equal(t, s.LogDir(), filepath.Dir(path))
		require.NoError(t, s.Write(db, "meanwhile", "yes"), "the server works on")
		return put(ctx, id, n, path)
	})
	require.NoError(t, err)
	assert.Equal(t, 3, asked)
	names, err := filepath.Glob(filepath.Join(s.LogDir(), "*.TXN"))
	require.NoError(t, err)
	assert.Len(t, names, 1, "what was brought is removed")
}

func TestSeveralDatabasesInOneCall(t *testing.T) {
	t.Parallel()
	s := store(t)
	ctx := t.Context()
	require.NoError(t, s.CreateDB("b.nsf", dominosim.DB{}))
	require.NoError(t, s.Write("b.nsf", "k", "1"))
	copier{}.backup(t, s, "b.nsf", filepath.Join(s.DataDir(), "b2.nsf"))
	require.NoError(t, s.Write("b.nsf", "k", "2"))
	var asked []uint32
	r, err := s.Recover(ctx, []string{s.place(t, "a2.nsf"), "b2.nsf"}, notes.RecoverZapID|notes.RecoverZapReplicaID, time.Time{}, putFrom(s.logs, &asked))
	require.NoError(t, err)
	assert.Equal(t, []uint32{1, 2, 3}, asked, "each extent once")
	last, _ := s.LastTransaction("b.nsf")
	assert.True(t, last.Equal(r.Last))
	for from, to := range map[string]string{db: "a2.nsf", "b.nsf": "b2.nsf"} {
		want, err := s.Read(from)
		require.NoError(t, err)
		got, err := s.Read(to)
		require.NoError(t, err)
		assert.Equal(t, want, got)
		assert.NotEqual(t, instance(t, s, from), instance(t, s, to))
		f, err := dominosim.ReadFile(filepath.Join(s.DataDir(), filepath.FromSlash(from)))
		require.NoError(t, err)
		g, err := dominosim.ReadFile(filepath.Join(s.DataDir(), to))
		require.NoError(t, err)
		assert.NotEqual(t, f.Replica, g.Replica)
	}
}

func TestOtherFlags(t *testing.T) {
	t.Parallel()
	s := store(t)
	ctx := t.Context()
	_, err := s.Recover(ctx, []string{s.place(t, "x.nsf")}, notes.RecoverZapID|notes.RecoverAltRetrievePath, time.Time{}, s.put())
	require.ErrorIs(t, err, notes.StatusValueFlags, "TRANSLOG_RECOVER_PATH is not set")
	dir := t.TempDir()
	require.NoError(t, s.SetIni("TRANSLOG_RECOVER_PATH", dir))
	put := s.put()
	_, err = s.Recover(ctx, []string{"x.nsf"}, notes.RecoverZapID|notes.RecoverAltRetrievePath, time.Time{}, func(ctx context.Context, id notes.UNID, n uint32, path string) error {
		assert.Equal(t, dir, filepath.Dir(path))
		return put(ctx, id, n, path)
	})
	require.NoError(t, err)

	// Refreshed, it is a backup of now, and needs less log.
	y := s.place(t, "y.nsf")
	_, err = s.Recover(ctx, []string{y}, 0x04, time.Time{}, s.put())
	require.NoError(t, err)
	f, err := dominosim.ReadFile(y)
	require.NoError(t, err)
	assert.True(t, f.Backup)
	assert.Equal(t, uint32(4), f.FirstExtent)
	write(t, s.Server, db, 1)
	_, err = s.Recover(ctx, []string{y}, 0x20, time.Time{}, nil)
	require.NoError(t, err, "the new DBIID is necessary")
	want, err := s.Read(db)
	require.NoError(t, err)
	got, err := s.Read("y.nsf")
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestOffline(t *testing.T) {
	t.Parallel()
	s, th := served(t)
	ctx := t.Context()
	release, err := s.Hold(db)
	require.NoError(t, err)
	assert.ErrorIs(t, th.TakeOffline(ctx, db, 30*time.Millisecond), notes.StatusDBInUse)
	require.NoError(t, release())
	h, err := th.Open(ctx, db)
	require.NoError(t, err)
	assert.ErrorIs(t, th.TakeOffline(ctx, db, 0), notes.StatusDBInUse)
	require.NoError(t, th.Close(ctx, h))
	assert.ErrorIs(t, th.TakeOffline(ctx, "none.nsf", 0), notes.StatusNoExist)
	require.NoError(t, th.TakeOffline(ctx, db, 0))
	off, err := s.Offline()
	require.NoError(t, err)
	assert.Len(t, off, 1)
	assert.ErrorIs(t, th.TakeOffline(ctx, db, 0), notes.StatusDBOffline)
	_, err = th.Open(ctx, db)
	assert.ErrorIs(t, err, notes.StatusDBOffline)
	assert.ErrorIs(t, s.Write(db, "k", "v"), notes.StatusDBOffline)
	require.NoError(t, th.BringOnline(ctx, db))
	require.NoError(t, s.Write(db, "k", "v"))
	assert.ErrorIs(t, th.BringOnline(ctx, "none.nsf"), notes.StatusNoExist)
}

// A server is lost; its log directory has only what was archived, and the current extent as it was copied last.
func TestDisaster(t *testing.T) {
	t.Parallel()
	s := store(t)
	ctx := t.Context()
	want, err := s.Read(db)
	require.NoError(t, err)
	n, err := s.CurrentExtent()
	require.NoError(t, err)
	names, err := filepath.Glob(filepath.Join(s.LogDir(), "*.TXN"))
	require.NoError(t, err)
	require.Len(t, names, 1)
	move(t, names[0], filepath.Join(s.logs, fmt.Sprint(n)))

	anew := newServer(t, dominosim.Config{Style: notes.LogArchive})
	fresh, err := filepath.Glob(filepath.Join(anew.LogDir(), "*"))
	require.NoError(t, err)
	for _, name := range fresh {
		require.NoError(t, os.Remove(name))
	}
	for i := uint32(1); i <= n; i++ {
		move(t, filepath.Join(s.logs, fmt.Sprint(i)), filepath.Join(anew.LogDir(), fmt.Sprintf("S%07X.TXN", i)))
	}
	move(t, s.backup, filepath.Join(anew.DataDir(), "a.nsf"))
	th := thread(t, anew)
	_, err = th.Recover(ctx, []string{"a.nsf"}, 0, time.Time{}, nil)
	require.ErrorIs(t, err, notes.StatusServerNotTransLogged, "there is no control file")
	require.NoError(t, anew.SetIni("TRANSLOG_Recreate_Logctrl", "1"))
	_, err = th.Recover(ctx, []string{"a.nsf"}, 0, time.Time{}, nil)
	require.NoError(t, err)
	v, ok, err := th.Environment(ctx, "translog_recreate_logctrl")
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Equal(t, "0", v)
	require.NoError(t, anew.Restart())
	got, err := anew.Read("a.nsf")
	require.NoError(t, err)
	assert.Equal(t, want, got)
	require.NoError(t, anew.Write("a.nsf", "k", "goes on"))
}

func TestBackupsOfNewDatabases(t *testing.T) {
	t.Parallel()
	for name, renew := range map[string]func(*dominosim.Server) error{
		"created":   func(*dominosim.Server) error { return nil },
		"compacted": func(s *dominosim.Server) error { return s.Compact(db) },
	} {
		s := archiving(t)
		require.NoError(t, s.CreateDB(db, dominosim.DB{}), name)
		require.NoError(t, renew(s))
		th := thread(t, s)
		copier{}.backup(t, th, db, filepath.Join(s.DataDir(), "x.nsf"))
		require.NoError(t, s.Write(db, "first", "of this life"))
		_, err := th.Recover(t.Context(), []string{"x.nsf"}, notes.RecoverZapID, time.Time{}, nil)
		require.NoError(t, err)
		got, err := s.Read("x.nsf")
		require.NoError(t, err)
		assert.Equal(t, map[string]string{"first": "of this life"}, got, name)
	}
}

// An extent that was copied before it was full ends a recovery to a time, and breaks one to the end of the log.
func TestPartialExtents(t *testing.T) {
	t.Parallel()
	s, th := served(t)
	ctx := t.Context()
	backup, logs := filepath.Join(t.TempDir(), "backup"), t.TempDir()
	copier{}.backup(t, th, db, backup)
	write(t, s, db, 3)
	require.NoError(t, th.ArchivingBegin(ctx))
	e, err := th.FirstLog(ctx)
	require.ErrorIs(t, err, notes.StatusNoTransLogsToArchive)
	move(t, e.Path, filepath.Join(logs, fmt.Sprint(e.Number)))
	require.NoError(t, th.ArchivingEnd(ctx))
	want, err := s.Read(db)
	require.NoError(t, err)
	write(t, s, db, 9)
	require.NoError(t, s.SwitchLog())
	archive(t, th, t.TempDir())
	last, _ := s.LastTransaction(db)
	var asked []uint32
	move(t, backup, filepath.Join(s.DataDir(), "x.nsf"))
	_, err = th.Recover(ctx, []string{"x.nsf"}, notes.RecoverPointInTime, last, putFrom(logs, &asked))
	require.NoError(t, err)
	got, err := s.Read("x.nsf")
	require.NoError(t, err)
	assert.Equal(t, want, got)
	move(t, backup, filepath.Join(s.DataDir(), "y.nsf"))
	_, err = th.Recover(ctx, []string{"y.nsf"}, notes.RecoverZapID, time.Time{}, putFrom(logs, &asked))
	assert.ErrorIs(t, err, notes.StatusTransLogMissingSegs)
}

// Any history, any moment: what is recovered is what the ledger says.
func TestAnyMoment(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 1))
			s := newServer(t, dominosim.Config{Style: notes.LogArchive, ExtentSize: 8 << 10})
			require.NoError(t, s.CreateDB(db, dominosim.DB{Pages: 2}))
			th, logs, to := thread(t, s), t.TempDir(), filepath.Join(t.TempDir(), "copy")
			random := func() {
				var ops []dominosim.Op
				for range 1 + rnd.IntN(3) {
					ops = append(ops, dominosim.Op{Key: fmt.Sprint(rnd.IntN(30)), Value: fmt.Sprintf("%0*d", 1+rnd.IntN(800), rnd.Int()), Delete: rnd.IntN(4) == 0})
				}
				require.NoError(t, s.Transact(db, ops...))
			}
			for range 30 {
				random()
			}
			copier{noMark: seed == 1, change: func(int64) {
				if rnd.IntN(2) == 0 {
					random()
				}
			}}.backup(t, th, db, to)
			f, err := dominosim.ReadFile(to)
			require.NoError(t, err)
			for range 40 {
				random()
			}
			archive(t, th, logs)
			end, _ := s.LastTransaction(db)
			for i := range 5 {
				at := f.BackupTime.Add(time.Duration(rnd.Int64N(int64(end.Sub(f.BackupTime)) + 1)))
				name := fmt.Sprintf("r%d.nsf", i)
				move(t, to, filepath.Join(s.DataDir(), name))
				var asked []uint32
				_, err := th.Recover(t.Context(), []string{name}, notes.RecoverPointInTime, at, putFrom(logs, &asked))
				require.NoError(t, err)
				want, ok := s.At(db, at)
				require.True(t, ok)
				got, err := s.Read(name)
				require.NoError(t, err)
				require.Equal(t, want, got, "at %s", at)
			}
		})
	}
}
