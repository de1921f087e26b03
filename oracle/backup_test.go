package oracle

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

func TestFullThenLogs(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{"local": {}, "whole database": {WholeDatabase: true}, "remote": {Mode: ModeRemote, Connections: 3, ChunkSize: 64 << 10}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, &o, nil)
			l.commit("one", "two")
			full := l.take(backup.Full)
			it := full.Items[0]
			assert.Equal(t, backup.Full, it.Kind)
			assert.Empty(t, it.Reason)
			assert.Empty(t, full.Warnings)
			assert.Contains(t, it.Objects, "USERS")
			assert.Empty(t, l.sim.InBackupMode())

			inv := l.look(full)
			assert.Len(t, inv.texts, it.Artifacts)
			for _, d := range inv.DataFiles {
				want, err := os.Stat(d.Name)
				require.NoError(t, err)
				assert.Len(t, inv.texts[d.Artifact], int(want.Size()), d.Name)
				assert.NotZero(t, d.BackupSCN, d.Name)
			}
			require.NotEmpty(t, inv.Backup.Logs)
			for _, what := range []string{fileControl, fileTrace, filePfile, fileServerPfile, filePasswords, fileTemps} {
				assert.NotEmpty(t, inv.texts[inv.Backup.Files[what]], what)
			}
			assert.Contains(t, string(inv.texts[artifactTemps]), "ADD TEMPFILE")
			assert.Equal(t, it.End, inv.Backup.End.Position())

			last := l.commit("three")
			log := l.take(backup.Log).Items[0]
			assert.Equal(t, backup.Log, log.Kind, log.Reason)
			assert.Equal(t, full.ID, log.Parent)
			assert.Equal(t, it.Stream, log.Stream)
			assert.Equal(t, it.End, log.Begin, "it begins where the full ended")
			assert.Greater(t, log.End, SCN(last).Position())
			assert.Equal(t, it.Window.To, log.Window.From)
			assert.True(t, log.PointInTime)
			next := l.take(backup.Log)
			assert.Equal(t, log.End, next.Items[0].Begin)
			for _, entry := range l.look(next).Backup.Logs {
				assert.GreaterOrEqual(t, entry.FirstSCN.Position(), log.End, "no log is taken twice")
			}
			assert.Zero(t, l.sim.Sessions(), "no session stays open")
			assert.Len(t, l.ran("CREATE OR REPLACE DIRECTORY"), len(l.ran("DROP DIRECTORY")))
			left, err := filepath.Glob(filepath.Join(l.dir, "scratch", "*"))
			require.NoError(t, err)
			assert.Empty(t, left)
		})
	}
}

func TestEachTablespaceIsInBackupModeByItself(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	most := 0
	l.hooked(func(oraclesim.Statement, oraclesim.Moment) error {
		most = max(most, len(l.sim.InBackupMode()))
		return nil
	})
	l.take(backup.Full)
	assert.Equal(t, 1, most)
	begun, ended := l.ran("ALTER TABLESPACE"), 0
	for i, text := range begun {
		if strings.HasSuffix(text, "END BACKUP") {
			ended++
			assert.Equal(t, strings.Replace(text, "END", "BEGIN", 1), begun[i-1])
		}
	}
	assert.Equal(t, len(begun), 2*ended)
	assert.Empty(t, l.ran("ALTER DATABASE BEGIN"))
}

