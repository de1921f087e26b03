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
	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
)

func TestRestoreOptions(t *testing.T) {
	t.Parallel()
	for name, given := range map[string]map[string]string{
		"unknown":            {"at": "x"},
		"outside":            {"to": "../elsewhere"},
		"absolute":           {"to": "/elsewhere"},
		"replica":            {"replica": "yes"},
		"server without dir": {"mode": "server"},
		"dir without server": {"data": "/data"},
		"server and to":      {"mode": "server", "data": "/data", "to": "x"},
		"line break":         {"to": "a\nb"},
		"empty":              {"to": ""},
	} {
		_, err := parseRestoreOptions(given)
		assert.ErrorIs(t, err, backup.ErrOption, name)
	}
	o, err := parseRestoreOptions(map[string]string{"to": `restored\mail`, "replica": "new"})
	require.NoError(t, err)
	assert.Equal(t, restoreOptions{to: "restored/mail", replica: true}, o)
}

// All databases of one plan are recovered in one call, and only the extents from the first one needed are asked for.
func TestRecoveryInOneCall(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("names.nsf", "mail/a.nsf")
	j := l.job(true)
	j.take(backup.Full)
	fill(l, 3)
	j.take(backup.Full)
	fill(l, 2)
	j.take(backup.Log)
	for _, db := range []string{"names.nsf", "mail/a.nsf"} {
		require.NoError(t, l.sim.Delete(db))
	}
	calls, asked := 0, []string{}
	l.sim.SetFault(func(_ context.Context, c dominosim.Call) error {
		switch {
		case c.After:
		case c.Name == "NSFRecoverDatabases":
			calls++
		case c.Name == "LOGRESTORECALLBACK":
			asked = append(asked, c.Args[1])
		}
		return nil
	})
	require.NoError(t, j.restore(backup.Target{}, backup.RestoreOptions{}))
	assert.Equal(t, 1, calls)
	assert.Equal(t, []string{"4", "5"}, asked, "6 is on the server, and 1 to 3 lie before the newest full")
}

func TestRestoreAsNewReplica(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("names.nsf")
	j := l.job(false)
	j.take(backup.Full)
	was, err := dominosim.ReadFile(filepath.Join(l.sim.DataDir(), "names.nsf"))
	require.NoError(t, err)
	require.NoError(t, j.restore(backup.Target{Select: named("names.nsf")}, backup.RestoreOptions{Options: map[string]string{"to": "copies", "replica": "new"}}))
	is, err := dominosim.ReadFile(filepath.Join(l.sim.DataDir(), "copies", "names.nsf"))
	require.NoError(t, err)
	assert.Equal(t, was.Contents, is.Contents)
	assert.NotEqual(t, was.Replica, is.Replica)
	assert.NotEqual(t, was.DBIID, is.DBIID)
	assert.False(t, is.Backup)
}

// A database in use is named, and stays as it is; the others are restored.
func TestRestoreOverADatabaseInUse(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("names.nsf", "mail/a.nsf")
	j := l.job(false)
	j.take(backup.Full)
	for _, db := range []string{"names.nsf", "mail/a.nsf"} {
		l.write(db, "k", "later")
	}
	release, err := l.sim.Hold("mail/a.nsf")
	require.NoError(t, err)
	err = j.restore(backup.Target{}, backup.RestoreOptions{Overwrite: true})
	require.ErrorIs(t, err, notes.StatusDBInUse)
	assert.ErrorContains(t, err, "mail/a.nsf")
	require.NoError(t, release())
	for db, want := range map[string]string{"names.nsf": "", "mail/a.nsf": "later"} {
		all, err := l.sim.Read(db)
		require.NoError(t, err)
		assert.Equal(t, want, all["k"], db)
	}
	require.NoError(t, l.leavings())
}

func TestAttachmentsAreCompleted(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	require.NoError(t, l.sim.SetIni("DAOSBasePath", "DAOS"))
	l.create("names.nsf")
	l.file("DAOS/0001/A.nlo", "object a")
	l.file("DAOS/daos.cfg", "rebuilt")
	j := l.job(false)
	m := j.take(backup.Full)
	assert.Equal(t, 2, itemOf(t, m, itemAttachments).Artifacts)
	l.file("DAOS/0001/B.nlo", "object b")
	m = j.take(backup.Log)
	assert.Equal(t, backup.Log, itemOf(t, m, itemAttachments).Kind)
	assert.Equal(t, 2, itemOf(t, m, itemAttachments).Artifacts, "the new one and the list")

	at := func(name string) string { return filepath.Join(l.sim.DataDir(), "DAOS", "0001", name) }
	require.NoError(t, os.Remove(at("A.nlo")))
	require.NoError(t, os.WriteFile(at("B.nlo"), []byte("object B"), 0o600))
	require.NoError(t, j.restore(backup.Target{Select: named(itemAttachments)}, backup.RestoreOptions{}))
	for name, want := range map[string]string{"A.nlo": "object a", "B.nlo": "object B"} {
		got, err := os.ReadFile(at(name))
		require.NoError(t, err)
		assert.Equal(t, want, string(got), "%s: what is missing comes back, what is there stays", name)
	}
}

