package domino

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
)

// referred is a server whose databases refer to objects of the attachment store, and that has a console.
type referred struct {
	*lab
	warned []string
}

func newReferred(t *testing.T, how string) *referred {
	l := &referred{lab: newLab(t)}
	self, err := os.Executable()
	require.NoError(t, err)
	l.opt.Console = []string{self, asConsole, filepath.Join(l.dir, "server"), how, commandPlace}
	l.opt.ConsoleTimeout = time.Minute
	require.NoError(t, l.sim.SetIni("DAOSBasePath", "DAOS"))
	l.create("names.nsf", "mail/a.nsf")
	l.attach("mail/a.nsf", "first.pdf", "0001/AA01.nlo")
	l.attach("mail/a.nsf", "second.pdf", "0001/AA02.nlo")
	l.file("DAOS/0001/FF01.nlo", "an object that nothing refers to")
	return l
}

func (l *referred) attach(db, key, object string) {
	l.t.Helper()
	require.NoError(l.t, l.sim.Attach(db, key, object, "content of "+object))
}

func (l *referred) object(name string) string {
	return filepath.Join(l.sim.DataDir(), "DAOS", filepath.FromSlash(name))
}

// said are the commands that reached the console.
func (l *referred) said() string {
	text, err := os.ReadFile(filepath.Join(l.dir, "server", "console.log"))
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(l.t, err)
	}
	return string(text)
}

func (l *referred) job() *job {
	return l.jobTo(backuptest.NewMemSink(), false, func(e backup.Event) {
		if e, ok := e.(backup.Warning); ok {
			l.warned = append(l.warned, e.Text)
		}
	})
}

// back restores mail/a.nsf in its place, with the items that are named.
func (l *referred) back(j *job, items ...string) error {
	return j.restore(backup.Target{Select: named(append(items, "mail/a.nsf")...)}, backup.RestoreOptions{Overwrite: true})
}

// What a restored database refers to comes back, as full and log have it, and nothing else.
func TestObjectsComeBackByReference(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"", "later"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			if how == "later" && runtime.GOOS != "linux" && runtime.GOOS != "windows" {
				t.Skip("this system does not show which files other processes have open, and a list that stays empty for long is taken for whole")
			}
			l := newReferred(t, how)
			j := l.job()
			j.take(backup.Full)
			l.attach("mail/a.nsf", "third.pdf", "0002/AA03.nlo")
			j.take(backup.Log)
			for _, name := range []string{"0001/AA02.nlo", "0002/AA03.nlo", "0001/FF01.nlo"} {
				require.NoError(t, os.Remove(l.object(name)))
			}
			require.NoError(t, l.back(j, itemAttachments))
			for _, name := range []string{"0001/AA01.nlo", "0001/AA02.nlo", "0002/AA03.nlo"} {
				got, err := os.ReadFile(l.object(name))
				require.NoError(t, err)
				assert.Equal(t, "content of "+name, string(got))
			}
			assert.NoFileExists(t, l.object("0001/FF01.nlo"), "nothing refers to it")
			assert.Contains(t, l.said(), "tell daosmgr resync")
			assert.NotContains(t, strings.Join(l.warned, "\n"), "daosmgr", "all was asked and done")
			lists, err := filepath.Glob(filepath.Join(l.sim.DataDir(), listPrefix+"*"))
			require.NoError(t, err)
			assert.Empty(t, lists)
		})
	}
}

// An object that is nowhere is the loss of an attachment: the restore ends with an error that names it and its database, though the database is back.
func TestObjectsInNoBackupAreNamed(t *testing.T) {
	t.Parallel()
	l := newReferred(t, "")
	require.NoError(t, os.Remove(l.object("0001/AA02.nlo")))
	j := l.job()
	j.take(backup.Full)
	require.NoError(t, os.Remove(l.object("0001/AA01.nlo")))
	l.write("mail/a.nsf", "later", "words")

	err := l.back(j, itemAttachments)
	require.ErrorIs(t, err, backup.ErrPartial)
	assert.ErrorContains(t, err, "mail/a.nsf")
	assert.ErrorContains(t, err, "0001/AA02.nlo")
	assert.NotContains(t, err.Error(), "AA01")
	assert.Contains(t, backup.Hint(err), "later backups")
	assert.FileExists(t, l.object("0001/AA01.nlo"))
	all, err := l.sim.Read("mail/a.nsf")
	require.NoError(t, err)
	assert.NotContains(t, all, "later", "it is restored")

	require.NoError(t, os.Remove(l.object("0001/AA01.nlo")))
	require.NoError(t, j.restore(backup.Target{Select: named("names.nsf")}, backup.RestoreOptions{Overwrite: true}), "it refers to nothing")
	err = l.back(j)
	require.ErrorIs(t, err, backup.ErrPartial)
	assert.ErrorContains(t, err, "2 objects")
	assert.Contains(t, backup.Hint(err), `item "attachments"`)
}

