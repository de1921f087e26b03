package exchange_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim"
)

// all are servers with a way that have several groups.
func all() []server {
	return []server{{2003, exchange.WayESE}, {2007, exchange.WayESE}, {2007, exchange.WayVSS}, {2019, exchange.WayVSS}}
}

func each(t *testing.T, f func(t *testing.T, l *lab)) {
	t.Helper()
	for _, s := range all() {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			f(t, s.lab(t))
		})
	}
}

// corrupt damages the page of a key on the disk of the server.
func (l *lab) corrupt(database string) {
	l.t.Helper()
	require.NoError(l.t, l.sim.Flush(database))
	require.NoError(l.t, l.sim.CorruptPage(database, "made"))
}

// A damaged page fails its group and no other. By snapshots nothing is truncated then.
func TestDamagedPage(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *lab) {
		j := l.job()
		l.fill(250)
		groups := l.groups()
		l.corrupt(l.databases[0])
		before := l.logs()
		m, err := j.Backup(t.Context(), backup.Full)
		require.ErrorIs(t, err, backup.ErrPartial)
		l.quiet()
		bad := item(t, m, groups[0])
		assert.Contains(t, bad.Error, "page")
		assert.Regexp(t, `\(.{20,}\)$`, bad.Error, "what to do")
		assert.Empty(t, item(t, m, groups[1]).Error)
		after := l.logs()
		assert.Equal(t, before[groups[0]], after[groups[0]][:len(before[groups[0]])], "no log of the damaged group goes")
		if l.opt.Way == exchange.WayVSS {
			assert.Equal(t, before, after, "a snapshot is given up as a whole")
			assert.Contains(t, strings.Join(j.warnings, "\n"), "given up as a whole")
		} else {
			assert.Less(t, len(after[groups[1]]), len(before[groups[1]]), "the other group is truncated")
		}
		j.proven()
	})
}

// Damage on the way, which is not on the server's disk, is found too.
func TestDamagedOnTheWay(t *testing.T) {
	t.Parallel()
	l := server{2003, exchange.WayESE}.lab(t)
	l.fill(3)
	l.sim.DamageReads(filepath.Join(l.sim.Dir(), "D", "one", "priv1.edb"), 9000)
	m, err := l.job().Backup(t.Context(), backup.Full)
	require.ErrorIs(t, err, backup.ErrPartial)
	it := item(t, m, "First Storage Group")
	assert.True(t, it.Failed())
	l.quiet()
}

// A database that is not mounted is named, and the logs that it may need stay.
func TestUnmounted(t *testing.T) {
	t.Parallel()
	for _, s := range []server{{2003, exchange.WayESE}, {2007, exchange.WayVSS}} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			l := s.lab(t)
			l.fill(70)
			require.NoError(t, l.sim.Dismount("First Storage Group/Public Folder Store"))
			before := l.logs()
			j := l.job()
			m := j.take(backup.Full)
			it := item(t, m, "First Storage Group")
			assert.Equal(t, []string{"Mailbox Store"}, it.Objects)
			assert.Contains(t, strings.Join(j.warnings, "\n"), `"Public Folder Store" is not mounted`)
			logs := l.logs()["First Storage Group"]
			assert.Equal(t, before["First Storage Group"], logs[:len(before["First Storage Group"])])
			j.proven()

			// It comes back: no full has it.
			require.NoError(t, l.sim.Mount("First Storage Group/Public Folder Store"))
			l.fill(2)
			m = j.take(backup.Log)
			it = item(t, m, "First Storage Group")
			assert.Equal(t, backup.Full, it.Kind)
			assert.NotEmpty(t, it.Reason)
			assert.Equal(t, backup.Log, item(t, m, "Second Storage Group").Kind)
		})
	}
	t.Run("a whole group", func(t *testing.T) {
		t.Parallel()
		l := server{2019, exchange.WayVSS}.lab(t)
		require.NoError(t, l.sim.Dismount("DB01/DB01"))
		j := l.job()
		m := j.take(backup.Full)
		assert.NotContains(t, kinds(m), "DB01")
		assert.Contains(t, strings.Join(j.warnings, "\n"), "DB01 was left out: it is not mounted")
		l.opt.Include = []string{"db01", "DB02", "DB03"}
		m, err := l.job().Backup(t.Context(), backup.Full)
		require.ErrorIs(t, err, backup.ErrPartial)
		assert.Contains(t, item(t, m, "DB01").Error, "not mounted")
		assert.Contains(t, item(t, m, "DB03").Error, "no storage group or database")
		assert.Equal(t, backup.Full, item(t, m, "DB02").Kind)
	})
}

