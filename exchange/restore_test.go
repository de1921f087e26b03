package exchange_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim"
)

// inPlace is a restore that replaces what the server has.
func inPlace(more ...string) backup.RestoreOptions {
	o := backup.RestoreOptions{Overwrite: true, Options: map[string]string{"dismount": "true", "mount": "true"}}
	for i := 0; i < len(more); i += 2 {
		if o.Options[more[i]] = more[i+1]; more[i+1] == "" {
			delete(o.Options, more[i])
		}
	}
	return o
}

func only(name, as string) []backup.Selection { return []backup.Selection{{Name: name, As: as}} }

// prepared has a full, a log, and changes since in no backup. k is 1 in the full, 2 in the log, 3 now.
func prepared(t testing.TB, version int, way exchange.Way, groups []exchangesim.Group) *restoreLab {
	l := newRestoreLab(t, version, way, groups)
	each := func(value string) {
		for _, g := range groups {
			for _, d := range g.Databases {
				if !d.Recovery && !d.Unmounted {
					l.write(g.Name, d.Name, "k", value)
				}
			}
		}
	}
	each("1")
	l.take(backup.Full)
	each("2")
	for _, g := range groups {
		if !g.Databases[0].Recovery {
			require.NoError(t, l.sim.Rotate(g.Name))
		}
	}
	l.take(backup.Log)
	each("3")
	return l
}

// k is what a database has for k, mounted or not.
func (l *restoreLab) k(db string) string {
	l.t.Helper()
	all, err := l.sim.Read(db)
	require.NoError(l.t, err, db)
	return all["k"]
}

func TestRestoreInPlace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		version int
		way     exchange.Way
		library bool
		more    []string
	}{
		"by the streaming API":                        {version: 2003, way: exchange.WayESE},
		"by the streaming API, which writes itself":   {version: 2007, way: exchange.WayESE, library: true},
		"from a snapshot of storage groups":           {version: 2007, way: exchange.WayVSS},
		"from a snapshot":                             {version: 2016, way: exchange.WayVSS},
		"from a snapshot, recovered by the store":     {version: 2016, way: exchange.WayVSS, more: []string{"recover", "mount"}},
		"from a snapshot of 2003, recovered by mount": {version: 2003, way: exchange.WayVSS, more: []string{"recover", "mount"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			groups := restoreGroups()
			if c.version >= 2010 {
				groups = databases("DB1", "DB2")
			}
			l := prepared(t, c.version, c.way, groups)
			l.sim.RestoreByLibrary(c.library)
			told, err := l.restore(backup.Target{}, inPlace(c.more...))
			require.NoError(t, err)
			assert.Contains(t, told, "take one at once")
			for _, g := range groups {
				for _, d := range g.Databases {
					assert.Equal(t, "2", l.k(g.Name+"/"+d.Name), "the change that no backup has is gone")
					l.write(g.Name, d.Name, "k", "4")
				}
			}
			assert.Zero(t, l.sim.Open())
			assert.Empty(t, l.leavings())
			for _, f := range l.asides() {
				assert.Equal(t, ".log", filepath.Ext(f), "only logs that no backup has stay: %s", f)
				assert.Contains(t, told, filepath.Dir(f))
			}

			m := l.take(backup.Log)
			for _, it := range m.Items {
				assert.Equal(t, backup.Full, it.Kind, it.Name)
				assert.NotEmpty(t, it.Reason, it.Name)
			}
			for _, g := range groups {
				for _, d := range g.Databases {
					l.write(g.Name, d.Name, "k", "5")
				}
			}
			for _, it := range l.take(backup.Log).Items {
				assert.Equal(t, backup.Log, it.Kind, "%s: %s", it.Name, it.Reason)
			}
		})
	}
}

