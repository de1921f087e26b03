package oracle

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sijms/go-ora/v2/network"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

// mute is a connection of a server that never answers: a call, and the farewell, end when the connection is closed.
type mute struct{ hung chan struct{} }

func (m *mute) hangUp() { close(m.hung) }

func (m *mute) Prepare(string) (driver.Stmt, error) { return nil, errors.New("not used") }
func (m *mute) Begin() (driver.Tx, error)           { return nil, errors.New("not used") }

func (m *mute) Close() error {
	<-m.hung
	return nil
}

// ExecContext waits for the answer of the server, whatever becomes of the context, as go-ora does.
func (m *mute) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	<-m.hung
	return nil, &net.OpError{Op: "read", Err: net.ErrClosed}
}

type muteConnector struct{ m *mute }

func (c muteConnector) Connect(context.Context) (driver.Conn, error) { return c.m, nil }
func (c muteConnector) Driver() driver.Driver                        { return nil }

func TestAServerThatNeverAnswersIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &mute{hung: make(chan struct{})}
		s, err := FromDB(sql.OpenDB(muteConnector{m}), &Options{StateDir: "/state"})
		require.NoError(t, err)
		defer s.Close()
		c, err := s.open(t.Context())
		require.NoError(t, err)
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("the operator went home")
		time.AfterFunc(time.Hour, func() { cancel(why) }) // it may be silent for as long as nobody minds
		began := time.Now()
		err = c.exec(ctx, "ALTER DATABASE BEGIN BACKUP")
		require.ErrorIs(t, err, why)
		assert.Equal(t, doubtful, outcomeOf(err), "nobody knows whether it was carried out")
		assert.Equal(t, time.Hour+grace, time.Since(began))
		c.close()
	})
}

func TestAFarewellThatIsNotAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &mute{hung: make(chan struct{})}
		s, err := FromDB(sql.OpenDB(muteConnector{m}), &Options{StateDir: "/state"})
		require.NoError(t, err)
		defer s.Close()
		c, err := s.open(t.Context())
		require.NoError(t, err)
		began := time.Now()
		c.close()
		c.close()
		assert.Equal(t, grace, time.Since(began))
	})
}

func TestClasses(t *testing.T) {
	t.Parallel()
	ora := func(code int, text string) error { return &network.OracleError{ErrCode: code, ErrMsg: text} }
	for _, c := range []struct {
		err  error
		want class
	}{
		{ora(1142, "ORA-01142: cannot end online backup"), classHarmless}, {ora(1140, ""), classHarmless}, {ora(1199, ""), classHarmless},
		{ora(1146, ""), classConfiguration}, {ora(1123, ""), classConfiguration}, {ora(22288, ""), classConfiguration}, {ora(1031, ""), classConfiguration},
		{ora(1033, ""), classRetry}, {ora(257, ""), classRetry}, {ora(3113, ""), classRetry}, {driver.ErrBadConn, classRetry},
		{ora(328, ""), classChain}, {ora(4711, ""), classNone}, {errors.New("x"), classNone}, {nil, classNone},
		{ora(604, "ORA-00604: error occurred\nORA-01142: cannot end"), classHarmless},
	} {
		assert.Equal(t, c.want, classify(c.err), "%v", c.err)
	}
	assert.Equal(t, []int{1113, 1110}, codes(ora(1113, "ORA-01113: file 4 needs media recovery\nORA-01110: data file 4: '/u01/users01.dbf'")))
	for n := range 30000 {
		if text := adviceFor(n); text != "" {
			assert.NotContains(t, text, "\n")
			assert.Less(t, len(text), 260, "ORA-%05d", n)
		}
	}
}

func TestErrorsLeaveOutWhatTheDriverAdds(t *testing.T) {
	t.Parallel()
	s := &Source{instance: "db1"}
	cause := &network.OracleError{ErrCode: 1146, ErrMsg: "ORA-01146: cannot start online backup - file 4 is already in backup\nORA-01110: data file 4: '/u01/users01.dbf'\n"}
	err := s.fail(t.Context(), "put into backup mode", "tablespace USERS", cause)
	assert.EqualError(t, err, "oracle: put into backup mode db1 tablespace USERS: ORA-01146: cannot start online backup - file 4 is already in backup\nORA-01110: data file 4: '/u01/users01.dbf'")
	var have *network.OracleError
	assert.ErrorAs(t, err, &have)
	assert.Contains(t, backup.Hint(err), "somebody else")
}

func TestAReadThatLosesItsSessionGoesOnOverAnother(t *testing.T) {
	t.Parallel()
	l := newLab(t, &Options{Mode: ModeRemote, Connections: 3, ChunkSize: 64 << 10}, nil)
	var reads atomic.Int32
	l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
		if m == oraclesim.Before && s.Text == blockRead {
			if reads.Add(1)%10 == 3 {
				return oraclesim.ErrKillSession
			}
		}
		return nil
	})
	l.look(l.take(backup.Full))
}

