package mssql

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
)

func only(name string) backup.Target {
	return backup.Target{Select: []backup.Selection{{Name: name}}}
}

// markedLab has a mark in the first of two logs, between records.
func markedLab(t *testing.T) *lab {
	t.Helper()
	l := newLab(t, nil)
	l.create(t, "shop", "one")
	l.backup(t, backup.Full)
	l.insert(t, "shop", "two")
	require.NoError(t, l.sim.Mark("shop", "upgrade", "marked"))
	l.insert(t, "shop", "three")
	l.backup(t, backup.Log)
	l.insert(t, "shop", "four")
	l.backup(t, backup.Log)
	l.heard.changes()
	return l
}

func TestRestoreToAMark(t *testing.T) {
	t.Parallel()
	for option, want := range map[string][]string{
		"stop_at_mark": {"one", "two", "marked"}, "stop_before_mark": {"one", "two"},
	} {
		t.Run(option, func(t *testing.T) {
			t.Parallel()
			l := markedLab(t)
			l.sim.DropDatabase("shop")
			require.NoError(t, l.restore(t, only("shop"), backup.RestoreOptions{Options: map[string]string{option: "upgrade"}}))
			l.holds(t, "shop", want...)
			assert.Len(t, l.heard.changes(), 3, "the log behind the mark is left out")
		})
	}
	l := markedLab(t)
	l.sim.DropDatabase("shop")
	err := l.restore(t, only("shop"), backup.RestoreOptions{Options: map[string]string{"stop_at_mark": "downgrade"}})
	require.ErrorIs(t, err, backup.ErrNoBackup)
	assert.Equal(t, "RESTORING", l.state(t, "shop").state, "it is not recovered to another point")
}

func TestRestoreToAPlaceInTheLog(t *testing.T) {
	t.Parallel()
	for where, want := range map[string][]string{
		"mark:upgrade": {"one", "two", "marked"}, "before-mark:upgrade": {"one", "two"},
	} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			l := markedLab(t)
			target, err := l.pipeline(t).Locate(t.Context(), only("shop"), where)
			require.NoError(t, err)
			l.sim.DropDatabase("shop")
			require.NoError(t, l.restore(t, target, backup.RestoreOptions{}))
			l.holds(t, "shop", want...)
			lsn, err := lsnOf(target.Position)
			require.NoError(t, err)
			assert.Contains(t, l.heard.changes()[1], "MARK = N'lsn:"+lsn.String()+"'")
		})
	}
	l := markedLab(t)
	target, err := l.pipeline(t).Locate(t.Context(), only("shop"), "before-mark:upgrade")
	require.NoError(t, err)
	lsn, err := lsnOf(target.Position)
	require.NoError(t, err)
	l.sim.DropDatabase("shop")
	require.NoError(t, l.restore(t, only("shop"), backup.RestoreOptions{Options: map[string]string{"stop_before_lsn": lsn.String()}}))
	l.holds(t, "shop", "one", "two")
	err = l.restore(t, only("shop"), backup.RestoreOptions{Overwrite: true, Options: map[string]string{"stop_before_lsn": "99000000011600037"}})
	require.ErrorIs(t, err, backup.ErrNoBackup)
	l.holds(t, "shop", "one", "two")
	_, err = l.pipeline(t).Locate(t.Context(), only("shop"), "mark:nothing")
	require.ErrorIs(t, err, backup.ErrNoBackup)
}

func TestStandby(t *testing.T) {
	t.Parallel()
	l, _ := shopLab(t, nil)
	l.sim.DropDatabase("shop")
	require.NoError(t, l.restore(t, only("shop"), backup.RestoreOptions{Options: map[string]string{"recovery": "standby", "standby_file": `S:\stage\shop.undo`}}))
	assert.True(t, l.state(t, "shop").standby)
	l.holds(t, "shop", "one", "two", "three", "four")
	require.NoError(t, l.restore(t, only("shop"), backup.RestoreOptions{}), "it is brought up later")
	d := l.state(t, "shop")
	assert.Equal(t, online, d.state)
	assert.False(t, d.standby)
}

