package oracle

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sijms/go-ora/v2/network"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/diskroom"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

func only(names ...string) backup.Target {
	var to backup.Target
	for _, n := range names {
		to.Select = append(to.Select, backup.Selection{Name: n})
	}
	return to
}

func flat(m map[string]string) (out []string) {
	for k, v := range m {
		out = append(out, k, v)
	}
	return out
}

func twoSpaces(c *oraclesim.Config) {
	c.Tablespaces = []oraclesim.Tablespace{{Name: "USERS", Files: 2}, {Name: "SALES"}}
}

// filesOf are the data files of a tablespace.
func (l *lab) filesOf(space string) (out []string) {
	for _, f := range l.sim.Files() {
		if f.Tablespace == space {
			out = append(out, f.Path)
		}
	}
	return out
}

func (l *lab) remove(paths ...string) {
	l.t.Helper()
	for _, p := range paths {
		require.NoError(l.t, os.Remove(p))
	}
}

// busy commits to two tablespaces, with checkpoints, and switches logs so that online ones are used again.
func (l *lab) busy(name string) {
	l.t.Helper()
	for n := range 12 {
		_, err := l.sim.Commit([]string{"USERS", "SALES"}[n%2], fmt.Sprintf("%s %d", name, n))
		require.NoError(l.t, err)
		if n%4 == 0 {
			require.NoError(l.t, l.sim.Checkpoint())
		}
	}
}

// A tablespace whose files are lost comes back with every commit, those behind the last backup too, while the database goes on.
func TestATablespaceIsRestoredInAnOpenDatabase(t *testing.T) {
	t.Parallel()
	for _, execute := range []string{"sql", "sqlplus"} {
		for _, c := range []struct {
			name    string
			strict  bool
			purged  bool
			threads int
		}{{"all logs at the server", false, false, 1}, {"logs of the backups", false, true, 1}, {"strict", true, true, 1}, {"two threads", false, true, 2}} {
			t.Run(execute+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				l := newLab(t, nil, func(o *oraclesim.Config) {
					twoSpaces(o)
					o.RecoveryEndsOnError, o.Threads = c.strict, c.threads
				})
				l.programs()
				l.busy("before")
				l.take(backup.Full)
				l.busy("between")
				l.take(backup.Log)
				if c.purged {
					l.remove(l.archived()...)
				}
				l.busy("after")
				l.exec("ALTER SYSTEM SWITCH LOGFILE")
				_, err := l.sim.CommitOn(c.threads, "USERS", "the last")
				require.NoError(t, err)
				truth := l.contents()
				l.remove(l.filesOf("USERS")...)
				before := len(l.sim.Statements())
				require.NoError(t, l.restore(only("USERS"), false, map[string]string{"execute": execute}))
				assert.Equal(t, truth, l.contents())
				for _, s := range l.sim.Statements()[before:] {
					if strings.HasPrefix(s.Text, "SELECT") {
						continue
					}
					for _, word := range []string{"SHUTDOWN", "STARTUP", "RESETLOGS", "MOUNT", "SALES", "BACKUP CONTROLFILE"} {
						assert.NotContains(t, s.Text, word)
					}
				}
				logs, err := filepath.Glob(filepath.Join(l.dir, "server", "oradata", "*", "restore", "arch", "*"))
				require.NoError(t, err)
				assert.Equal(t, c.purged, len(logs) > 0, "what the server has itself is not brought")
				l.commit("goes on")
				l.take(backup.Log)
				l.noTemporary()
			})
		}
	}
}

// bothWays runs a test twice, for each way in which a repair is carried out while the database is open.
func bothWays(t *testing.T, change func(c *oraclesim.Config), test func(t *testing.T, l *lab, how map[string]string)) {
	for _, execute := range []string{"sql", "sqlplus"} {
		t.Run(execute, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nil, change)
			l.programs()
			test(t, l, map[string]string{"execute": execute})
		})
	}
}

func (l *lab) noTemporary() {
	l.t.Helper()
	require.NoError(l.t, filepath.WalkDir(l.dir, func(path string, _ os.DirEntry, err error) error {
		assert.False(l.t, strings.HasSuffix(path, unplaced), path)
		return err
	}))
}

