package exchange_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim"
)

// Two databases of a group whose files have the same name, in two folders.
func TestRestoreFilesOfOneName(t *testing.T) {
	t.Parallel()
	groups := []exchangesim.Group{{Name: "SG", Databases: []exchangesim.Database{{Name: "A", File: "D/one/priv1.edb"}, {Name: "B", File: "D/two/priv1.edb"}}}}
	for _, way := range []exchange.Way{exchange.WayESE, exchange.WayVSS} {
		l := prepared(t, 2007, way, groups)
		l.write("SG", "A", "who", "A")
		l.write("SG", "B", "who", "B")
		require.NoError(t, l.sim.Rotate("SG"))
		l.take(backup.Log)
		dir := t.TempDir()
		_, err := l.restore(backup.Target{}, backup.RestoreOptions{Options: map[string]string{"to": dir}})
		require.NoError(t, err, way)
		for _, db := range []string{"A", "B"} {
			got, err := exchangesim.ReadFile(filepath.Join(dir, "SG", db, "priv1.edb"))
			require.NoError(t, err)
			assert.Equal(t, db, got["who"])
		}
		assert.Len(t, content(t, dir), 2, "%s: only the databases", way)
		_, err = l.restore(backup.Target{}, inPlace())
		require.NoError(t, err, way)
		for _, db := range []string{"A", "B"} {
			got, err := l.sim.Read("SG/" + db)
			require.NoError(t, err)
			assert.Equal(t, db, got["who"])
		}
	}
}

// The disk fills while files are written, which the room there was before did not tell: nothing is left, and nothing was touched.
func TestADiskThatFillsDuringARestore(t *testing.T) {
	dir := tinyDisk(t)
	l := prepared(t, 2019, exchange.WayVSS, databases("DB1"))
	for i := range 40 {
		l.write("DB1", "DB1", string(rune('a'+i)), "x")
	}
	l.take(backup.Full)
	opt := l.opt
	opt.Tools = l.sim.Tools()
	s, err := exchange.New(&opt)
	require.NoError(t, err)
	s.SetRoom(1 << 40)
	p, err := backup.New(backup.Config{Job: "mail", Source: s, Sink: l.sink})
	require.NoError(t, err)
	to := filepath.Join(dir, "to")
	_, err = l.restoreBy(p, backup.Target{}, backup.RestoreOptions{Options: map[string]string{"to": to}})
	require.ErrorContains(t, err, "no space left")
	assert.Empty(t, content(t, dir))

	p = l.job()
	_, err = l.restoreBy(p, backup.Target{}, backup.RestoreOptions{Options: map[string]string{"to": to}})
	require.ErrorIs(t, err, backup.ErrRefused, "the room is looked at first")
}

// Two restores of one group at once: the second is told so.
func TestTwoRestoresAtOnce(t *testing.T) {
	t.Parallel()
	l := prepared(t, 2019, exchange.WayVSS, databases("DB1"))
	dir := t.TempDir()
	second := make(chan error, 1)
	l.sim.SetFault(func(c exchangesim.Call) error {
		if c.Name == "Engine.Recover" && !c.After {
			l.sim.SetFault(nil)
			p := l.job()
			plan, err := p.Plan(t.Context(), backup.Target{})
			if err == nil {
				err = p.Restore(t.Context(), plan, backup.RestoreOptions{Options: map[string]string{"to": dir}})
			}
			second <- err
		}
		return nil
	})
	_, err := l.restore(backup.Target{}, backup.RestoreOptions{Options: map[string]string{"to": dir}})
	require.NoError(t, err)
	require.ErrorIs(t, <-second, backup.ErrBusy)
	got, err := exchangesim.ReadFile(filepath.Join(dir, "DB1", "DB1.edb"))
	require.NoError(t, err)
	assert.Equal(t, "2", got["k"])
}

// renamed is a management that tells of other logs than there are.
type renamed struct {
	exchange.Management
	base string
}

func (r renamed) Layout(ctx context.Context) (exchange.Layout, error) {
	l, err := r.Management.Layout(ctx)
	for i := range l.Groups {
		l.Groups[i].LogBase = r.base
	}
	return l, err
}

// Where it is not known which files are the logs of a group none is moved; and the store is not left to recover with logs that it would not find.
func TestLogsThatAreNotKnownStay(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", "E07"} {
		l := prepared(t, 2016, exchange.WayVSS, databases("DB1"))
		foreign := l.file("E", "DB1", "setup.log")
		require.NoError(t, os.WriteFile(foreign, []byte("not of ours"), 0o600))
		opt := l.opt
		opt.Tools = l.sim.Tools()
		opt.Tools.Management = renamed{opt.Tools.Management, base}
		_, err := l.restoreBy(l.jobOf(opt), backup.Target{}, inPlace("recover", "mount"))
		require.ErrorIs(t, err, backup.ErrRefused)
		require.ErrorContains(t, err, "would not find them")
		_, err = l.restoreBy(l.jobOf(opt), backup.Target{}, inPlace("mount", ""))
		require.NoError(t, err)
		assert.FileExists(t, foreign)
		assert.FileExists(t, l.file("E", "DB1", "E00.log"))
		assert.Empty(t, l.asides())
		got, err := exchangesim.ReadFile(l.file("D", "DB1", "DB1.edb"))
		require.NoError(t, err)
		assert.Equal(t, "2", got["k"])
	}
}
