package exchangesim_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim/esefile"
)

func TestOpenFilesHoldABackup(t *testing.T) {
	t.Parallel()
	w, ctx := serve(t, 2007), t.Context()
	w.write("mail", 150)
	a := w.Tools().Streaming
	w.stream(a, "First", esebcli.Full, true, newCopies())
	w.write("mail", 50)
	x, i := session(t, a, "First")
	require.NoError(t, x.Setup(ctx, i.ID, esebcli.LogsOnly))
	_, _, err := x.OpenFile(ctx, i.Databases[0].Streams[0], 65535)
	answered(t, err, esebcli.HrInvalidSequence) // logs only
	logs, err := x.LogFiles(ctx)
	require.NoError(t, err)
	would, err := x.TruncateLogFiles(ctx)
	require.NoError(t, err)
	require.NotEmpty(t, would)
	f, _, err := x.OpenFile(ctx, logs[0], 65535)
	require.NoError(t, err)
	answered(t, x.TruncateLogs(ctx), esebcli.HrInvalidSequence)
	answered(t, x.EndInstance(ctx, true), esebcli.HrInvalidSequence)
	require.NoError(t, f.Close(ctx))
	require.NoError(t, x.TruncateLogs(ctx))
	for _, path := range logs {
		_, err := os.Stat(path)
		assert.Equal(t, contains(would, path), os.IsNotExist(err), path)
	}
	for _, path := range logs {
		if contains(would, path) {
			_, _, err = x.OpenFile(ctx, path, 65535)
			answered(t, err, esebcli.HrFileNotFound)
		}
	}
	require.NoError(t, x.EndInstance(ctx, true))
	require.NoError(t, x.End(ctx))
}

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

// A full of all logs takes also those that its copies do not need.
func TestFullWithAllLogs(t *testing.T) {
	t.Parallel()
	w := serve(t, 2003)
	w.write("mail", 150)
	require.NoError(t, w.Flush("mail"))
	few, all := newCopies(), newCopies()
	w.stream(w.Tools().Streaming, "First", esebcli.Full, true, few)
	w.stream(w.Tools().Streaming, "First", esebcli.FullWithAllLogs, false, all)
	for name := range few.logs {
		assert.Contains(t, all.logs, name)
	}
	assert.Contains(t, all.logs, "E0000001.log")
	assert.NotContains(t, few.logs, "E0000001.log")
}

