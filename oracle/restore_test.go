package oracle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

// TestMain makes the test binary the fake sqlplus when it is started by a link of that name with a socket in its environment.
func TestMain(m *testing.M) {
	if what := os.Getenv(mortalEnv); what != "" && os.Getenv(oraclesim.SocketVariable) == "" {
		if err := mortalMain(what); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	socket := os.Getenv(oraclesim.SocketVariable)
	if socket == "" {
		os.Exit(m.Run())
	}
	exit, err := oraclesim.Program(context.Background(), socket, os.Args, os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		exit = 1
	}
	os.Exit(exit)
}

// programs gives the agent a sqlplus and an rman that work on the simulated instance. Each call of them is a process, whose start takes so long under the race detector that the many tests with programs would take half an
// hour: -short leaves them out, but for the conformance suite.
func (l *lab) programs() {
	l.t.Helper()
	if testing.Short() {
		l.t.Skip("-short: sqlplus and rman are processes")
	}
	l.programsOf(l.sim.Listen)
}

// programsOf gives it those of a machine.
func (l *lab) programsOf(listen func(ctx context.Context, path string) (wait func(), err error)) {
	t := l.t
	t.Helper()
	dir, err := os.MkdirTemp("", "ora") // a socket has a short name
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	self, err := os.Executable()
	require.NoError(t, err)
	socket := filepath.Join(dir, "s")
	ctx, stop := context.WithCancel(context.Background())
	wait, err := listen(ctx, socket)
	require.NoError(t, err)
	t.Cleanup(func() { stop(); wait() })
	for name, option := range map[string]*string{"sqlplus": &l.opt.SQLPlus, "rman": &l.opt.RMAN} {
		link := filepath.Join(dir, name)
		require.NoError(t, os.Symlink(self, link))
		*option = filepath.Join(dir, name+".sh")
		require.NoError(t, os.WriteFile(*option, []byte(fmt.Sprintf("#!/bin/sh\n%s='%s' exec '%s' \"$@\"\n", oraclesim.SocketVariable, socket, link)), 0o700)) //nolint:gosec // a program
	}
}

// lose ends the instance and removes what a restore would put in place.
func (l *lab) lose() {
	l.t.Helper()
	files := l.sim.Files()
	l.sim.Crash()
	for _, f := range files {
		require.NoError(l.t, os.RemoveAll(f.Path))
	}
	require.NoError(l.t, l.loseRest())
}

func (l *lab) loseRest() error {
	server := filepath.Join(l.dir, "server")
	return errors.Join(os.RemoveAll(filepath.Join(server, "oradata", "control01.ctl")), os.RemoveAll(filepath.Join(server, "oradata", "ORCL", "control01.ctl")),
		os.RemoveAll(filepath.Join(server, "fra", "control02.ctl")), os.RemoveAll(filepath.Join(server, "oradata", "restore")), os.RemoveAll(filepath.Join(server, "oradata", "ORCL", "restore")))
}

func (l *lab) planned(to backup.Target) (*backup.Pipeline, *backup.RestorePlan) {
	l.t.Helper()
	p := l.pipeline()
	plan, err := p.Plan(l.t.Context(), to)
	require.NoError(l.t, err)
	return p, plan
}

func (l *lab) restore(to backup.Target, overwrite bool, options map[string]string) error {
	l.t.Helper()
	p, plan := l.planned(to)
	return p.Restore(l.t.Context(), plan, backup.RestoreOptions{Overwrite: overwrite, Options: options})
}

func (l *lab) contents() []string {
	l.t.Helper()
	all, err := l.sim.Contents()
	require.NoError(l.t, err)
	out := []string{}
	for _, r := range all {
		out = append(out, r.Text)
	}
	return out
}

// truth is the ledger.
func (l *lab) truth() []oraclesim.Record {
	l.t.Helper()
	all, err := l.sim.Contents()
	require.NoError(l.t, err)
	return all
}

func below(all []oraclesim.Record, in func(r oraclesim.Record) bool) []string {
	out := []string{}
	for _, r := range all {
		if in(r) {
			out = append(out, r.Text)
		}
	}
	return out
}

// history makes a full and three logs with commits around and between, and returns the ledger.
func (l *lab) history(threads int) []oraclesim.Record {
	n := 0
	write := func() {
		for range 6 {
			n++
			_, err := l.sim.CommitOn(1+n%threads, "USERS", fmt.Sprintf("row %d", n))
			require.NoError(l.t, err)
			if n%4 == 0 {
				require.NoError(l.t, l.sim.Checkpoint())
			}
		}
	}
	write()
	l.take(backup.Full)
	for range 3 {
		write()
		l.take(backup.Log)
	}
	return l.truth()
}

var open = map[string]string{"open": "resetlogs"}

func with(base map[string]string, more ...string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, base)
	for i := 0; i < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

func TestRestoreBringsBackEveryMoment(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		execute string
		threads int
		moved   bool
		// strict: an answer that is not the log asked for ends the recovery.
		strict bool
	}{
		"sql": {"sql", 1, false, false}, "sqlplus": {"sqlplus", 1, false, true}, "sqlplus elsewhere": {"sqlplus", 1, true, false}, "sql two threads": {"sql", 2, false, true},
		"sqlplus two threads": {"sqlplus", 2, false, false}, "sqlplus two threads strict": {"sqlplus", 2, false, true}, "sql elsewhere": {"sql", 2, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nil, func(o *oraclesim.Config) { o.Threads, o.RecoveryEndsOnError = c.threads, c.strict })
			l.programs()
			truth := l.history(c.threads)
			random := rand.New(rand.NewPCG(3, uint64(c.threads))) //nolint:gosec // a test
			first, last := l.window()
			rounds := 12
			if testing.Short() {
				rounds = 4 // each starts processes, which takes long under the race detector
			}
			for n := range rounds {
				options := with(open, "execute", c.execute)
				if c.moved {
					options["to"] = filepath.Join(l.dir, fmt.Sprint("moved", n))
				}
				to, in := backup.Target{}, func(r oraclesim.Record) bool { return true }
				switch at := first.Add(time.Duration(random.Int64N(int64(last.Sub(first))))); {
				case n == 0:
				case n%3 == 0:
					r := truth[6+random.IntN(len(truth)-6)]
					to = backup.Target{Position: SCN(r.SCN).Position(), After: n%2 == 0, Select: []backup.Selection{{Name: itemName}}}
					in = func(o oraclesim.Record) bool { return o.SCN < r.SCN || to.After && o.SCN == r.SCN }
				default:
					to = backup.Target{Time: at}
					in = func(r oraclesim.Record) bool { return r.At.Before(at.Truncate(time.Second)) }
				}
				if c.moved {
					l.sim.Crash()
				} else {
					l.lose()
				}
				if c.execute == "sql" {
					l.nomount(options["to"])
				}
				require.NoError(t, l.restore(to, false, options), "%+v", to)
				require.Equal(t, below(truth, in), l.contents(), "%+v", to)
				if c.moved {
					for _, f := range l.sim.Files() {
						assert.Equal(t, options["to"], filepath.Dir(f.Path))
					}
				}
			}
		})
	}
}

