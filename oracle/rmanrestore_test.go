package oracle

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

// rmanHistory makes a full, logs, a differential and logs, with commits around and between, and returns the ledger.
func (l *lab) rmanHistory(threads int) []oraclesim.Record {
	l.t.Helper()
	n := 0
	for _, kind := range []backup.Kind{backup.Full, backup.Log, backup.Differential, backup.Log, backup.Log} {
		for range 5 {
			n++
			_, err := l.sim.CommitOn(1+n%threads, "USERS", fmt.Sprintf("row %d", n))
			require.NoError(l.t, err)
			if n%4 == 0 {
				require.NoError(l.t, l.sim.Checkpoint())
			}
		}
		l.take(kind)
	}
	return l.truth()
}

func TestRMANRestoreBringsBackEveryMoment(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		o       Options
		threads int
		moved   bool
	}{
		"sets": {Options{}, 1, false}, "copies": {Options{RMANFormat: RMANCopy}, 1, false}, "sets elsewhere": {Options{RMANCompressed: true}, 1, true}, "two threads": {Options{}, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := rmanLab(t, c.o, func(o *oraclesim.Config) { o.Threads = c.threads })
			truth := l.rmanHistory(c.threads)
			random := rand.New(rand.NewPCG(5, uint64(c.threads))) //nolint:gosec // a test
			first, last := l.window()
			for n := range 12 {
				options := with(open, "execute", "rman")
				if c.moved {
					options["to"] = filepath.Join(l.dir, fmt.Sprint("moved", n))
				}
				to, in := backup.Target{}, func(oraclesim.Record) bool { return true }
				switch at := first.Add(time.Duration(random.Int64N(int64(last.Sub(first))))); {
				case n == 0:
				case n%3 == 0:
					r := truth[6+random.IntN(len(truth)-6)]
					to = backup.Target{Position: SCN(r.SCN).Position(), Select: []backup.Selection{{Name: itemName}}}
					in = func(o oraclesim.Record) bool { return o.SCN < r.SCN }
				default:
					to = backup.Target{Time: at}
					in = func(r oraclesim.Record) bool { return r.At.Before(at.Truncate(time.Second)) }
				}
				if c.moved {
					l.sim.Crash()
				} else {
					l.lose()
				}
				require.NoError(t, l.restore(to, false, options), "%+v", to)
				require.Equal(t, below(truth, in), l.contents(), "%+v", to)
				for _, f := range l.sim.Files() {
					assert.Equal(t, c.moved, filepath.Dir(f.Path) == options["to"], f.Path)
				}
			}
		})
	}
}

func TestRMANRestoreOverwritesOnlyWhenTold(t *testing.T) {
	t.Parallel()
	l := rmanLab(t, Options{}, nil)
	truth := l.rmanHistory(1)
	for _, execute := range []string{"none", "rman"} {
		require.ErrorIs(t, l.restore(backup.Target{}, false, map[string]string{"execute": execute}), backup.ErrExists, execute)
	}
	for _, execute := range []string{"sql", "sqlplus"} {
		require.ErrorIs(t, l.restore(backup.Target{}, true, map[string]string{"execute": execute}), backup.ErrOption, execute)
	}
	l.commit("later")
	assert.Len(t, l.contents(), len(truth)+1)
	require.NoError(t, l.restore(backup.Target{}, true, map[string]string{"execute": "rman"}))
	assert.Equal(t, oraclesim.Mounted, l.sim.State(), "not told to open")
	l.sim.Crash()
	require.NoError(t, l.restore(backup.Target{}, true, with(open, "execute", "rman")))
	assert.Len(t, l.contents(), len(truth))
}

func TestTheScriptForRMANRestoresByItself(t *testing.T) {
	t.Parallel()
	for name, moved := range map[string]bool{"in place": false, "elsewhere": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := rmanLab(t, Options{}, nil)
			truth := l.rmanHistory(1)
			script := l.fetchedAndLost(moved)
			assert.Contains(t, script, "SET DBID")
			l.rmanMust(script)
			assert.Equal(t, below(truth, func(oraclesim.Record) bool { return true }), l.contents())
		})
	}
}