func TestWhatBFILECannotRead(t *testing.T) {
	t.Parallel()
	l := newLab(t, &Options{Mode: ModeRemote}, nil)
	link := filepath.Join(l.dir, "link")
	require.NoError(t, os.Symlink(l.opt.ScratchDir, link))
	l.opt.ScratchDir = link
	err := l.fails(backup.Full)
	assert.ErrorContains(t, err, "soft link in path")
	assert.Contains(t, backup.Hint(err), "symbolic link")

	r := newRemote(l.source(), "lab")
	defer r.close(t.Context())
	_, err = r.size(t.Context(), filepath.Join(l.dir, "server", "nothing"))
	assert.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, r.close(t.Context()))
	l.noDirectories()
}

func TestDirectoriesThatAnAdministratorMade(t *testing.T) {
	t.Parallel()
	l := newLab(t, &Options{Mode: ModeRemote}, nil)
	folder := filepath.Join(l.dir, "server", "arch")
	l.exec(`CREATE OR REPLACE DIRECTORY "ARCHIVED" AS ` + quoteText(folder))
	l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
		if m == oraclesim.Before && strings.HasPrefix(s.Text, "CREATE OR REPLACE DIRECTORY") {
			return &network.OracleError{ErrCode: oraNoRights, ErrMsg: "ORA-01031: insufficient privileges"}
		}
		return nil
	})
	r := newRemote(l.source(), "lab")
	directory, name, err := r.locate(t.Context(), filepath.Join(folder, "1_1.arc"))
	require.NoError(t, err)
	assert.Equal(t, [2]string{"ARCHIVED", "1_1.arc"}, [2]string{directory, name})
	_, _, err = r.locate(t.Context(), filepath.Join(l.dir, "elsewhere", "x"))
	require.Error(t, err)
	assert.NotEmpty(t, backup.Hint(err))
	require.NoError(t, r.close(t.Context()))
	assert.Empty(t, l.ran("DROP DIRECTORY"), "what others made stays")
}

// CREATE ANY DIRECTORY comes without DROP ANY DIRECTORY: what stays is no reason to fail, in this run or the next.
func TestDirectoriesThatMayNotBeDropped(t *testing.T) {
	t.Parallel()
	l := newLab(t, &Options{Mode: ModeRemote}, nil)
	l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
		if m == oraclesim.Before && strings.HasPrefix(s.Text, "DROP DIRECTORY") {
			return &network.OracleError{ErrCode: oraNoRights, ErrMsg: "ORA-01031: insufficient privileges"}
		}
		return nil
	})
	l.commit("one")
	for _, kind := range []backup.Kind{backup.Full, backup.Log} {
		m := l.take(kind)
		assert.Equal(t, kind, m.Items[0].Kind, m.Items[0].Reason)
		assert.Contains(t, strings.Join(m.Warnings, "\n"), "DIRECTORY")
	}
	l.hooked(nil)
	l.take(backup.Log)
	l.noDirectories()
}

// A file that leaves backup mode between the look at V$BACKUP and the copy is told by its own blocks.
func TestAFileThatLeavesBackupModeBeforeItIsRead(t *testing.T) {
	t.Parallel()
	l := newLab(t, &Options{Files: 1}, nil)
	begun := false
	l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
		if m != oraclesim.After {
			return nil
		}
		if begun && strings.Contains(s.Text, "V$BACKUP") {
			l.hooked(nil)
			l.exec(`ALTER TABLESPACE "USERS" END BACKUP`)
		}
		begun = begun || s.Text == `ALTER TABLESPACE "USERS" BEGIN BACKUP`
		return nil
	})
	err := l.fails(backup.Full)
	require.ErrorIs(t, err, backup.ErrCorrupt)
	assert.ErrorContains(t, err, "fractured", "redo does not repair such a block outside backup mode")
}

func TestRemoteReadingSpreadsOverItsSessions(t *testing.T) {
	t.Parallel()
	l := newLab(t, &Options{Mode: ModeRemote, Connections: 3, ChunkSize: 64 << 10, Files: 1}, nil)
	var mu sync.Mutex
	at, most := 0, 0
	both := sync.NewCond(&mu)
	l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
		if s.Text != blockRead || m != oraclesim.Before {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if at++; at > most {
			most = at
		}
		both.Broadcast()
		for most < 3 { // the first reads wait for each other: one session alone would never get here
			both.Wait()
		}
		at--
		return nil
	})
	l.take(backup.Full)
	assert.Equal(t, 3, most)
}

func TestAPoolThatIsTooSmall(t *testing.T) {
	t.Parallel()
	l := newLab(t, &Options{Mode: ModeRemote}, nil)
	db := l.sim.OpenDB(l.login)
	defer db.Close()
	db.SetMaxOpenConns(5)
	_, err := FromDB(db, &l.opt)
	assert.ErrorContains(t, err, "allows 5 connections")
}