func TestStreaming(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	l.stream = true
	err := l.fails(backup.Full)
	assert.Contains(t, backup.Hint(err), "ScratchDir")
	assert.Empty(t, l.sim.InBackupMode())
	l.opt.ScratchDir = l.dir
	l.look(l.take(backup.Full))
	left, err := filepath.Glob(filepath.Join(l.dir, "quiesce-*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestReadOnlyAndOfflineTablespaces(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, func(c *oraclesim.Config) {
		c.Tablespaces = []oraclesim.Tablespace{{Name: "USERS", Files: 2}, {Name: "OLD", ReadOnly: true}, {Name: "AWAY", Offline: true}, {Name: "BIG", Bigfile: true, Blocks: 40}}
	})
	inv := l.look(l.take(backup.Full))
	for _, d := range inv.DataFiles {
		assert.NotEmpty(t, d.Artifact, d.Name)
		assert.Equal(t, d.TablespaceName == "OLD" || d.TablespaceName == "AWAY", d.BackupSCN == 0, d.TablespaceName)
	}
	for _, text := range l.ran("ALTER TABLESPACE") {
		assert.NotContains(t, text, "OLD")
		assert.NotContains(t, text, "AWAY")
	}
}

func TestAMultitenantDatabaseIsTakenWhole(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, func(c *oraclesim.Config) { c.PDBs = []string{"SHOP", "BANK"} })
	inv := l.look(l.take(backup.Full))
	assert.True(t, inv.CDB)
	assert.Contains(t, l.ran("ALTER DATABASE BEGIN"), "ALTER DATABASE BEGIN BACKUP")
	in := map[int]int{}
	for _, d := range inv.DataFiles {
		assert.NotEmpty(t, d.Artifact)
		in[d.Container]++
	}
	assert.Len(t, in, 4, "root, seed and two")
	l.login.PDB = "SHOP"
	err := l.fails(backup.Full)
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.Contains(t, backup.Hint(err), "CDB$ROOT")
}

func TestThreadsOfRAC(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, func(c *oraclesim.Config) { c.Threads = 2 })
	l.take(backup.Full)
	for i := range 6 {
		_, err := l.sim.CommitOn(1+i%2, "USERS", strings.Repeat("x", 400))
		require.NoError(t, err)
	}
	m := l.take(backup.Log)
	assert.Equal(t, backup.Log, m.Items[0].Kind, m.Items[0].Reason)
	threads := map[int]bool{}
	for _, log := range l.look(m).Backup.Logs {
		threads[log.Thread] = true
	}
	assert.Len(t, threads, 2)
	assert.Equal(t, backup.Log, l.take(backup.Log).Items[0].Kind)
}

func TestALogThatIsGonePromotesToAFull(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	l.take(backup.Full)
	l.commit("lost")
	l.exec("ALTER SYSTEM ARCHIVE LOG CURRENT")
	for _, path := range l.archived() {
		require.NoError(t, os.Remove(path))
	}
	m := l.take(backup.Log)
	assert.Equal(t, backup.Full, m.Items[0].Kind)
	assert.Contains(t, m.Items[0].Reason, "at no destination")
	assert.Equal(t, backup.Log, l.take(backup.Log).Items[0].Kind, "from there on logs continue")
}

func TestTheNextDestinationHasTheLog(t *testing.T) {
	t.Parallel()
	var second string
	l := newLab(t, nil, func(c *oraclesim.Config) {
		second = filepath.Join(c.Dir, "arch2")
		c.ArchiveDests = []string{filepath.Join(c.Dir, "arch"), second}
	})
	l.take(backup.Full)
	l.commit("kept twice")
	l.exec("ALTER SYSTEM ARCHIVE LOG CURRENT")
	for _, path := range l.archived() {
		require.NoError(t, os.Remove(path))
	}
	m := l.take(backup.Log)
	assert.Equal(t, backup.Log, m.Items[0].Kind, m.Items[0].Reason)
	logs := l.look(m).Backup.Logs
	assert.Equal(t, second, filepath.Dir(logs[0].Name))
}

func TestLogsGoOnOverALaterFull(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	first := l.take(backup.Full)
	l.commit("between the fulls")
	second := l.take(backup.Full)
	log := l.take(backup.Log).Items[0]
	assert.Equal(t, second.ID, log.Parent)
	assert.Equal(t, first.Items[0].End, log.Begin, "the times before the second full can be restored, too, also when that is damaged")
	assert.Equal(t, first.Items[0].Window.To, log.Window.From)
}