func TestTheScriptForRMANLeftBesideTheFilesRuns(t *testing.T) {
	t.Parallel()
	l := rmanLab(t, Options{}, nil)
	truth := l.rmanHistory(1)
	l.lose()
	work := filepath.Join(l.dir, "work")
	require.NoError(t, l.restore(backup.Target{}, false, with(open, "work", work)))
	assert.Equal(t, oraclesim.Down, l.sim.State())
	text, err := os.ReadFile(filepath.Join(work, rmanScriptName))
	require.NoError(t, err)
	l.rmanMust(string(text))
	assert.Equal(t, below(truth, func(oraclesim.Record) bool { return true }), l.contents())
}

// A data file that came to be after the full is in no level 0; redo or the differential fills it.
func TestRMANMakesADataFileYoungerThanTheFull(t *testing.T) {
	t.Parallel()
	for name, kinds := range map[string][]backup.Kind{"log": {backup.Log}, "differential": {backup.Differential, backup.Log}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := rmanLab(t, Options{}, nil)
			l.commit("one")
			l.take(backup.Full)
			made, err := l.sim.AddFile("USERS", filepath.Join(l.dir, "server", "oradata", "late.dbf"))
			require.NoError(t, err)
			for n := range 30 {
				l.commit(fmt.Sprint("row ", n))
			}
			for _, kind := range kinds {
				l.take(kind)
				l.commit("after " + string(kind))
			}
			l.take(backup.Log)
			truth := l.truth()
			l.lose()
			require.NoError(t, l.restore(backup.Target{}, false, with(open, "execute", "rman")))
			assert.Equal(t, below(truth, func(oraclesim.Record) bool { return true }), l.contents())
			assert.FileExists(t, made)
		})
	}
}

// Another mode took the full, and RMAN the logs on it.
func TestRMANLogsOnAFullOfAnotherMode(t *testing.T) {
	t.Parallel()
	for _, moved := range []bool{false, true} {
		t.Run(fmt.Sprint("moved ", moved), func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nil, nil)
			l.programs()
			l.commit("one")
			l.take(backup.Full)
			l.opt.Mode = ModeRMAN
			l.commit("two")
			l.take(backup.Log)
			truth := l.truth()
			options := with(open, "execute", "rman")
			if moved {
				l.sim.Crash()
				options["to"] = filepath.Join(l.dir, "moved")
			} else {
				l.lose()
			}
			require.NoError(t, l.restore(backup.Target{}, false, options))
			assert.Equal(t, below(truth, func(oraclesim.Record) bool { return true }), l.contents())
		})
	}
}

// The control file is that of the link before, which does not know the file that the target needs.
func TestRMANMakesADataFileThatTheControlFileDoesNotKnow(t *testing.T) {
	t.Parallel()
	for name, moved := range map[string]bool{"in place": false, "elsewhere": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := rmanLab(t, Options{}, nil)
			l.commit("one")
			l.take(backup.Full)
			l.commit("two")
			made, err := l.sim.AddFile("USERS", filepath.Join(l.dir, "server", "oradata", "late.dbf"))
			require.NoError(t, err)
			for n := range 30 {
				l.commit(fmt.Sprint("row ", n))
			}
			l.take(backup.Log)
			truth := l.truth()
			last := truth[len(truth)-1].SCN
			options := with(open, "execute", "rman")
			if moved {
				options["to"] = filepath.Join(l.dir, "moved")
				l.sim.Crash()
			} else {
				l.lose()
				require.NoError(t, os.RemoveAll(made))
			}
			require.NoError(t, l.restore(backup.Target{Position: SCN(last).Position(), Select: []backup.Selection{{Name: itemName}}}, false, options))
			assert.Equal(t, below(truth, func(r oraclesim.Record) bool { return r.SCN < last }), l.contents())
			for _, f := range l.sim.Files() {
				if moved {
					assert.Equal(t, options["to"], filepath.Dir(f.Path))
				}
			}
		})
	}
}

// Files that were in ASM are restored into a folder.
func TestRMANRestoresOutOfASM(t *testing.T) {
	t.Parallel()
	l := rmanLab(t, Options{}, func(c *oraclesim.Config) { c.ASM = true })
	truth := l.rmanHistory(1)
	l.sim.Crash()
	to := filepath.Join(l.dir, "moved")
	require.NoError(t, l.restore(backup.Target{}, false, with(open, "execute", "rman", "to", to)))
	assert.Equal(t, below(truth, func(oraclesim.Record) bool { return true }), l.contents())
}
