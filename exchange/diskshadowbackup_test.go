package exchange_test

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange"
)

// refusing is a sink that takes no manifest.
type refusing struct{ backup.Sink }

func (r refusing) Put(ctx context.Context, key string, body io.Reader) error {
	if filepath.Base(filepath.Dir(key)) == "manifests" {
		return errors.New("no manifest is taken here")
	}
	return r.Sink.Put(ctx, key, body)
}

// The agent over the model of a server, with its own snapshots: the session of diskshadow is open until the manifest is at the sink, and told what became of it.
func TestBackupThroughDiskshadow(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2019)
	l.fill(3)
	home := t.TempDir()
	shadows, err := exchange.StandInShadows(home, filepath.Join(l.sim.Dir(), "D"), filepath.Join(l.sim.Dir(), "E"))
	require.NoError(t, err)
	own := func(c *backup.Config) {
		opt := l.opt
		opt.Tools = l.sim.Client().Tools()
		opt.Tools.Shadows = shadows
		if c.Source, err = exchange.New(&opt); err != nil {
			t.Fatal(err)
		}
	}
	told := func(want ...string) {
		t.Helper()
		sessions, left, err := exchange.StandInSessions(home)
		require.NoError(t, err)
		assert.Equal(t, want, sessions)
		assert.Zero(t, left, "shadow copies")
	}

	j := l.job(own)
	full := j.take(backup.Full)
	for _, it := range full.Items {
		assert.False(t, it.Failed(), it.Name)
	}
	j.proven()
	told("complete")

	broken := l.job(own, func(c *backup.Config) { c.Sink = refusing{c.Sink} })
	_, err = broken.Backup(t.Context(), backup.Full)
	require.ErrorContains(t, err, "no manifest is taken here")
	require.NoError(t, l.stateLeft())
	told("complete", "aborted")

	l.opt.KeepLogs = true
	j = l.job(own)
	j.take(backup.Full)
	told("complete", "aborted", "copy")
}
