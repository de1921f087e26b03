package oracle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

// death ends an agent at its n-th statement: that one, before or after the server has carried it out, is the last that reaches the server, and what the agent then does to its
// own files is undone, since a dead process does nothing.
type death struct {
	n      int
	moment oraclesim.Moment

	seen  int
	dead  bool
	state map[string][]byte
}

func (d *death) hook(t testing.TB, dir string) func(s oraclesim.Statement, m oraclesim.Moment) error {
	gone := fmt.Errorf("the process is dead: %w", io.ErrUnexpectedEOF)
	return func(_ oraclesim.Statement, m oraclesim.Moment) error {
		if d.dead {
			return gone
		}
		if m == oraclesim.Before {
			d.seen++
		}
		if d.seen == d.n && m == d.moment {
			d.dead, d.state = true, readDir(t, dir)
			return gone
		}
		return nil
	}
}

func readDir(t testing.TB, dir string) map[string][]byte {
	out := map[string][]byte{}
	all, err := os.ReadDir(dir)
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(t, err)
	}
	for _, e := range all {
		out[e.Name()], err = os.ReadFile(dir + "/" + e.Name())
		require.NoError(t, err)
	}
	return out
}

func writeDir(t testing.TB, dir string, files map[string][]byte) {
	require.NoError(t, os.RemoveAll(dir))
	require.NoError(t, os.MkdirAll(dir, 0o700))
	for name, text := range files {
		require.NoError(t, os.WriteFile(dir+"/"+name, text, 0o600))
	}
}

// An agent that dies at whatever statement of a backup leaves nothing that its next start does not end, and no log that was not saved is gone.
func TestDeathAtEveryStatement(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opt  Options
		kind backup.Kind
	}{
		"full":   {Options{Files: 1}, backup.Full},
		"whole":  {Options{Files: 1, WholeDatabase: true}, backup.Full},
		"remote": {Options{Files: 1, Mode: ModeRemote, Connections: 1, ChunkSize: 1 << 20}, backup.Full},
		"purge":  {Options{Files: 1, PurgeArchived: true}, backup.Log},
	} {
		for _, moment := range []oraclesim.Moment{oraclesim.Before, oraclesim.After} {
			t.Run(fmt.Sprintf("%s/%d", name, moment), func(t *testing.T) {
				t.Parallel()
				l := newLab(t, &c.opt, func(c *oraclesim.Config) { c.Blocks = 8 })
				l.take(backup.Full)
				active := 0
				step := 1
				if c.opt.Mode == ModeRemote {
					step = 7 // reading is many statements, of one kind
				}
				for n := 1; ; n += step {
					require.Less(t, n, 5000)
					l.commit(fmt.Sprint("row ", n))
					d := &death{n: n, moment: moment}
					l.hooked(d.hook(t, l.opt.StateDir))
					m, err := l.pipeline().Backup(t.Context(), c.kind)
					l.hooked(nil)
					if !d.dead {
						require.NoError(t, err)
						assert.Equal(t, c.kind, m.Items[0].Kind, m.Items[0].Reason)
						break
					}
					if err == nil {
						assert.Equal(t, c.kind, m.Items[0].Kind, "statement %d: no log was removed that is not saved: %s", n, m.Items[0].Reason)
					}
					writeDir(t, l.opt.StateDir, d.state)
					active += len(l.sim.InBackupMode())
					require.NoError(t, l.source().Recover(t.Context(), "lab", backup.History{}), "statement %d", n)
					require.Empty(t, l.sim.InBackupMode(), "statement %d", n)
				}
				if c.kind == backup.Full {
					assert.Positive(t, active, "some of these deaths left files in backup mode")
				}
				m := l.take(backup.Log)
				assert.Equal(t, backup.Log, m.Items[0].Kind, m.Items[0].Reason)
				assert.Empty(t, readDir(t, l.opt.StateDir), "no note is left")
				l.noDirectories()
			})
		}
	}
}

// noDirectories: no DIRECTORY object of ours is left.
func (l *lab) noDirectories() {
	l.t.Helper()
	require.NoError(l.t, l.source().with(l.t.Context(), func(c *session) error {
		return c.each(l.t.Context(), queryDirectories, func(r row) {
			assert.False(l.t, strings.HasPrefix(r.text("DIRECTORY_NAME"), defaultPrefix), r.text("DIRECTORY_NAME"))
		})
	}))
}