func TestFilesOfATablespaceAreReplacedOnlyWhenTold(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, twoSpaces)
	l.busy("before")
	l.take(backup.Full)
	l.busy("after")
	truth := l.contents()
	over := map[string]string{"execute": "sql"}
	err := l.restore(only("USERS"), false, over)
	require.ErrorIs(t, err, backup.ErrExists)
	assert.Contains(t, backup.Hint(err), "overwriting")
	assert.Empty(t, l.ran(`ALTER TABLESPACE "USERS" OFFLINE`), "nothing is begun")

	// One of two is lost: without overwriting it alone is put back, and the other kept.
	files := l.filesOf("USERS")
	l.remove(files[0])
	kept, err := os.Stat(files[1])
	require.NoError(t, err)
	require.NoError(t, l.restore(only("USERS"), false, over))
	assert.Equal(t, truth, l.contents())
	now, err := os.Stat(files[1])
	require.NoError(t, err)
	assert.True(t, os.SameFile(kept, now))

	// Its blocks are damaged, and its header is: it is in the way, and is replaced when told.
	require.NoError(t, os.WriteFile(files[1], bytes.Repeat([]byte("x"), int(kept.Size())), 0o600))
	require.ErrorIs(t, l.restore(only("USERS"), false, over), backup.ErrExists)
	require.NoError(t, l.restore(only("USERS"), true, over))
	assert.Equal(t, truth, l.contents())

	// Two at once, the one under another name.
	l.remove(l.filesOf("SALES")...)
	moved := filepath.Join(l.dir, "disk2", "users.dbf")
	require.NoError(t, l.restore(only("SALES", "USERS"), true, with(over, "move:"+files[0], moved)))
	assert.Equal(t, truth, l.contents())
	assert.Contains(t, l.filesOf("USERS"), moved)
}

func TestADataFileOfATablespaceThatNoFullHas(t *testing.T) {
	t.Parallel()
	bothWays(t, twoSpaces, func(t *testing.T, l *lab, how map[string]string) {
		l.busy("before")
		l.take(backup.Full)
		path := filepath.Join(l.dir, "server", "oradata", "late.dbf")
		_, err := l.sim.AddFile("USERS", path)
		require.NoError(t, err)
		l.busy("after")
		l.take(backup.Log)
		truth := l.contents()
		l.remove(l.filesOf("USERS")...)
		require.NoError(t, l.restore(only("USERS"), false, how))
		assert.Equal(t, truth, l.contents())
		assert.FileExists(t, path)
	})
}

func TestATablespaceThatIsReadOnlyNeedsNoRedo(t *testing.T) {
	t.Parallel()
	bothWays(t, twoSpaces, func(t *testing.T, l *lab, how map[string]string) {
		l.busy("before")
		l.exec("ALTER TABLESPACE SALES READ ONLY")
		l.take(backup.Full)
		for n := range 4 {
			l.commit(fmt.Sprint(n))
			l.exec("ALTER SYSTEM SWITCH LOGFILE")
		}
		truth := l.contents()
		l.remove(l.archived()...)
		l.remove(l.filesOf("SALES")...)
		require.NoError(t, l.restore(only("SALES"), false, how))
		assert.Equal(t, truth, l.contents())
		l.exec("ALTER TABLESPACE SALES READ WRITE")
	})
}

func TestATablespaceOfAPluggableDatabase(t *testing.T) {
	t.Parallel()
	spaces := func(c *oraclesim.Config) {
		c.PDBs = []string{"SHOP", "CRM"}
		c.Tablespaces = []oraclesim.Tablespace{{Name: "USERS", PDB: "SHOP"}, {Name: "USERS", PDB: "CRM"}, {Name: "USERS"}}
	}
	bothWays(t, spaces, func(t *testing.T, l *lab, how map[string]string) {
		write := func(text string) {
			for _, space := range []string{"USERS", "SHOP.USERS", "CRM.USERS"} {
				_, err := l.sim.Commit(space, text+" "+space)
				require.NoError(t, err)
			}
		}
		write("before")
		m := l.take(backup.Full)
		assert.Contains(t, m.Items[0].Objects, "SHOP:USERS")
		assert.Contains(t, m.Items[0].Objects, "USERS")
		write("after")
		truth := l.contents()
		lost := ""
		for _, p := range l.filesOf("USERS") {
			if strings.Contains(p, "shop") {
				lost = p
			}
		}
		l.remove(lost)
		require.NoError(t, l.restore(only("SHOP:USERS"), false, how))
		assert.Equal(t, truth, l.contents())

		l.remove(lost)
		l.sqlplus(l.fetched(only("SHOP:USERS"), nil))
		assert.Equal(t, truth, l.contents())

		require.ErrorIs(t, l.restore(only("SHOP:USERS", "USERS"), true, how), backup.ErrRefused)
		require.ErrorIs(t, l.restore(only("SHOP:SYSTEM"), true, how), backup.ErrRefused)
		write("on")
	})
}

