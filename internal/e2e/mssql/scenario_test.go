package mssql

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/mssql"
)

// scenarios are what every server must pass.
var scenarios = []struct {
	name string
	run  func(t *testing.T, s server)
}{
	{"to any moment", toAnyMoment},
	{"under another name", underAnotherName},
	{"to a mark", toAMark},
	{"another tool takes a log", anotherToolTakesALog},
	{"tail, then restore", tailThenRestore},
	{"simple recovery model", simpleModel},
	{"rehearsal", rehearsal},
	{"check", check},
	{"conformance", conformance},
}

// scene is a job on some databases of a server.
type scene struct {
	*testing.T
	server
	source   *mssql.Source
	sink     backup.Sink
	pipeline *backup.Pipeline
	names    []string
	holds    map[string][]string // what each database was given
}

func newScene(t *testing.T, s server, o mssql.Options, databases ...string) *scene {
	t.Helper()
	sc := &scene{T: t, server: s, sink: backuptest.NewMemSink(), holds: map[string][]string{}}
	for _, d := range databases {
		sc.create(d, "FULL")
	}
	o.Include = sc.names
	var err error
	sc.source, err = mssql.New(s.dsn(), &o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, sc.source.Close()) })
	sc.pipeline, err = backup.New(backup.Config{Job: "e2e", Source: sc.source, Sink: sc.sink, Stager: stagerOf(s, "stage"), PartSize: 256 << 10})
	require.NoError(t, err)
	t.Cleanup(func() {
		if !t.Failed() {
			assert.NoError(t, s.left(context.Background()))
		}
	})
	return sc
}

func (sc *scene) create(database, model string) string {
	sc.Helper()
	name := named(database)
	require.NoError(sc, sc.server.drop(sc.Context(), name))
	require.NoError(sc, sc.server.create(sc.Context(), name, model))
	sc.Cleanup(func() { assert.NoError(sc, sc.server.drop(context.Background(), name)) })
	sc.names = append(sc.names, name)
	return name
}

func (sc *scene) insert(texts ...string) {
	sc.Helper()
	for _, name := range sc.names {
		for _, x := range texts {
			require.NoError(sc, sc.server.insert(sc.Context(), name, x))
			sc.holds[name] = append(sc.holds[name], x)
		}
	}
}

func (sc *scene) backup(kind backup.Kind) *backup.Manifest {
	sc.Helper()
	m, err := sc.pipeline.Backup(sc.Context(), kind)
	require.NoError(sc, err)
	for _, it := range m.Items {
		require.Empty(sc, it.Error, it.Name)
	}
	return m
}

// moment is the server's time with what the databases hold at it.
func (sc *scene) moment() (time.Time, map[string][]string) {
	sc.Helper()
	at, err := sc.server.now(sc.Context())
	require.NoError(sc, err)
	held := map[string][]string{}
	for name, texts := range sc.holds {
		held[name] = texts[:len(texts):len(texts)]
	}
	return at, held
}

func (sc *scene) restore(t backup.Target, o backup.RestoreOptions) error {
	sc.Helper()
	plan, err := sc.pipeline.Plan(sc.Context(), t)
	require.NoError(sc, err)
	require.NoError(sc, plan.Err())
	return sc.pipeline.Restore(sc.Context(), plan, o)
}

func (sc *scene) expect(name string, want []string) {
	sc.Helper()
	got, err := sc.server.contents(sc.Context(), name)
	require.NoError(sc, err)
	assert.Equal(sc, want, got, name)
}

// A chain of every kind brings back the newest state, and the state of each moment between.
func toAnyMoment(t *testing.T, s server) {
	sc := newScene(t, s, mssql.Options{Stripes: 2}, "shop", "bank")
	type past struct {
		at   time.Time
		held map[string][]string
	}
	var moments []past
	step := func(kind backup.Kind, i int) {
		sc.insert(fmt.Sprintf("%s %d a", kind, i))
		at, held := sc.moment()
		sc.insert(fmt.Sprintf("%s %d b", kind, i))
		m := sc.backup(kind)
		for _, it := range m.Items {
			require.Equal(t, kind, it.Kind, "%s: %s", it.Name, it.Reason)
		}
		if kind == backup.Log {
			moments = append(moments, past{at, held})
		}
	}
	for i, k := range []backup.Kind{backup.Full, backup.Log, backup.Log, backup.Differential, backup.Log, backup.Full, backup.Log} {
		step(k, i)
	}
	for _, p := range moments {
		require.NoError(t, sc.restore(backup.Target{Time: p.at}, backup.RestoreOptions{Overwrite: true}), "to %s", p.at)
		for name, want := range p.held {
			sc.expect(name, want)
		}
	}
	for _, name := range sc.names {
		require.NoError(t, s.drop(t.Context(), name))
	}
	require.NoError(t, sc.restore(backup.Target{}, backup.RestoreOptions{}))
	for name, want := range sc.holds {
		sc.expect(name, want)
	}
	report, err := sc.pipeline.Verify(t.Context(), backup.VerifyOptions{Level: backup.ProofFormat})
	require.NoError(t, err)
	require.NoError(t, report.Err())
	assert.Equal(t, 7, report.Backups)
}

// One database is restored under another name, beside the living one.
func underAnotherName(t *testing.T, s server) {
	sc := newScene(t, s, mssql.Options{}, "shop")
	sc.insert("one")
	sc.backup(backup.Full)
	sc.insert("two")
	sc.backup(backup.Log)
	copied := named("copy")
	require.NoError(t, s.drop(t.Context(), copied))
	t.Cleanup(func() { assert.NoError(t, s.drop(context.Background(), copied)) })
	select1 := backup.Target{Select: []backup.Selection{{Name: sc.names[0], As: copied}}}
	require.NoError(t, sc.restore(select1, backup.RestoreOptions{}))
	sc.expect(copied, []string{"one", "two"})
	require.ErrorIs(t, sc.restore(select1, backup.RestoreOptions{}), backup.ErrExists)
	sc.expect(sc.names[0], []string{"one", "two"})
}