// A restore of everything brings all objects back, and asks of each database.
func TestEverythingIsCheckedByReference(t *testing.T) {
	t.Parallel()
	l := newReferred(t, "")
	l.create("mail/john doe.nsf")
	j := l.job()
	j.take(backup.Full)
	require.NoError(t, os.RemoveAll(l.object("0001")))
	require.NoError(t, j.restore(backup.Target{}, backup.RestoreOptions{Overwrite: true}))
	assert.FileExists(t, l.object("0001/FF01.nlo"))
	for _, want := range []string{"MISSING names.nsf\n", "MISSING " + filepath.FromSlash("mail/a.nsf") + "\n", `MISSING "` + filepath.FromSlash("mail/john doe.nsf") + `"` + "\n"} {
		assert.Contains(t, l.said(), want)
	}
}

// Under another name it is the other one that is asked of.
func TestReferencesOfACopy(t *testing.T) {
	t.Parallel()
	l := newReferred(t, "")
	j := l.job()
	j.take(backup.Full)
	require.NoError(t, os.Remove(l.object("0001/AA01.nlo")))
	require.NoError(t, l.sim.Delete("mail/a.nsf"))
	sel := []backup.Selection{{Name: "mail/a.nsf", As: "restored/b.nsf"}, {Name: itemAttachments}}
	require.NoError(t, j.restore(backup.Target{Select: sel}, backup.RestoreOptions{}))
	assert.FileExists(t, l.object("0001/AA01.nlo"))
	assert.Contains(t, l.said(), "MISSING "+filepath.FromSlash("restored/b.nsf"))
}

// When Domino cannot be asked all objects come back, and a warning says of which databases nothing is known, and why.
func TestReferencesThatCannotBeAskedFor(t *testing.T) {
	t.Parallel()
	for how, want := range map[string]string{"fails": "no server is running", "silent": errNoList.Error(), "prose": "DAOS is not enabled"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			l := newReferred(t, how)
			l.opt.ConsoleTimeout = time.Minute
			if how == "silent" {
				l.opt.ConsoleTimeout = 2 * time.Second
			}
			j := l.job()
			j.take(backup.Full)
			require.NoError(t, os.RemoveAll(l.object("0001")))
			require.NoError(t, l.back(j, itemAttachments))
			for _, name := range []string{"0001/AA01.nlo", "0001/AA02.nlo", "0001/FF01.nlo"} {
				assert.FileExists(t, l.object(name))
			}
			warned := strings.Join(l.warned, "\n")
			assert.Contains(t, warned, "1 databases refer could not be asked: mail/a.nsf")
			assert.Contains(t, warned, want)
		})
	}
}

func TestServerThatDoesNotAnswerIsAskedThreeTimes(t *testing.T) {
	t.Parallel()
	l := newReferred(t, "fails")
	for _, name := range []string{"b.nsf", "c.nsf", "d.nsf"} {
		l.create(name)
	}
	j := l.job()
	j.take(backup.Full)
	require.NoError(t, j.restore(backup.Target{}, backup.RestoreOptions{Overwrite: true}))
	assert.Equal(t, maxUnanswered, strings.Count(l.said(), "listnlo -o"))
	assert.Contains(t, strings.Join(l.warned, "\n"), "5 databases refer could not be asked")
}

func TestResyncThatFailsIsNamed(t *testing.T) {
	t.Parallel()
	l := newReferred(t, "resync fails")
	j := l.job()
	j.take(backup.Full)
	require.NoError(t, l.back(j, itemAttachments))
	assert.Contains(t, strings.Join(l.warned, "\n"), `"tell daosmgr resync"`)
	assert.Contains(t, strings.Join(l.warned, "\n"), "no server is running")
}

// The catalog of the server may not know of objects that were put in their place; that is no loss. One that was cut short is.
func TestObjectsThatTheCatalogDoesNotKnow(t *testing.T) {
	t.Parallel()
	l := newReferred(t, "stale")
	j := l.job()
	j.take(backup.Full)
	require.NoError(t, os.Remove(l.object("0001/AA01.nlo")))
	require.NoError(t, l.back(j, itemAttachments))
	assert.FileExists(t, l.object("0001/AA01.nlo"))
	assert.Contains(t, strings.Join(l.warned, "\n"), "2 objects are in the attachment store")

	require.NoError(t, os.Truncate(l.object("0001/AA02.nlo"), 3))
	err := l.back(j, itemAttachments)
	require.ErrorIs(t, err, backup.ErrPartial)
	assert.ErrorContains(t, err, "AA02.nlo has 3 bytes, and 24 in the backup")
}

