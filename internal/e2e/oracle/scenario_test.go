package oracle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/oracle"
	"github.com/quiesce-go/quiesce/sink"
)

// scenarios are what every server must pass, in every mode.
var scenarios = []struct {
	name string
	run  func(t *testing.T, s server, mode oracle.Mode)
}{
	{"check", check},
	{"to any moment", toAnyMoment},
	{"elsewhere", elsewhere},
	{"by the agent itself", byTheAgent},
	{"the operator goes home", theOperatorGoesHome},
	{"backup mode of others", backupModeOfOthers},
	{"a log is lost", aLogIsLost},
	{"purge", purge},
	{"conformance", conformance},
}

// item is the only one of a job.
const item = "database"

// scene is a job on a server.
type scene struct {
	*testing.T
	server
	mode     oracle.Mode
	source   *oracle.Source
	sink     backup.Sink
	pipeline *backup.Pipeline
	holds    []string // what the ledger was given
	restores int
}

// newScene makes a job. wrap, which may be nil, stands between pipeline and sink.
func newScene(t *testing.T, s server, mode oracle.Mode, o oracle.Options, wrap func(backup.Sink) backup.Sink) *scene {
	t.Helper()
	sc := &scene{T: t, server: s, mode: mode}
	dir, err := sink.OpenDir(filepath.Join(t.TempDir(), "sink"))
	require.NoError(t, err)
	sc.sink = dir
	if wrap != nil {
		sc.sink = wrap(dir)
	}
	o.Mode, o.StateDir = mode, filepath.Join(t.TempDir(), "state")
	c := backup.Config{Job: "e2e", Sink: sc.sink, PartSize: 1 << 20}
	if mode == oracle.ModeRemote {
		_, remote := s.shared()
		o.ScratchDir = remote + "/scratch"
	} else {
		c.Stager = stagerOf(s)
	}
	sc.source, err = s.agent(o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, sc.source.Close()) })
	c.Source = sc.source
	sc.pipeline, err = backup.New(c)
	require.NoError(t, err)
	return sc
}

// stagerOf makes stages in the shared folder, which the server's user may write to.
func stagerOf(s server) backup.DirStager {
	local, remote := s.shared()
	return backup.DirStager{Dir: filepath.Join(local, "stage"), ServerDir: remote + "/stage", Mode: 0o777}
}

func (sc *scene) insert(texts ...string) {
	sc.Helper()
	require.NoError(sc, sc.server.insert(sc.Context(), texts...))
	sc.holds = append(sc.holds, texts...)
}

// held is what the ledger holds now.
func (sc *scene) held() []string { return sc.holds[:len(sc.holds):len(sc.holds)] }

func (sc *scene) backup(kind, want backup.Kind) *backup.Manifest {
	sc.Helper()
	m, err := sc.pipeline.Backup(sc.Context(), kind)
	require.NoError(sc, err)
	require.Len(sc, m.Items, 1)
	require.Empty(sc, m.Items[0].Error)
	require.Equal(sc, want, m.Items[0].Kind, m.Items[0].Reason)
	for _, w := range m.Warnings {
		sc.Log("warning: ", w)
	}
	sc.quiet()
	return m
}

// quiet: nothing is in backup mode, and nothing of a run lies in the scratch folder.
func (sc *scene) quiet() {
	sc.Helper()
	active, err := sc.query(context.WithoutCancel(sc.Context()), "SELECT FILE# FROM V$BACKUP WHERE STATUS = 'ACTIVE'")
	require.NoError(sc, err)
	require.Empty(sc, active, "files are in backup mode")
	local, _ := sc.shared()
	left, err := filepath.Glob(filepath.Join(local, "scratch", "*"))
	require.NoError(sc, err)
	require.Empty(sc, left)
}

// restore loses the database and brings it back as an administrator would: the files are fetched, and the script of the agent is run by SQL*Plus.
func (sc *scene) restore(to backup.Target, options map[string]string) {
	sc.Helper()
	plan, err := sc.pipeline.Plan(sc.Context(), to)
	require.NoError(sc, err)
	require.NoError(sc, plan.Err())
	sc.restores++
	local, remote := sc.shared()
	name := fmt.Sprintf("fetched-%d", sc.restores)
	fetched := filepath.Join(local, name)
	require.NoError(sc, sc.pipeline.Fetch(sc.Context(), plan, fetched))
	require.NoError(sc, readable(fetched))
	all := map[string]string{"open": "resetlogs", "files": remote + "/" + name, "work": fmt.Sprintf("%s/work-%d", remote, sc.restores)}
	for k, v := range options {
		all[k] = v
	}
	var script bytes.Buffer
	require.NoError(sc, sc.pipeline.Script(sc.Context(), plan, backup.RestoreOptions{Options: all}, &script))
	require.NoError(sc, sc.lose(sc.Context()))
	out, err := sc.sqlplus(sc.Context(), script.String())
	require.NoError(sc, err, "%s\n%s", script.String(), out)
	require.NoError(sc, sc.remove(sc.Context(), remote+"/"+name))
}

