package exchangesim_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/exchange/ese"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim"
)

func TestFullByStreaming(t *testing.T) {
	t.Parallel()
	for _, version := range []int{2003, 2007} {
		w, ctx := serve(t, version), t.Context()
		w.write("mail", 120)
		w.write("public", 90)
		before := closed(t, w.group("First").LogDir)
		require.Greater(t, len(before), 3)
		c := newCopies()
		w.stream(w.Tools().Streaming, "First", esebcli.Full, false, c)
		assert.Equal(t, exchangesim.Open{}, w.Open())
		assert.Less(t, len(closed(t, w.group("First").LogDir)), len(before), "logs were truncated")

		var chain []ese.NamedLog
		for name, b := range c.logs {
			l, err := ese.VerifyLog(ctx, bytes.NewReader(b))
			require.NoError(t, err)
			chain = append(chain, ese.NamedLog{Name: name, Log: l})
		}
		require.NoError(t, ese.CheckChain(ese.Signature{}, chain))
		for name, streams := range c.dbs {
			require.Len(t, streams, map[int]int{2003: 2, 2007: 1}[version])
			for path, b := range streams {
				d, err := ese.VerifyDatabase(ctx, bytes.NewReader(b), int64(len(b)))
				require.NoError(t, err, path)
				assert.Equal(t, chain[0].Log.Signature, d.LogSignature)
				if d.Streaming {
					continue
				}
				require.NotNil(t, d.Trailer, name)
				assert.Zero(t, d.FullCurrent.Last)
				for _, g := range []uint32{d.Trailer.Full.First, d.Trailer.Full.Last} {
					assert.True(t, has(chain, g), "generation %d", g)
				}
			}
		}
		for _, d := range w.group("First").Databases {
			h, err := ese.ReadDatabaseHeader(ctx, open(t, d.File))
			require.NoError(t, err)
			assert.Equal(t, ese.ByStreaming, h.FullPrevious.Method)
			assert.NotZero(t, h.FullPrevious.Last)
			assert.Equal(t, w.now, d.LastFull)
		}
	}
}

func has(chain []ese.NamedLog, gen uint32) bool {
	for _, l := range chain {
		if l.Log.Generation == gen {
			return true
		}
	}
	return false
}

func TestSequence(t *testing.T) {
	t.Parallel()
	w, ctx := serve(t, 2007), t.Context()
	w.write("mail", 30)
	a := w.Tools().Streaming
	x, i := session(t, a, "First")
	edb, second := i.Databases[0].Streams[0], w.group("Second").Databases[0].File

	_, _, err := x.OpenFile(ctx, edb, 65535)
	answered(t, err, esebcli.HrNoBackup)
	_, err = x.LogFiles(ctx)
	answered(t, err, esebcli.HrNoBackup)
	answered(t, x.TruncateLogs(ctx), esebcli.HrNoBackup)
	answered(t, x.EndInstance(ctx, true), esebcli.HrNoBackup)
	answered(t, x.Setup(ctx, 99, esebcli.Full), esebcli.HrInvalidArgument)
	answered(t, x.Setup(ctx, i.ID, 9), esebcli.HrInvalidArgument)
	answered(t, x.Setup(ctx, i.ID, esebcli.LogsOnly), esebcli.HrMissingFullBackup)

	require.NoError(t, x.Setup(ctx, i.ID, esebcli.Full))
	answered(t, x.Setup(ctx, i.ID, esebcli.Full), esebcli.HrInvalidSequence)
	other, _ := session(t, a, "First")
	answered(t, other.Setup(ctx, i.ID, esebcli.Full), esebcli.HrBackupInProgress)
	answered(t, w.Dismount("mail"), esebcli.HrBackupInProgress)
	answered(t, w.Mount("mail"), esebcli.HrBackupInProgress)
	answered(t, x.TruncateLogs(ctx), esebcli.HrInvalidSequence)
	_, err = x.TruncateLogFiles(ctx)
	answered(t, err, esebcli.HrInvalidSequence)
	answered(t, x.EndInstance(ctx, true), esebcli.HrInvalidSequence)
	_, _, err = x.OpenFile(ctx, second, 65535)
	answered(t, err, esebcli.HrFileNotFound)
	_, _, err = x.OpenFile(ctx, filepath.Join(w.group("First").LogDir, "E0000000001.log"), 65535)
	answered(t, err, esebcli.HrInvalidSequence)
	_, _, err = x.OpenFile(ctx, edb, 0)
	answered(t, err, esebcli.HrInvalidArgument)

	f, _, err := x.OpenFile(ctx, edb, 65535)
	require.NoError(t, err)
	assert.Equal(t, exchangesim.Open{Sessions: 2, Files: 1, InBackup: 1}, w.Open())
	_, err = x.LogFiles(ctx)
	answered(t, err, esebcli.HrInvalidSequence)
	_, err = f.Read(ctx, nil)
	answered(t, err, esebcli.HrInvalidArgument)
	require.NoError(t, f.Close(ctx))
	answered(t, f.Close(ctx), esebcli.HrInvalidArgument)
	_, err = f.Read(ctx, make([]byte, 1))
	answered(t, err, esebcli.HrInvalidArgument)

	logs, err := x.LogFiles(ctx)
	require.NoError(t, err)
	_, err = x.LogFiles(ctx)
	answered(t, err, esebcli.HrInvalidSequence)
	_, _, err = x.OpenFile(ctx, edb, 65535)
	answered(t, err, esebcli.HrInvalidSequence)
	_, _, err = x.OpenFile(ctx, "/nowhere", 65535)
	answered(t, err, esebcli.HrFileNotFound)
	b, err := fetch(ctx, x, logs[0])
	require.NoError(t, err)
	assert.True(t, ese.MatchLog(b))
	would, err := x.TruncateLogFiles(ctx)
	require.NoError(t, err)
	assert.Empty(t, would, "no database was read to its end")
	require.NoError(t, x.TruncateLogs(ctx))
	answered(t, x.TruncateLogs(ctx), esebcli.HrInvalidSequence)
	require.NoError(t, x.EndInstance(ctx, true))
	answered(t, x.Setup(ctx, i.ID, esebcli.LogsOnly), esebcli.HrMissingFullBackup)
	require.NoError(t, x.End(ctx))
	require.Error(t, x.End(ctx))
	require.Error(t, x.Setup(ctx, i.ID, esebcli.Full))
	require.NoError(t, other.End(ctx))
	assert.Equal(t, exchangesim.Open{}, w.Open())

	_, _, err = a.Prepare(ctx, "", esebcli.KeyManagementService)
	answered(t, err, esebcli.HrInvalidArgument)
	_, _, err = a.Prepare(ctx, "elsewhere", esebcli.InformationStore)
	answered(t, err, esebcli.HrServerUnavailable)
	_, _, err = serve(t, 2010).Tools().Streaming.Prepare(ctx, "", esebcli.InformationStore)
	require.Error(t, err)
}