// A mark is a moment too.
func toAMark(t *testing.T, s server) {
	sc := newScene(t, s, mssql.Options{}, "shop")
	name := sc.names[0]
	sc.insert("one")
	sc.backup(backup.Full)
	sc.insert("two")
	require.NoError(t, s.mark(t.Context(), name, "upgrade", "three"))
	sc.holds[name] = append(sc.holds[name], "three")
	sc.insert("four")
	sc.backup(backup.Log)
	pick := backup.Target{Select: []backup.Selection{{Name: name}}}
	target, err := sc.pipeline.Locate(t.Context(), pick, "mark:upgrade")
	require.NoError(t, err)
	require.NoError(t, sc.restore(target, backup.RestoreOptions{Overwrite: true}))
	got, err := s.contents(t.Context(), name)
	require.NoError(t, err)
	assert.Contains(t, [][]string{{"one", "two"}, {"one", "two", "three"}}, got, "without the mark, or with it, by what the target says: %+v", target)
	assert.Equal(t, target.After, len(got) == 3)
}

// Another tool takes a log backup: the run that follows mends the chain, says why, and no moment is promised that cannot be restored.
func anotherToolTakesALog(t *testing.T, s server) {
	sc := newScene(t, s, mssql.Options{}, "shop")
	sc.insert("one")
	sc.backup(backup.Full)
	sc.insert("two")
	_, remote := s.folder()
	require.NoError(t, s.exec(t.Context(), "BACKUP LOG "+quoted(sc.names[0])+" TO DISK = N'"+joinRemote(remote, "stranger.trn")+"' WITH FORMAT"))
	sc.insert("three")
	lost, _ := sc.moment()
	sc.insert("four")
	m := sc.backup(backup.Log)
	require.Len(t, m.Items, 1)
	assert.Equal(t, backup.Differential, m.Items[0].Kind)
	assert.NotEmpty(t, m.Items[0].Reason)
	_, err := sc.pipeline.Plan(t.Context(), backup.Target{Time: lost})
	require.ErrorIs(t, err, backup.ErrRefused, "the stranger has the log")
	require.NoError(t, sc.restore(backup.Target{}, backup.RestoreOptions{Overwrite: true}))
	sc.expect(sc.names[0], []string{"one", "two", "three", "four"})
}

// The tail of the log is taken before the database is restored, and nothing is lost.
func tailThenRestore(t *testing.T, s server) {
	sc := newScene(t, s, mssql.Options{}, "shop")
	sc.insert("one")
	sc.backup(backup.Full)
	sc.insert("two")
	_, err := sc.pipeline.BackupWith(t.Context(), backup.BackupOptions{Kind: backup.Log, Options: map[string]string{"tail": "norecovery", "databases": sc.names[0]}})
	require.NoError(t, err)
	require.NoError(t, sc.restore(backup.Target{}, backup.RestoreOptions{Overwrite: true}))
	sc.expect(sc.names[0], []string{"one", "two"})
}

// The simple recovery model has no log: its runs are differentials.
func simpleModel(t *testing.T, s server) {
	sc := newScene(t, s, mssql.Options{})
	name := sc.create("simple", "SIMPLE")
	source, err := mssql.New(s.dsn(), &mssql.Options{Include: sc.names})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, source.Close()) })
	sc.pipeline, err = backup.New(backup.Config{Job: "e2e", Source: source, Sink: sc.sink, Stager: stagerOf(s, "stage")})
	require.NoError(t, err)
	sc.insert("one")
	sc.backup(backup.Full)
	sc.insert("two")
	m := sc.backup(backup.Log)
	assert.Equal(t, backup.Differential, m.Items[0].Kind)
	require.NoError(t, sc.restore(backup.Target{}, backup.RestoreOptions{Overwrite: true}))
	sc.expect(name, []string{"one", "two"})
}

// A rehearsal restores, checks with DBCC CHECKDB and leaves nothing.
func rehearsal(t *testing.T, s server) {
	sc := newScene(t, s, mssql.Options{}, "shop")
	sc.insert("one")
	m := sc.backup(backup.Full)
	plan, err := sc.pipeline.Plan(t.Context(), backup.Target{})
	require.NoError(t, err)
	require.NoError(t, sc.pipeline.Rehearse(t.Context(), plan, s.dsn(), backup.RestoreOptions{Options: map[string]string{"same_instance": "true"}}))
	h, err := sc.pipeline.History(t.Context())
	require.NoError(t, err)
	b, ok := h.Find(m.ID)
	require.True(t, ok)
	assert.Equal(t, backup.ProofRestored, b.Proof)
}

// Check passes with the rights and the folder that a run needs, and names the folder when the server cannot see it.
func check(t *testing.T, s server) {
	sc := newScene(t, s, mssql.Options{}, "shop")
	stager := stagerOf(s, "stage")
	dir, err := stager.Stage(t.Context(), "e2e", backup.NewID(time.Now(), ""))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, stager.Release(context.Background(), dir)) })
	for _, f := range sc.source.Check(t.Context(), dir) {
		assert.NoError(t, f.Err, f.What)
	}
	dir.ServerPath = filepath.Join(dir.ServerPath, "elsewhere")
	failed := false
	for _, f := range sc.source.Check(t.Context(), dir) {
		failed = failed || f.Err != nil && f.Hint != ""
	}
	assert.True(t, failed, "a folder that the server does not have")
}