// nomount starts the instance as an operator does before execute=sql, who knows where the control files will be.
func (l *lab) nomount(to string) {
	l.t.Helper()
	if to == "" {
		require.NoError(l.t, l.sim.Startup(oraclesim.Started))
		return
	}
	controls := filepath.Join(to, "control01.ctl") + "','" + filepath.Join(to, "control02.ctl")
	path := filepath.Join(l.dir, filepath.Base(to)+".ora")
	require.NoError(l.t, os.WriteFile(path, []byte("*.db_name='ORCL'\n*.control_files='"+controls+"'\n*.log_archive_dest_1='LOCATION="+filepath.Join(to, "archived")+"'\n"), 0o600))
	l.sqlplus("WHENEVER SQLERROR EXIT FAILURE\nSTARTUP NOMOUNT PFILE='" + path + "'\n")
}

// window is from the full's end to the last log's.
func (l *lab) window() (from, to time.Time) {
	l.t.Helper()
	h, err := l.pipeline().History(l.t.Context())
	require.NoError(l.t, err)
	for _, m := range h {
		for _, it := range m.Items {
			if from.IsZero() || it.Window.To.Before(from) {
				from = it.Window.To
			}
			if it.Window.To.After(to) {
				to = it.Window.To
			}
		}
	}
	return from, to
}

