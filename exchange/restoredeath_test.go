package exchange_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim"
)

// The process dies at every call of a restore in place, before or after it is carried out. Disk and server are taken as they are at that moment: what the dying process would still have tidied up does not count. Then each
// database is at its place, as it was or as it was restored, or the note of the restore names what is aside; and the next restore brings everything back.
func TestDeathAtEveryCallOfARestore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version int
		way     exchange.Way
		more    []string
	}{{2003, exchange.WayESE, nil}, {2016, exchange.WayVSS, nil}, {2016, exchange.WayVSS, []string{"recover", "mount"}}} {
		t.Run(fmt.Sprint(c.version, c.way, c.more), func(t *testing.T) {
			t.Parallel()
			deaths, least, step := 0, 6, 1
			if testing.Short() {
				least, step = 1, 6
			}
			for n := 0; ; n += step {
				if restoreDies(t, c.version, c.way, c.more, n) {
					break
				}
				deaths++
			}
			assert.Greater(t, deaths, least)
		})
	}
}

// restoreDies lets the n-th call kill the process. It reports whether the restore was through before that.
func restoreDies(t *testing.T, version int, way exchange.Way, more []string, n int) (through bool) {
	l := prepared(t, version, way, databases("DB1"))
	client := l.sim.Client()
	opt := l.opt
	opt.Tools = client.Tools()
	server, state := filepath.Join(l.dir, "server at death"), filepath.Join(l.dir, "state at death")
	calls, dead, where := 0, false, ""
	l.sim.SetFault(func(call exchangesim.Call) error {
		if calls++; dead || calls-1 != n {
			return nil
		}
		dead, where = true, fmt.Sprintf("%s (after: %v)", call.Name, call.After)
		image(t, l.sim.Dir(), server)
		image(t, l.opt.StateDir, state)
		return exchangesim.ErrDie
	})
	_, err := l.restoreBy(l.jobOf(opt), backup.Target{}, inPlace(more...))
	l.sim.SetFault(nil)
	if !dead {
		require.NoError(t, err)
		return true
	}
	require.Error(t, err, where)
	image(t, server, l.sim.Dir())
	image(t, state, l.opt.StateDir)

	at := l.file("D", "DB1", "DB1.edb")
	if _, err := os.Stat(at); err != nil {
		found := false
		for _, f := range l.asides() {
			found = found || filepath.Base(f) == "DB1.edb"
		}
		require.True(t, found, "%s: the database is neither at its place nor aside", where)
	}
	var copies []string
	for _, f := range append(l.asides(), at) {
		if filepath.Base(f) == "DB1.edb" {
			if values, err := exchangesim.ReadFile(f); err == nil {
				copies = append(copies, values["k"])
			}
		}
	}
	if k, err := l.sim.Read("DB1"); err == nil { // mounted, or clean
		copies = append(copies, k["k"])
	}
	require.NotEmpty(t, copies, "%s: no copy of it can be read", where)

	told, err := l.restore(backup.Target{}, inPlace(more...))
	require.NoError(t, err, where)
	assert.Equal(t, "2", l.k("DB1"), where)
	l.write("DB1", "DB1", "k", "4")
	assert.Empty(t, l.leavings(), where)
	if dir := l.file("E", "restore"); way == exchange.WayESE {
		assert.Empty(t, content(t, dir), "%s: logs of a restore are left", where)
	}
	for _, f := range l.asides() {
		assert.True(t, filepath.Ext(f) == ".log" || strings.Contains(told, filepath.Dir(f)), "%s: %s; told: %s", where, f, told)
	}
	assert.Equal(t, backup.Full, itemOf(t, l.take(backup.Log), "DB1").Kind, where)
	return false
}
