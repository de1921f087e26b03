package domino

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
)

func TestOptionsAreCheckedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := New(&Options{StateDir: "relative", NotesINI: "relative", Parallel: 99, OfflineWait: -1, Include: []string{""}})
	for _, want := range []string{"state dir", "notes.ini", "parallel", "offline wait", "pattern"} {
		assert.ErrorContains(t, err, want)
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	for pattern, names := range map[string]map[string]bool{
		"mail/*":    {"mail/a.nsf": true, "MAIL/sub/b.nsf": true, "names.nsf": false},
		"*.ntf":     {"a.ntf": true, "x/b.ntf": true, "a.nsf": false},
		"mail?.box": {"mail1.box": true, "mail.box": false, "mail12.box": false},
		"names.nsf": {"names.nsf": true, "Names.NSF": true, "a/names.nsf": false},
	} {
		for name, want := range names {
			assert.Equal(t, want, filter{include: []string{pattern}}.takes(name), "%s %s", pattern, name)
		}
	}
	assert.False(t, filter{exclude: []string{"*"}, include: []string{"a.nsf"}}.takes("a.nsf"))
}

// inventoryOf is what a source sees.
func inventoryOf(t *testing.T, s *capiSource) *inventory {
	t.Helper()
	var v *inventory
	require.NoError(t, s.with(t.Context(), func(calls context.Context, th *thread) (err error) {
		v, err = s.look(t.Context(), calls, th)
		return err
	}))
	return v
}

func namesOf(files []file) (out []string) {
	for _, f := range files {
		out = append(out, f.name)
	}
	return out
}

func TestInventory(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	outside := filepath.Join(l.dir, "outside")
	l.create("names.nsf", "mail/a.nsf", "mail.box", "templates/x.ntf")
	require.NoError(t, l.sim.CreateDB(filepath.Join(outside, "dir", "far.nsf"), dominosim.DB{}))
	require.NoError(t, l.sim.CreateDB(filepath.Join(outside, "single.nsf"), dominosim.DB{}))
	l.file("projects.dir", filepath.Join(outside, "dir")+"\nCN=Admin/O=Acme\n")
	l.file("loop.dir", l.sim.DataDir()+"\n")
	l.file("gone.dir", filepath.Join(outside, "nothing")+"\n")
	l.file("linked.nsf", filepath.Join(outside, "single.nsf")+"\n")
	for _, junk := range []string{"mail/a.ft/index", "pid.nbf", "x.lck", "y.dtf", "z.tmp", "m.mtc", "daos.cfg", "IBM_TECHNICAL_SUPPORT/nsd.log", "q123" + unfinished} {
		l.file(junk, "junk")
	}
	l.file("daoscat.nsf", "junk")
	l.file("server.id", "id")
	l.file("conf/a.ncf", "conf")
	v := inventoryOf(t, l.source())
	assert.Equal(t, []string{"linked.nsf", "mail.box", "mail/a.nsf", "names.nsf", "projects/far.nsf", "templates/x.ntf"}, namesOf(v.databases))
	assert.Equal(t, []string{"conf/a.ncf", "gone.dir", "linked.nsf", "loop.dir", "projects.dir", "server.id"}, namesOf(v.files))
	assert.Len(t, v.warnings, 1)

	l.opt.SkipLinks, l.opt.Exclude = true, []string{"mail/*"}
	v = inventoryOf(t, l.source())
	assert.Equal(t, []string{"mail.box", "names.nsf", "templates/x.ntf"}, namesOf(v.databases))
	assert.Equal(t, []string{"mail/a.nsf"}, v.left)

	l.opt.Include = []string{"nowhere.nsf"}
	_, err := l.source().Estimate(t.Context(), backup.Request{Kind: backup.Full})
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.ErrorContains(t, err, "nowhere.nsf")
}

// What lies behind links is backed up under the name that the link gives it, and comes back there.
func TestLinkedDatabasesComeBack(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	far := filepath.Join(l.dir, "outside", "far.nsf")
	require.NoError(t, os.MkdirAll(filepath.Dir(far), 0o700))
	l.file("projects.dir", filepath.Dir(far)+"\n")
	require.NoError(t, l.sim.CreateDB(far, dominosim.DB{}))
	l.write("projects/far.nsf", "k", "v")
	j := l.job(false)
	j.take(backup.Full)
	require.NoError(t, os.Remove(far))
	require.NoError(t, j.restore(backup.Target{Select: named("projects/far.nsf")}, backup.RestoreOptions{}))
	got, err := dominosim.ReadFile(far)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"k": "v"}, got.Contents)
}

func TestNotesINI(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("notes.ini", "[Notes]\r\nDirectory=/data\r\ninclude=more.ini\r\nDAOSBASEPATH = DAOS\r\nno value\r\ninclude=gone.ini\r\n")
	write("more.ini", "a=1\ndirectory=/other\ninclude=notes.ini\n")
	n, missing, err := readINI(filepath.Join(dir, "notes.ini"))
	require.NoError(t, err)
	assert.Equal(t, "/data", n.get("directory"), "the first one counts")
	assert.Equal(t, "DAOS", n.get("DAOSBasePath"))
	assert.Equal(t, "1", n.get("A"))
	assert.Equal(t, []string{filepath.Join(dir, "notes.ini"), filepath.Join(dir, "more.ini")}, n.paths)
	assert.Equal(t, []string{filepath.Join(dir, "gone.ini")}, missing)
}
