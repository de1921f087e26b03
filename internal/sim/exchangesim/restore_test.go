package exchangesim_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/exchange/ese"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim"
)

// history is a group with a full and two backups of logs, and what its databases had at the ends.
type history struct {
	*world
	full, one, two *copies
	atOne, atTwo   map[string]map[string]string
}

func (h *history) states() map[string]map[string]string {
	return map[string]map[string]string{"mail": h.read("mail"), "public": h.read("public")}
}

func made(t *testing.T, version int) *history {
	h := &history{world: serve(t, version), full: newCopies(), one: newCopies(), two: newCopies()}
	a := h.Tools().Streaming
	h.write("mail", 60)
	h.write("public", 60)
	h.stream(a, "First", esebcli.Full, false, h.full)
	h.write("mail", 60)
	h.stream(a, "First", esebcli.LogsOnly, false, h.one)
	h.atOne = h.states()
	h.write("public", 60)
	h.stream(a, "First", esebcli.LogsOnly, false, h.two)
	h.atTwo = h.states()
	return h
}

// dismounted makes a database ready to be restored.
func (w *world) dismounted(group string) {
	m := w.Tools().Management
	for _, d := range w.group(group).Databases {
		require.NoError(w.t, m.Dismount(w.t.Context(), d))
		require.NoError(w.t, m.AllowRestore(w.t.Context(), d))
	}
}

// open begins a restore and puts files and logs where they belong.
func (h *history) open(logs ...map[string][]byte) (esebcli.Restore, string) {
	t, ctx := h.t, h.t.Context()
	r, err := h.Tools().Streaming.RestoreOpen(ctx, "", esebcli.InformationStore, "First", "")
	require.NoError(t, err)
	e, err := r.Environment(ctx)
	require.NoError(t, err)
	for _, name := range slices.Sorted(maps.Keys(h.full.dbs)) {
		to, err := r.AddDatabase(ctx, name, h.full.ids[name], h.full.order[name])
		require.NoError(t, err)
		for i, path := range to {
			h.give(r, path, h.full.dbs[name][h.full.order[name][i]])
		}
	}
	for _, set := range logs {
		for name, b := range set {
			h.give(r, filepath.Join(e.RestoreLogPath, name), b)
		}
	}
	return r, e.RestoreLogPath
}

// give opens a file of the set and writes it, as it is told.
func (h *history) give(r esebcli.Restore, path string, b []byte) {
	f, atFileLevel, err := r.OpenFile(h.t.Context(), path)
	require.NoError(h.t, err)
	if atFileLevel {
		require.Nil(h.t, f)
		put(h.t, path, b)
		return
	}
	for part := range slices.Chunk(b, 10000) {
		n, err := f.Write(h.t.Context(), part)
		require.NoError(h.t, err)
		require.Len(h.t, part, n)
	}
	require.NoError(h.t, f.Close(h.t.Context()))
}

func TestRestoreByStreaming(t *testing.T) {
	t.Parallel()
	for _, version := range []int{2003, 2007} {
		h := made(t, version)
		ctx := t.Context()
		h.RestoreByLibrary(version == 2007)
		complete := func(target string, flags esebcli.CompleteFlags, logs ...map[string][]byte) {
			h.dismounted("First")
			r, dir := h.open(logs...)
			require.NoError(t, r.SaveEnvironment(ctx))
			require.NoError(t, r.Complete(ctx, dir, dir, target, flags))
			require.NoError(t, r.Close(ctx, false))
			assert.Equal(t, exchangesim.Open{}, h.Open())
		}
		// To the end of the first logs, to the end of the second, by the database's own file.
		complete("", 0, h.full.logs, h.one.logs)
		for _, d := range h.group("First").Databases {
			assert.False(t, d.Mounted)
			v, err := ese.VerifyDatabase(ctx, open(t, d.File), -1)
			require.NoError(t, err)
			assert.True(t, v.Clean())
			assert.True(t, v.FullPrevious.IsZero())
			got, err := exchangesim.ReadFile(d.File)
			require.NoError(t, err)
			assert.Equal(t, h.atOne[d.Name], got)
		}
		complete("", esebcli.CompleteAttach, h.full.logs, h.one.logs, h.two.logs)
		assert.Equal(t, h.atTwo, h.states())
		x, i := session(t, h.Tools().Streaming, "First")
		answered(t, x.Setup(ctx, i.ID, esebcli.LogsOnly), esebcli.HrMissingFullBackup) // a new full is needed after a restore
	}
}