func TestATablespaceAloneIsRefused(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, func(c *oraclesim.Config) {
		c.Tablespaces = []oraclesim.Tablespace{{Name: "USERS"}, {Name: "SALES"}, {Name: "OLD"}}
	})
	l.history(1)
	_, last := l.window()
	at := only("USERS")
	at.Time = last
	for name, c := range map[string]struct {
		to      backup.Target
		options map[string]string
		is      error
		hint    string
	}{
		"to a time":       {at, nil, backup.ErrRefused, "Data Pump"},
		"another name":    {backup.Target{Select: []backup.Selection{{Name: "USERS", As: "PEOPLE"}}}, nil, backup.ErrRefused, "Data Pump"},
		"SYSTEM":          {only("SYSTEM"), nil, backup.ErrRefused, "STARTUP MOUNT"},
		"undo":            {only("UNDOTBS1"), nil, backup.ErrRefused, "STARTUP MOUNT"},
		"with all":        {only("USERS", itemName), nil, backup.ErrRefused, "alone"},
		"elsewhere":       {only("USERS"), map[string]string{"to": l.dir}, backup.ErrOption, "move:OLD=NEW"},
		"resetlogs":       {only("USERS"), open, backup.ErrOption, "completely"},
		"over another":    {only("USERS"), map[string]string{"move:" + l.filesOf("USERS")[0]: l.filesOf("SALES")[0]}, backup.ErrOption, ""},
		"over control":    {only("USERS"), map[string]string{"move:" + l.filesOf("USERS")[0]: filepath.Join(l.dir, "server", "fra", "control02.ctl")}, backup.ErrOption, ""},
		"somebody else's": {only("USERS"), map[string]string{"move:/no/such.dbf": "/x"}, backup.ErrOption, ""},
	} {
		err := l.restore(c.to, true, with(map[string]string{"execute": "sql"}, flat(c.options)...))
		require.ErrorIs(t, err, c.is, name)
		assert.Contains(t, backup.Hint(err), c.hint, name)
	}
	assert.Empty(t, l.ran("ALTER TABLESPACE \"USERS\" OFFLINE"))

	// The position of an SCN is a target before the latest too.
	to := only("USERS")
	to.Position = SCN(l.sim.SCN()).Position()
	_, err := l.pipeline().Plan(t.Context(), to)
	if err == nil {
		require.ErrorIs(t, l.restore(to, true, nil), backup.ErrRefused)
	}

	require.NoError(t, l.sim.Shutdown(false))
	require.NoError(t, l.sim.Startup(oraclesim.Mounted))
	err = l.restore(only("USERS"), true, map[string]string{"execute": "sql"})
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.Contains(t, backup.Hint(err), "OPEN")
}

func TestATablespaceOfAnotherIncarnationOrDatabase(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	l.programs()
	l.history(1)
	l.lose()
	require.NoError(t, l.restore(backup.Target{}, false, with(open, "execute", "sqlplus")))
	l.remove(l.filesOf("USERS")...)
	err := l.restore(only("USERS"), false, map[string]string{"execute": "sql"})
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.ErrorContains(t, err, "RESETLOGS")
	other := newLab(t, nil, func(c *oraclesim.Config) { c.DBID = 4711 })
	other.sink = l.sink
	err = other.restore(only("USERS"), true, map[string]string{"execute": "sql"})
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.ErrorContains(t, err, "DBID")
}