func TestRestoreOverwritesOnlyWhenTold(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	l.programs()
	truth := l.history(1)
	l.commit("later")
	for _, execute := range []string{"none", "sqlplus"} {
		require.ErrorIs(t, l.restore(backup.Target{}, false, map[string]string{"execute": execute}), backup.ErrExists)
	}
	assert.Len(t, l.contents(), len(truth)+1)
	require.ErrorIs(t, l.restore(backup.Target{}, true, nil), backup.ErrRefused, "under an open database")
	err := l.restore(backup.Target{}, true, with(open, "execute", "sqlplus", "to", filepath.Join(l.dir, "copy")))
	require.ErrorIs(t, err, backup.ErrRefused, "the instance of another place is not ended")
	assert.Len(t, l.contents(), len(truth)+1)
	l.sim.Crash()
	require.ErrorIs(t, l.restore(backup.Target{}, false, nil), backup.ErrExists)
	require.NoError(t, l.sim.Startup(oraclesim.Open))
	assert.Len(t, l.contents(), len(truth)+1)
	require.NoError(t, l.restore(backup.Target{}, true, with(open, "execute", "sqlplus")))
	assert.Len(t, l.contents(), len(truth))
	l.sim.Crash()
	require.NoError(t, l.restore(backup.Target{}, true, nil), "files only, while the instance is down")
	assert.Equal(t, oraclesim.Down, l.sim.State())
}

func TestRestoreOfOtherShapes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		o      Options
		change func(c *oraclesim.Config)
		check  func(t *testing.T, l *lab)
	}{
		"containers":    {Options{}, func(c *oraclesim.Config) { c.PDBs = []string{"SHOP", "CRM"} }, nil},
		"managed names": {Options{}, func(c *oraclesim.Config) { c.ManagedFiles = true }, nil},
		"recovery area": {Options{}, func(c *oraclesim.Config) { c.ArchiveDests = []string{"USE_DB_RECOVERY_FILE_DEST"} }, nil},
		"left out": {Options{Exclude: []string{"SALES"}}, func(c *oraclesim.Config) {
			c.Tablespaces = []oraclesim.Tablespace{{Name: "USERS", Files: 3}, {Name: "SALES"}, {Name: "OLD", ReadOnly: true}}
		}, func(t *testing.T, l *lab) {
			src := l.source()
			require.NoError(t, src.with(t.Context(), func(s *session) error {
				return s.each(t.Context(), "SELECT NAME, STATUS FROM V$DATAFILE ORDER BY FILE#", func(r row) {
					assert.Equal(t, strings.Contains(r.text("NAME"), "sales"), r.text("STATUS") == "OFFLINE" || r.text("STATUS") == "RECOVER", r.text("NAME"))
				})
			}))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, &c.o, c.change)
			l.programs()
			truth := l.history(1)
			l.sim.Crash()
			require.NoError(t, l.restore(backup.Target{}, false, with(open, "execute", "sqlplus", "to", filepath.Join(l.dir, "copy"))))
			assert.Equal(t, below(truth, func(oraclesim.Record) bool { return true }), l.contents())
			if c.check != nil {
				c.check(t, l)
			}
		})
	}
}

func TestOneDataFileElsewhere(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	l.programs()
	truth := l.history(1)
	files := l.sim.Files()
	old, moved := files[len(files)-1].Path, filepath.Join(l.dir, "disk2", "users.dbf")
	l.lose()
	require.NoError(t, l.restore(backup.Target{}, false, with(open, "execute", "sqlplus", "move:"+old, moved)))
	assert.FileExists(t, moved)
	assert.NoFileExists(t, old)
	assert.Equal(t, below(truth, func(oraclesim.Record) bool { return true }), l.contents())
}

func TestRestoreRefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	l.history(1)
	l.lose()
	for _, options := range []map[string]string{{"execute": "hope"}, {"open": "yes"}, {"to": ""}, {"move:": "x"}, {"utc_offset": "CET"}, {"surprise": "1"}, {"move:/no/such.dbf": "/x"}} {
		require.ErrorIs(t, l.restore(backup.Target{}, false, options), backup.ErrOption, "%v", options)
	}
	require.NoError(t, l.sim.Startup(oraclesim.Started))
	require.NoError(t, l.restore(backup.Target{}, false, nil), "the default puts files in place")
	assert.Equal(t, oraclesim.Started, l.sim.State())
	require.ErrorContains(t, l.restore(backup.Target{}, true, map[string]string{"execute": "sqlplus"}), "sqlplus", "there is no such program")
}

func TestADamagedBackupReplacesNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	l.programs()
	truth := l.history(1)
	p, plan := l.planned(backup.Target{})
	keys := l.sink.Keys("")
	at := slices.IndexFunc(keys, func(k string) bool {
		return strings.Contains(k, string(plan.Steps[0].ID)) && strings.Contains(k, "/data/")
	})
	require.GreaterOrEqual(t, at, 0, "%v", keys)
	require.True(t, l.sink.Damage(keys[at], func(b []byte) []byte { b[len(b)/2] ^= 1; return b }))
	err := p.Restore(t.Context(), plan, backup.RestoreOptions{Overwrite: true, Options: with(open, "execute", "sqlplus")})
	require.ErrorIs(t, err, backup.ErrCorrupt)
	assert.Len(t, l.contents(), len(truth), "the database goes on")
	left, err := filepath.Glob(filepath.Join(l.dir, "server", "*", "*"+unplaced))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestADataFileYoungerThanTheFullIsMadeFromRedo(t *testing.T) {
	t.Parallel()
	for _, execute := range []string{"sql", "sqlplus"} {
		t.Run(execute, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nil, nil)
			l.programs()
			l.commit("one")
			l.take(backup.Full)
			l.commit("two")
			path := filepath.Join(l.dir, "server", "oradata", "users_late.dbf")
			made, err := l.sim.AddFile("USERS", path)
			require.NoError(t, err)
			for n := range 30 {
				l.commit(fmt.Sprint("row ", n))
			}
			l.take(backup.Log)
			truth := l.truth()
			require.FileExists(t, made)
			for _, to := range []backup.Target{{}, {Position: SCN(truth[len(truth)-1].SCN).Position(), Select: []backup.Selection{{Name: itemName}}}} {
				l.lose()
				require.NoError(t, os.RemoveAll(made))
				if execute == "sql" {
					l.nomount("")
				}
				require.NoError(t, l.restore(to, false, with(open, "execute", execute)))
				require.Equal(t, below(truth, func(r oraclesim.Record) bool { return to.Position == "" || SCN(r.SCN).Position() < to.Position }), l.contents())
				assert.FileExists(t, made)
			}
		})
	}
}

// fetched brings the files of a restore below the lab's directory, and returns the script that fits them.
func (l *lab) fetched(to backup.Target, options map[string]string) string {
	l.t.Helper()
	p, plan := l.planned(to)
	files := filepath.Join(l.dir, "fetched")
	require.NoError(l.t, p.Fetch(l.t.Context(), plan, files))
	var script bytes.Buffer
	require.NoError(l.t, p.Script(l.t.Context(), plan, backup.RestoreOptions{Options: with(options, "files", files)}, &script))
	return script.String()
}

// fetchedAndLost does so for the whole database, to its own place or another, and then loses it.
func (l *lab) fetchedAndLost(moved bool) (script string) {
	l.t.Helper()
	if !moved {
		script = l.fetched(backup.Target{}, open)
		l.lose()
		return script
	}
	script = l.fetched(backup.Target{}, with(open, "to", filepath.Join(l.dir, "other place")))
	l.sim.Crash()
	return script
}

// sqlplus carries a script out.
func (l *lab) sqlplus(script string) {
	l.t.Helper()
	res := l.sim.RunProgram(l.t.Context(), oraclesim.Call{Args: []string{"sqlplus", "/ as sysdba"}, Input: script})
	require.Zero(l.t, res.Exit, "%s\n%s", script, res.Output)
}

func TestTheScriptRestoresByItself(t *testing.T) {
	t.Parallel()
	for name, moved := range map[string]bool{"in place": false, "elsewhere": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nil, nil)
			truth := l.history(1)
			l.sqlplus(l.fetchedAndLost(moved))
			assert.Equal(t, below(truth, func(oraclesim.Record) bool { return true }), l.contents())
		})
	}
}

// What a restore leaves beside the files does the same.
func TestTheScriptLeftBesideTheFilesRuns(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	truth := l.history(1)
	l.lose()
	require.NoError(t, l.restore(backup.Target{}, false, open))
	found, err := filepath.Glob(filepath.Join(l.dir, "server", "oradata", "restore", scriptName))
	require.NoError(t, err)
	if len(found) == 0 {
		found, err = filepath.Glob(filepath.Join(l.dir, "server", "oradata", "*", "restore", scriptName))
		require.NoError(t, err)
	}
	require.Len(t, found, 1)
	text, err := os.ReadFile(found[0])
	require.NoError(t, err)
	l.sqlplus(string(text))
	assert.Equal(t, below(truth, func(oraclesim.Record) bool { return true }), l.contents())
}