// An object that is damaged at the target is lost as one that is in no backup.
func TestDamagedObjectsAreNamed(t *testing.T) {
	t.Parallel()
	l := newReferred(t, "")
	j := l.job()
	m := j.take(backup.Full)
	require.NoError(t, os.Remove(l.object("0001/AA01.nlo")))
	n := 0
	for obj, err := range j.sink.List(t.Context(), "") {
		require.NoError(t, err)
		if strings.Contains(obj.Key, string(m.ID)) && strings.Contains(obj.Key, "AA01") {
			require.NoError(t, j.sink.Delete(t.Context(), obj.Key))
			n++
		}
	}
	require.Positive(t, n)
	err := l.back(j, itemAttachments)
	require.ErrorIs(t, err, backup.ErrPartial)
	assert.ErrorContains(t, err, "AA01.nlo")
	assert.NoFileExists(t, l.object("0001/AA01.nlo"))
}

// The way Hook asks for what Domino's own restore has put in place.
func TestReferencesByHook(t *testing.T) {
	t.Parallel()
	l := newReferred(t, "")
	h := withTask(l.lab)
	h.hopt.Console, h.hopt.ConsoleTimeout = l.opt.Console, l.opt.ConsoleTimeout
	j := h.job()
	j.take(backup.Full)
	require.NoError(t, os.Remove(l.object("0001/AA01.nlo")))
	require.NoError(t, l.back(j, itemAttachments))
	assert.FileExists(t, l.object("0001/AA01.nlo"))
	assert.Contains(t, l.said(), "MISSING "+filepath.FromSlash("mail/a.nsf")+"\n")

	require.NoError(t, os.Remove(l.object("0001/AA02.nlo")))
	err := l.back(j)
	require.ErrorIs(t, err, backup.ErrPartial)
	assert.ErrorContains(t, err, "0001/AA02.nlo")
}

func TestListsOfObjects(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"": nil,
		"f:\\Domproc1\\daos\\0001\\1611979BE338D04BB1409652E61CAAAD01349DDC001CAB54.nlo\r\nf:\\My Files\\daos\\0002\\4C.NLO\r\n": {"0001/1611979BE338D04BB1409652E61CAAAD01349DDC001CAB54.nlo", "0002/4C.NLO"},
		"/local/DAOS/0001/AA.nlo\n/local/DAOS/0001/AA.nlo":                                                                       {"0001/AA.nlo"},
		"Missing objects:\nAA.nlo, 12 bytes\n\n\"BB.nlo\"":                                                                       {"AA.nlo", "BB.nlo"},
	} {
		at := filepath.Join(t.TempDir(), "list")
		require.NoError(t, os.WriteFile(at, []byte(text), 0o600))
		got, err := readList(at)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	at := filepath.Join(t.TempDir(), "list")
	require.NoError(t, os.WriteFile(at, []byte("Error: no such database\n"), 0o600))
	_, err := readList(at)
	assert.ErrorContains(t, err, "no such database")
}

func TestConsoleRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	l := newReferred(t, "")
	for _, command := range []string{"show server", "tell daosmgr listnlo MISSING mail/a.nsf", "tell daosmgr listnlo MISSING -o out.txt mail/a.nsf", "tell daosmgr listnlo -o out.txt MISSING mail/john doe.nsf", "tell daosmgr prune 0"} {
		require.Error(t, l.sim.Console(command), command)
	}
	objects, err := l.sim.References("mail/a.nsf")
	require.NoError(t, err)
	assert.Equal(t, []string{"0001/AA01.nlo", "0001/AA02.nlo"}, objects)
	require.NoError(t, os.Remove(l.object("0001/AA01.nlo")))
	require.NoError(t, l.sim.Console("Tell DAOSMgr ListNLO -o out.txt MISSING mail/a.nsf"))
	text, err := os.ReadFile(filepath.Join(l.sim.DataDir(), "out.txt"))
	require.NoError(t, err)
	assert.Equal(t, l.object("0001/AA01.nlo")+"\n", string(text))
	var none *dominosim.Server
	none, err = dominosim.New(t.TempDir(), dominosim.Config{Clock: l.clock.now})
	require.NoError(t, err)
	assert.ErrorContains(t, none.Console("tell daosmgr resync"), "not enabled")
}
