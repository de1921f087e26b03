package domino

import (
	"fmt"
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
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	l := lodge(t)
	l.create("names.nsf", "mail/jürgen.nsf")
	var said []string
	for _, f := range l.source().Check(t.Context(), backup.StageDir{}) {
		require.NoError(t, f.Err, f.What)
		said = append(said, f.What)
	}
	for _, want := range []string{"2 databases to back up", "archive style", "extents of log", "can be opened and read"} {
		assert.Contains(t, strings.Join(said, "\n"), want)
	}
	l.tidy()
}

// Users write all the time, while databases are copied too. What is restored, to the end and to moments in between, is what the ledger says was there then.
func TestToAnyMoment(t *testing.T) {
	t.Parallel()
	for name, streaming := range map[string]bool{"staged": false, "streamed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := lodge(t)
			dbs := []string{"names.nsf", "mail/a.nsf", "mail/b.nsf"}
			l.create(dbs...)
			l.fill(0, dbs...)
			j := l.job(l.source(), backuptest.NewMemSink(), streaming)
			stop := l.busy(dbs)
			full := j.take(backup.Full)
			log, ok := full.Item(itemLog)
			require.True(t, ok)
			begin := log.Window.To
			for i := range 4 {
				l.fill(i, dbs...)
				if i == 2 {
					require.NoError(t, l.sim.Compact("mail/a.nsf"))
				}
				m := j.take(backup.Log)
				if i == 2 {
					require.Equal(t, backup.Full, kinds(m)["mail/a.nsf"], "its instance id is another one")
				}
			}
			stop()
			time.Sleep(2 * tick)
			end := time.Now()
			time.Sleep(2 * tick)
			j.take(backup.Log)
			j.kept()
			j.same("latest", dbs...)

			h, err := j.History(t.Context())
			require.NoError(t, err)
			moments := []time.Time{}
			for _, b := range h { // where one backup ends and the next begins is where something could be lost
				if it, ok := b.Item(itemLog); ok {
					moments = append(moments, it.Window.To)
				}
			}
			for r := rand.New(rand.NewPCG(7, 11)); len(moments) < 16; {
				moments = append(moments, begin.Add(time.Duration(r.Int64N(int64(end.Sub(begin))))))
			}
			restored := 0
			for n, at := range moments {
				var pick []backup.Selection
				for _, db := range dbs {
					if h.Coverage(db).Contains(at) {
						pick = append(pick, backup.Selection{Name: db, As: fmt.Sprintf("restored/%d/%s", n, db)})
					} else {
						assert.Equal(t, "mail/a.nsf", db, "the others have no gap at %s", at)
					}
				}
				require.NoError(t, j.restore(backup.Target{Time: at, Select: pick}, backup.RestoreOptions{}), "to %s", at)
				for _, p := range pick {
					want, ok := l.sim.At(p.Name, at)
					require.True(t, ok)
					equal(t, want, l.read(p.As), "%s at %s", p.Name, at)
					restored++
				}
			}
			assert.Greater(t, restored, 30)
			l.tidy()
		})
	}
}

// A restore in place, over a database that was damaged; and the proofs: format and rehearsal.
func TestInPlace(t *testing.T) {
	t.Parallel()
	l := lodge(t)
	dbs := []string{"names.nsf", "mail/jürgen.nsf"}
	l.create(dbs...)
	j := l.staged()
	j.take(backup.Full)
	l.fill(1, dbs...)
	j.take(backup.Log)
	_, err := j.Verify(t.Context(), backup.VerifyOptions{Level: backup.ProofFormat})
	require.NoError(t, err)
	want := l.read(dbs[1])
	require.NoError(t, l.sim.Corrupt(dbs[1]))
	require.NoError(t, j.restore(backup.Target{Select: named(dbs[1])}, backup.RestoreOptions{Overwrite: true}))
	assert.Equal(t, want, l.read(dbs[1]))
	l.tidy()
	m := j.take(backup.Log)
	assert.Equal(t, map[string]backup.Kind{dbs[1]: backup.Full, itemLog: backup.Log}, kinds(m), "a new instance is taken in full")
	rehearsed, err := j.Plan(t.Context(), backup.Target{})
	require.NoError(t, err)
	for range 2 { // the second time where something was before
		require.NoError(t, j.Rehearse(t.Context(), rehearsed, "rehearsal/of today", backup.RestoreOptions{}))
		assert.NoDirExists(t, filepath.Join(l.sim.DataDir(), "rehearsal"))
	}
	l.tidy()
}