func TestSetsThatDoNotBelongTogether(t *testing.T) {
	t.Parallel()
	h, ctx := made(t, 2007), t.Context()
	second := newCopies()
	h.stream(h.Tools().Streaming, "First", esebcli.Full, true, second)
	h.dismounted("First")
	mail, public := h.full.order["mail"][0], h.full.order["public"][0]
	complete := func(change func(r esebcli.Restore, dir string)) error {
		r, dir := h.open(h.full.logs)
		require.NoError(t, r.SaveEnvironment(ctx))
		change(r, dir)
		err := r.Complete(ctx, dir, dir, "", 0)
		require.NoError(t, r.Close(ctx, true))
		return err
	}
	answered(t, complete(func(esebcli.Restore, string) { put(t, public, h.full.dbs["mail"][mail]) }), esebcli.FromJET(-531))
	answered(t, complete(func(esebcli.Restore, string) {
		older, newer := h.full.dbs["mail"][mail], second.dbs["mail"][mail]
		put(t, mail, append(bytes.Clone(older[:len(older)-8192]), newer[len(newer)-8192:]...)) // the trailer of another copy
	}), esebcli.FromJET(-531))
	answered(t, complete(func(esebcli.Restore, string) { put(t, mail, second.dbs["mail"][mail]) }), esebcli.FromJET(-557)) // it needs newer logs
	answered(t, complete(func(r esebcli.Restore, dir string) {
		_, _, err := r.OpenFile(ctx, filepath.Join(dir, "E000000FFFF.log"))
		require.NoError(t, err)
		require.NoError(t, r.SaveEnvironment(ctx))
	}), esebcli.FromJET(-557)) // it was opened, and never written
	require.NoError(t, complete(func(esebcli.Restore, string) {}))

	// Mounted meanwhile.
	r, dir := h.open(h.full.logs)
	require.NoError(t, r.SaveEnvironment(ctx))
	require.NoError(t, r.Complete(ctx, dir, dir, "", esebcli.CompleteKeepLogs))
	require.NoError(t, h.Mount("mail"))
	answered(t, r.Complete(ctx, dir, dir, "", 0), esebcli.HrDatabaseInUse)
	require.NoError(t, r.Close(ctx, true))

	// A file that was added and never opened, nothing added, a damaged restore.env, a handle that is open.
	none, err := h.Tools().Streaming.RestoreOpen(ctx, "", esebcli.InformationStore, "elsewhere", t.TempDir())
	require.NoError(t, err)
	e, err := none.Environment(ctx)
	require.NoError(t, err)
	assert.Equal(t, "E00", e.LogBase)
	require.NoError(t, none.SaveEnvironment(ctx))
	answered(t, none.Complete(ctx, e.RestoreLogPath, e.RestoreLogPath, "", 0), esebcli.HrInvalidArgument)
	to := filepath.Join(t.TempDir(), "x.edb")
	require.NoError(t, none.AddDatabaseTo(ctx, "mail", h.full.ids["mail"], h.full.order["mail"], []string{to}))
	require.NoError(t, none.SaveEnvironment(ctx))
	answered(t, none.Complete(ctx, e.RestoreLogPath, e.RestoreLogPath, "", 0), esebcli.HrInvalidSequence)
	h.RestoreByLibrary(true)
	f, _, err := none.OpenFile(ctx, to)
	require.NoError(t, err)
	assert.Equal(t, exchangesim.Open{Restores: 1, Files: 1}, h.Open())
	require.NoError(t, none.SaveEnvironment(ctx))
	answered(t, none.Complete(ctx, e.RestoreLogPath, e.RestoreLogPath, "", 0), esebcli.HrInvalidSequence)
	require.NoError(t, f.Close(ctx))
	answered(t, f.Close(ctx), esebcli.HrInvalidArgument)
	require.NoError(t, none.Close(ctx, true))
	put(t, filepath.Join(e.RestoreLogPath, "restore.env"), []byte("{"))
	_, err = h.Tools().Streaming.RestoreReopen(ctx, "", esebcli.InformationStore, e.RestoreLogPath)
	answered(t, err, esebcli.HrInvalidArgument)
}

func TestDeathOfARestore(t *testing.T) {
	t.Parallel()
	w, ctx := serve(t, 2007), t.Context()
	c := w.Client()
	r, err := c.Tools().Streaming.RestoreOpen(ctx, "", esebcli.InformationStore, "First", "")
	require.NoError(t, err)
	assert.Equal(t, exchangesim.Open{Restores: 1}, w.Open())
	c.Kill()
	assert.Equal(t, exchangesim.Open{}, w.Open())
	require.ErrorIs(t, r.SaveEnvironment(ctx), exchangesim.ErrDead)
}

// A log that was made anew under the number of another does not stand in its place.
func TestForkedLogs(t *testing.T) {
	t.Parallel()
	for want, change := range map[int]func(h *esefile.LogHeader){
		-515: func(h *esefile.LogHeader) { h.Created[0]++ },
		-590: func(*esefile.LogHeader) {}, // another content
		-530: func(h *esefile.LogHeader) { h.Signature[0]++ },
	} {
		w, dir, _ := crashed(t, 2019)
		path := filepath.Join(dir, "E0100000002.log")
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		old, records, err := esefile.DecodeLog(b)
		require.NoError(t, err)
		head := old.Header
		change(&head)
		made, err := esefile.NewLog(head)
		require.NoError(t, err)
		records[0].Value = "another"
		_, _, _, ok := made.Append(records[0], head.Created)
		require.True(t, ok)
		put(t, path, made.Bytes())
		require.NoError(t, os.Remove(filepath.Join(dir, "E01.chk")))
		answered(t, w.Tools().Engine.Recover(t.Context(), recovery(dir)), esebcli.FromJET(want))
	}
}

// Logs that are one series, and another than that of the database.
func TestDatabaseOfAnotherSeries(t *testing.T) {
	t.Parallel()
	w, dir, _ := crashed(t, 2003)
	_, other, _ := crashed(t, 2003)
	for _, f := range []string{"other.edb", "other.stm"} {
		b, err := os.ReadFile(filepath.Join(other, f))
		require.NoError(t, err)
		put(t, filepath.Join(dir, f), b)
	}
	answered(t, w.Tools().Engine.Recover(t.Context(), recovery(dir)), esebcli.FromJET(-530))
	require.NoError(t, os.Remove(filepath.Join(other, "other.stm")))
	answered(t, w.Tools().Engine.Recover(t.Context(), recovery(other)), esebcli.FromJET(-1811))
}