// With circular logging fulls work and log runs are refused, with what to do.
func TestCircularLogging(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *lab) {
		groups := l.groups()
		require.NoError(t, l.sim.SetCircular(groups[0], true))
		l.fill(3)
		j := l.job()
		j.take(backup.Full)
		l.fill(3)
		m, err := j.Backup(t.Context(), backup.Log)
		require.ErrorIs(t, err, backup.ErrPartial)
		assert.Contains(t, item(t, m, groups[0]).Error, "circular logging")
		assert.Contains(t, item(t, m, groups[0]).Error, "turn circular logging off")
		assert.Equal(t, backup.Log, item(t, m, groups[1]).Kind)
		l.quiet()
		require.NoError(t, l.sim.SetCircular(groups[1], true))
		l.fill(3)
		_, err = j.Backup(t.Context(), backup.Log)
		require.ErrorIs(t, err, backup.ErrRefused, "nothing is left to take")
		l.quiet()
	})
}

// Logs that do not continue what is at the target become a full of their group, with the reason.
func TestBrokenChains(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do  func(l *lab)
		why string
	}{
		"truncated by another tool": {func(l *lab) {
			opt := l.opt
			defer func() { l.opt = opt }()
			l.opt.StateDir += "2"
			o := l.jobTo(backuptest.NewMemSink(), func(c *backup.Config) { c.Job = "other" })
			o.take(backup.Full)
			l.fill(70)
			o.take(backup.Full)
		}, "of its logs"},
		"begun anew": {func(l *lab) { require.NoError(l.t, l.resetLogs(l.databases)) }, "begun anew"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, l *lab) {
				j := l.job()
				l.fill(3)
				j.take(backup.Full)
				l.fill(70)
				j.take(backup.Log)
				l.fill(70)
				c.do(l)
				l.fill(3)
				m := l.jobTo(j.sink).take(backup.Log)
				for _, g := range l.groups() {
					it := item(t, m, g)
					assert.Equal(t, backup.Full, it.Kind)
					assert.Contains(t, it.Reason, c.why)
				}
				l.fill(3)
				last := l.jobTo(j.sink)
				m = last.take(backup.Log)
				for _, g := range l.groups() {
					assert.Equal(t, backup.Log, item(t, m, g).Kind, item(t, m, g).Reason)
				}
				last.proven()
			})
		})
	}
}

// Another way is another chain.
func TestChangeOfWay(t *testing.T) {
	t.Parallel()
	for _, ways := range [][2]exchange.Way{{exchange.WayESE, exchange.WayVSS}, {exchange.WayVSS, exchange.WayESE}} {
		t.Run(string(ways[1]), func(t *testing.T) {
			t.Parallel()
			l := server{2007, ways[0]}.lab(t)
			l.fill(3)
			j := l.job()
			j.take(backup.Full)
			l.opt.Way = ways[1]
			l.fill(3)
			m := l.jobTo(j.sink).take(backup.Log)
			for _, g := range l.groups() {
				it := item(t, m, g)
				assert.Equal(t, backup.Full, it.Kind)
				assert.Contains(t, it.Reason, "was made by way "+string(ways[0]))
			}
			l.fill(3)
			m = l.jobTo(j.sink).take(backup.Log)
			assert.Equal(t, backup.Log, item(t, m, "First Storage Group").Kind)
		})
	}
}

// Without a way it is chosen by the version.
func TestWayByVersion(t *testing.T) {
	t.Parallel()
	for version, want := range map[int]string{2003: "ese", 2007: "vss", 2010: "vss", 2016: "vss"} {
		l := newLab(t, version)
		l.fill(1)
		assert.Equal(t, want, l.job().take(backup.Full).Meta["way"], "%d", version)
	}
}

// A copy-only full is no base, truncates nothing, and leaves what the server thinks of its backups as it is.
func TestCopyOnly(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *lab) {
		j := l.job()
		l.fill(3)
		full := j.take(backup.Full)
		l.fill(70)
		before := l.logs()
		m, err := j.BackupWith(t.Context(), backup.BackupOptions{Kind: backup.Full, Options: map[string]string{"copy": "true"}})
		require.NoError(t, err)
		for _, g := range l.groups() {
			assert.True(t, item(t, m, g).CopyOnly)
			assert.Subset(t, l.logs()[g], before[g], "no log is truncated")
		}
		l.quiet()
		l.fill(3)
		m = j.take(backup.Log)
		for _, g := range l.groups() {
			it := item(t, m, g)
			assert.Equal(t, backup.Log, it.Kind, it.Reason)
			assert.Equal(t, item(t, full, g).Stream, it.Stream)
		}
		j.proven()
		_, err = j.BackupWith(t.Context(), backup.BackupOptions{Kind: backup.Log, Options: map[string]string{"copy": "true"}})
		require.ErrorIs(t, err, backup.ErrOption)
		_, err = j.BackupWith(t.Context(), backup.BackupOptions{Kind: backup.Full, Options: map[string]string{"copy": "perhaps"}})
		require.ErrorIs(t, err, backup.ErrOption)
	})
}

