package oracle

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

// stageRehearsal gives a lab a machine with a second instance, AUX, and a folder for rehearsals.
func (l *lab) stageRehearsal() (aux *oraclesim.Instance, scratch string) {
	l.t.Helper()
	aux, err := oraclesim.Attach(oraclesim.Config{SID: "AUX", Dir: filepath.Join(l.dir, "auxiliary"), Now: l.clock.now, Seed: 11, Hook: l.hooking})
	require.NoError(l.t, err)
	if testing.Short() {
		l.t.Skip("-short: sqlplus and rman are processes")
	}
	l.programsOf(oraclesim.NewHost(l.sim, aux).Listen)
	l.opt.Auxiliary = "AUX"
	scratch = filepath.Join(l.dir, "rehearsals")
	require.NoError(l.t, os.MkdirAll(scratch, 0o700))
	return aux, scratch
}

func (l *lab) rehearse(to backup.Target, scratch string, options map[string]string) (map[string]string, error) {
	l.t.Helper()
	p, plan := l.planned(to)
	if err := p.Rehearse(l.t.Context(), plan, scratch, backup.RestoreOptions{Options: options}); err != nil {
		return nil, err
	}
	notes, err := p.ProofNotes(l.t.Context(), plan.Steps[0].ID, backup.ProofRestored)
	require.NoError(l.t, err)
	return notes, nil
}

// leftovers are what a rehearsal left below its scratch folder, without the empty lock.
func leftovers(t testing.TB, scratch string) (out []string) {
	t.Helper()
	all, err := os.ReadDir(scratch)
	require.NoError(t, err)
	for _, e := range all {
		if !strings.HasSuffix(e.Name(), ".lock") {
			out = append(out, e.Name())
		}
	}
	return out
}

// files are all files of the original by content.
func (l *lab) files() map[string]string {
	l.t.Helper()
	out := map[string]string{}
	require.NoError(l.t, filepath.WalkDir(filepath.Join(l.dir, "server"), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[path] = string(b)
		return err
	}))
	return out
}

func TestARehearsalBringsADatabaseUp(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(c *oraclesim.Config){
		"plain": nil, "two threads": func(c *oraclesim.Config) { c.Threads = 2 }, "containers": func(c *oraclesim.Config) { c.PDBs = []string{"SHOP"} },
		"read-only": func(c *oraclesim.Config) {
			c.Tablespaces = []oraclesim.Tablespace{{Name: "USERS"}, {Name: "OLD", ReadOnly: true}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nil, change)
			aux, scratch := l.stageRehearsal()
			threads := 1
			if name == "two threads" {
				threads = 2
			}
			truth := l.history(threads)
			before := l.files()
			for _, to := range []backup.Target{{}, {Position: SCN(truth[10].SCN).Position(), Select: []backup.Selection{{Name: itemName}}}} {
				notes, err := l.rehearse(to, scratch, nil)
				require.NoError(t, err)
				for _, note := range []string{"method", "recovered", "opened", "checked", "data files", "logical check", "duration", "target"} {
					assert.NotEmpty(t, notes[note], note)
				}
				assert.Equal(t, "auxiliary", notes["method"])
				assert.Equal(t, "RMAN found no damage", notes["logical check"])
				assert.Contains(t, notes["data files"], fmt.Sprint(len(l.sim.Files())))
				assert.Equal(t, oraclesim.Down, aux.State())
				assert.Empty(t, leftovers(t, scratch))
			}
			assert.Equal(t, before, l.files(), "the original's files are as they were")
			assert.Equal(t, oraclesim.Open, l.sim.State())
			assert.Len(t, l.contents(), len(truth))
		})
	}
}

func TestARehearsalOfWhatRMANMade(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{"sets": {Mode: ModeRMAN}, "copies": {Mode: ModeRMAN, RMANFormat: RMANCopy}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, &o, nil)
			aux, scratch := l.stageRehearsal()
			truth := l.rmanHistory(1)
			for _, f := range l.archived() {
				require.NoError(t, os.Remove(f)) // the rehearsal has nothing but the backups
			}
			before := l.files()
			notes, err := l.rehearse(backup.Target{}, scratch, map[string]string{"parameter:sga_target": "2G"})
			require.NoError(t, err)
			assert.Equal(t, "auxiliary", notes["method"])
			assert.Equal(t, oraclesim.Down, aux.State())
			assert.Empty(t, leftovers(t, scratch))
			assert.Equal(t, before, l.files())
			assert.Len(t, l.contents(), len(truth))
		})
	}
}

// during runs something once when the auxiliary instance comes to a statement or command.
func (l *lab) during(prefix string, do func()) {
	var once sync.Once
	l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
		if m == oraclesim.Before && strings.HasPrefix(s.Text, prefix) {
			once.Do(do)
		}
		return nil
	})
}