func TestFilesComeBackAndNotesINIStays(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("names.nsf")
	l.file("server.id", "id")
	l.file("extra.ini", "a=1\n")
	require.NoError(t, l.sim.SetIni("include", "extra.ini"))
	j := l.job(false)
	j.take(backup.Full)
	require.NoError(t, os.Remove(filepath.Join(l.sim.DataDir(), "server.id")))
	require.NoError(t, os.Remove(filepath.Join(l.sim.DataDir(), "extra.ini")))
	require.NoError(t, l.sim.SetIni("mark", "new"))
	require.NoError(t, j.restore(backup.Target{Select: named(itemFiles)}, backup.RestoreOptions{}))
	assert.FileExists(t, filepath.Join(l.sim.DataDir(), "server.id"))
	assert.FileExists(t, filepath.Join(l.sim.DataDir(), "extra.ini"))
	text, err := os.ReadFile(l.sim.IniPath())
	require.NoError(t, err)
	assert.Contains(t, string(text), "mark=new")

	require.NoError(t, os.WriteFile(filepath.Join(l.sim.DataDir(), "server.id"), []byte("another"), 0o600))
	require.ErrorIs(t, j.restore(backup.Target{Select: named(itemFiles)}, backup.RestoreOptions{}), backup.ErrExists)
}

// A whole server is restored where nothing is left but the program: files, notes.ini, log, databases.
func TestRestoreOfAWholeServer(t *testing.T) {
	t.Parallel()
	for name, streaming := range map[string]bool{"staged": false, "streamed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.create("names.nsf", "mail/a.nsf")
			l.file("server.id", "id")
			j := l.job(streaming)
			j.take(backup.Full)
			fill(l, 2)
			l.write("mail/a.nsf", "last", "words")
			j.take(backup.Log)
			want := map[string]map[string]string{}
			for _, db := range []string{"names.nsf", "mail/a.nsf"} {
				var err error
				want[db], err = l.sim.Read(db)
				require.NoError(t, err)
			}
			for _, dir := range []string{l.sim.DataDir(), l.sim.LogDir(), filepath.Join(l.dir, "server", "sim")} {
				require.NoError(t, os.RemoveAll(dir))
				if dir != l.sim.DataDir() {
					require.NoError(t, os.MkdirAll(dir, 0o700))
				}
			}
			o := backup.RestoreOptions{Options: map[string]string{"mode": "server", "data": l.sim.DataDir()}}
			require.NoError(t, j.restore(backup.Target{}, o))
			assert.FileExists(t, filepath.Join(l.sim.DataDir(), "server.id"))
			for db, content := range want {
				got, err := dominosim.ReadFile(filepath.Join(l.sim.DataDir(), filepath.FromSlash(db)))
				require.NoError(t, err, db)
				assert.Equal(t, content, got.Contents, db)
				assert.False(t, got.Backup)
			}
			require.ErrorIs(t, j.restore(backup.Target{}, o), backup.ErrExists)
		})
	}
}

func TestScriptNamesEveryStep(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("names.nsf")
	l.file("server.id", "id")
	j := l.job(true)
	j.take(backup.Full)
	plan, err := j.Plan(t.Context(), backup.Target{})
	require.NoError(t, err)
	var out strings.Builder
	require.NoError(t, j.Script(t.Context(), plan, backup.RestoreOptions{Options: map[string]string{"mode": "server", "data": "/local/notesdata", "files": "/restore"}}, &out))
	for _, want := range []string{"/local/notesdata", "TRANSLOG_Recreate_Logctrl=1", "server.id", "names.nsf.delta", "NSFBackupStartApplyChangeInfo", "S0000001.TXN", "DBRECOVER_POINT_IN_TIME", "Start the server", "full backup"} {
		assert.Contains(t, out.String(), want)
	}
}