// without restores with fewer logs than the backups have.
type without struct {
	*Source
	keep int
}

func (w without) Restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	c, err := w.plan(ctx, r, set)
	if err != nil {
		return err
	}
	p, err := w.putting(c, set, false)
	if err != nil {
		return err
	}
	if err := p.all(ctx, instance{}); err != nil {
		return err
	}
	c.logs = c.logs[:w.keep]
	if c.opt.execute == bySQL {
		return w.bySQL(ctx, c, set, false)
	}
	return w.bySQLPlus(ctx, c, set, false)
}

func TestAMissingLogIsNamedAndNothingIsOpened(t *testing.T) {
	t.Parallel()
	for _, execute := range []string{"sql", "sqlplus"} {
		t.Run(execute, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nil, nil)
			l.programs()
			l.history(1)
			l.lose()
			if execute == "sql" {
				l.nomount("")
			}
			p, err := backup.New(backup.Config{Job: "lab", Source: without{l.source(), 2}, Sink: l.sink})
			require.NoError(t, err)
			plan, err := p.Plan(t.Context(), backup.Target{})
			require.NoError(t, err)
			err = p.Restore(t.Context(), plan, backup.RestoreOptions{Options: with(open, "execute", execute)})
			require.ErrorIs(t, err, backup.ErrChainBroken)
			assert.ErrorContains(t, err, "recovery needs the log with SCN")
			assert.ErrorContains(t, err, "thread 1")
			assert.NotEmpty(t, backup.Hint(err))
			assert.Equal(t, oraclesim.Mounted, l.sim.State())
			assert.Zero(t, l.sim.Sessions())
		})
	}
}

func TestATargetBeforeTheClockChangedNeedsAnOffset(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	l.programs()
	l.commit("one")
	l.take(backup.Full)
	l.commit("two")
	l.clock.mu.Lock()
	at := l.clock.at.Add(time.Second)
	l.clock.at = l.clock.at.Add(2 * time.Second).In(time.FixedZone("", 3600))
	l.clock.mu.Unlock()
	l.commit("three")
	l.take(backup.Log)
	l.lose()
	to := backup.Target{Time: at}
	err := l.restore(to, false, with(open, "execute", "sqlplus"))
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.Contains(t, backup.Hint(err), "utc_offset")
	for offset, zone := range map[string]*time.Location{"+01:00": time.FixedZone("", 3600), "+02:00": time.FixedZone("", 7200)} {
		p, plan := l.planned(to)
		var script bytes.Buffer
		require.NoError(t, p.Script(t.Context(), plan, backup.RestoreOptions{Options: map[string]string{"utc_offset": offset}}, &script))
		assert.Contains(t, script.String(), "UNTIL TIME '"+at.In(zone).Format("2006-01-02:15:04:05")+"'")
	}
}

func TestPlacesInTheLog(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	truth := l.history(1)
	l.programs()
	p := l.pipeline()
	target := backup.Target{Select: []backup.Selection{{Name: itemName}}}
	to, err := p.Locate(t.Context(), target, fmt.Sprintf("scn:%d", truth[10].SCN))
	require.NoError(t, err)
	assert.Equal(t, SCN(truth[10].SCN).Position(), to.Position)
	for _, bad := range []string{"scn:", "scn:0", "sequence:1", "sequence:0/1", "lsn:3"} {
		_, err := p.Locate(t.Context(), target, bad)
		require.ErrorIs(t, err, backup.ErrOption, bad)
	}
	_, err = p.Locate(t.Context(), target, "sequence:1/9999")
	require.ErrorIs(t, err, backup.ErrNoBackup)
	to, err = p.Locate(t.Context(), target, "sequence:1/3")
	require.NoError(t, err)
	n, err := ParsePosition(to.Position)
	require.NoError(t, err)
	l.lose()
	require.NoError(t, l.restore(to, false, with(open, "execute", "sqlplus")))
	assert.Equal(t, below(truth, func(r oraclesim.Record) bool { return SCN(r.SCN) < n }), l.contents())
}