func flip(t testing.TB, path string, at int) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 0x10
	require.NoError(t, os.WriteFile(path, b, 0o600))
}

func TestARehearsalFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	const block = 8192
	for name, c := range map[string]struct {
		mode  Mode
		wrong func(t *testing.T, l *lab, dir string)
		want  error
		names string
	}{
		"flipped block": {"", func(t *testing.T, l *lab, dir string) {
			l.during("ALTER DATABASE RECOVER DATABASE", func() { flip(t, filepath.Join(dir, "users01.dbf"), 20*block+100) })
		}, backup.ErrCorrupt, "users01.dbf"},
		"flipped block that redo does not touch": {"", func(t *testing.T, l *lab, dir string) {
			l.during("ALTER DATABASE RECOVER DATABASE", func() { flip(t, filepath.Join(dir, "sysaux01.dbf"), 20*block+100) })
		}, backup.ErrCorrupt, "sysaux01.dbf"},
		"flipped block of what RMAN restored": {ModeRMAN, func(t *testing.T, l *lab, dir string) {
			l.during("RECOVER DATABASE", func() { flip(t, filepath.Join(dir, "users01.dbf"), 20*block+100) })
		}, backup.ErrCorrupt, "users01.dbf"},
		"flipped piece": {ModeRMAN, func(t *testing.T, l *lab, dir string) {
			l.during("RESTORE DATABASE", func() {
				all, err := filepath.Glob(filepath.Join(dir, "restore", "pieces", "1_*"))
				require.NoError(t, err)
				for _, path := range all {
					flip(t, path, -100)
				}
			})
		}, backup.ErrCorrupt, "backup piece"},
		"missing log": {"", func(t *testing.T, l *lab, dir string) {
			l.during("STARTUP", func() {
				all, err := filepath.Glob(filepath.Join(dir, "restore", "arch", "*"))
				require.NoError(t, err)
				require.NoError(t, os.Remove(all[len(all)-1]))
			})
		}, nil, "restore/arch/1_"},
		"missing log in pieces": {ModeRMAN, func(t *testing.T, l *lab, dir string) {
			l.during("CATALOG", func() {
				all, err := filepath.Glob(filepath.Join(dir, "restore", "pieces", "4_*"))
				require.NoError(t, err)
				require.NotEmpty(t, all)
				for _, path := range all {
					require.NoError(t, os.Remove(path))
				}
			})
		}, backup.ErrChainBroken, "thread 1"},
		"damage at the target": {"", func(t *testing.T, l *lab, _ string) {
			for _, key := range l.sink.Keys("") {
				if strings.Contains(key, "/data/") {
					require.True(t, l.sink.Damage(key, func(b []byte) []byte { b[len(b)/2] ^= 1; return b }))
				}
			}
		}, backup.ErrCorrupt, "data/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, &Options{Mode: c.mode}, nil)
			aux, scratch := l.stageRehearsal()
			if c.mode == ModeRMAN {
				l.rmanHistory(1)
			} else {
				l.history(1)
			}
			before := l.files()
			c.wrong(t, l, filepath.Join(scratch, rehearsalPrefix+"AUX"))
			_, err := l.rehearse(backup.Target{}, scratch, nil)
			require.Error(t, err)
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
			}
			assert.ErrorContains(t, err, c.names)
			if name != "damage at the target" { // there is nothing to be done about it here
				assert.NotEmpty(t, backup.Hint(err))
			}
			assert.Equal(t, oraclesim.Down, aux.State())
			assert.Empty(t, leftovers(t, scratch))
			assert.Equal(t, before, l.files())
		})
	}
}

// What blocks say of themselves is right, and RMAN finds them wrong all the same: the list of it is read, since VALIDATE does not fail.
func TestARehearsalReadsWhatVALIDATEFound(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	aux, scratch := l.stageRehearsal()
	l.history(1)
	l.during("VALIDATE CHECK LOGICAL DATABASE", func() { flip(t, filepath.Join(scratch, rehearsalPrefix+"AUX", "users01.dbf"), 20*8192+100) })
	_, err := l.rehearse(backup.Target{}, scratch, nil)
	require.ErrorIs(t, err, backup.ErrCorrupt)
	assert.ErrorContains(t, err, "VALIDATE CHECK LOGICAL")
	assert.ErrorContains(t, err, "users01.dbf")
	assert.Equal(t, oraclesim.Down, aux.State())
}

func TestARehearsalWithoutRMANSaysSo(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	_, scratch := l.stageRehearsal()
	l.opt.RMAN = filepath.Join(l.dir, "no", "rman")
	l.history(1)
	notes, err := l.rehearse(backup.Target{}, scratch, nil)
	require.NoError(t, err)
	assert.Contains(t, notes["logical check"], "not done")
}