func TestLogsBeforeAFullThatAreGone(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	l.take(backup.Full)
	l.commit("between the fulls")
	l.exec("ALTER SYSTEM ARCHIVE LOG CURRENT")
	gone := l.archived()
	second := l.take(backup.Full)
	for _, path := range gone {
		require.NoError(t, os.Remove(path))
	}
	m := l.take(backup.Log)
	assert.Equal(t, backup.Log, m.Items[0].Kind, m.Items[0].Reason)
	assert.Equal(t, second.Items[0].End, m.Items[0].Begin)
	assert.Equal(t, second.Items[0].Window.To, m.Items[0].Window.From)
	assert.Contains(t, strings.Join(m.Warnings, "\n"), "cannot be restored")
}

func TestPurge(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{"local": {PurgeArchived: true}, "remote": {PurgeArchived: true, Mode: ModeRemote}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, &o, nil)
			l.take(backup.Full)
			whole := l.archived()
			require.NotEmpty(t, whole)
			l.commit("x")
			m := l.take(backup.Log)
			assert.Empty(t, m.Warnings)
			saved := l.look(m).Backup.Logs
			for _, log := range saved {
				assert.NoFileExists(t, log.Name)
			}
			assert.Less(t, len(l.archived()), len(whole)+1)
			l.commit("y")
			assert.Equal(t, backup.Log, l.take(backup.Log).Items[0].Kind, "the chain goes on")
		})
	}
	t.Run("not at every destination", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, &Options{PurgeArchived: true, RequiredDestinations: []int{1, 2}}, nil)
		l.take(backup.Full)
		before := l.archived()
		l.take(backup.Log)
		assert.Subset(t, l.archived(), before)
	})
}

func TestSomebodyElsesBackupModeIsLeftAlone(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	l.take(backup.Full)
	l.exec(`ALTER TABLESPACE "USERS" BEGIN BACKUP`)
	theirs := l.sim.InBackupMode()
	require.NotEmpty(t, theirs)
	err := l.fails(backup.Full)
	assert.ErrorContains(t, err, "in backup mode already")
	assert.Contains(t, backup.Hint(err), "somebody else")
	assert.Equal(t, theirs, l.sim.InBackupMode())
	assert.Equal(t, backup.Log, l.take(backup.Log).Items[0].Kind, "logs do not mind")
	assert.Equal(t, theirs, l.sim.InBackupMode())
}

func TestATornCopyIsNoBackup(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	// A file that is taken out of backup mode while it is copied, behind our back.
	l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
		if m == oraclesim.After && s.Text == `ALTER TABLESPACE "USERS" BEGIN BACKUP` {
			l.hooked(nil)
			defer l.exec(`ALTER TABLESPACE "USERS" END BACKUP`)
		}
		return nil
	})
	err := l.fails(backup.Full)
	assert.ErrorContains(t, err, "not in backup mode")
	assert.Empty(t, l.sim.InBackupMode())
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{"local": {}, "remote": {Mode: ModeRemote}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, &o, nil)
			dir := backup.StageDir{Path: t.TempDir()}
			before := len(l.archived())
			for _, f := range l.source().Check(t.Context(), dir) {
				assert.NoError(t, f.Err, f.What)
			}
			assert.Empty(t, l.sim.InBackupMode())
			assert.Len(t, l.archived(), before, "no log was switched")
			left, err := os.ReadDir(dir.Path)
			require.NoError(t, err)
			assert.Empty(t, left)
			assert.Len(t, l.ran("CREATE OR REPLACE DIRECTORY"), len(l.ran("DROP DIRECTORY")))
		})
	}
	t.Run("noarchivelog", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, nil, func(c *oraclesim.Config) { c.NoArchiveLog = true })
		all := l.source().Check(t.Context(), backup.StageDir{Path: t.TempDir()})
		last := all[len(all)-1]
		assert.ErrorIs(t, last.Err, backup.ErrRefused)
		assert.Contains(t, last.Hint, "ALTER DATABASE ARCHIVELOG")
	})
	t.Run("no rights", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, nil, func(c *oraclesim.Config) {
			c.Users = map[string]oraclesim.User{"POOR": {Password: "p", Powerless: true}}
		})
		l.login = oraclesim.Login{User: "POOR", Password: "p"}
		bad := 0
		for _, f := range l.source().Check(t.Context(), backup.StageDir{Path: t.TempDir()}) {
			if f.Err != nil {
				bad++
				assert.NotEmpty(t, f.Hint, f.What)
			}
		}
		assert.Positive(t, bad)
	})
}