func TestLogsOnly(t *testing.T) {
	t.Parallel()
	w := serve(t, 2007)
	a := w.Tools().Streaming
	w.write("mail", 50)
	full := newCopies()
	w.stream(a, "First", esebcli.Full, false, full)
	w.write("public", 60)
	one, again := newCopies(), newCopies()
	w.stream(a, "First", esebcli.LogsOnly, true, one)
	w.write("mail", 60)
	w.stream(a, "First", esebcli.LogsOnly, false, again)
	for name := range one.logs {
		assert.Contains(t, again.logs, name, "they were kept")
	}
	assert.Greater(t, len(again.logs), len(one.logs))
	assert.Less(t, len(closed(t, w.group("First").LogDir)), len(again.logs))
	h, err := ese.ReadDatabaseHeader(t.Context(), open(t, w.group("First").Databases[0].File))
	require.NoError(t, err)
	assert.NotZero(t, h.IncrementalPrevious.Last)

	require.NoError(t, w.SetCircular("First", true))
	x, i := session(t, a, "First")
	answered(t, x.Setup(t.Context(), i.ID, esebcli.LogsOnly), esebcli.FromJET(-526))
}

func TestUnmountedHoldsLogs(t *testing.T) {
	t.Parallel()
	w, ctx := serve(t, 2007), t.Context()
	w.write("mail", 100)
	require.NoError(t, w.Dismount("public"))
	a := w.Tools().Streaming
	x, i := session(t, a, "First")
	assert.True(t, i.Databases[0].Mounted)
	assert.False(t, i.Databases[1].Mounted)
	require.NoError(t, x.Setup(ctx, i.ID, esebcli.Full))
	_, _, err := x.OpenFile(ctx, i.Databases[1].Streams[0], 65535)
	answered(t, err, esebcli.HrDatabaseNotFound)
	require.NoError(t, x.End(ctx))
	before := len(closed(t, w.group("First").LogDir))
	w.stream(a, "First", esebcli.Full, false, newCopies())
	assert.Greater(t, len(closed(t, w.group("First").LogDir)), before, "nothing was truncated")

	require.NoError(t, w.Dismount("mail"))
	x, i = session(t, a, "First")
	answered(t, x.Setup(ctx, i.ID, esebcli.Full), esebcli.FromJET(-523))
	require.NoError(t, w.Mount("mail"))
	require.NoError(t, w.Mount("public"))
	w.stream(a, "First", esebcli.Full, false, newCopies())
	assert.Less(t, len(closed(t, w.group("First").LogDir)), before)
}