// A restore back to before a log: the state just before it, which is the end of the one before.
func TestRestoreToAGeneration(t *testing.T) {
	t.Parallel()
	l := prepared(t, 2019, exchange.WayVSS, databases("DB1"))
	for i := range 3 {
		l.write("DB1", "DB1", "k", fmt.Sprint("r", i))
		require.NoError(t, l.sim.Rotate("DB1"))
	}
	l.take(backup.Log)
	p := l.job()
	for gen := uint32(2); gen <= 5; gen++ {
		for _, where := range []string{fmt.Sprintf("generation:%d", gen), fmt.Sprintf("log:E00%08X.log", gen)} {
			target, err := p.Locate(t.Context(), backup.Target{Select: only("DB1", "")}, where)
			require.NoError(t, err)
			dir := filepath.Join(t.TempDir(), "to")
			told, err := l.restoreBy(p, target, backup.RestoreOptions{Options: map[string]string{"to": dir}})
			require.NoError(t, err, where)
			assert.Equal(t, endedAt{gen - 1, false}, l.ended(told)["DB1"])
			got, err := exchangesim.ReadFile(filepath.Join(dir, "DB1", "DB1.edb"))
			require.NoError(t, err)
			want, err := l.sim.AtGeneration("DB1", gen-1)
			require.NoError(t, err)
			assert.Equal(t, want, got, where)
		}
	}
}

// One database of a storage group is restored while the other goes on.
func TestRestoreOneDatabaseOfAStorageGroup(t *testing.T) {
	t.Parallel()
	for _, way := range []exchange.Way{exchange.WayESE, exchange.WayVSS} {
		for _, db := range []string{"Mailbox Store", "Public Store"} {
			t.Run(string(way)+" "+db, func(t *testing.T) {
				t.Parallel()
				l := prepared(t, 2007, way, restoreGroups())
				told, err := l.restore(backup.Target{Select: only(db, "")}, inPlace())
				require.NoError(t, err)
				for name, want := range map[string]string{"Mailbox Store": "3", "Public Store": "3", "Archive": "3", db: "2"} {
					assert.Equal(t, want, l.k(name), name)
				}
				assert.Contains(t, told, fmt.Sprintf("database %q needs the logs of generation", db))
				l.write("First Storage Group", "Mailbox Store", "more", "1")
				l.write("First Storage Group", "Public Store", "more", "1")
				assert.Empty(t, l.asides(), "the logs serve the other database")
			})
		}
	}
}

func TestRestoreIntoARecoveryDatabase(t *testing.T) {
	t.Parallel()
	t.Run("database", func(t *testing.T) {
		t.Parallel()
		groups := append(databases("DB1"), exchangesim.Group{Name: "RDB", Databases: []exchangesim.Database{{Name: "RDB", Recovery: true, Unmounted: true}}})
		l := prepared(t, 2013, exchange.WayVSS, groups)
		_, err := l.restore(backup.Target{Select: only("DB1", "RDB")}, backup.RestoreOptions{})
		require.ErrorIs(t, err, backup.ErrExists, "it has files already")
		told, err := l.restore(backup.Target{Select: only("DB1", "RDB")}, inPlace())
		require.NoError(t, err)
		assert.Equal(t, "2", l.k("RDB"))
		assert.Equal(t, "3", l.k("DB1"), "the database itself is left alone")
		assert.NotContains(t, told, "take one at once")
		assert.Equal(t, backup.Log, itemOf(t, l.take(backup.Log), "DB1").Kind)
		_, err = l.restore(backup.Target{Select: only("DB1", "DB1x")}, inPlace())
		require.ErrorIs(t, err, backup.ErrRefused)
		require.ErrorContains(t, err, `no database "DB1x"`)
	})
	t.Run("storage group", func(t *testing.T) {
		t.Parallel()
		groups := append(restoreGroups(), exchangesim.Group{Name: "Recovery Storage Group", Databases: []exchangesim.Database{{Name: "Mailbox Store", Recovery: true, Unmounted: true}}})
		for _, way := range []exchange.Way{exchange.WayESE, exchange.WayVSS} {
			l := prepared(t, 2007, way, groups)
			_, err := l.restore(backup.Target{Select: only("Mailbox Store", "Recovery Storage Group")}, inPlace("dismount", "", "mount", ""))
			require.NoError(t, err)
			assert.Equal(t, "2", l.k("Recovery Storage Group/Mailbox Store"), way)
			assert.Equal(t, "3", l.k("First Storage Group/Mailbox Store"), way)
		}
	})
}

func itemOf(t testing.TB, m *backup.Manifest, name string) backup.Item {
	t.Helper()
	it, ok := m.Item(name)
	require.True(t, ok, name)
	return it
}