func TestEstimate(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	n, err := l.source().Estimate(t.Context(), backup.Request{Kind: backup.Full})
	require.NoError(t, err)
	var files int64
	for _, f := range l.sim.Files() {
		files += f.SizeBytes
	}
	assert.GreaterOrEqual(t, n, files)
}

func TestADataFileThatIsDamagedOnTheServer(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, func(c *oraclesim.Config) {
		c.Tablespaces = []oraclesim.Tablespace{{Name: "USERS"}, {Name: "OLD", ReadOnly: true}}
	})
	for _, f := range l.sim.Files() {
		if f.Tablespace == "OLD" {
			file, err := os.OpenFile(f.Path, os.O_RDWR, 0)
			require.NoError(t, err)
			_, err = file.WriteAt([]byte("not what was written"), 3*8192+100)
			require.NoError(t, err)
			require.NoError(t, file.Close())
		}
	}
	err := l.fails(backup.Full)
	require.ErrorIs(t, err, backup.ErrCorrupt)
	assert.ErrorContains(t, err, "block 3")
	assert.Empty(t, l.sim.InBackupMode())
	l.opt.KeepDoubtful = true
	m := l.take(backup.Full)
	require.Len(t, m.Warnings, 1)
	assert.Contains(t, m.Warnings[0], "block 3")
	inv := l.look(m)
	require.Len(t, inv.Backup.Doubts, 1)
	for name := range inv.Backup.Doubts {
		assert.Len(t, inv.texts[name], 25*8192, "all of it was kept")
	}
}

func TestADataFileThatIsAddedMeanwhile(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	added, created := "", uint64(0)
	l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
		if m == oraclesim.Before && added == "" && strings.HasSuffix(s.Text, "BEGIN BACKUP") {
			var err error
			created = l.sim.SCN()
			added, err = l.sim.AddFile("USERS", filepath.Join(filepath.Dir(l.sim.Files()[0].Path), "users02.dbf"))
			require.NoError(t, err)
		}
		return nil
	})
	inv := l.look(l.take(backup.Full))
	require.NotEmpty(t, added)
	assert.LessOrEqual(t, uint64(inv.Backup.From), created, "the logs make it from its creation")
	require.NoError(t, l.source().Recover(t.Context(), "lab", backup.History{}))
	assert.Empty(t, l.sim.InBackupMode())
	l.hooked(nil)
	names := map[string]bool{}
	for _, d := range l.look(l.take(backup.Log)).DataFiles {
		names[d.Name] = true
	}
	assert.True(t, names[added], "the inventory of the next log knows it")
}

func TestATablespaceThatBecomesReadOnlyMeanwhile(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	closed := false
	l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
		if m == oraclesim.Before && !closed && strings.HasSuffix(s.Text, "BEGIN BACKUP") {
			closed = true
			l.exec("ALTER TABLESPACE \"USERS\" READ ONLY")
		}
		return nil
	})
	inv := l.look(l.take(backup.Full))
	for _, d := range inv.DataFiles {
		assert.Equal(t, d.TablespaceName == "USERS", d.BackupSCN == 0, d.TablespaceName)
	}
}