// A statement that the server carries out though its answer is lost, or that is broken off, ends in no backup mode, by the same process.
func TestASessionThatIsKilledAtEveryStatement(t *testing.T) {
	t.Parallel()
	for _, moment := range []oraclesim.Moment{oraclesim.Before, oraclesim.Inside, oraclesim.After} {
		t.Run(fmt.Sprint(moment), func(t *testing.T) {
			t.Parallel()
			l := newLab(t, &Options{Files: 1, WholeDatabase: true}, func(c *oraclesim.Config) { c.Blocks = 8 })
			failed := 0
			for n := 1; ; n++ {
				require.Less(t, n, 5000)
				seen, killed := 0, false
				l.hooked(func(_ oraclesim.Statement, m oraclesim.Moment) error {
					if m == oraclesim.Before {
						seen++
					}
					if seen == n && m == moment && !killed {
						killed = true
						return oraclesim.ErrKillSession
					}
					return nil
				})
				_, err := l.pipeline().Backup(t.Context(), backup.Full)
				l.hooked(nil)
				if seen < n {
					require.NoError(t, err)
					break
				}
				if err != nil {
					failed++
				}
				require.Empty(t, l.sim.InBackupMode(), "statement %d", n)
			}
			assert.Positive(t, failed)
			l.take(backup.Full)
		})
	}
}

func TestABackupThatIsCancelledAtEveryStatement(t *testing.T) {
	t.Parallel()
	l := newLab(t, &Options{Files: 1, WholeDatabase: true}, func(c *oraclesim.Config) { c.Blocks = 8 })
	why := errors.New("the operator went home")
	for n := 1; ; n++ {
		require.Less(t, n, 5000)
		ctx, cancel := context.WithCancelCause(t.Context())
		seen := 0
		l.hooked(func(_ oraclesim.Statement, m oraclesim.Moment) error {
			if m == oraclesim.Before {
				if seen++; seen == n {
					cancel(why)
				}
			}
			return nil
		})
		_, err := l.pipeline().Backup(ctx, backup.Full)
		l.hooked(nil)
		cancel(nil)
		if seen < n {
			require.NoError(t, err)
			break
		}
		require.Empty(t, l.sim.InBackupMode(), "statement %d", n)
	}
	l.take(backup.Full)
}

func TestACopyThatPanics(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	src := l.source()
	r := &run{s: src, req: backup.Request{Job: "lab", Log: discard()}}
	require.NoError(t, src.with(t.Context(), func(c *session) (err error) {
		r.inv, err = c.survey(t.Context())
		return err
	}))
	r.present = r.inv.DataFiles
	during := 0
	assert.Panics(t, func() {
		_ = r.hot(t.Context(), scope{}, func(map[int]backupState) error {
			during = len(l.sim.InBackupMode())
			panic("in the middle")
		})
	})
	assert.Positive(t, during)
	assert.Empty(t, l.sim.InBackupMode())
}

// The instance stops while files are in backup mode, and does not open before somebody ends that.
func TestAnInstanceThatCrashesInBackupMode(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	l.take(backup.Full)
	l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
		if m == oraclesim.After && s.Text == `ALTER TABLESPACE "USERS" BEGIN BACKUP` {
			return oraclesim.ErrKillInstance
		}
		return nil
	})
	err := l.fails(backup.Full)
	l.hooked(nil)
	assert.NotEmpty(t, backup.Hint(err))
	require.Error(t, l.sim.Startup(oraclesim.Open), "ORA-10873")
	err = l.source().Recover(t.Context(), "lab", backup.History{})
	require.Error(t, err, "the database is mounted")
	assert.Contains(t, backup.Hint(err), "ALTER DATABASE END BACKUP")
	assert.NotEmpty(t, l.sim.InBackupMode(), "only an administrator knows whether a file was put back")
	l.exec("ALTER DATABASE END BACKUP")
	l.exec("ALTER DATABASE OPEN")
	l.take(backup.Full)
	assert.Empty(t, readDir(t, l.opt.StateDir))
}