func TestDamageWhileStreaming(t *testing.T) {
	t.Parallel()
	w, ctx := serve(t, 2003), t.Context()
	w.write("mail", 40)
	require.NoError(t, w.CorruptPage("mail", "key7"))
	x, i := session(t, w.Tools().Streaming, "First")
	require.NoError(t, x.Setup(ctx, i.ID, esebcli.Full))
	_, err := fetch(ctx, x, i.Databases[0].Streams[0])
	answered(t, err, esebcli.FromJET(-1018))
	answered(t, err, esebcli.HrErrorFromESECall)
	require.NoError(t, x.EndInstance(ctx, false))

	w.DamageReads(i.Databases[1].Streams[0], 3*4096+100)
	w.write("public", 40)
	require.NoError(t, w.Flush("public"))
	require.NoError(t, x.Setup(ctx, i.ID, esebcli.Full))
	b, err := fetch(ctx, x, i.Databases[1].Streams[0])
	require.NoError(t, err)
	_, err = ese.VerifyDatabase(ctx, bytes.NewReader(b), -1)
	require.Error(t, err)
	w.DamageReads(i.Databases[1].Streams[0], -1)
	b, err = fetch(ctx, x, i.Databases[1].Streams[0])
	require.NoError(t, err)
	_, err = ese.VerifyDatabase(ctx, bytes.NewReader(b), -1)
	require.NoError(t, err)
	require.NoError(t, x.End(ctx))
}

func TestDeathOfTheProgram(t *testing.T) {
	t.Parallel()
	w, ctx := serve(t, 2007), t.Context()
	w.write("mail", 50)
	c := w.Client()
	x, i := session(t, c.Tools().Streaming, "First")
	require.NoError(t, x.Setup(ctx, i.ID, esebcli.Full))
	_, _, err := x.OpenFile(ctx, i.Databases[0].Streams[0], 65535)
	require.NoError(t, err)
	c.Kill()
	assert.Equal(t, exchangesim.Open{}, w.Open())
	_, err = x.LogFiles(ctx)
	require.ErrorIs(t, err, exchangesim.ErrDead)
	w.stream(w.Tools().Streaming, "First", esebcli.Full, false, newCopies())

	var names []string
	w.SetFault(func(c exchangesim.Call) error {
		if !c.After {
			names = append(names, c.Name)
			assert.Len(t, names, c.N)
			return nil
		}
		if c.Name == "Session.TruncateLogs" {
			return exchangesim.ErrDie
		}
		return nil
	})
	w.write("mail", 80)
	before := len(closed(t, w.group("First").LogDir))
	x, i = session(t, w.Tools().Streaming, "First")
	require.NoError(t, x.Setup(ctx, i.ID, esebcli.LogsOnly))
	_, err = x.LogFiles(ctx)
	require.NoError(t, err)
	require.ErrorIs(t, x.TruncateLogs(ctx), exchangesim.ErrDead)
	assert.Less(t, len(closed(t, w.group("First").LogDir)), before, "it was done")
	assert.Equal(t, exchangesim.Open{}, w.Open())
	assert.Contains(t, names, "Session.LogFiles")

	w.SetFault(nil)
	x, i = session(t, w.Tools().Streaming, "First")
	answered(t, x.Setup(ctx, i.ID, esebcli.LogsOnly), esebcli.HrMissingFullBackup) // the logs that went were never called backed up
	require.NoError(t, x.Setup(ctx, i.ID, esebcli.Full))
	w.Crash()
	_, err = x.LogFiles(ctx)
	answered(t, err, esebcli.HrServerUnavailable)
	require.Error(t, x.End(ctx))
	assert.Zero(t, w.Open().InBackup)
}

// An answer that is lost leaves nothing open of which the caller was never told.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	w, ctx := serve(t, 2007), t.Context()
	lost := errors.New("the answer was lost")
	w.SetFault(func(c exchangesim.Call) error {
		if c.After {
			return lost
		}
		return nil
	})
	a := w.Tools().Streaming
	_, _, err := a.Prepare(ctx, "", esebcli.InformationStore)
	require.ErrorIs(t, err, lost)
	_, err = a.RestoreOpen(ctx, "", esebcli.InformationStore, "First", "")
	require.ErrorIs(t, err, lost)
	w.SetFault(func(c exchangesim.Call) error {
		if c.After && c.Name == "Shadows.Snapshot" {
			return lost
		}
		return nil
	})
	_, err = w.Tools().Shadows.Create(ctx, w.request(w.layout().Groups...))
	require.ErrorIs(t, err, lost)
	assert.Equal(t, exchangesim.Open{}, w.Open())

	// A call that has not been made is not made.
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, _, err = a.Prepare(ended, "", esebcli.InformationStore)
	require.ErrorIs(t, err, context.Canceled)
	w.SetFault(func(exchangesim.Call) error { return lost })
	require.ErrorIs(t, w.Tools().Management.Dismount(ctx, exchange.Database{}), lost)
	w.SetFault(nil)
	assert.Equal(t, exchangesim.Open{}, w.Open())
}
