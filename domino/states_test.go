package domino

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
)

func itemOf(t *testing.T, m *backup.Manifest, name string) backup.Item {
	t.Helper()
	it, ok := m.Item(name)
	require.Truef(t, ok, "no item %q in %v", name, kinds(m))
	return it
}

func TestLogRunTakesOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("names.nsf", "mail/a.nsf", "mail/b.nsf")
	l.file("server.id", "id")
	j := l.job(false)
	assert.Equal(t, map[string]backup.Kind{"names.nsf": backup.Full, "mail/a.nsf": backup.Full, "mail/b.nsf": backup.Full, itemFiles: backup.Full, itemLog: backup.Log}, kinds(j.take(backup.Full)))

	l.write("mail/a.nsf", "k", "1")
	assert.Equal(t, map[string]backup.Kind{itemLog: backup.Log}, kinds(j.take(backup.Log)))

	require.NoError(t, l.sim.Compact("mail/b.nsf"))
	m := j.take(backup.Log)
	assert.Equal(t, map[string]backup.Kind{itemLog: backup.Log, "mail/b.nsf": backup.Full}, kinds(m))
	assert.Contains(t, itemOf(t, m, "mail/b.nsf").Reason, "DBIID")
	assert.Equal(t, map[string]backup.Kind{itemLog: backup.Log}, kinds(j.take(backup.Log)), "the new full serves it")
}

func TestUnloggedDatabases(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("names.nsf")
	require.NoError(t, l.sim.CreateDB("scratch.nsf", dominosim.DB{Unlogged: true}))
	l.write("scratch.nsf", "k", "1")
	j := l.job(false)
	assert.Empty(t, itemOf(t, j.take(backup.Full), "scratch.nsf").Stream)
	assert.NotContains(t, kinds(j.take(backup.Log)), "scratch.nsf", "nothing has changed")

	l.write("scratch.nsf", "k", "2")
	m := j.take(backup.Log)
	assert.Contains(t, itemOf(t, m, "scratch.nsf").Reason, "not logged")

	l.write("scratch.nsf", "k", "3")
	require.NoError(t, j.restore(backup.Target{Select: named("scratch.nsf")}, backup.RestoreOptions{Overwrite: true}))
	all, err := l.sim.Read("scratch.nsf")
	require.NoError(t, err)
	assert.Equal(t, "2", all["k"])

	require.NoError(t, l.sim.SetLogged("scratch.nsf", true))
	assert.Contains(t, itemOf(t, j.take(backup.Log), "scratch.nsf").Reason, "logged now")
}

// An unlogged database that is written to while it is copied is copied again, since its before-images left the change out.
func TestUnloggedDatabaseChangesDuringItsBackup(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	require.NoError(t, l.sim.CreateDB("scratch.nsf", dominosim.DB{Unlogged: true}))
	l.write("scratch.nsf", "k", "1")
	wrote := false
	l.sim.SetFault(before("NSFBackupStop", func() error {
		if wrote {
			return nil
		}
		wrote = true
		return l.sim.Write("scratch.nsf", "k", "2")
	}))
	j := l.job(true)
	j.take(backup.Full)
	require.True(t, wrote)
	assert.Contains(t, itemOf(t, j.take(backup.Log), "scratch.nsf").Reason, "not logged")
	require.NoError(t, l.sim.Delete("scratch.nsf"))
	require.NoError(t, j.restore(backup.Target{Select: named("scratch.nsf")}, backup.RestoreOptions{}))
	all, err := l.sim.Read("scratch.nsf")
	require.NoError(t, err)
	assert.Equal(t, "2", all["k"])
}

func TestDatabasesThatCannotBeTaken(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("good.nsf", "corrupt.nsf", "compacting.nsf", "soon.nsf", "gone.nsf")
	require.NoError(t, l.sim.Corrupt("corrupt.nsf"))
	_, err := l.sim.CompactingInPlace("compacting.nsf")
	require.NoError(t, err)
	done, err := l.sim.CompactingInPlace("soon.nsf")
	require.NoError(t, err)
	tries := 0
	l.sim.SetFault(before("NSFDbOpen", func() error { return nil }, func(c dominosim.Call) error {
		switch c.Args[0] {
		case "soon.nsf":
			if tries++; tries == 2 {
				return done()
			}
		case "gone.nsf":
			_ = os.Remove(filepath.Join(l.sim.DataDir(), "gone.nsf"))
		}
		return nil
	}))
	m, err := l.job(false).Backup(t.Context(), backup.Full)
	require.ErrorIs(t, err, backup.ErrPartial)
	assert.Equal(t, map[string]backup.Kind{"good.nsf": backup.Full, "corrupt.nsf": "failed", "compacting.nsf": "failed", "soon.nsf": backup.Full, itemFiles: backup.Full, itemLog: backup.Log}, kinds(m))
	assert.Contains(t, itemOf(t, m, "compacting.nsf").Error, "compacted")
	assert.Contains(t, strings.Join(m.Warnings, "\n"), "gone.nsf vanished")
}