func TestACertificateIsMissing(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	c := l.sim.AddCertificate(mssqlsim.Certificate{Name: "tde"})
	l.create(t, "shop", "one")
	require.NoError(t, l.sim.Encrypt("shop", "tde"))
	l.backup(t, backup.Full)
	l.sim.DropDatabase("shop")
	l.sim.RemoveCertificate("tde")
	l.heard.changes()
	err := l.restore(t, only("shop"), backup.RestoreOptions{})
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.ErrorContains(t, err, "is not in master")
	assert.Contains(t, backup.Hint(err), "CREATE CERTIFICATE")
	assert.Empty(t, l.heard.changes())
	l.sim.AddCertificate(c)
	require.NoError(t, l.restore(t, only("shop"), backup.RestoreOptions{}))
	l.holds(t, "shop", "one")
}

func TestDatabasesThatCannotGiveWay(t *testing.T) {
	t.Parallel()
	l, _ := shopLab(t, nil)
	require.NoError(t, l.sim.Snapshot("shop", "shop_snap"))
	err := l.restore(t, only("shop"), backup.RestoreOptions{Overwrite: true})
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.ErrorContains(t, err, "shop_snap")
	l.sim.DropDatabase("shop_snap")
	require.NoError(t, l.sim.JoinGroup("shop", mssqlsim.Replica{}))
	err = l.restore(t, only("shop"), backup.RestoreOptions{Overwrite: true})
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.ErrorContains(t, err, "availability group")
	assert.Empty(t, l.heard.changes())
}

func TestMasterOnASingleUserServer(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.create(t, "shop", "one")
	l.backup(t, backup.Full)
	l.sim.Restart(true)
	l.heard.changes()
	require.ErrorIs(t, l.restore(t, only("shop"), backup.RestoreOptions{Overwrite: true}), backup.ErrRefused)
	require.NoError(t, l.restore(t, only("master"), backup.RestoreOptions{Overwrite: true}))
	ran := l.heard.changes()
	require.Len(t, ran, 1)
	assert.Contains(t, ran[0], "RESTORE DATABASE [master] FROM")
	assert.Contains(t, ran[0], "REPLACE")
	assert.NotContains(t, ran[0], "NORECOVERY")
}

// listen makes the lab reachable by a DSN.
func (l *lab) listen(t testing.TB) string {
	t.Helper()
	at, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(func() { stop(); _ = at.Close() })
	go func() {
		for {
			conn, err := at.Accept()
			if err != nil {
				return
			}
			go func() { _ = l.server.ServeConn(ctx, conn) }()
		}
	}()
	return "sqlserver://sa:" + labSecret + "@" + at.Addr().String() + "?encrypt=disable"
}

// scratchOf is another server that sees the same stage.
func scratchOf(t *testing.T, l *lab) *lab {
	t.Helper()
	other := &lab{clock: l.clock, local: l.local, sink: l.sink, name: "SCRATCH"}
	require.NoError(t, other.start(other.sinkFolders()))
	t.Cleanup(func() { _ = other.src.Close() })
	return other
}

// names are the databases of a server without the system's.
func (l *lab) names(t testing.TB) (out []string) {
	t.Helper()
	c, err := l.src.open(t.Context())
	require.NoError(t, err)
	defer c.close()
	h := &host{}
	require.NoError(t, c.hostOfDatabases(t.Context(), h))
	for _, d := range h.databases {
		if !systemDatabase(d.name) && d.name != "tempdb" {
			out = append(out, d.name)
		}
	}
	return out
}