// An instance that dies at whatever statement of a run, before it was carried out, in its middle or after, is started again by its administrator, who ends backup mode where it
// stops the database from opening. The next start of the agent then finds nothing to do, no log that was not saved is gone, and the chain goes on.
func TestAnInstanceThatDiesAtEveryStatement(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opt  Options
		kind backup.Kind
	}{
		"full":   {Options{Files: 1}, backup.Full},
		"whole":  {Options{Files: 1, WholeDatabase: true}, backup.Full},
		"remote": {Options{Files: 1, Mode: ModeRemote, Connections: 1, ChunkSize: 1 << 20, WholeDatabase: true}, backup.Full},
		"purge":  {Options{Files: 1, PurgeArchived: true}, backup.Log},
	} {
		for _, moment := range []oraclesim.Moment{oraclesim.Before, oraclesim.Inside, oraclesim.After} {
			t.Run(fmt.Sprintf("%s/%d", name, moment), func(t *testing.T) {
				t.Parallel()
				l := newLab(t, &c.opt, func(c *oraclesim.Config) { c.Blocks = 8 })
				l.take(backup.Full)
				died, inBackup := 0, 0
				step := 1
				switch {
				case moment == oraclesim.Inside: // few statements have a middle
				case c.opt.Mode == ModeRemote:
					step = 7 // reading is many statements, of one kind
				case testing.Short():
					step = 5
				}
				for n := 1; ; n += step {
					require.Less(t, n, 5000)
					l.commit(fmt.Sprint("row ", n))
					seen, dead := 0, false
					l.hooked(func(_ oraclesim.Statement, m oraclesim.Moment) error {
						if m == moment {
							seen++
						}
						if seen == n && m == moment && !dead {
							dead = true
							return oraclesim.ErrKillInstance
						}
						return nil
					})
					m, err := l.pipeline().Backup(t.Context(), c.kind)
					l.hooked(nil)
					if !dead {
						require.NoError(t, err)
						assert.Equal(t, c.kind, m.Items[0].Kind, m.Items[0].Reason)
						break
					}
					died++
					if err == nil {
						assert.Equal(t, c.kind, m.Items[0].Kind, "statement %d: no log was removed that is not saved: %s", n, m.Items[0].Reason)
					}
					if l.opened() {
						inBackup++
					}
					require.NoError(t, l.source().Recover(t.Context(), "lab", backup.History{}), "statement %d", n)
					require.Empty(t, l.sim.InBackupMode(), "statement %d", n)
				}
				assert.Positive(t, died)
				if c.opt.WholeDatabase && step == 1 { // larger steps may miss the moments between
					assert.Positive(t, inBackup, "some of these deaths left files in backup mode")
				}
				m := l.take(backup.Log)
				assert.Equal(t, backup.Log, m.Items[0].Kind, m.Items[0].Reason)
				assert.Empty(t, readDir(t, l.opt.StateDir), "no note is left")
			})
		}
	}
}

// opened starts the instance as its administrator does, and tells whether backup mode had to be ended for it.
func (l *lab) opened() bool {
	l.t.Helper()
	require.Equal(l.t, oraclesim.Down, l.sim.State())
	err := l.sim.Startup(oraclesim.Open)
	if err == nil {
		return false
	}
	require.True(l.t, said(err, 10873), "%v", err)
	l.exec("ALTER DATABASE END BACKUP")
	l.exec("ALTER DATABASE OPEN")
	return true
}

// A connection that breaks for good while a file is read ends the run, and END BACKUP comes over a fresh one.
func TestARemoteCopyWhoseConnectionsBreak(t *testing.T) {
	t.Parallel()
	l := newLab(t, &Options{Mode: ModeRemote, Connections: 2, ChunkSize: 64 << 10}, nil)
	reading, inBackup := map[int]bool{}, 0
	var mu sync.Mutex
	l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
		if m != oraclesim.Before || s.Text != blockRead {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if len(l.sim.InBackupMode()) == 0 {
			return nil // SYSTEM's header is looked at first
		}
		inBackup++
		reading[s.Session] = true
		return oraclesim.ErrKillSession
	})
	err := l.fails(backup.Full)
	assert.True(t, lost(err), "%v", err)
	assert.NotEmpty(t, backup.Hint(err))
	l.hooked(nil)
	assert.Positive(t, inBackup)
	assert.Empty(t, l.sim.InBackupMode())
	assert.Empty(t, readDir(t, l.opt.StateDir))
	assert.Zero(t, l.sim.Sessions())
	l.noDirectories()
	for _, s := range l.sim.Statements() {
		if strings.HasSuffix(s.Text, "END BACKUP") {
			require.NoError(t, s.Err)
			assert.False(t, reading[s.Session], "it was sent on a session of its own")
		}
	}
	l.take(backup.Full)
}

// What another tool began after our process died stays, though a note of ours names the tablespace.
func TestANoteOfOursIsNoProofForOthers(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	d := &death{n: 1 << 30}
	l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
		if d.seen == 0 && m == oraclesim.Before && s.Text == `ALTER TABLESPACE "USERS" END BACKUP` {
			d.n, d.moment = 1, oraclesim.Before
		}
		if d.n == 1 {
			return d.hook(t, l.opt.StateDir)(s, m)
		}
		return nil
	})
	l.fails(backup.Full)
	l.hooked(nil)
	writeDir(t, l.opt.StateDir, d.state)
	require.NotEmpty(t, l.sim.InBackupMode())
	l.exec(`ALTER TABLESPACE "USERS" END BACKUP`) // an administrator did
	l.commit("time goes by")
	l.exec(`ALTER TABLESPACE "USERS" BEGIN BACKUP`) // another tool
	theirs := l.sim.InBackupMode()
	require.NoError(t, l.source().Recover(t.Context(), "lab", backup.History{}))
	assert.Equal(t, theirs, l.sim.InBackupMode())
}