// What is damaged or vanishes costs itself only, and comes back into the backup by itself.
func TestDamagedDatabase(t *testing.T) {
	t.Parallel()
	l := lodge(t)
	l.create("bad.nsf", "names.nsf", "mail/a.nsf")
	require.NoError(t, l.sim.Corrupt("bad.nsf"))
	j := l.staged()
	m, err := j.Backup(t.Context(), backup.Full)
	require.ErrorIs(t, err, backup.ErrPartial)
	require.Len(t, failed(m), 1)
	assert.Contains(t, failed(m)["bad.nsf"], "fixup")
	l.tidy()
	l.fill(1, "names.nsf", "mail/a.nsf")
	require.NoError(t, l.sim.Corrupt("bad.nsf")) // twice is not at all
	m = j.take(backup.Log)
	assert.Equal(t, backup.Full, kinds(m)["bad.nsf"])
	j.same("restored", "bad.nsf", "names.nsf", "mail/a.nsf")
}

// In circular and linear style there is no log to back up: fulls work, and say so.
func TestOtherStyles(t *testing.T) {
	t.Parallel()
	for name, style := range map[string]notes.LogStyle{"circular": notes.LogCircular, "linear": notes.LogLinear} {
		l := lodge(t, func(c *dominosim.Config) { c.Style = style })
		l.create("names.nsf")
		j := l.staged()
		m := j.take(backup.Full)
		assert.NotContains(t, kinds(m), itemLog, name)
		time.Sleep(3 * tick) // a full alone is rolled to the end of the tick after its beginning, with the log of the server
		l.write("names.nsf", "later", "than the full")
		_, err := j.Backup(t.Context(), backup.Log)
		require.ErrorIs(t, err, backup.ErrRefused, name)
		require.ErrorContains(t, err, name)
		assert.Contains(t, backup.Hint(err), "archive style", name)
		require.NoError(t, j.restore(backup.Target{Select: []backup.Selection{{Name: "names.nsf", As: "restored.nsf"}}}, backup.RestoreOptions{}), name)
		assert.Equal(t, map[string]string{"created": "names.nsf"}, l.read("restored.nsf"), name)
		l.tidy()
	}
}

// What an operator can have set up wrongly is named before anything is touched, with what to do.
func TestWrongSettings(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	for name, c := range map[string]struct {
		wrong     func(l *lab)
		say, hint string
	}{
		"no child":          {func(l *lab) { l.cmd.Path = filepath.Join(empty, "gone") }, "gone", "go build"},
		"no library":        {func(l *lab) { l.cmd.Library = filepath.Join(empty, "libnotes.so") }, "libnotes.so", "program directory"},
		"no program":        {func(l *lab) { l.cmd.Program = empty }, "libnotes", "program directory"},
		"no notes.ini":      {func(l *lab) { l.cmd.INI, l.cmd.Dir = filepath.Join(empty, "notes.ini"), empty }, "notes.ini", "notes.ini"},
		"not a library":     {func(l *lab) { l.cmd.Library = l.sim.IniPath() }, "notes.ini", "program directory"},
		"ID has a password": {func(l *lab) { l.cmd.Path = asking(l) }, "Enter passwo", "password"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := lodge(t)
			l.create("names.nsf")
			c.wrong(l)
			src := l.source()
			found := src.Check(t.Context(), backup.StageDir{})
			first := slices.IndexFunc(found, func(f backup.Finding) bool { return f.Err != nil })
			require.GreaterOrEqual(t, first, 0)
			require.ErrorContains(t, found[first].Err, c.say)
			assert.Contains(t, found[first].Hint, c.hint)
			if name != "no notes.ini" { // which says where the data is
				assert.Contains(t, found[first+1].What, "way offline", "what the machine would allow instead")
			}
			j := l.job(src, backuptest.NewMemSink(), false)
			_, err := j.Backup(t.Context(), backup.Full)
			require.ErrorContains(t, err, c.say)
			assert.Contains(t, backup.Hint(err), c.hint)
			h, err := j.History(t.Context())
			require.NoError(t, err)
			assert.Empty(t, h, "nothing is at the target")
			l.tidy()
		})
	}
}

// asking is a child in which Domino asks for the password of an ID, as it does of whoever is at the console.
func asking(l *lab) string {
	path := filepath.Join(l.dir, "asking")
	require.NoError(l, os.WriteFile(path, []byte("#!/bin/sh\nprintf 'Enter password (press the Esc key to abort): '\nread answer\n"), 0o700)) //nolint:gosec // it is run
	return path
}