// readable lets the server's user read what was fetched.
func readable(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(path, 0o755) //nolint:gosec // so it is meant
		}
		return os.Chmod(path, 0o644) //nolint:gosec // so it is meant
	})
}

func (sc *scene) expect(want []string) {
	sc.Helper()
	got, err := sc.contents(sc.Context())
	require.NoError(sc, err)
	require.Equal(sc, want, got)
}

// Check passes with the rights and folders that a run needs, and names the folder when the server cannot write to it.
func check(t *testing.T, s server, mode oracle.Mode) {
	sc := newScene(t, s, mode, oracle.Options{}, nil)
	var dir backup.StageDir
	if mode == oracle.ModeLocal {
		var err error
		dir, err = stagerOf(s).Stage(t.Context(), "e2e", backup.NewID(time.Now(), ""))
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, stagerOf(s).Release(context.Background(), dir)) })
	}
	for _, f := range sc.source.Check(t.Context(), dir) {
		t.Log(f.What)
		assert.NoError(t, f.Err, f.What)
	}
	sc.quiet()
	_, remote := s.shared()
	src, err := s.agent(oracle.Options{Mode: mode, StateDir: t.TempDir(), ScratchDir: remote + "/no such folder"})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, src.Close()) })
	failed := false
	for _, f := range src.Check(t.Context(), dir) {
		failed = failed || f.Err != nil && f.Hint != ""
	}
	assert.True(t, failed, "a folder that the server does not have")
}

// A chain brings back the newest state, and that of a time and of an SCN between; its files are what they should be.
func toAnyMoment(t *testing.T, s server, mode oracle.Mode) {
	sc := newScene(t, s, mode, oracle.Options{}, nil)
	sc.insert("before the full")
	sc.backup(backup.Full, backup.Full)
	sc.insert("one", "it's two")
	at, err := s.now(t.Context())
	require.NoError(t, err)
	atTime := sc.held()
	sc.insert("three")
	sc.backup(backup.Log, backup.Log)
	sc.insert("four")
	scn, err := s.position(t.Context())
	require.NoError(t, err)
	atSCN := sc.held()
	sc.insert("five")
	sc.backup(backup.Full, backup.Full)
	sc.insert("six")
	sc.backup(backup.Log, backup.Log)
	latest := sc.held()
	sc.insert("in no backup")

	report, err := sc.pipeline.Verify(t.Context(), backup.VerifyOptions{Level: backup.ProofFormat})
	require.NoError(t, err)
	require.NoError(t, report.Err())
	assert.Equal(t, 4, report.Backups)

	sc.restore(backup.Target{Time: at}, nil)
	sc.expect(atTime)
	sc.restore(backup.Target{Position: scn, Select: []backup.Selection{{Name: item}}}, nil)
	sc.expect(atSCN)
	sc.restore(backup.Target{}, nil)
	sc.expect(latest)

	// A new incarnation has begun, which no log continues.
	require.NoError(t, s.insert(t.Context(), "seven"))
	m := sc.backup(backup.Log, backup.Full)
	assert.Contains(t, m.Items[0].Reason, "RESETLOGS")
	require.NoError(t, s.insert(t.Context(), "eight"))
	sc.backup(backup.Log, backup.Log)
	sc.restore(backup.Target{}, nil)
	sc.expect(append(latest, "seven", "eight"))
}

// All files go below another folder, and the database opens there.
func elsewhere(t *testing.T, s server, mode oracle.Mode) {
	sc := newScene(t, s, mode, oracle.Options{}, nil)
	sc.insert("one")
	sc.backup(backup.Full, backup.Full)
	sc.insert("two")
	sc.backup(backup.Log, backup.Log)
	_, remote := s.shared()
	place := remote + "/another place"
	t.Cleanup(func() { assert.NoError(t, s.remove(context.Background(), place)) })
	sc.restore(backup.Target{}, map[string]string{"to": place})
	sc.expect([]string{"one", "two"})
	names, err := s.query(t.Context(), "SELECT NAME FROM V$DATAFILE")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range names {
		assert.True(t, strings.HasPrefix(name, place+"/"), name)
	}
}

// Where the agent is on the machine of the database, it puts files in place and runs SQL*Plus itself; without leave to overwrite it replaces nothing.
func byTheAgent(t *testing.T, s server, mode oracle.Mode) {
	if !here(s) {
		t.Skip("the agent is not on the machine of the database")
	}
	sc := newScene(t, s, mode, oracle.Options{}, nil)
	sc.insert("one")
	sc.backup(backup.Full, backup.Full)
	sc.insert("two")
	sc.backup(backup.Log, backup.Log)
	sc.insert("three")
	plan, err := sc.pipeline.Plan(t.Context(), backup.Target{})
	require.NoError(t, err)
	o := backup.RestoreOptions{Options: map[string]string{"execute": "sqlplus", "open": "resetlogs"}}
	require.ErrorIs(t, sc.pipeline.Restore(t.Context(), plan, o), backup.ErrExists)
	sc.expect([]string{"one", "two", "three"})
	o.Overwrite = true
	require.NoError(t, sc.pipeline.Restore(t.Context(), plan, o))
	sc.expect([]string{"one", "two"})
}

