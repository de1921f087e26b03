package oracle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

// A restore that dies at whatever statement, or an instance that does, is taken up by the next attempt, without overwriting; the other tablespace is in use all the time.
func TestDeathAtEveryStatementOfARepair(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]map[string]error{
		"sql":     {"session": oraclesim.ErrKillSession, "instance": oraclesim.ErrKillInstance, "refusal": errors.New("no")},
		"sqlplus": {"instance": oraclesim.ErrKillInstance},
	} {
		for what, fault := range faults {
			how, moment := map[string]string{"execute": name}, oraclesim.After
			if what == "refusal" {
				moment = oraclesim.Before // the server says no, and does nothing
			}
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				l := newLab(t, nil, func(c *oraclesim.Config) {
					twoSpaces(c)
					c.Blocks = 8
				})
				l.programs()
				l.busy("before")
				l.take(backup.Full)
				l.busy("between")
				l.take(backup.Log)
				l.remove(l.archived()...)
				failed, offline, meanwhile := 0, 0, 0
				for n := 1; ; n++ {
					require.Less(t, n, 1000)
					l.remove(l.filesOf("USERS")...)
					seen, struck := 0, false
					l.hooked(func(_ oraclesim.Statement, m oraclesim.Moment) error {
						if m == oraclesim.Before {
							seen++
						}
						if seen == n && m == moment && !struck {
							struck = true
							return fault
						}
						return nil
					})
					err := l.restore(only("USERS"), false, how)
					l.hooked(nil)
					if !struck {
						require.NoError(t, err)
						break
					}
					if l.sim.State() == oraclesim.Down {
						// With files that are lost and not offline the database opens no more: an administrator takes them offline.
						l.reopen()
					}
					// A database does not go on for long with files that are lost and not offline: then the loss itself stops it.
					_, cerr := l.sim.Commit("SALES", fmt.Sprint("meanwhile ", n))
					if !l.lostOnline("USERS") {
						require.NoError(t, cerr, "statement %d", n)
						meanwhile++
					}
					if err != nil {
						failed++
						if _, cerr := l.sim.Commit("USERS", "x"); cerr != nil {
							offline++
						}
						err = l.restore(only("USERS"), false, how)
						if !errors.Is(err, backup.ErrExists) { // the statement that failed was the last, and was carried out
							require.NoError(t, err, "statement %d", n)
						}
					}
					l.commit(fmt.Sprint("whole again ", n))
					l.noTemporary()
				}
				assert.Positive(t, failed)
				assert.Positive(t, offline)
				assert.Positive(t, meanwhile)
				rows := l.contents()
				for _, want := range []string{"before 0", "between 10", "whole again 1"} {
					assert.True(t, slices.Contains(rows, want), want)
				}
			})
		}
	}
}

// lostOnline reports whether a file of a tablespace is gone and the database does not know.
func (l *lab) lostOnline(space string) bool {
	l.t.Helper()
	lost := false
	require.NoError(l.t, l.source().with(l.t.Context(), func(s *session) error {
		return s.each(l.t.Context(), "SELECT NAME, STATUS FROM V$DATAFILE", func(r row) {
			if _, err := os.Stat(r.text("NAME")); missing(err) && r.text("STATUS") == "ONLINE" && slices.Contains(l.filesOf(space), r.text("NAME")) {
				lost = true
			}
		})
	}))
	return lost
}

// reopen starts the instance, with the data files of USERS offline where they keep it from opening.
func (l *lab) reopen() {
	l.t.Helper()
	if l.sim.Startup(oraclesim.Open) == nil {
		return
	}
	for _, f := range l.sim.Files() {
		if f.Tablespace == "USERS" {
			l.exec(fmt.Sprintf("ALTER DATABASE DATAFILE %d OFFLINE", f.No))
		}
	}
	l.exec("ALTER DATABASE OPEN")
}

func TestARepairThatIsCancelledLeavesNoRecovery(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, twoSpaces)
	l.busy("before")
	l.take(backup.Full)
	l.busy("after")
	truth := l.contents()
	l.remove(l.filesOf("USERS")...)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the operator went home")
	l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
		if m == oraclesim.Before && strings.Contains(s.Text, "RECOVER") {
			cancel(why)
		}
		return nil
	})
	p, plan := l.planned(only("USERS"))
	err := p.Restore(ctx, plan, backup.RestoreOptions{Options: map[string]string{"execute": "sql"}})
	l.hooked(nil)
	require.ErrorIs(t, err, why)
	assert.Zero(t, l.sim.Sessions())
	require.NoError(t, l.restore(only("USERS"), false, map[string]string{"execute": "sql"}))
	assert.Equal(t, truth, l.contents())
}
