package domino

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

func (l *lab) offline(change ...func(*Options)) *offlineSource {
	o := Options{Way: Offline, Instance: "mail1/acme", DataDir: l.sim.DataDir(), NotesINI: l.sim.IniPath(), Now: l.clock.now}
	for _, c := range change {
		c(&o)
	}
	s, err := New(&o)
	require.NoError(l.t, err)
	return s.(*offlineSource)
}

func (l *lab) offlineJob(s backup.Source) *job {
	sink := backuptest.NewMemSink()
	p, err := backup.New(backup.Config{Job: "mail", Source: s, Sink: sink, PartSize: 64 << 10, Workers: 2, Stager: backup.DirStager{Dir: filepath.Join(l.dir, "stage")}})
	require.NoError(l.t, err)
	return &job{p, l.t, sink}
}

// snapshotted backs up a copy of the data directory that was made between two transactions, and restores into the directory itself.
type snapshotted struct {
	backup.Source
	a *conformantOffline
}

func (s snapshotted) Backup(ctx context.Context, req backup.Request, st *backup.Stage) (backup.Result, error) {
	at, err := os.MkdirTemp(s.a.dir, "snapshot")
	if err != nil {
		return backup.Result{}, err
	}
	s.a.writing.lock()
	err = os.CopyFS(at, os.DirFS(s.a.sim.DataDir()))
	s.a.writing.unlock()
	if err != nil {
		return backup.Result{}, err
	}
	return s.a.offline(func(o *Options) {
		o.DataDir, o.NotesINI, o.Snapshot, o.Exclude = at, filepath.Join(at, "notes.ini"), true, []string{"others/*"}
	}).Backup(ctx, req, st)
}

func (s snapshotted) Restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	if err := s.a.offline().Restore(ctx, r, set); err != nil {
		return err
	}
	// Domino starts over an empty log directory, as the warning says: nothing is known there of the databases that were before.
	states, err := filepath.Glob(filepath.Join(s.a.dir, "server", "sim", "*.st"))
	for _, at := range states {
		err = errors.Join(err, os.Remove(at))
	}
	return errors.Join(err, s.a.sim.RecreateLog())
}

func (s snapshotted) Verify(ctx context.Context, set *backup.RestoreSet) error {
	return s.a.offline().Verify(ctx, set)
}

// gate is a lock.
type gate chan struct{}

func (g gate) lock()   { g <- struct{}{} }
func (g gate) unlock() { <-g }

type conformantOffline struct {
	*conformant
	writing gate
}

func newConformantOffline(t *testing.T) (*conformantOffline, error) {
	a, err := newConformant(t)
	return &conformantOffline{a, make(gate, 1)}, err
}

func (a *conformantOffline) Source() backup.Source { return snapshotted{a.offline(), a} }

func (a *conformantOffline) Mutate(ctx context.Context, n int) error {
	a.writing.lock()
	defer a.writing.unlock()
	return a.conformant.Mutate(ctx, n)
}

// FailItem makes a database what no copy of it is.
func (a *conformantOffline) FailItem(context.Context) (string, func(context.Context) error, error) {
	const name = "mail.box"
	at, aside := filepath.Join(a.sim.DataDir(), name), filepath.Join(a.dir, name)
	if err := os.Rename(at, aside); err != nil {
		return "", nil, err
	}
	heal := func(context.Context) error {
		if err := os.RemoveAll(at); err != nil {
			return err
		}
		return os.Rename(aside, at)
	}
	return name, heal, os.Symlink("/proc/self/mem", at)
}

func TestOfflineConformance(t *testing.T) {
	t.Parallel()
	backuptest.TestSource(t, func() (backuptest.Application, error) { return newConformantOffline(t) })
}

// TestOfflineOfAStoppedServer: all of it comes back into an empty directory, log files too.
func TestOfflineOfAStoppedServer(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("names.nsf", "mail/jdoe.nsf")
	l.file("server.id", "an id")
	s := l.offline()
	j := l.offlineJob(s)
	m := j.take(backup.Full)
	assert.Equal(t, map[string]backup.Kind{"names.nsf": backup.Full, "mail/jdoe.nsf": backup.Full, itemFiles: backup.Full, itemLogFiles: backup.Full}, kinds(m))
	assert.Equal(t, "stopped", m.Meta["consistency"])
	_, err := j.Verify(t.Context(), backup.VerifyOptions{})
	require.NoError(t, err)

	data := filepath.Join(l.dir, "elsewhere")
	require.NoError(t, j.restore(backup.Target{}, backup.RestoreOptions{Options: map[string]string{"data": data}}))
	for _, name := range []string{"names.nsf", "mail/jdoe.nsf", "server.id", "notes.ini"} {
		want, err := os.ReadFile(filepath.Join(l.sim.DataDir(), filepath.FromSlash(name)))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(data, filepath.FromSlash(name)))
		require.NoError(t, err)
		assert.Equal(t, want, got, name)
	}
	require.ErrorIs(t, j.restore(backup.Target{}, backup.RestoreOptions{Options: map[string]string{"data": data}}), backup.ErrExists)
	require.ErrorIs(t, j.restore(backup.Target{}, backup.RestoreOptions{Options: map[string]string{"replica": "new"}}), backup.ErrOption)
}

// TestOfflineRefusesARunningServer: a process that has a database open is named; nothing is copied. The process is this test's child, as one of the server's would be.
func TestOfflineRefusesARunningServer(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux shows the open files of others")
	}
	l := newLab(t)
	l.create("names.nsf")
	s := l.offline()
	end := holding(t, filepath.Join(l.sim.DataDir(), "names.nsf"))
	t.Cleanup(end)
	_, err := l.offlineJob(s).Backup(t.Context(), backup.Full)
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.Contains(t, err.Error(), "names.nsf by process")
	assert.Contains(t, backup.Hint(err), "snapshot")
	end()
	l.offlineJob(s).take(backup.Full)
}

// TestOfflineFindsAWriter: what changed during the copy shows that a server runs which could not be seen.
func TestOfflineFindsAWriter(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("names.nsf")
	s := l.offline()
	inv, err := s.base.lookIn(t.Context(), s.opt.DataDir, dataValue)
	require.NoError(t, err)
	require.NoError(t, s.unchanged(t.Context(), inv))
	l.write("names.nsf", "a", "1")
	require.NoError(t, os.Chtimes(inv.databases[0].path, l.clock.now(), l.clock.now()))
	err = s.unchanged(t.Context(), inv)
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.Contains(t, err.Error(), "a server runs on it")
}

func TestOfflineOptions(t *testing.T) {
	t.Parallel()
	_, err := New(&Options{Way: Offline})
	require.ErrorContains(t, err, "data dir")
	_, err = New(&Options{Way: Offline, DataDir: t.TempDir(), Exclude: []string{""}})
	require.ErrorContains(t, err, "pattern")
}

// holding has another process keep a file open until the result is called.
func holding(t *testing.T, path string) (end func()) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	c := exec.Command("sleep", "600")
	c.Stdin = f
	require.NoError(t, c.Start())
	return sync.OnceFunc(func() {
		_ = c.Process.Kill()
		_ = c.Wait() // it was killed
	})
}