// What is refused is refused before anything is touched.
func TestRefusalsTouchNothing(t *testing.T) {
	t.Parallel()
	type refusal struct {
		target  backup.Target
		options backup.RestoreOptions
		is      error
		says    string
		before  func(l *restoreLab)
	}
	for name, c := range map[string]refusal{
		"there": {options: backup.RestoreOptions{Options: map[string]string{"dismount": "true"}}, is: backup.ErrExists, says: "DB1.edb"},
		"there, dismounted": {is: backup.ErrExists, says: "DB1.edb", before: func(l *restoreLab) {
			l.allow("DB1")
			require.NoError(l.t, l.sim.Dismount("DB1"))
		}},
		"mounted":                    {options: backup.RestoreOptions{Overwrite: true}, is: backup.ErrRefused, says: "is mounted"},
		"not allowed":                {options: backup.RestoreOptions{Overwrite: true}, is: backup.ErrRefused, says: "may not be overwritten", before: func(l *restoreLab) { require.NoError(l.t, l.sim.Dismount("DB1")) }},
		"no recovery database":       {target: backup.Target{Select: only("DB1", "DB2")}, options: inPlace(), is: backup.ErrRefused, says: `"DB2" is no recovery database`},
		"unknown option":             {options: inPlace("speed", "high"), is: backup.ErrOption, says: "speed"},
		"forward to a time":          {target: backup.Target{ID: "full"}, options: inPlace("forward", "true"), is: backup.ErrOption, says: "forward"},
		"in backup":                  {options: inPlace(), is: backup.ErrRefused, says: "is being backed up", before: func(l *restoreLab) { l.foreignBackup("DB1") }},
		"recover by nobody, mounted": {options: inPlace("recover", "none"), is: backup.ErrOption, says: "recover=none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := prepared(t, 2016, exchange.WayVSS, databases("DB1", "DB2"))
			if c.before != nil {
				c.before(l)
			}
			if c.target.ID != "" {
				h, err := l.job().History(t.Context())
				require.NoError(t, err)
				c.target.ID = h[0].ID
			}
			if c.target.Select == nil {
				c.target.Select = only("DB1", "")
			}
			before := content(t, l.sim.Dir())
			_, err := l.restore(c.target, c.options)
			require.ErrorIs(t, err, c.is)
			require.ErrorContains(t, err, c.says)
			assert.Equal(t, c.is != backup.ErrOption, backup.Hint(err) != "")
			assert.Equal(t, before, content(t, l.sim.Dir()))
			assert.Equal(t, "3", l.k("DB2"))
		})
	}
	t.Run("folder", func(t *testing.T) {
		t.Parallel()
		l := prepared(t, 2016, exchange.WayVSS, databases("DB1"))
		dir := t.TempDir()
		options := backup.RestoreOptions{Options: map[string]string{"to": dir}}
		_, err := l.restore(backup.Target{}, options)
		require.NoError(t, err)
		before := content(t, dir)
		_, err = l.restore(backup.Target{}, options)
		require.ErrorIs(t, err, backup.ErrExists)
		assert.Equal(t, before, content(t, dir))
		options.Overwrite = true
		h, err := l.job().History(t.Context())
		require.NoError(t, err)
		_, err = l.restore(backup.Target{ID: h[0].ID}, options)
		require.NoError(t, err)
		got, err := exchangesim.ReadFile(filepath.Join(dir, "DB1", "DB1.edb"))
		require.NoError(t, err)
		assert.Equal(t, "1", got["k"])
		assert.Len(t, content(t, dir), 1, "only the database")
	})
	t.Run("room", func(t *testing.T) {
		t.Parallel()
		l := prepared(t, 2016, exchange.WayVSS, databases("DB1"))
		opt := l.opt
		opt.Tools = l.sim.Tools()
		s, err := exchange.New(&opt)
		require.NoError(t, err)
		s.SetRoom(1 << 10)
		p, err := backup.New(backup.Config{Job: "mail", Source: s, Sink: l.sink})
		require.NoError(t, err)
		before := content(t, l.sim.Dir())
		_, err = l.restoreBy(p, backup.Target{}, inPlace())
		require.ErrorIs(t, err, backup.ErrRefused)
		require.ErrorContains(t, err, "MiB free")
		assert.Equal(t, before, content(t, l.sim.Dir()))
	})
}

