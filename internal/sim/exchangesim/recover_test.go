package exchangesim_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/exchange/ese"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim"
)

// crashed is the files of a server that died: a folder with logs, checkpoint and the one database, and its state.
func crashed(t *testing.T, version int) (w *world, dir string, state map[string]string) {
	w = serve(t, version)
	g := w.layout().Groups[1]
	d := g.Databases[0]
	w.write(d.Name, 150)
	state = w.read(d.Name)
	w.Crash()
	dir = t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(g.LogDir)))
	for _, f := range []string{d.File, d.StreamFile} {
		if f != "" {
			b, err := os.ReadFile(f)
			require.NoError(t, err)
			put(t, filepath.Join(dir, filepath.Base(f)), b)
		}
	}
	return w, dir, state
}

func recovery(dir string) exchange.Recovery {
	return exchange.Recovery{Base: "E01", LogDir: dir, SystemDir: dir, DatabaseDir: dir}
}

func edbIn(t *testing.T, dir string) string {
	all, err := filepath.Glob(filepath.Join(dir, "*.edb"))
	require.NoError(t, err)
	require.Len(t, all, 1)
	return all[0]
}

func TestSoftRecovery(t *testing.T) {
	t.Parallel()
	for _, version := range []int{2003, 2007, 2010, 2019} {
		w, dir, state := crashed(t, version)
		r := recovery(dir)
		require.NoError(t, os.Remove(filepath.Join(dir, "E01.chk"))) // it begins with the lowest log
		require.NoError(t, w.Tools().Engine.Recover(t.Context(), r))
		got, err := exchangesim.ReadFile(edbIn(t, dir))
		require.NoError(t, err)
		assert.Equal(t, state, got)
		v, err := ese.VerifyDatabase(t.Context(), open(t, edbIn(t, dir)), -1)
		require.NoError(t, err)
		assert.True(t, v.Clean())
		k, err := ese.VerifyCheckpoint(t.Context(), open(t, filepath.Join(dir, "E01.chk")))
		require.NoError(t, err)
		assert.Equal(t, v.LogSignature, k.Signature)
		require.NoError(t, w.Tools().Engine.Recover(t.Context(), r), "again, there is nothing to do")
	}
}

func TestSoftRecoveryWithoutTheCurrentLog(t *testing.T) {
	t.Parallel()
	w, dir, _ := crashed(t, 2019)
	ctx := t.Context()
	require.NoError(t, os.Remove(filepath.Join(dir, "E01.log")))
	r := recovery(dir)
	err := w.Tools().Engine.Recover(ctx, r)
	answered(t, err, esebcli.FromJET(-543)) // its header has a page of that log
	assert.ErrorContains(t, err, "operation terminated with error -543")
}

func TestSoftRecoveryToALog(t *testing.T) {
	t.Parallel()
	w, ctx := serve(t, 2019), t.Context()
	g := w.group("one")
	w.write("one", 20)
	h, err := w.Tools().Shadows.Create(ctx, w.request(w.group("one")))
	require.NoError(t, err)
	dir := t.TempDir()
	in, err := h.Path(g.Databases[0].File)
	require.NoError(t, err)
	b, err := os.ReadFile(in)
	require.NoError(t, err)
	put(t, filepath.Join(dir, "one.edb"), b)
	require.NoError(t, h.Complete(ctx))
	w.write("one", 200)
	names := closed(t, g.LogDir)
	require.Greater(t, len(names), 3)
	for _, name := range names[:3] {
		b, err := os.ReadFile(filepath.Join(g.LogDir, name))
		require.NoError(t, err)
		put(t, filepath.Join(dir, name), b)
	}
	require.NoError(t, w.Tools().Engine.Recover(ctx, exchange.Recovery{Base: "E00", LogDir: dir, SystemDir: dir, DatabaseDir: dir}))
	got, err := exchangesim.ReadFile(filepath.Join(dir, "one.edb"))
	require.NoError(t, err)
	last, ok := ese.ParseLogName(names[2])
	require.True(t, ok)
	want, err := w.AtGeneration("one", last.Generation)
	require.NoError(t, err)
	assert.Equal(t, want, got)
	l, err := ese.VerifyLog(ctx, open(t, filepath.Join(dir, "E00.log")))
	require.NoError(t, err, "recovery made the next log")
	assert.Equal(t, last.Generation+1, l.Generation)
}

func TestSoftRecoveryRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(dir string, r *exchange.Recovery)
		want   int
	}{
		"no logs":          {func(_ string, r *exchange.Recovery) { r.LogDir = t.TempDir() }, -528},
		"a log is missing": {func(dir string, _ *exchange.Recovery) { os.Remove(filepath.Join(dir, "E0100000002.log")) }, -528},
		"all but the current log missing": {func(dir string, _ *exchange.Recovery) {
			for _, name := range closed(t, dir) {
				os.Remove(filepath.Join(dir, name))
			}
		}, -543},
		"a log is damaged": {func(dir string, _ *exchange.Recovery) {
			b, _ := os.ReadFile(filepath.Join(dir, "E0100000002.log"))
			b[5000] ^= 3
			put(t, filepath.Join(dir, "E0100000002.log"), b)
		}, -501},
		"a log under another name": {func(dir string, _ *exchange.Recovery) {
			b, _ := os.ReadFile(filepath.Join(dir, "E0100000001.log"))
			put(t, filepath.Join(dir, "E0100000002.log"), b)
		}, -513},
		"a log of another series": {func(dir string, _ *exchange.Recovery) {
			_, other, _ := crashed(t, 2019)
			b, _ := os.ReadFile(filepath.Join(other, "E0100000002.log"))
			put(t, filepath.Join(dir, "E0100000002.log"), b)
		}, -530},
		"the database is missing": {func(dir string, _ *exchange.Recovery) { os.Remove(edbIn(t, dir)) }, -1216},
		"a page is damaged": {func(dir string, _ *exchange.Recovery) {
			b, _ := os.ReadFile(edbIn(t, dir))
			b[len(b)-9] ^= 3
			put(t, edbIn(t, dir), b)
		}, -1018},
		"a checkpoint of other logs": {func(dir string, _ *exchange.Recovery) {
			_, other, _ := crashed(t, 2019)
			b, _ := os.ReadFile(filepath.Join(other, "E01.chk"))
			put(t, filepath.Join(dir, "E01.chk"), b)
		}, -532},
		"a damaged checkpoint": {func(dir string, _ *exchange.Recovery) { put(t, filepath.Join(dir, "E01.chk"), []byte("x")) }, -533},
	} {
		w, dir, _ := crashed(t, 2019)
		if name != "a checkpoint of other logs" {
			require.NoError(t, os.Remove(filepath.Join(dir, "E01.chk")))
		}
		r := recovery(dir)
		c.change(dir, &r)
		err := w.Tools().Engine.Recover(t.Context(), r)
		require.Error(t, err, name)
		t.Log(name)
		answered(t, err, esebcli.FromJET(c.want))
	}
	w, dir, _ := crashed(t, 2019)
	require.NoError(t, os.Remove(edbIn(t, dir)))
	r := recovery(dir)
	r.IgnoreMissing = true
	require.NoError(t, w.Tools().Engine.Recover(t.Context(), r))
}

func TestCommittedLogs(t *testing.T) {
	t.Parallel()
	w, ctx := serve(t, 2010), t.Context()
	w.write("two", 60)
	gen, err := w.Generation("two")
	require.NoError(t, err)
	require.NoError(t, w.Rotate("two"))
	g := w.group("two")
	w.Crash()
	require.NoError(t, os.Remove(filepath.Join(g.LogDir, "E01.log")))
	r := exchange.Recovery{Base: "E01", LogDir: g.LogDir, SystemDir: g.SystemDir}
	answered(t, w.Tools().Engine.Recover(ctx, r), esebcli.FromJET(-582))
	r.AllowLoss = true
	require.NoError(t, w.Tools().Engine.Recover(ctx, r))
	got, err := exchangesim.ReadFile(g.Databases[0].File)
	require.NoError(t, err)
	want, err := w.AtGeneration("two", gen)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestStreamedCopyNeedsHardRecovery(t *testing.T) {
	t.Parallel()
	h := made(t, 2007)
	dir := t.TempDir()
	put(t, filepath.Join(dir, "priv.edb"), h.full.dbs["mail"][h.full.order["mail"][0]])
	for name, b := range h.full.logs {
		put(t, filepath.Join(dir, name), b)
	}
	r := exchange.Recovery{Base: "E00", LogDir: dir, SystemDir: dir, DatabaseDir: dir, IgnoreMissing: true}
	answered(t, h.Tools().Engine.Recover(t.Context(), r), esebcli.FromJET(-544))
}
