package domino

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

// An object that could not be read comes with a later run, however old it is by then.
func TestAttachmentInUseComesLater(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	require.NoError(t, l.sim.SetIni("DAOSBasePath", "DAOS"))
	l.create("names.nsf")
	l.file("DAOS/0001/A.nlo", "object a")
	l.file("DAOS/0001/C.nlo", "object c")
	dir := filepath.Join(l.sim.DataDir(), "DAOS", "0001")
	old := time.Now().Add(-24 * time.Hour)
	for _, name := range []string{"A.nlo", "B.nlo"} {
		if name == "B.nlo" {
			// A link to itself can be listed and not opened, as a file in use.
			require.NoError(t, os.Symlink(filepath.Join(dir, name), filepath.Join(dir, name)))
			continue
		}
		require.NoError(t, os.Chtimes(filepath.Join(dir, name), old, old))
	}
	j := l.job(true)
	m := j.take(backup.Full)
	assert.Equal(t, 3, itemOf(t, m, itemAttachments).Artifacts, "two objects and the list")
	require.NotEmpty(t, m.Warnings)

	require.NoError(t, os.Remove(filepath.Join(dir, "B.nlo")))
	l.file("DAOS/0001/B.nlo", "object b")
	require.NoError(t, os.Chtimes(filepath.Join(dir, "B.nlo"), time.Now().Add(-time.Minute), time.Now().Add(-time.Minute)))
	m = j.take(backup.Log)
	assert.Equal(t, 2, itemOf(t, m, itemAttachments).Artifacts, "the object and the list")
}

// The time between the last log run and a full is not lost: the next link covers it, with the objects that came then.
func TestAttachmentsHaveNoGapBeforeAFull(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	require.NoError(t, l.sim.SetIni("DAOSBasePath", "DAOS"))
	l.create("names.nsf")
	l.file("DAOS/0001/A.nlo", "object a")
	old := time.Now().Add(-24 * time.Hour)
	require.NoError(t, os.Chtimes(filepath.Join(l.sim.DataDir(), "DAOS", "0001", "A.nlo"), old, old))
	j := l.job(false)
	j.take(backup.Full)
	j.take(backup.Log)
	var moments []time.Time
	pass := func(n int) {
		name := fmt.Sprintf("DAOS/0001/B%d.nlo", n)
		l.file(name, "object")
		at := filepath.Join(l.sim.DataDir(), filepath.FromSlash(name))
		require.NoError(t, os.Chtimes(at, time.Now().Add(time.Duration(n)*time.Hour), time.Now().Add(time.Duration(n)*time.Hour)))
		l.write("names.nsf", "k", name)
		moments = append(moments, l.clock.pass(time.Minute))
		l.clock.pass(time.Minute)
	}
	pass(0)
	j.take(backup.Full)
	pass(1)
	j.take(backup.Full)
	pass(2)
	m := j.take(backup.Log)
	it := itemOf(t, m, itemAttachments)
	assert.Equal(t, 5, it.Artifacts, "three objects, the newest before them once more, and the list")
	pass(3)
	m = j.take(backup.Log)
	assert.Equal(t, 2, itemOf(t, m, itemAttachments).Artifacts, "one object and the list")
	for n, at := range moments {
		require.NoError(t, os.RemoveAll(filepath.Join(l.sim.DataDir(), "DAOS", "0001")))
		require.NoError(t, j.restore(backup.Target{Time: at}, backup.RestoreOptions{Overwrite: true}), "moment %d", n)
		assert.FileExists(t, filepath.Join(l.sim.DataDir(), "DAOS", "0001", fmt.Sprintf("B%d.nlo", n)))
		assert.FileExists(t, filepath.Join(l.sim.DataDir(), "DAOS", "0001", "A.nlo"))
	}
}