func TestRollForward(t *testing.T) {
	t.Parallel()
	h, ctx := made(t, 2007), t.Context()
	h.write("mail", 70)
	latest := h.states()
	h.dismounted("First")
	r, dir := h.open(h.full.logs, h.one.logs, h.two.logs)
	require.NoError(t, r.SaveEnvironment(ctx))
	require.NoError(t, r.Close(ctx, false))
	r, err := h.Tools().Streaming.RestoreReopen(ctx, "", esebcli.InformationStore, dir)
	require.NoError(t, err)
	e, err := r.Environment(ctx)
	require.NoError(t, err)
	assert.Equal(t, "First", e.SourceInstance)
	assert.Equal(t, "E00", e.LogBase)
	assert.Less(t, e.First, e.Last)
	require.NoError(t, r.Complete(ctx, dir, dir, "First", esebcli.CompleteAttach|esebcli.CompleteKeepLogs))
	require.NoError(t, r.Close(ctx, false))
	assert.Equal(t, latest, h.states())
	assert.NotEmpty(t, closed(t, dir), "they were to be kept")

	// The full again: what came since is another past of the databases, and is not replayed over it.
	h.write("mail", 70)
	h.dismounted("First")
	r, dir = h.open(h.full.logs, h.one.logs)
	require.NoError(t, r.SaveEnvironment(ctx))
	require.NoError(t, r.Complete(ctx, dir, dir, "", esebcli.CompleteAttach))
	require.NoError(t, r.Close(ctx, false))
	assert.Equal(t, h.atOne, h.states())
	h.write("mail", 70)
	h.dismounted("First")
	r, dir = h.open(h.full.logs, h.one.logs, h.two.logs)
	require.NoError(t, r.SaveEnvironment(ctx))
	answered(t, r.Complete(ctx, dir, dir, "First", 0), esebcli.FromJET(-551))
	require.NoError(t, r.Close(ctx, true))
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	h, ctx := made(t, 2007), t.Context()
	a := h.Tools().Streaming
	id, streams := h.full.ids["mail"], h.full.order["mail"]
	_, err := a.RestoreOpen(ctx, "", esebcli.InformationStore, "", "")
	answered(t, err, esebcli.HrInvalidArgument)
	_, err = a.RestoreReopen(ctx, "", esebcli.InformationStore, t.TempDir())
	answered(t, err, esebcli.HrFileNotFound)
	r, err := a.RestoreOpen(ctx, "", esebcli.InformationStore, "First", t.TempDir())
	require.NoError(t, err)
	_, err = r.AddDatabase(ctx, "mail", id, streams)
	answered(t, err, esebcli.HrDatabaseInUse) // mounted
	require.NoError(t, h.Dismount("mail"))
	_, err = r.AddDatabase(ctx, "mail", id, streams)
	answered(t, err, esebcli.HrDatabaseInUse) // not allowed
	answered(t, r.AddDatabaseTo(ctx, "mail", id, streams, streams), esebcli.HrDatabaseInUse)
	require.NoError(t, h.Mount("mail"))
	_, err = r.AddDatabase(ctx, "none", esebcli.GUID{}, streams)
	answered(t, err, esebcli.HrDatabaseNotFound)
	answered(t, r.AddDatabaseTo(ctx, "mail", id, streams, nil), esebcli.HrInvalidArgument)
	answered(t, r.AddDatabaseTo(ctx, "mail", id, streams, []string{"x.edb"}), esebcli.HrInvalidArgument)
	elsewhere := filepath.Join(t.TempDir(), "x.edb")
	require.NoError(t, r.AddDatabaseTo(ctx, "mail", id, streams, []string{elsewhere}))
	answered(t, r.AddDatabaseTo(ctx, "mail", id, streams, []string{elsewhere}), esebcli.HrInvalidArgument)
	_, _, err = r.OpenFile(ctx, elsewhere+"x")
	answered(t, err, esebcli.HrInvalidArgument)
	answered(t, r.Complete(ctx, "", "", "", 0), esebcli.HrInvalidSequence)
	require.NoError(t, r.Close(ctx, true))
	require.Error(t, r.Close(ctx, true))
	require.Error(t, r.SaveEnvironment(ctx))
}