// A database in clean shutdown that is newer than the logs, or of another past, is not brought forward by them.
func TestCleanDatabaseOfAnotherPast(t *testing.T) {
	t.Parallel()
	w, ctx := serve(t, 2019), t.Context()
	w.write("one", 60)
	require.NoError(t, w.Dismount("one"))
	g := w.group("one")
	d := g.Databases[0]
	older, err := os.ReadFile(d.File)
	require.NoError(t, err)
	require.NoError(t, w.Mount("one"))
	w.write("one", 60)
	require.NoError(t, w.Dismount("one"))
	want, err := exchangesim.ReadFile(d.File)
	require.NoError(t, err)
	r := exchange.Recovery{Base: g.LogBase, LogDir: g.LogDir, SystemDir: t.TempDir()}
	put(t, d.File, older)
	require.NoError(t, w.Tools().Engine.Recover(ctx, r))
	got, err := exchangesim.ReadFile(d.File)
	require.NoError(t, err)
	assert.Equal(t, want, got, "the logs go on from it")

	// Brought into use as it was then, it has another past than the logs of before.
	put(t, d.File, older)
	require.NoError(t, w.Tools().Management.AllowRestore(ctx, d))
	require.NoError(t, w.Mount("one"))
	require.NoError(t, w.Dismount("one"))
	put(t, d.File, older)
	r.SystemDir = t.TempDir()
	answered(t, w.Tools().Engine.Recover(ctx, r), esebcli.FromJET(-551))
}

func TestSnapshotOfAHalfMountedGroup(t *testing.T) {
	t.Parallel()
	w, ctx := serve(t, 2007), t.Context()
	w.write("mail", 150)
	require.NoError(t, w.Dismount("public"))
	first := closed(t, w.group("First").LogDir)[0]
	r := w.request(w.layout().Groups...)
	r.Note = nil
	h, err := w.Tools().Shadows.Create(ctx, r)
	require.NoError(t, err)
	_, err = h.Path("/nowhere")
	require.Error(t, err)
	require.NoError(t, h.Complete(ctx))
	assert.Contains(t, closed(t, w.group("First").LogDir), first, "one of its databases is not mounted")
	assert.False(t, w.group("First").Databases[0].LastFull.IsZero())
	assert.True(t, w.group("First").Databases[1].LastFull.IsZero())

	// The server dies before the end, and its logs are another series when the end comes.
	require.NoError(t, w.Mount("public"))
	h, err = w.Tools().Shadows.Create(ctx, r)
	require.NoError(t, err)
	w.Crash()
	answered(t, h.Complete(ctx), 0x800423F4)
	assert.Equal(t, exchangesim.Open{}, w.Open())
	require.NoError(t, w.Start())
	h, err = w.Tools().Shadows.Create(ctx, r)
	require.NoError(t, err)
	require.NoError(t, w.ResetLog("First"))
	truncations := w.Truncations()
	w.write("mail", 60)
	before := closed(t, w.group("First").LogDir)
	require.NoError(t, h.Complete(ctx))
	assert.Equal(t, before, closed(t, w.group("First").LogDir))
	assert.Equal(t, truncations, w.Truncations())
}

func TestRecoveryOfWhatIsOpen(t *testing.T) {
	t.Parallel()
	w, ctx := serve(t, 2007), t.Context()
	w.write("mail", 60)
	g := w.group("First")
	dir := t.TempDir()
	for _, name := range append(closed(t, g.LogDir), "E00.log") {
		b, err := os.ReadFile(filepath.Join(g.LogDir, name))
		require.NoError(t, err)
		put(t, filepath.Join(dir, name), b)
	}
	r := exchange.Recovery{Base: "E00", LogDir: dir, SystemDir: dir} // the databases are where the logs say
	answered(t, w.Tools().Engine.Recover(ctx, r), esebcli.FromJET(-1032))
	put(t, filepath.Join(dir, "E00.log"), []byte("no log"))
	answered(t, w.Tools().Engine.Recover(ctx, r), esebcli.FromJET(-501))
}