// tripping calls do at the first data file that is stored.
type tripping struct {
	backup.Sink
	do func()
}

func (s tripping) Put(ctx context.Context, key string, r io.Reader) error {
	if strings.Contains(key, "/data/") {
		s.do()
	}
	return s.Sink.Put(ctx, key, r)
}

// A run that is cancelled while data files are copied leaves nothing in backup mode, and the next one succeeds.
func theOperatorGoesHome(t *testing.T, s server, mode oracle.Mode) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	why := errors.New("the operator went home")
	sc := newScene(t, s, mode, oracle.Options{}, func(inner backup.Sink) backup.Sink {
		return tripping{inner, func() { cancel(why) }}
	})
	_, err := sc.pipeline.Backup(ctx, backup.Full)
	require.ErrorIs(t, err, why)
	sc.quiet()
	sc.insert("one")
	sc.backup(backup.Full, backup.Full)
	sc.restore(backup.Target{}, nil)
	sc.expect([]string{"one"})
}

// What somebody else has put into backup mode stays there, and no full is taken meanwhile.
func backupModeOfOthers(t *testing.T, s server, mode oracle.Mode) {
	sc := newScene(t, s, mode, oracle.Options{}, nil)
	_, err := s.sqlplus(t.Context(), "WHENEVER SQLERROR EXIT FAILURE\nALTER DATABASE BEGIN BACKUP;\n")
	require.NoError(t, err)
	_, err = sc.pipeline.Backup(t.Context(), backup.Full)
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.NotEmpty(t, backup.Hint(err))
	active, err := s.query(t.Context(), "SELECT FILE# FROM V$BACKUP WHERE STATUS = 'ACTIVE'")
	require.NoError(t, err)
	assert.NotEmpty(t, active)
	_, err = s.sqlplus(t.Context(), "WHENEVER SQLERROR EXIT FAILURE\nALTER DATABASE END BACKUP;\n")
	require.NoError(t, err)
	sc.backup(backup.Full, backup.Full)
}

// archived are the archived logs that the server has and knows, of its first destination.
func (sc *scene) archived() []string {
	sc.Helper()
	names, err := sc.query(sc.Context(), "SELECT NAME FROM V$ARCHIVED_LOG WHERE NAME IS NOT NULL AND DEST_ID = 1 AND DELETED = 'NO'")
	require.NoError(sc, err)
	var out []string
	for _, name := range names {
		there, err := sc.exists(sc.Context(), name)
		require.NoError(sc, err)
		if there {
			out = append(out, name)
		}
	}
	return out
}

// An archived log that nobody saved is removed: the run that should take it takes a full, and says why.
func aLogIsLost(t *testing.T, s server, mode oracle.Mode) {
	sc := newScene(t, s, mode, oracle.Options{}, nil)
	sc.backup(backup.Full, backup.Full)
	before := sc.archived()
	sc.insert("one")
	_, err := s.sqlplus(t.Context(), "WHENEVER SQLERROR EXIT FAILURE\nALTER SYSTEM ARCHIVE LOG CURRENT;\n")
	require.NoError(t, err)
	lost := 0
	for _, name := range sc.archived() {
		if !contains(before, name) {
			require.NoError(t, s.remove(t.Context(), name))
			lost++
		}
	}
	require.Positive(t, lost)
	sc.insert("two")
	m := sc.backup(backup.Log, backup.Full)
	assert.NotEmpty(t, m.Items[0].Reason)
	sc.restore(backup.Target{}, nil)
	sc.expect([]string{"one", "two"})
}

func contains(all []string, one string) bool {
	for _, a := range all {
		if a == one {
			return true
		}
	}
	return false
}

// Archived logs go when a log run has saved them, and not before; what was saved restores.
func purge(t *testing.T, s server, mode oracle.Mode) {
	sc := newScene(t, s, mode, oracle.Options{PurgeArchived: true, RequiredDestinations: []int{1}}, nil)
	sc.insert("one")
	sc.backup(backup.Full, backup.Full)
	kept := sc.archived()
	require.NotEmpty(t, kept, "a full removes nothing")
	sc.insert("two")
	sc.backup(backup.Log, backup.Log)
	sc.insert("three")
	sc.backup(backup.Log, backup.Log)
	for _, name := range sc.archived() {
		assert.Contains(t, kept, name, "what was archived since is saved, and gone")
	}
	sc.restore(backup.Target{}, nil)
	sc.expect([]string{"one", "two", "three"})
}