// allow lets the files of a database be replaced, as an administrator does.
func (l *restoreLab) allow(db string) {
	l.t.Helper()
	m := l.sim.Tools().Management
	layout, err := m.Layout(l.t.Context())
	require.NoError(l.t, err)
	for _, g := range layout.Groups {
		for _, d := range g.Databases {
			if d.Name == db {
				require.NoError(l.t, m.AllowRestore(l.t.Context(), d))
			}
		}
	}
}

// foreignBackup is another program that has a group in backup.
func (l *restoreLab) foreignBackup(group string) {
	l.t.Helper()
	tools := l.sim.Tools()
	layout, err := tools.Management.Layout(l.t.Context())
	require.NoError(l.t, err)
	r := exchange.ShadowRequest{Copy: true, WorkDir: l.t.TempDir(), Note: func([]byte) error { return nil }}
	for _, g := range layout.Groups {
		if g.Name == group {
			r.Include = append(r.Include, g)
			r.Files = append(r.Files, g.Databases[0].File, g.LogDir, g.SystemDir)
		} else {
			r.Exclude = append(r.Exclude, g)
		}
	}
	_, err = tools.Shadows.Create(l.t.Context(), r)
	require.NoError(l.t, err)
}

// The engine, the server or the target fails at any call: everything is as it was, mounted again where it was mounted.
func TestARestoreThatFailsPutsThingsBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version int
		way     exchange.Way
		more    []string
	}{{2003, exchange.WayESE, nil}, {2016, exchange.WayVSS, nil}, {2007, exchange.WayVSS, []string{"recover", "mount"}}} {
		t.Run(fmt.Sprint(c.version, c.way, c.more), func(t *testing.T) {
			t.Parallel()
			groups := restoreGroups()
			if c.version >= 2010 {
				groups = databases("DB1", "DB2")
			}
			broke := errors.New("it broke")
			failures := 0
			for n := 1; ; n++ {
				l := prepared(t, c.version, c.way, groups)
				failed, at := false, ""
				l.sim.SetFault(func(call exchangesim.Call) error {
					if call.N == n && !call.After && !failed && !strings.HasSuffix(call.Name, ".Close") {
						failed, at = true, call.Name
						return broke
					}
					return nil
				})
				_, err := l.restore(backup.Target{}, inPlace(c.more...))
				l.sim.SetFault(nil)
				if !failed && err == nil {
					break
				}
				if !failed {
					continue // a close, whose failure is of no consequence
				}
				failures++
				require.ErrorIs(t, err, broke, at)
				if at == "Management.Mount" || at == "Management.Dismount" && strings.Contains(err.Error(), "after its recovery") { // restored, and not in use
					assert.ErrorContains(t, err, "the restored files are in place")
					assert.ErrorContains(t, err, "what was there is in")
					continue
				}
				for _, g := range groups {
					for _, d := range g.Databases {
						if got := l.k(g.Name + "/" + d.Name); got != "3" && got != "2" { // the groups before the one that failed are restored
							t.Errorf("%s: %s has %q after %s failed", d.Name, g.Name, got, at)
						}
						l.write(g.Name, d.Name, "after", "1") // it is mounted
					}
				}
				assert.Empty(t, l.leavings(), at)
				assert.Zero(t, l.sim.Open(), at)
			}
			assert.Greater(t, failures, 4)
		})
	}
}

// A recovery that fails for a reason of its own leaves the database that is there in use all the time.
func TestAnEngineThatCannotRecover(t *testing.T) {
	t.Parallel()
	l := prepared(t, 2019, exchange.WayVSS, databases("DB1"))
	asked := false
	l.sim.SetFault(func(call exchangesim.Call) error {
		if call.Name == "Engine.Recover" {
			asked = true
			return esebcli.FromJET(-528)
		}
		require.False(t, asked && call.Name == "Management.Dismount", "it is not dismounted for nothing")
		return nil
	})
	_, err := l.restore(backup.Target{}, inPlace())
	require.ErrorContains(t, err, "recover with the logs of generation 0x1")
	assert.True(t, asked)
	assert.Equal(t, "3", l.k("DB1"))
	l.write("DB1", "DB1", "k", "4")
	assert.Empty(t, l.asides())
}

