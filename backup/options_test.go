package backup_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

// switches is the Ledger's agent with two switches that only leave a trace.
type switches struct {
	*backuptest.LedgerSource
	got []map[string]string
}

func (s *switches) Describe() backup.Description {
	d := s.LedgerSource.Describe()
	d.Options = []string{"copy_only", "tail"}
	return d
}

func (s *switches) Backup(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
	s.got = append(s.got, r.Options)
	return s.LedgerSource.Backup(ctx, r, st)
}

func TestOptionsReachTheSourceAndTheManifest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	src := &switches{LedgerSource: w.l.Source(nil)}
	w.source = src
	asked := map[string]string{"copy_only": "true"}
	m, err := w.pipeline(t).BackupWith(t.Context(), backup.BackupOptions{Kind: backup.Full, Options: asked})
	require.NoError(t, err)
	assert.Equal(t, asked, m.Options)
	assert.Equal(t, []map[string]string{asked}, src.got)
	h, err := w.pipeline(t).History(t.Context())
	require.NoError(t, err)
	require.Len(t, h, 1)
	assert.Equal(t, asked, h[0].Options)
	w.backup(t, backup.Log)
	assert.Empty(t, src.got[1])
}

func TestOptionsTheSourceDoesNotTakeAreRefusedFirst(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		source func(w *world) backup.Source
		hint   string
	}{
		"some": {func(w *world) backup.Source { return &switches{LedgerSource: w.l.Source(nil)} }, "it takes copy_only, tail"},
		"none": {func(w *world) backup.Source { return w.l.Source(nil) }, "it takes no options for a backup"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, true)
			w.source = c.source(w)
			w.change = func(cfg *backup.Config) { cfg.Events = func(e backup.Event) { assert.Fail(t, "event", "%T", e) } }
			_, err := w.pipeline(t).BackupWith(t.Context(), backup.BackupOptions{Kind: backup.Full, Options: map[string]string{"coppy_only": "true"}})
			require.ErrorIs(t, err, backup.ErrOption)
			assert.EqualError(t, err, `ledger: back up ledger:1: unusable option "coppy_only"`)
			assert.Equal(t, c.hint, backup.Hint(err))
			assert.Empty(t, w.mem.Keys(""), "the target was touched")
			assert.Zero(t, w.l.Calls(), "the application was touched")
		})
	}
}

// A full that was interrupted stands for one that is asked for anew, but only for one of the same options.
func TestAnInterruptedFullStandsForOneOfItsOptions(t *testing.T) {
	t.Parallel()
	asked := map[string]string{"copy_only": "true"}
	for name, again := range map[string]map[string]string{"the same": asked, "others": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, true)
			w.source = &switches{LedgerSource: w.l.Source(nil)}
			w.sink.Script(backuptest.Fault{Op: backuptest.OpPut, Key: "/runs/", Times: -1})
			_, err := w.pipeline(t).BackupWith(t.Context(), backup.BackupOptions{Kind: backup.Full, Options: asked})
			require.ErrorIs(t, err, backuptest.ErrFault)
			w.sink.Script()
			m, err := w.pipeline(t).BackupWith(t.Context(), backup.BackupOptions{Kind: backup.Full, Options: again})
			require.NoError(t, err)
			assert.Equal(t, again, m.Options)
			assert.Equal(t, name == "the same", m.Resumed)
			h, err := w.pipeline(t).History(t.Context())
			require.NoError(t, err)
			require.True(t, h[0].Resumed, "the interrupted run was completed either way")
			assert.Equal(t, asked, h[0].Options)
		})
	}
}