// A tablespace that an administrator has taken offline lacks nothing, and is brought online without any redo.
func TestATablespaceThatIsOfflineInOrder(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, twoSpaces)
	l.busy("before")
	l.exec("ALTER TABLESPACE USERS OFFLINE")
	l.take(backup.Full)
	for n := range 4 {
		_, err := l.sim.Commit("SALES", fmt.Sprint(n))
		require.NoError(t, err)
		l.exec("ALTER SYSTEM SWITCH LOGFILE")
	}
	l.remove(l.archived()...)
	require.NoError(t, l.restore(only("USERS"), false, map[string]string{"execute": "sql"}))
	l.exec("ALTER TABLESPACE USERS OFFLINE")
	l.exec("ALTER TABLESPACE USERS ONLINE")
	rows := l.contents()
	assert.Contains(t, rows, "before 10")
	assert.Contains(t, rows, "3")
}

// A backup of the tablespace is under way.
func TestATablespaceInBackupModeStaysOnline(t *testing.T) {
	t.Parallel()
	bothWays(t, twoSpaces, func(t *testing.T, l *lab, how map[string]string) {
		l.busy("before")
		l.take(backup.Full)
		truth := l.contents()
		l.exec("ALTER TABLESPACE USERS BEGIN BACKUP")
		err := l.restore(only("USERS"), true, how)
		require.ErrorContains(t, err, "ORA-01150")
		assert.Contains(t, backup.Hint(err), "V$BACKUP")
		assert.Equal(t, truth, l.contents())
		l.noTemporary()
		l.exec("ALTER TABLESPACE USERS END BACKUP")
		require.NoError(t, l.restore(only("USERS"), true, how))
		assert.Equal(t, truth, l.contents())
	})
}

// What the server says of a statement has a hint of its own, and not that of a whole database.
func TestHintsOfARepair(t *testing.T) {
	t.Parallel()
	for n, hint := range map[int]string{1113: "V$RECOVER_FILE", 1539: "at this moment", 1031: "SYSDBA"} {
		err := repairError(&network.OracleError{ErrCode: n, ErrMsg: fmt.Sprintf("ORA-%05d: as it says", n)})
		assert.Contains(t, backup.Hint(err), hint, n)
	}
	require.NoError(t, repairError(nil))
}

// The process is on another machine than the database: nothing is put there.
func TestATablespaceIsNotRestoredFromAfar(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	l.history(1)
	l.remove(l.filesOf("USERS")...)
	control := filepath.Join(l.dir, "server", "fra", "control02.ctl")
	require.NoError(t, os.Rename(control, control+".away"))
	err := l.restore(only("USERS"), false, map[string]string{"execute": "sql"})
	require.NoError(t, os.Rename(control+".away", control))
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.Contains(t, backup.Hint(err), "machine of the database")
	assert.Empty(t, l.ran(`ALTER TABLESPACE "USERS" OFFLINE`))
	l.noTemporary()
}

func TestATablespaceThatTheJobLeavesOut(t *testing.T) {
	t.Parallel()
	l := newLab(t, &Options{Exclude: []string{"SALES"}}, twoSpaces)
	l.busy("before")
	l.take(backup.Full)
	l.take(backup.Log)
	l.remove(l.filesOf("SALES")...)
	err := l.restore(only("SALES"), false, map[string]string{"execute": "sql"})
	require.ErrorIs(t, err, backup.ErrNoBackup)
	assert.Contains(t, backup.Hint(err), "SALES")
	p, plan := l.planned(only("SALES"))
	require.ErrorIs(t, p.Script(t.Context(), plan, backup.RestoreOptions{}, &bytes.Buffer{}), backup.ErrNoBackup)
}

// A log that comes to be between the look at the server and the recovery is found all the same.
func TestALogThatIsArchivedDuringARepair(t *testing.T) {
	t.Parallel()
	bothWays(t, twoSpaces, func(t *testing.T, l *lab, how map[string]string) {
		l.busy("before")
		l.take(backup.Full)
		l.exec("ALTER TABLESPACE USERS OFFLINE IMMEDIATE")
		l.remove(l.filesOf("USERS")...)
		src, switched := l.source(), false
		src.room = func(string) (v diskroom.Volume, ok bool) { // asked behind the look at the server
			for n := 0; n < 5 && !switched; n++ {
				_, err := l.sim.Commit("SALES", fmt.Sprint("late ", n))
				assert.NoError(t, err)
				l.exec("ALTER SYSTEM SWITCH LOGFILE")
			}
			switched = true
			return v, false
		}
		p, err := backup.New(backup.Config{Job: "lab", Source: src, Sink: l.sink})
		require.NoError(t, err)
		plan, err := p.Plan(t.Context(), only("USERS"))
		require.NoError(t, err)
		require.NoError(t, p.Restore(t.Context(), plan, backup.RestoreOptions{Options: how}))
		assert.True(t, switched)
		rows := l.contents()
		assert.Contains(t, rows, "before 10")
		assert.Contains(t, rows, "late 4")
	})
}

