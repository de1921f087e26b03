package domino

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
)

// work writes to the databases, one transaction a second.
func (l *lab) work(r *rand.Rand, dbs []string, n int) {
	for range n {
		l.write(dbs[r.IntN(len(dbs))], fmt.Sprintf("document %d", r.IntN(12)), strings.Repeat(string(rune('a'+r.IntN(26))), 1+r.IntN(2500)))
		l.clock.pass(time.Second)
	}
}

// Full, logs, a new instance in between, and then 30 times, each compared with the ledger of what was written.
func TestRestoreToAnyTimeEqualsTheLedger(t *testing.T) {
	t.Parallel()
	for name, streaming := range map[string]bool{"staged": false, "streamed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(7, 11))
			l := newLab(t)
			dbs := []string{"names.nsf", "mail/a.nsf", "mail/b.nsf"}
			l.create(dbs...)
			l.work(r, dbs, 20)
			// Writers go on while databases are copied, so that there is change information.
			l.sim.SetFault(before("NSFBackupStop", func() error { return l.sim.Write(dbs[r.IntN(3)], "during", fmt.Sprint(r.IntN(1000))) }))
			j := l.job(streaming)
			full := j.take(backup.Full)
			begin := itemOf(t, full, itemLog).Window.To
			for i := range 6 {
				l.work(r, dbs, 25)
				if i == 3 {
					require.NoError(t, l.sim.Compact("mail/a.nsf"))
				}
				j.take(backup.Log)
			}
			l.sim.SetFault(nil)
			end := l.clock.now()
			h, err := j.History(t.Context())
			require.NoError(t, err)
			restored, moments := 0, 0
			for moments < 30 {
				at := begin.Add(time.Duration(r.Int64N(int64(end.Sub(begin))))).Truncate(tick)
				var pick []backup.Selection
				for _, db := range dbs {
					if h.Coverage(db).Contains(at) {
						pick = append(pick, backup.Selection{Name: db, As: fmt.Sprintf("restored/%d/%s", moments, db)})
					} else {
						assert.Equal(t, "mail/a.nsf", db, "the others have no gap at %s", at)
					}
				}
				require.NoError(t, j.restore(backup.Target{Time: at, Select: pick}, backup.RestoreOptions{}), "to %s", at)
				for _, p := range pick {
					want, ok := l.sim.At(p.Name, at)
					require.True(t, ok)
					got, err := l.sim.Read(p.As)
					require.NoError(t, err)
					require.Equal(t, want, got, "%s at %s", p.Name, at)
					restored++
				}
				moments++
			}
			assert.Greater(t, restored, 60)
			require.NoError(t, l.leavings())
		})
	}
}

// After a restore in place the databases are new instances; the next log run takes fulls of them by itself, and the chain goes on.
func TestLogRunAfterARestore(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("names.nsf", "mail/a.nsf")
	var warned []string
	j := l.jobTo(l.job(false).sink, false, func(e backup.Event) {
		if w, ok := e.(backup.Warning); ok {
			warned = append(warned, w.Text)
		}
	})
	j.take(backup.Full)
	l.write("mail/a.nsf", "k", "1")
	j.take(backup.Log)
	l.write("mail/a.nsf", "k", "2")
	require.NoError(t, j.restore(backup.Target{Select: named("mail/a.nsf")}, backup.RestoreOptions{Overwrite: true}))
	assert.Contains(t, strings.Join(warned, "\n"), "take one at once")
	all, err := l.sim.Read("mail/a.nsf")
	require.NoError(t, err)
	assert.Equal(t, "1", all["k"])

	m := j.take(backup.Log)
	assert.Equal(t, map[string]backup.Kind{"mail/a.nsf": backup.Full, itemLog: backup.Log}, kinds(m))
	l.write("mail/a.nsf", "k", "3")
	assert.Equal(t, map[string]backup.Kind{itemLog: backup.Log}, kinds(j.take(backup.Log)))
	require.NoError(t, j.restore(backup.Target{Select: []backup.Selection{{Name: "mail/a.nsf", As: "new.nsf"}}}, backup.RestoreOptions{}))
	all, err = l.sim.Read("new.nsf")
	require.NoError(t, err)
	assert.Equal(t, "3", all["k"])
}

// A window ends before the tick in which the log was copied: users may still write in it, and what they write has the same time. What the copy has of it comes back when no time is asked for.
func TestTheTickOfTheCopyIsNotOver(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 8, 0, 0, int(3*time.Millisecond), time.UTC)
	now := func() time.Time { return at }
	l := newLab(t, func(c *dominosim.Config) { c.Clock = now })
	l.opt.Now = now
	l.create("names.nsf")
	j := l.job(false)
	at = at.Add(time.Second)
	j.take(backup.Full) // the database and the log in one tick
	h, err := j.History(t.Context())
	require.NoError(t, err)
	moment := h.Coverage("names.nsf").Spans[0].From
	for name, when := range map[string]time.Time{"full.nsf": {}, "moment.nsf": moment} {
		require.NoError(t, j.restore(backup.Target{Time: when, Select: []backup.Selection{{Name: "names.nsf", As: name}}}, backup.RestoreOptions{}), name)
	}
	at = at.Add(time.Second)
	l.write("names.nsf", "k", "before")
	at = at.Add(time.Second)
	l.write("names.nsf", "k", "in the tick")
	l.sim.SetFault(before("NSFEndArchivingLogs", func() error { return l.sim.Write("names.nsf", "k", "in the tick, too late") }))
	m := j.take(backup.Log)
	l.sim.SetFault(nil)

	to := itemOf(t, m, itemLog).Window.To
	for name, when := range map[string]time.Time{"end.nsf": to, "latest.nsf": {}} {
		require.NoError(t, j.restore(backup.Target{Time: when, Select: []backup.Selection{{Name: "names.nsf", As: name}}}, backup.RestoreOptions{}))
	}
	want, ok := l.sim.At("names.nsf", to)
	require.True(t, ok)
	got, err := l.sim.Read("end.nsf")
	require.NoError(t, err)
	assert.Equal(t, want, got)
	assert.Equal(t, "before", got["k"])
	got, err = l.sim.Read("latest.nsf")
	require.NoError(t, err)
	assert.Contains(t, got["k"], "in the tick")
}