func TestARehearsalLeavesOtherInstancesAlone(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	aux, scratch := l.stageRehearsal()
	truth := l.history(1)
	pfile := filepath.Join(l.dir, "other.ora")
	require.NoError(t, os.WriteFile(pfile, []byte("*.db_name='OTHER'\n*.control_files='"+filepath.Join(l.dir, "other.ctl")+"'\n"), 0o600))
	res := aux.RunProgram(t.Context(), oraclesim.Call{Args: []string{"sqlplus", "/ as sysdba"}, Input: "WHENEVER SQLERROR EXIT FAILURE\nSTARTUP NOMOUNT PFILE='" + pfile + "'\n"})
	require.Zero(t, res.Exit, res.Output)
	_, err := l.rehearse(backup.Target{}, scratch, nil)
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.ErrorContains(t, err, "other.ctl")
	assert.Equal(t, oraclesim.Started, aux.State(), "somebody else's")
	assert.Empty(t, leftovers(t, scratch))
	for _, name := range []string{"ORCL", "orcl"} {
		l.opt.Auxiliary = name
		_, err = l.rehearse(backup.Target{}, scratch, nil)
		require.ErrorIs(t, err, backup.ErrRefused, name)
	}
	assert.Equal(t, oraclesim.Open, l.sim.State())
	assert.Len(t, l.contents(), len(truth))
}

func TestOneRehearsalAtATime(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	_, scratch := l.stageRehearsal()
	l.history(1)
	_, lock, err := lockRehearsal(scratch, "AUX")
	require.NoError(t, err)
	_, err = l.rehearse(backup.Target{}, scratch, nil)
	require.ErrorIs(t, err, backup.ErrBusy)
	require.NoError(t, lock.Release())
	_, err = l.rehearse(backup.Target{}, scratch, nil)
	require.NoError(t, err)
}

// Statements of the copy that delete files are not sent where the files of the original may be.
func TestARehearsalCannotReachTheOriginal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(c *oraclesim.Config)
		with   func(l *lab)
	}{
		"managed files": {func(c *oraclesim.Config) { c.ManagedFiles = true }, func(*lab) {}},
		"block change tracking": {nil, func(l *lab) {
			l.exec("ALTER DATABASE ENABLE BLOCK CHANGE TRACKING USING FILE '" + filepath.Join(l.dir, "server", "track") + "'")
		}},
		"flashback": {nil, func(l *lab) { l.exec("ALTER DATABASE FLASHBACK ON") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nil, c.change)
			aux, scratch := l.stageRehearsal()
			c.with(l)
			l.history(1)
			before := l.files()
			_, err := l.rehearse(backup.Target{}, scratch, nil)
			require.ErrorIs(t, err, backup.ErrRefused)
			assert.Contains(t, backup.Hint(err), "method=validate")
			assert.Equal(t, before, l.files())
			assert.Equal(t, oraclesim.Down, aux.State())
			assert.Empty(t, leftovers(t, scratch))

			// On a machine that does not have them it is rehearsed.
			require.NoError(t, l.sim.Shutdown(false))
			require.NoError(t, os.Rename(filepath.Join(l.dir, "server"), filepath.Join(l.dir, "away")))
			notes, err := l.rehearse(backup.Target{}, scratch, nil)
			require.NoError(t, err)
			assert.NotEmpty(t, notes["opened"])
		})
	}
}