func TestCircularLog(t *testing.T) {
	t.Parallel()
	for style, word := range map[notes.LogStyle]string{notes.LogCircular: "circular", notes.LogLinear: "linear"} {
		l := newLab(t, func(c *dominosim.Config) { c.Style = style })
		l.create("names.nsf")
		j := l.job(false)
		m := j.take(backup.Full)
		assert.Equal(t, map[string]backup.Kind{"names.nsf": backup.Full, itemFiles: backup.Full}, kinds(m))
		assert.Empty(t, itemOf(t, m, "names.nsf").Stream)
		_, err := j.Backup(t.Context(), backup.Log)
		require.ErrorIs(t, err, backup.ErrRefused)
		assert.ErrorContains(t, err, word)
		assert.Contains(t, backup.Hint(err), "archive style")

		l.write("names.nsf", "k", "later")
		require.NoError(t, j.restore(backup.Target{Select: named("names.nsf")}, backup.RestoreOptions{Overwrite: true}))
		all, err := l.sim.Read("names.nsf")
		require.NoError(t, err)
		assert.NotContains(t, all, "k")
	}
}

func TestServerWithoutLog(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *dominosim.Config) { c.Unlogged = true })
	l.create("names.nsf")
	j := l.job(false)
	j.take(backup.Full)
	_, err := j.Backup(t.Context(), backup.Log)
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.ErrorContains(t, err, "no transaction log")
}

// extentsOf are the extents in a backup, by number; true for partial ones.
func extentsOf(t *testing.T, j *job, id backup.ID) map[uint32]bool {
	t.Helper()
	out := map[uint32]bool{}
	look := &looking{do: func(set *backup.RestoreSet) error {
		for _, step := range set.Steps() {
			for _, e := range step.Entries {
				if strings.HasPrefix(e.Name, logPrefix) && step.ID == id {
					_, n, partial, err := extentOf(e)
					if err != nil {
						return err
					}
					out[n] = partial
				}
			}
		}
		return nil
	}}
	p, err := backup.New(backup.Config{Job: "mail", Source: look, Sink: j.sink})
	require.NoError(t, err)
	plan, err := p.Plan(t.Context(), backup.Target{ID: id})
	require.NoError(t, err)
	require.NoError(t, p.Restore(t.Context(), plan, backup.RestoreOptions{}))
	return out
}

func TestExtentsAreStoredOnceAndDoneAfterTheManifest(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("names.nsf")
	j := l.job(false)
	one := j.take(backup.Full)
	assert.Equal(t, map[uint32]bool{1: true}, extentsOf(t, j, one.ID), "the current one, in part")

	fill(l, 2)
	// Domino dies before it is told: the extents are offered again.
	l.sim.SetFault(before("NSFDoneArchivingLog", func() error { return dominosim.ErrDie }))
	two, err := j.Backup(t.Context(), backup.Log)
	require.NoError(t, err)
	l.sim.SetFault(nil)
	assert.Equal(t, map[uint32]bool{1: false, 2: false, 3: true}, extentsOf(t, j, two.ID), "the full one replaces the part")
	assert.FileExists(t, filepath.Join(l.sim.LogDir(), "S0000001.TXN"))

	three := j.take(backup.Log)
	assert.Equal(t, map[uint32]bool{3: true}, extentsOf(t, j, three.ID), "what is offered again is not stored twice")
	assert.NoFileExists(t, filepath.Join(l.sim.LogDir(), "S0000001.TXN"), "but Domino is told")
	it := itemOf(t, three, itemLog)
	assert.Equal(t, backup.Position("0000000003"), it.Begin)
}

func TestLogThatSomebodyElseArchived(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("names.nsf")
	j := l.job(false)
	j.take(backup.Full)
	fill(l, 2)
	l.job(true).take(backup.Full) // into another target
	m := j.take(backup.Log)
	assert.Equal(t, map[string]backup.Kind{"names.nsf": backup.Full, itemLog: backup.Log}, kinds(m))
	assert.Contains(t, itemOf(t, m, "names.nsf").Reason, "extents 1 to 2 of the log were given up")
	assert.Equal(t, map[string]backup.Kind{itemLog: backup.Log}, kinds(j.take(backup.Log)))
}

func TestLogBegunAnew(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("names.nsf")
	j := l.job(false)
	j.take(backup.Full)
	require.NoError(t, l.sim.RecreateLog())
	l.write("names.nsf", "k", "v")
	m := j.take(backup.Log)
	assert.Equal(t, backup.Full, itemOf(t, m, "names.nsf").Kind)
	assert.Contains(t, itemOf(t, m, "names.nsf").Reason, "series of the transaction log")
	assert.Equal(t, map[string]backup.Kind{itemLog: backup.Log}, kinds(j.take(backup.Log)))
}

func TestArchivingElsewhere(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("names.nsf")
	p := l.sim.Process()
	th, err := p.Thread(t.Context())
	require.NoError(t, err)
	require.NoError(t, th.ArchivingBegin(t.Context()))
	j := l.job(false)
	m, err := j.Backup(t.Context(), backup.Full)
	require.ErrorIs(t, err, backup.ErrPartial)
	assert.Equal(t, map[string]backup.Kind{"names.nsf": backup.Full, itemFiles: backup.Full, itemLog: "failed"}, kinds(m))
	_, err = j.Backup(t.Context(), backup.Log)
	require.ErrorIs(t, err, notes.StatusTransLogArchiveInProgress)
	assert.Contains(t, backup.Hint(err), "one program alone")
	require.NoError(t, p.Close())
	j.take(backup.Log)
}

// fill writes until so many extents are full.
func fill(l *lab, extents uint32) {
	l.t.Helper()
	first, err := l.sim.CurrentExtent()
	require.NoError(l.t, err)
	for n := first; n < first+extents; {
		l.write("names.nsf", "filler", strings.Repeat("f", 3000))
		l.clock.pass(time.Second)
		n, err = l.sim.CurrentExtent()
		require.NoError(l.t, err)
	}
}