// Without truncation the job's own logs go on all the same.
func TestKeepLogs(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *lab) {
		l.opt.KeepLogs = true
		j := l.job()
		l.fill(70)
		before := l.logs()
		assert.False(t, item(t, j.take(backup.Full), l.groups()[0]).CopyOnly)
		l.fill(3)
		assert.Equal(t, backup.Log, item(t, j.take(backup.Log), l.groups()[0]).Kind)
		for _, g := range l.groups() {
			assert.Subset(t, l.logs()[g], before[g])
		}
	})
}

// The system state comes first, and its failure costs nothing else.
func TestSystemState(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *lab) {
		var calls []string
		var fail error
		l.sim.SetFault(func(c exchangesim.Call) error {
			if !c.After {
				calls = append(calls, c.Name)
				if c.Name == "SystemState.Save" {
					return fail
				}
			}
			return nil
		})
		j := l.job()
		m := j.take(backup.Full)
		it := item(t, m, "system state")
		assert.True(t, it.ByName)
		assert.Positive(t, it.Artifacts)
		saved, taken := index(calls, "SystemState.Save"), max(index(calls, "Session.Setup"), index(calls, "Shadows.Create"))
		assert.Less(t, saved, taken, "%v", calls)
		fail = errors.New("no room for it")
		m, err := j.Backup(t.Context(), backup.Full)
		require.ErrorIs(t, err, backup.ErrPartial)
		assert.Contains(t, item(t, m, "system state").Error, "no room for it")
		assert.Equal(t, backup.Full, item(t, m, l.groups()[0]).Kind)
		l.quiet()
		assert.NotContains(t, kinds(j.take(backup.Log)), "system state")
		l.opt.SkipSystemState = true
		assert.NotContains(t, kinds(l.jobTo(j.sink).take(backup.Full)), "system state")
	})
}

func index(calls []string, name string) int {
	for i, c := range calls {
		if c == name {
			return i
		}
	}
	return -1
}

// A member of an availability group takes what it should, and names the rest as left to others.
func TestAvailabilityGroup(t *testing.T) {
	t.Parallel()
	copies := func(active, passive string) []exchange.Copy {
		return []exchange.Copy{{Server: active, Active: true, Healthy: true, Preference: 1}, {Server: passive, Healthy: true, Preference: 2}}
	}
	for prefer, want := range map[exchange.Prefer][]string{exchange.PreferPassive: {"DB02"}, exchange.PreferActive: {"DB01"}, exchange.PreferHere: {"DB01", "DB02"}} {
		l := newLab(t, 2019)
		l.opt.Prefer, l.opt.SkipSystemState = prefer, true
		require.NoError(t, l.sim.SetCopies("DB01/DB01", copies("EXCH1", "EXCH2")))
		require.NoError(t, l.sim.SetCopies("DB02/DB02", copies("EXCH2", "exch1.corp.example")))
		m := l.job().take(backup.Full)
		var got []string
		for _, g := range l.groups() {
			if _, ok := m.Item(g); ok {
				got = append(got, g)
			}
		}
		assert.Equal(t, want, got, "%q", prefer)
	}
	l := newLab(t, 2019)
	l.opt.SkipSystemState = true
	for _, g := range l.groups() {
		require.NoError(t, l.sim.SetCopies(g+"/"+g, copies("EXCH1", "EXCH2")))
	}
	assert.Empty(t, l.job().take(backup.Full).Items, "others take all of it, which is no failure")
}

// A run that is cancelled in the middle of a file ends what it has open.
func TestCancelled(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *lab) {
		l.fill(3)
		before := l.logs()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		l.sim.SetFault(func(c exchangesim.Call) error {
			if c.After && (c.Name == "Session.Read" || c.Name == "Shadows.Snapshot") {
				cancel()
			}
			return nil
		})
		_, err := l.job(streamed).Backup(ctx, backup.Full)
		require.ErrorIs(t, err, context.Canceled)
		l.sim.SetFault(nil)
		l.quiet()
		for _, g := range l.groups() {
			assert.Subset(t, l.logs()[g], before[g])
		}
	})
}