func TestSQLPlusOfAnotherInstanceRepairsNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	l.history(1)
	other := newLab(t, nil, nil)
	other.programs()
	l.opt.SQLPlus = other.opt.SQLPlus
	l.remove(l.filesOf("USERS")...)
	err := l.restore(only("USERS"), false, map[string]string{"execute": "sqlplus"})
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.ErrorContains(t, err, "another instance")
	assert.Empty(t, other.ran("ALTER TABLESPACE"))
}

// A log that is nowhere is found out before the tablespace is touched.
func TestATablespaceWhoseRedoIsLostIsLeftAlone(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, twoSpaces)
	l.busy("before")
	l.take(backup.Full)
	for range 4 {
		l.busy("after")
		l.exec("ALTER SYSTEM SWITCH LOGFILE")
	}
	l.remove(l.archived()...)
	l.remove(l.filesOf("USERS")...)
	err := l.restore(only("USERS"), false, map[string]string{"execute": "sql"})
	require.ErrorIs(t, err, backup.ErrChainBroken)
	assert.ErrorContains(t, err, "thread 1")
	assert.Empty(t, l.ran(`ALTER TABLESPACE "USERS" OFFLINE`))
	l.noTemporary()
}

// The script that is left beside the files, and the one that fits fetched files, do the same as the agent.
func TestTheScriptOfATablespace(t *testing.T) {
	t.Parallel()
	for name, fetched := range map[string]bool{"beside the files": false, "of fetched files": true} {
		for _, purged := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", name, purged), func(t *testing.T) {
				t.Parallel()
				l := newLab(t, nil, twoSpaces)
				l.busy("before")
				l.take(backup.Full)
				l.busy("between")
				l.take(backup.Log)
				if purged {
					l.remove(l.archived()...)
				}
				l.busy("after")
				l.exec("ALTER SYSTEM SWITCH LOGFILE")
				l.commit("the last")
				truth := l.contents()
				l.remove(l.filesOf("USERS")...)
				var script string
				if fetched {
					script = l.fetched(only("USERS"), nil)
				} else {
					require.NoError(t, l.restore(only("USERS"), false, nil))
					assert.Empty(t, l.ran(`ALTER TABLESPACE "USERS" OFFLINE`), "nothing in the database is changed")
					for _, f := range l.filesOf("USERS") {
						assert.NoFileExists(t, f)
						assert.FileExists(t, f+unplaced)
					}
					found, err := filepath.Glob(filepath.Join(l.dir, "server", "oradata", "*", "restore", repairScript))
					require.NoError(t, err)
					require.Len(t, found, 1)
					text, err := os.ReadFile(found[0])
					require.NoError(t, err)
					script = string(text)
				}
				l.sqlplus(script)
				assert.Equal(t, truth, l.contents())
				l.noTemporary()
			})
		}
	}
}

// A restore whose files cannot all be fetched changes nothing.
func TestADamagedBackupTakesNoTablespaceOffline(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, twoSpaces)
	l.busy("before")
	l.take(backup.Full)
	truth := l.contents()
	keys := l.sink.Keys("")
	at := slices.IndexFunc(keys, func(k string) bool { return strings.Contains(k, "/data/") && strings.Contains(k, "users") })
	require.GreaterOrEqual(t, at, 0, "%v", keys)
	require.True(t, l.sink.Damage(keys[at], func(b []byte) []byte { b[len(b)/2] ^= 1; return b }))
	require.ErrorIs(t, l.restore(only("USERS"), true, map[string]string{"execute": "sql"}), backup.ErrCorrupt)
	assert.Empty(t, l.ran(`ALTER TABLESPACE "USERS" OFFLINE`))
	assert.Equal(t, truth, l.contents())
	l.noTemporary()
}
