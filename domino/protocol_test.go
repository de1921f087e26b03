package domino

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/domino/notes"
)

// overProtocol is a source that reaches the model as it reaches the child process, by the protocol of package notes.
func (l *lab) overProtocol(conns chan<- net.Conn) *capiSource {
	return l.over(func(ctx context.Context) (notes.API, error) {
		ours, theirs := net.Pipe()
		p := l.sim.Process()
		go func() {
			_ = notes.Serve(context.WithoutCancel(ctx), theirs, p) // the test ends it by closing the other side
			_ = p.Close()
		}()
		if conns != nil {
			conns <- ours
		}
		return notes.Connect(ctx, ours)
	})
}

func TestOverTheProtocol(t *testing.T) {
	t.Parallel()
	for name, stage := range map[string]bool{"staged": true, "streamed": false} {
		l := newLab(t)
		l.create("names.nsf", "mail/a.nsf")
		cfg := backup.Config{Job: "mail", Source: l.overProtocol(nil), Sink: backuptest.NewMemSink()}
		if stage {
			cfg.Stager = backup.DirStager{Dir: t.TempDir()}
		}
		p, err := backup.New(cfg)
		require.NoError(t, err)
		j := &job{Pipeline: p, t: t}
		l.sim.SetFault(before("NSFBackupStop", func() error { return l.sim.Write("mail/a.nsf", "during", "the backup") }))
		j.take(backup.Full)
		l.sim.SetFault(nil)
		fill(l, 1)
		j.take(backup.Log)
		want, err := l.sim.Read("mail/a.nsf")
		require.NoError(t, err)
		require.NoError(t, l.sim.Delete("mail/a.nsf"))
		require.NoError(t, j.restore(backup.Target{Select: named("mail/a.nsf")}, backup.RestoreOptions{}), name)
		got, err := l.sim.Read("mail/a.nsf")
		require.NoError(t, err)
		assert.Equal(t, want, got, name)
	}
}

// When the agent dies in the middle of a backup, its child ends what it began, and the next run finds nothing in its way.
func TestAgentDiesAndItsChildEnds(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.opt.Parallel = 1
	l.create("names.nsf")
	conns := make(chan net.Conn, 16)
	src := l.overProtocol(conns)
	l.sim.SetFault(before("NSFBackupStop", func() error {
		for len(conns) > 0 {
			_ = (<-conns).Close()
		}
		return nil
	}))
	p, err := backup.New(backup.Config{Job: "mail", Source: src, Sink: backuptest.NewMemSink()})
	require.NoError(t, err)
	_, err = p.Backup(t.Context(), backup.Full)
	require.Error(t, err)
	l.sim.SetFault(nil)
	require.Eventually(t, func() bool {
		in, err := l.sim.InBackup()
		return err == nil && len(in) == 0
	}, time.Minute, 10*time.Millisecond)
	_, err = p.Backup(t.Context(), backup.Full)
	require.NoError(t, err)
	left, _, err := src.leftInBackup("mail")
	require.NoError(t, err)
	assert.Empty(t, left)
}