func TestRehearsal(t *testing.T) {
	t.Parallel()
	l, m := shopLab(t, nil)
	other := scratchOf(t, l)
	dsn := other.listen(t)
	require.NoError(t, other.sim.CreateDatabase("quiesce_rehearsal~lab~dead~1", mssqlsim.Simple))
	require.NoError(t, other.sim.CreateDatabase("quiesce_rehearsal~lab2~dead~1", mssqlsim.Simple))
	p := l.pipeline(t)
	plan, err := p.Plan(t.Context(), backup.Target{})
	require.NoError(t, err)
	require.NoError(t, p.Rehearse(t.Context(), plan, dsn, backup.RestoreOptions{}))
	assert.Equal(t, []string{"quiesce_rehearsal~lab2~dead~1"}, other.names(t), "its own and those of its dead are gone, others' stay")
	notes, err := p.ProofNotes(t.Context(), m[0].ID, backup.ProofRestored)
	require.NoError(t, err)
	assert.Contains(t, notes["database shop"], "restored from 3 backups in")
	assert.Contains(t, notes["database shop"], "DBCC CHECKDB found no errors")
	assert.NotEmpty(t, notes["duration"])
	assert.Contains(t, notes["server"], "SCRATCH")
	checks := 0
	for _, st := range other.heard.changes() {
		if strings.HasPrefix(st, "DBCC CHECKDB") {
			checks++
		}
	}
	assert.Equal(t, 1, checks, "shop; the system databases by name only")
	l.holds(t, "shop", "one", "two", "three", "four")
}

func TestARehearsalOnTheSameServerIsAskedFor(t *testing.T) {
	t.Parallel()
	l, _ := shopLab(t, nil)
	dsn := l.listen(t)
	p := l.pipeline(t)
	plan, err := p.Plan(t.Context(), only("shop"))
	require.NoError(t, err)
	require.ErrorIs(t, p.Rehearse(t.Context(), plan, dsn, backup.RestoreOptions{}), backup.ErrRefused)
	require.NoError(t, p.Rehearse(t.Context(), plan, dsn, backup.RestoreOptions{Options: map[string]string{"same_instance": "true"}}))
	assert.Equal(t, []string{"shop"}, l.names(t))
}

func TestARehearsalFindsDamageAndCleansUp(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.create(t, "shop", "one")
	l.backup(t, backup.Full)
	other := scratchOf(t, l)
	dsn := other.listen(t)
	p := l.pipeline(t)
	plan, err := p.Plan(t.Context(), only("shop"))
	require.NoError(t, err)
	other.heard.before = func(q string) {
		if name, ok := strings.CutPrefix(q, "DBCC CHECKDB (N'"); ok {
			name, _, _ = strings.Cut(name, "'")
			assert.NoError(t, other.sim.Corrupt(name))
		}
	}
	err = p.Rehearse(t.Context(), plan, dsn, backup.RestoreOptions{})
	require.ErrorIs(t, err, backup.ErrCorrupt)
	assert.ErrorContains(t, err, "DBCC CHECKDB")
	assert.Empty(t, other.names(t))

	ctx, cancel := context.WithCancelCause(t.Context())
	tired := errors.New("tired")
	other.heard.before = func(q string) {
		if strings.HasPrefix(q, "DBCC") {
			cancel(tired)
		}
	}
	require.ErrorIs(t, p.Rehearse(ctx, plan, dsn, backup.RestoreOptions{}), tired)
	assert.Empty(t, other.names(t), "dropped though cancelled")
	h, err := p.History(t.Context())
	require.NoError(t, err)
	assert.Less(t, h[0].Proof, backup.ProofRestored)
}

func TestVerifyWithoutAServer(t *testing.T) {
	t.Parallel()
	l, _ := shopLab(t, nil)
	p := l.pipeline(t)
	l.heard.down = true
	_, err := p.Verify(t.Context(), backup.VerifyOptions{Level: backup.ProofFormat})
	require.Error(t, err)
	require.NotErrorIs(t, err, backup.ErrCorrupt)
	assert.ErrorContains(t, err, "which only a server reads")
}
