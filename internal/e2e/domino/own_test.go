package domino

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino"
	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/domino/nsf"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
	"github.com/quiesce-go/quiesce/sink"
)

// TestOwnServer runs on the machine of a Domino server, and changes nothing but what the package's documentation says.
func TestOwnServer(t *testing.T) {
	program, ini, folder := os.Getenv("QUIESCE_DOMINO_PROGRAM"), os.Getenv("QUIESCE_DOMINO_INI"), os.Getenv("QUIESCE_DOMINO_FOLDER")
	if program == "" {
		t.Skip("QUIESCE_DOMINO_PROGRAM names no Domino")
	}
	require.True(t, filepath.IsAbs(ini), "QUIESCE_DOMINO_INI must be the full path of the server's notes.ini")
	require.True(t, folder != "" && filepath.IsLocal(folder), "QUIESCE_DOMINO_FOLDER must name a directory below the data directory, relative to it")
	c := notes.Command{Path: os.Getenv("QUIESCE_DOMINO_CHILD"), Program: program, INI: ini, Library: os.Getenv("QUIESCE_DOMINO_LIBRARY")}
	if c.Path == "" {
		c.Path = childProgram(t)
	}
	beside(t, c, filepath.ToSlash(filepath.Clean(folder)))
}

// What runs on a server of somebody's own is tried on the stand-in first: it must leave all as it was.
func TestBesideOthers(t *testing.T) {
	t.Parallel()
	for name, style := range map[string]notes.LogStyle{"archive": notes.LogArchive, "circular": notes.LogCircular} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := lodge(t, func(c *dominosim.Config) { c.Style = style })
			l.create("names.nsf", "quiesce-test/a.nsf", "quiesce-test/sub/b.nsf")
			l.fill(1, "names.nsf", "quiesce-test/a.nsf", "quiesce-test/sub/b.nsf")
			was := l.read("quiesce-test/a.nsf")
			beside(t, l.cmd, "quiesce-test")
			equal(t, was, l.read("quiesce-test/a.nsf"), "the original")
			for _, how := range []string{"staged", "streamed"} {
				equal(t, was, l.read("quiesce-test-restored-"+how+"/quiesce-test/a.nsf"), "%s", how)
			}
			gone, err := l.gone()
			require.NoError(t, err)
			assert.Empty(t, gone, "no extent was given up")
			assert.NoDirExists(t, filepath.Join(l.sim.DataDir(), "quiesce-test-rehearsal"))
			l.tidy()
		})
	}
}

// keeping never tells Domino that an extent is archived: that is for the program that backs the server up.
type keeping struct{ byCAPI }

// byCAPI is what a Source of the way CAPI can.
type byCAPI interface {
	domino.Source
	backup.Recoverer
	backup.Rehearser
}

func (k keeping) Backup(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
	out, err := k.byCAPI.Backup(ctx, r, st)
	out.Pending = nil
	return out, err
}

// beside is what runs on a server of somebody's own.
func beside(t *testing.T, c notes.Command, folder string) {
	t.Helper()
	for _, how := range []string{"staged", "streamed"} {
		src, err := domino.New(&domino.Options{Notes: c, Instance: "own", StateDir: filepath.Join(t.TempDir(), "state"), Include: []string{folder + "/*"}, SkipFiles: true, SkipAttachments: true})
		require.NoError(t, err)
		dir, err := sink.OpenDir(filepath.Join(t.TempDir(), "sink"))
		require.NoError(t, err)
		cfg := backup.Config{Job: "own", Source: keeping{src.(byCAPI)}, Sink: dir}
		if how == "staged" {
			cfg.Stager = backup.DirStager{Dir: filepath.Join(t.TempDir(), "stage")}
		}
		for _, f := range src.Check(t.Context(), backup.StageDir{}) {
			require.NoError(t, f.Err, "%s (%s)", f.What, f.Hint)
			t.Log("check: ", f.What)
		}
		p, err := backup.New(cfg)
		require.NoError(t, err)
		full, err := p.Backup(t.Context(), backup.Full)
		require.NoError(t, err)
		told(t, full)
		if _, archives := full.Item(itemLog); archives {
			log, err := p.Backup(t.Context(), backup.Log)
			require.NoError(t, err)
			told(t, log)
		}
		_, err = p.Verify(t.Context(), backup.VerifyOptions{Level: backup.ProofFormat})
		require.NoError(t, err)

		var databases []string
		for _, it := range full.Items {
			if strings.HasPrefix(it.Name, folder+"/") {
				databases = append(databases, it.Name)
			}
		}
		require.NotEmpty(t, databases, "no database is in %s", folder)
		plan, err := p.Plan(t.Context(), backup.Target{Select: named(databases...)})
		require.NoError(t, err)
		require.NoError(t, p.Rehearse(t.Context(), plan, folder+"-rehearsal", backup.RestoreOptions{}))
		to := folder + "-restored-" + how
		require.NoError(t, p.Restore(t.Context(), plan, backup.RestoreOptions{Options: map[string]string{"to": to, "replica": "new"}}))
		for _, name := range databases {
			original, restored := header(t, full.Meta["data"], name), header(t, full.Meta["data"], to+"/"+name)
			assert.Equal(t, original.Title, restored.Title, name)
			assert.NotEqual(t, original.ReplicaID, restored.ReplicaID, name)
			t.Logf("%s: %q is restored to %s/%s", how, restored.Title, to, name)
		}
	}
}

// told shows what a run did.
func told(t *testing.T, m *backup.Manifest) {
	t.Helper()
	for _, it := range m.Items {
		t.Logf("%s: %s %s %s to %s", m.Kind, it.Name, it.Kind, it.Window.From, it.Window.To)
	}
	for _, w := range m.Warnings {
		t.Log("warning: ", w)
	}
}

func header(t *testing.T, data, name string) nsf.Header {
	t.Helper()
	f, err := os.Open(filepath.Join(data, filepath.FromSlash(name)))
	require.NoError(t, err)
	defer f.Close()
	info, err := f.Stat()
	require.NoError(t, err)
	is, err := nsf.Verify(t.Context(), f, info.Size())
	require.NoError(t, err, name)
	return is.Header
}