func TestHardRecoveryRefuses(t *testing.T) {
	t.Parallel()
	h, ctx := made(t, 2007), t.Context()
	h.dismounted("First")
	logs := slices.Sorted(maps.Keys(h.full.logs))
	mail := h.full.order["mail"][0]
	foreign := newCopies()
	other := made(t, 2007)
	maps.Copy(foreign.logs, other.full.logs)
	flipped := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 3
		return b
	}
	for name, c := range map[string]struct {
		change func(r esebcli.Restore, dir string)
		want   esebcli.HRESULT
	}{
		"a log of the full is missing": {func(_ esebcli.Restore, dir string) {
			require.NoError(t, os.Remove(filepath.Join(dir, logs[len(logs)-1])))
		}, esebcli.FromJET(-557)},
		"a log in the middle is missing": {func(r esebcli.Restore, dir string) {
			h.give(r, filepath.Join(dir, slices.Sorted(maps.Keys(h.two.logs))[len(h.two.logs)-1]), []byte("x"))
			require.NoError(t, r.SaveEnvironment(ctx))
			put(t, filepath.Join(dir, slices.Sorted(maps.Keys(h.two.logs))[len(h.two.logs)-1]), h.two.logs[slices.Sorted(maps.Keys(h.two.logs))[len(h.two.logs)-1]])
		}, esebcli.HrLogNotContiguous},
		"a log is of another series": {func(_ esebcli.Restore, dir string) {
			put(t, filepath.Join(dir, logs[len(logs)-1]), foreign.logs[logs[len(logs)-1]])
		}, esebcli.HrLogBadSignature},
		"all logs are of another series": {func(_ esebcli.Restore, dir string) {
			for _, l := range logs {
				put(t, filepath.Join(dir, l), foreign.logs[l])
			}
		}, esebcli.HrLogBadSignature},
		"a log is damaged": {func(_ esebcli.Restore, dir string) {
			put(t, filepath.Join(dir, logs[0]), flipped(h.full.logs[logs[0]], 5000))
		}, esebcli.FromJET(-501)},
		"a log was not opened": {func(_ esebcli.Restore, dir string) {
			put(t, filepath.Join(dir, "E000000FFFF.log"), h.full.logs[logs[0]])
		}, esebcli.HrInvalidSequence},
		"a page is damaged": {func(esebcli.Restore, string) { put(t, mail, flipped(h.full.dbs["mail"][mail], 3*8192-20)) }, esebcli.FromJET(-1018)},
		"a copy was cut short": {func(esebcli.Restore, string) {
			put(t, mail, h.full.dbs["mail"][mail][:len(h.full.dbs["mail"][mail])-8192])
		}, esebcli.FromJET(-1206)},
		"it is no copy": {func(esebcli.Restore, string) {
			b, err := os.ReadFile(h.group("Second").Databases[0].File)
			require.NoError(t, err)
			put(t, mail, b)
		}, esebcli.FromJET(-615)},
	} {
		r, dir := h.open(h.full.logs)
		require.NoError(t, r.SaveEnvironment(ctx))
		c.change(r, dir)
		err := r.Complete(ctx, dir, dir, "", 0)
		require.Error(t, err, name)
		answered(t, err, c.want)
		require.NoError(t, r.Close(ctx, true))
	}
	r, dir := h.open(h.full.logs)
	require.NoError(t, r.SaveEnvironment(ctx))
	answered(t, r.Complete(ctx, dir, t.TempDir(), "", 0), esebcli.HrInvalidArgument)
	answered(t, r.Complete(ctx, dir, dir, "", esebcli.CompleteNoWait), esebcli.HrInvalidArgument)
	answered(t, r.Complete(ctx, dir, dir, "none", 0), esebcli.HrInvalidArgument)
	require.NoError(t, r.Complete(ctx, dir, dir, "", 0))
}

// A copy of one database goes into a recovery storage group, under another number.
func TestRecoveryGroup(t *testing.T) {
	t.Parallel()
	h, ctx := made(t, 2003), t.Context()
	require.NoError(t, h.AddGroup(exchangesim.Group{Name: "Recovery", Base: "R00", Databases: []exchangesim.Database{{Name: "public", Recovery: true, Unmounted: true}}}))
	g := h.group("Recovery")
	d := g.Databases[0]
	assert.True(t, d.Recovery)
	r, err := h.Tools().Streaming.RestoreOpen(ctx, "", esebcli.InformationStore, "First", "")
	require.NoError(t, err)
	e, err := r.Environment(ctx)
	require.NoError(t, err)
	to := []string{d.File, d.StreamFile}
	require.NoError(t, r.AddDatabaseTo(ctx, "public", h.full.ids["public"], h.full.order["public"], to))
	for i, path := range to {
		h.give(r, path, h.full.dbs["public"][h.full.order["public"][i]])
	}
	for _, set := range []*copies{h.full, h.one} {
		for name, b := range set.logs {
			h.give(r, filepath.Join(e.RestoreLogPath, name), b)
		}
	}
	require.NoError(t, r.SaveEnvironment(ctx))
	require.NoError(t, r.Complete(ctx, e.RestoreLogPath, e.RestoreLogPath, "", esebcli.CompleteAttach))
	require.NoError(t, r.Close(ctx, false))
	assert.Equal(t, h.atOne["public"], h.read("Recovery/public"))
	assert.Equal(t, h.atTwo["public"], h.read("First/public"), "the other is untouched")
	require.Error(t, h.Tools().Management.AllowRestore(ctx, d))
}