// The copy goes by a name of its own, nobody finds it, and nothing it writes is outside.
func TestParametersOfTheAuxiliaryInstance(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	_, scratch := l.stageRehearsal()
	l.history(1)
	var text string
	l.during("STARTUP", func() {
		b, err := os.ReadFile(filepath.Join(scratch, rehearsalPrefix+"AUX", "restore", "init.ora"))
		require.NoError(t, err)
		text = string(b)
	})
	_, err := l.rehearse(backup.Target{}, scratch, map[string]string{"parameter:SGA_TARGET": "3G"})
	require.NoError(t, err)
	for _, want := range []string{"*.db_unique_name='AUX'", "*.local_listener='" + silent + "'", "*.job_queue_processes='0'", "*._system_trig_enabled='FALSE'", "*.sga_target='3G'", "*.dispatchers=''", "*.db_name='ORCL'"} {
		assert.Contains(t, text, want+"\n")
	}
	assert.NotContains(t, text, filepath.Join(l.dir, "server"))
	assert.NotContains(t, text, "db_recovery_file_dest")
	for key, value := range map[string]string{"parameter:control_files": "/x", "parameter:local_listener": "x", "parameter:sga_target": "1'", "to": "/x", "open": "resetlogs", "method": "hope", "elsewhere": "no"} {
		_, err := l.rehearse(backup.Target{}, scratch, map[string]string{key: value})
		require.ErrorIs(t, err, backup.ErrOption, key)
	}
	_, err = l.rehearse(backup.Target{}, "relative", nil)
	require.ErrorIs(t, err, backup.ErrOption)
	_, err = l.rehearse(backup.Target{}, filepath.Join(l.dir, "not there"), nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	l.opt.Auxiliary = ""
	_, err = l.rehearse(backup.Target{}, scratch, map[string]string{"method": "auxiliary"})
	require.ErrorIs(t, err, backup.ErrOption)
}

func TestARehearsalByValidation(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{"local": {}, "sets": {Mode: ModeRMAN}, "copies": {Mode: ModeRMAN, RMANFormat: RMANCopy}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, &o, nil)
			_, scratch := l.stageRehearsal()
			l.opt.Auxiliary = ""
			var truth []oraclesim.Record
			if o.Mode == ModeRMAN {
				truth = l.rmanHistory(1)
			} else {
				truth = l.history(1)
			}
			known := l.knownNames()
			notes, err := l.rehearse(backup.Target{}, scratch, nil)
			require.NoError(t, err)
			assert.Equal(t, "validate", notes["method"])
			assert.NotEmpty(t, notes["preview"])
			assert.NotEmpty(t, notes["data files"])
			assert.Empty(t, leftovers(t, scratch))
			assert.Equal(t, known, l.knownNames(), "RMAN knows what it knew")
			assert.Len(t, l.contents(), len(truth))

			// Damage in a piece is found by RMAN, and named.
			if o.Mode == ModeRMAN {
				l.during("RESTORE DATABASE", func() {
					all, err := filepath.Glob(filepath.Join(scratch, rehearsalPrefix+"*", "restore", "pieces", "*"))
					require.NoError(t, err)
					for _, path := range all {
						flip(t, path, -100)
					}
				})
				_, err = l.rehearse(backup.Target{}, scratch, nil)
				require.ErrorIs(t, err, backup.ErrCorrupt)
				assert.ErrorContains(t, err, scratch)
				assert.Empty(t, leftovers(t, scratch))
				assert.Equal(t, known, l.knownNames())
			}
		})
	}
}

// knownNames are all backups that the control file knows.
func (l *lab) knownNames() (out []string) {
	l.t.Helper()
	src := l.source()
	require.NoError(l.t, src.with(l.t.Context(), func(c *session) error {
		for _, query := range []string{"SELECT NAME FROM V$DATAFILE_COPY WHERE DELETED = 'NO'", "SELECT HANDLE AS NAME FROM V$BACKUP_PIECE WHERE DELETED = 'NO'", "SELECT NAME FROM V$ARCHIVED_LOG WHERE DELETED = 'NO'"} {
			if err := c.each(l.t.Context(), query, func(r row) { out = append(out, r.text("NAME")) }); err != nil {
				return err
			}
		}
		return nil
	}))
	return out
}

func TestAValidationOfAnotherIncarnationIsRefused(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	aux, scratch := l.stageRehearsal()
	l.history(1)
	p, plan := l.planned(backup.Target{})
	l.lose()
	require.NoError(t, l.restore(backup.Target{}, false, with(open, "execute", "sqlplus")))
	err := p.Rehearse(t.Context(), plan, scratch, backup.RestoreOptions{Options: map[string]string{"method": "validate"}})
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.ErrorContains(t, err, "incarnation")
	assert.ErrorContains(t, err, string(plan.Steps[0].ID))
	require.NoError(t, p.Rehearse(t.Context(), plan, scratch, backup.RestoreOptions{}), "the auxiliary instance needs no database")
	assert.Equal(t, oraclesim.Down, aux.State())
}

// Logs of another incarnation do not go with the data files: the server says so, and the file is named.
func TestARehearsalWithLogsOfAnotherIncarnation(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	_, scratch := l.stageRehearsal()
	l.history(1)
	l.lose()
	require.NoError(t, l.restore(backup.Target{}, false, with(open, "execute", "sqlplus")))
	l.commit("of the other incarnation")
	l.exec("ALTER SYSTEM ARCHIVE LOG CURRENT")
	var other []byte
	for _, path := range l.archived() {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		other = b // the last is the youngest
	}
	_, plan := l.planned(backup.Target{})
	l.during("ALTER DATABASE RECOVER DATABASE", func() {
		all, err := filepath.Glob(filepath.Join(scratch, rehearsalPrefix+"AUX", "restore", "arch", "*"))
		require.NoError(t, err)
		for _, path := range all {
			require.NoError(t, os.WriteFile(path, other, 0o600))
		}
	})
	p := l.pipeline()
	err := p.Rehearse(t.Context(), plan, scratch, backup.RestoreOptions{})
	require.Error(t, err)
	assert.ErrorContains(t, err, "restore/arch/")
	assert.NotEmpty(t, backup.Hint(err))
	assert.Empty(t, leftovers(t, scratch))
}