// A target that fails in the middle ends the run, and nothing stays open or is truncated.
func TestTargetFails(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *lab) {
		l.opt.SkipSystemState = true
		l.fill(250)
		before := l.logs()
		for _, how := range []jobOption{streamed, func(*backup.Config) {}} {
			sink := backuptest.NewFaultySink(backuptest.NewMemSink())
			sink.Script(backuptest.Fault{Op: backuptest.OpPut, Key: "/runs/", Nth: 4, Times: -1})
			_, err := l.job(how, func(c *backup.Config) { c.Sink = sink }).Backup(t.Context(), backup.Full)
			require.ErrorContains(t, err, "scripted fault")
			l.quiet()
			require.NoError(t, os.RemoveAll(filepath.Join(l.dir, "stage")))
		}
		for _, g := range l.groups() {
			assert.Subset(t, l.logs()[g], before[g])
		}
	})
}

// A stage that is smaller than the backup holds it up and does not fail it; one that cannot take a part ends the run.
func TestSmallStage(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *lab) {
		l.fill(70)
		before := l.logs()
		with := func(quota int64) *job {
			return l.job(func(c *backup.Config) { c.Stager = backup.DirStager{Dir: filepath.Join(l.dir, "stage"), Quota: quota} })
		}
		_, err := with(16<<10).Backup(t.Context(), backup.Full)
		require.ErrorIs(t, err, backup.ErrStageFull)
		l.quiet()
		for _, g := range l.groups() {
			assert.Subset(t, l.logs()[g], before[g])
		}
		m, err := with(256<<10).Backup(t.Context(), backup.Full)
		require.NoError(t, err)
		assert.Greater(t, m.Bytes, int64(256<<10))
		l.quiet()
	})
}

// Without a snapshot a full run fails, and a log run loses only the fulls that it needs.
func TestNoSnapshot(t *testing.T) {
	t.Parallel()
	l := server{2019, exchange.WayVSS}.lab(t)
	l.opt.SkipSystemState = true
	l.fill(3)
	l.opt.Exclude = []string{"DB02"}
	j := l.job()
	j.take(backup.Full)
	l.opt.Exclude = nil
	broken := errors.New("the writer failed")
	l.sim.SetFault(func(c exchangesim.Call) error {
		if c.Name == "Shadows.Snapshot" && !c.After {
			return broken
		}
		return nil
	})
	l.fill(3)
	m, err := l.jobTo(j.sink).Backup(t.Context(), backup.Log)
	require.ErrorIs(t, err, backup.ErrPartial)
	assert.Equal(t, backup.Log, item(t, m, "DB01").Kind)
	assert.Contains(t, item(t, m, "DB02").Error, "the writer failed")
	assert.Contains(t, item(t, m, "DB02").Reason, "no full backup of it is at the target")
	l.quiet()
	_, err = l.jobTo(j.sink).Backup(t.Context(), backup.Full)
	require.ErrorIs(t, err, broken)
	l.quiet()
}

// What there is no tool for is said, and nothing breaks.
func TestCheck(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *lab) {
		require.NoError(t, l.sim.SetCircular(l.groups()[0], true))
		var text strings.Builder
		for _, f := range l.source().Check(t.Context(), backup.StageDir{}) {
			require.NoError(t, f.Err)
			text.WriteString(f.What + "\n")
		}
		assert.Contains(t, text.String(), "circular logging is on")
		assert.Contains(t, text.String(), "2 groups")
		l.quiet()
	})
	state := t.TempDir()
	src, err := exchange.New(&exchange.Options{StateDir: state})
	require.NoError(t, err)
	for _, f := range src.Check(t.Context(), backup.StageDir{}) {
		if f.Err != nil {
			require.ErrorIs(t, f.Err, errors.ErrUnsupported)
			assert.NotEmpty(t, f.Hint)
		}
	}
	left, err := os.ReadDir(state)
	require.NoError(t, err)
	assert.Empty(t, left)
}

// A dead run of this job is ended, that of another is not touched.
func TestRecoverOnlyItsOwn(t *testing.T) {
	t.Parallel()
	l := server{2019, exchange.WayVSS}.lab(t)
	l.opt.Include, l.opt.SkipSystemState = []string{"DB01"}, true
	l.sim.SetFault(func(c exchangesim.Call) error {
		if c.Name == "Shadow.Complete" {
			return exchangesim.ErrDie
		}
		return nil
	})
	_, _ = l.job().Backup(t.Context(), backup.Full)
	l.sim.SetFault(nil)
	require.Equal(t, 1, l.sim.Open().Shadows)
	l.clock.pass(time.Second)
	require.NoError(t, l.source().Recover(t.Context(), "another job", nil))
	require.Equal(t, 1, l.sim.Open().Shadows)
	require.NoError(t, l.source().Recover(t.Context(), "mail", nil))
	l.quiet()
	require.NoError(t, l.source().Recover(t.Context(), "mail", nil), "again")
}
