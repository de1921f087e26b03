package oracle

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

// byHand restores backups as an administrator would, from nothing but their artifacts: the data files of the first, the control file of the last, the logs of all, up to an SCN.
func (l *lab) byHand(until SCN, all ...captured) {
	t := l.t
	t.Helper()
	first, last := all[0], all[len(all)-1]
	folder := t.TempDir()
	var logs []ArchivedLog
	for _, c := range all {
		logs = append(logs, c.Backup.Logs...)
		for _, log := range c.Backup.Logs {
			require.NoError(t, os.WriteFile(filepath.Join(folder, baseName(log.Artifact)), c.texts[log.Artifact], 0o600))
		}
	}
	l.sim.Crash()
	for _, d := range first.DataFiles {
		require.NoError(t, os.WriteFile(d.Name, first.texts[d.Artifact], 0o600))
	}
	for _, path := range last.ControlFiles {
		require.NoError(t, os.WriteFile(path, last.texts[last.Backup.Files[fileControl]], 0o600))
	}
	require.NoError(t, l.sim.Startup(oraclesim.Mounted))
	db := l.sim.OpenDB(oraclesim.Login{})
	defer db.Close()
	c, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer c.Close()
	l.feed(c, fmt.Sprintf("ALTER DATABASE RECOVER DATABASE UNTIL CHANGE %d USING BACKUP CONTROLFILE", until), folder, logs)
	_, err = c.ExecContext(t.Context(), "ALTER DATABASE OPEN RESETLOGS")
	require.NoError(t, err)
}

var wanted = regexp.MustCompile(`change (\d+) generated .* needed for thread (\d+)`)

// feed answers what recovery asks for: the log of a thread that holds a change. Its number is not always told [BRU 30.2].
func (l *lab) feed(c *sql.Conn, statement, folder string, logs []ArchivedLog) {
	l.t.Helper()
	for {
		_, err := c.ExecContext(l.t.Context(), statement)
		if err == nil {
			return
		}
		require.True(l.t, said(err, 279), "%v", err)
		m := wanted.FindStringSubmatch(err.Error())
		require.NotNil(l.t, m, err.Error())
		at := slices.IndexFunc(logs, func(g ArchivedLog) bool {
			change, nerr := strconv.ParseUint(m[1], 10, 64)
			return nerr == nil && strconv.Itoa(g.Thread) == m[2] && g.FirstSCN <= SCN(change) && SCN(change) < g.NextSCN
		})
		require.GreaterOrEqual(l.t, at, 0, "the backup lacks a log: %v", err)
		statement = "ALTER DATABASE RECOVER LOGFILE " + quoteText(filepath.Join(folder, baseName(logs[at].Artifact)))
	}
}

// What was taken while the database wrote all the time gives every state it promises.
func TestTheBackupsOfABusyDatabaseRestoreEveryMoment(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opt     Options
		threads int
	}{
		"tablespace by tablespace": {Options{}, 1}, "whole": {Options{WholeDatabase: true}, 1}, "remote": {Options{Mode: ModeRemote, ChunkSize: 64 << 10}, 1}, "two threads": {Options{}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, &c.opt, func(o *oraclesim.Config) {
				o.Threads, o.Tablespaces, o.Blocks = c.threads, []oraclesim.Tablespace{{Name: "USERS", Files: 2}, {Name: "SALES"}}, 60
			})
			var writes atomic.Int32 // of several sessions
			busy := func(oraclesim.Statement, oraclesim.Moment) error {
				n := int(writes.Add(1))
				if _, err := l.sim.CommitOn(1+n%c.threads, []string{"USERS", "SALES"}[n%2], fmt.Sprintf("%d %s", n, strings.Repeat("x", 50))); err != nil {
					return err
				}
				if n%5 == 0 {
					return l.sim.Checkpoint()
				}
				return nil
			}
			l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
				if m == oraclesim.Before && s.Program == "sql" && writes.Load() < 150 {
					return busy(s, m)
				}
				return nil
			})
			full := l.take(backup.Full)
			log := l.take(backup.Log)
			writes.Store(0) // once more
			second := l.take(backup.Full)
			last := l.take(backup.Log)
			l.hooked(nil)
			truth, err := l.sim.Contents()
			require.NoError(t, err)
			held := map[backup.ID]captured{}
			for _, m := range []*backup.Manifest{full, log, second, last} {
				held[m.ID] = l.look(m)
			}
			check := func(what string, until backup.Position, of ...*backup.Manifest) {
				n, err := ParsePosition(until)
				require.NoError(t, err)
				var steps []captured
				for _, m := range of {
					steps = append(steps, held[m.ID])
				}
				l.byHand(n, steps...)
				have, err := l.sim.Contents()
				require.NoError(t, err, what)
				want := []string{}
				for _, r := range truth {
					if SCN(r.SCN) < n {
						want = append(want, r.Text)
					}
				}
				got := []string{}
				for _, r := range have {
					got = append(got, r.Text)
				}
				assert.Equal(t, want, got, what)
			}
			end := func(m *backup.Manifest) backup.Position { return m.Items[0].End }
			require.Equal(t, backup.Log, last.Items[0].Kind, last.Items[0].Reason)
			check("the full alone", end(full), full)
			check("its log", end(log), full, log)
			check("the second full alone", end(second), second)
			check("the last log on the second full", end(last), second, last)
			check("over the second full, as if it were damaged", end(last), full, log, last)
			check("a time before the second full", end(second), full, log, last)
			for _, r := range truth {
				if p := SCN(r.SCN).Position(); r.SCN%9 == 0 && p >= end(full) && p < end(last) {
					check(fmt.Sprint("until ", r.SCN), p, full, log, last)
				}
			}
		})
	}
}