// With forward the newer logs that the server still has are played too, so nothing is lost.
func TestRestoreForward(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version int
		way     exchange.Way
	}{{2007, exchange.WayESE}, {2016, exchange.WayVSS}} {
		groups := databases("DB1")
		l := prepared(t, c.version, c.way, groups)
		require.NoError(t, l.sim.Rotate("DB1"))
		l.write("DB1", "DB1", "k", "the last")
		require.NoError(t, l.sim.Dismount("DB1"))
		require.NoError(t, os.Remove(l.file("D", "DB1", "DB1.edb"))) // the database is lost, its logs are not
		told, err := l.restore(backup.Target{}, inPlace("forward", "true"))
		require.NoError(t, err, c.way)
		assert.Equal(t, "the last", l.k("DB1"), c.way)
		if c.way == exchange.WayVSS {
			assert.Contains(t, told, "logs that were still at the server are played too")
		}
	}
}

// Nobody recovers: the files are in place with their logs, what was there is kept, and the command is told.
func TestRestoreWithoutRecovery(t *testing.T) {
	t.Parallel()
	t.Run("from a snapshot", func(t *testing.T) {
		t.Parallel()
		l := prepared(t, 2016, exchange.WayVSS, databases("DB1"))
		told, err := l.restore(backup.Target{}, inPlace("recover", "none", "mount", ""))
		require.NoError(t, err)
		assert.Contains(t, told, fmt.Sprintf(`eseutil /r E00 /l "%s" /s "%s" /d "%s"`, l.file("E", "DB1"), l.file("E", "DB1"), l.file("D", "DB1")))
		assert.Contains(t, told, "was not recovered yet")
		kept := l.asides()
		assert.NotEmpty(t, kept)
		require.NoError(t, l.sim.Tools().Engine.Recover(t.Context(), exchange.Recovery{Base: "E00", LogDir: l.file("E", "DB1"), SystemDir: l.file("E", "DB1"), DatabaseDir: l.file("D", "DB1")}))
		require.NoError(t, l.sim.Mount("DB1"))
		assert.Equal(t, "2", l.k("DB1"))
	})
	t.Run("by the streaming API", func(t *testing.T) {
		t.Parallel()
		l := prepared(t, 2003, exchange.WayESE, databases("DB1"))
		told, err := l.restore(backup.Target{}, inPlace("recover", "none", "mount", ""))
		require.NoError(t, err)
		_, rest, ok := strings.Cut(told, `eseutil /cc "`)
		require.True(t, ok, told)
		dir, _, _ := strings.Cut(rest, `"`)
		r, err := l.sim.Tools().Streaming.RestoreReopen(t.Context(), "", esebcli.InformationStore, dir)
		require.NoError(t, err)
		require.NoError(t, r.Complete(t.Context(), dir, dir, "", 0))
		require.NoError(t, r.Close(t.Context(), false))
		require.NoError(t, l.sim.Mount("DB1"))
		assert.Equal(t, "2", l.k("DB1"))
		assert.NotEmpty(t, l.asides())
	})
	t.Run("into a folder", func(t *testing.T) {
		t.Parallel()
		l := prepared(t, 2016, exchange.WayVSS, databases("DB1"))
		dir := t.TempDir()
		told, err := l.restore(backup.Target{}, backup.RestoreOptions{Options: map[string]string{"to": dir, "recover": "none"}})
		require.NoError(t, err)
		logs := filepath.Join(dir, "DB1", "logs")
		assert.Contains(t, told, "eseutil /r E00 /l \""+logs)
		require.NoError(t, l.sim.Tools().Engine.Recover(t.Context(), exchange.Recovery{Base: "E00", LogDir: logs, SystemDir: logs, DatabaseDir: filepath.Join(dir, "DB1")}))
		got, err := exchangesim.ReadFile(filepath.Join(dir, "DB1", "DB1.edb"))
		require.NoError(t, err)
		assert.Equal(t, "2", got["k"])
	})
}
