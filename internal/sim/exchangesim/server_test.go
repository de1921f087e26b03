package exchangesim_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/exchange/ese"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim"
)

func open(t *testing.T, path string) *os.File {
	f, err := os.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// chainOf verifies all logs of a group and compares them.
func chainOf(t *testing.T, g exchange.Group) []ese.NamedLog {
	var chain []ese.NamedLog
	for _, name := range append(closed(t, g.LogDir), g.LogBase+".log") {
		l, err := ese.VerifyLog(t.Context(), open(t, filepath.Join(g.LogDir, name)))
		require.NoError(t, err, name)
		chain = append(chain, ese.NamedLog{Name: name, Log: l})
	}
	require.NoError(t, ese.CheckChain(ese.Signature{}, chain))
	return chain
}

func TestFilesOfEachVersion(t *testing.T) {
	t.Parallel()
	for version, major := range map[int]int{2000: 6, 2003: 6, 2007: 8, 2010: 14, 2013: 15, 2016: 15, 2019: 15} {
		w := serve(t, version)
		l := w.layout()
		assert.Equal(t, major, l.Major)
		g := l.Groups[0]
		w.write(g.Databases[0].Name, 150)
		chain := chainOf(t, g)
		last := chain[len(chain)-1].Log
		gen, err := w.Generation(g.Name)
		require.NoError(t, err)
		assert.Equal(t, gen, last.Generation)
		assert.Greater(t, gen, uint32(3))
		want := [3]uint32{7, 5, 4096}
		if version >= 2007 {
			want = [3]uint32{7, 8, 8192}
		}
		if version >= 2010 {
			want[2] = 32768
		}
		if version >= 2013 {
			want[0] = 8
		}
		assert.Equal(t, want, [3]uint32{last.Major, uint32(len(chain[0].Name) - len("E00.log")), uint32(last.DatabasePageBytes)}, version)
		assert.Equal(t, version >= 2013, last.Created.UTC())
		k, err := ese.VerifyCheckpoint(t.Context(), open(t, filepath.Join(g.SystemDir, g.LogBase+".chk")))
		require.NoError(t, err)
		assert.Equal(t, last.Signature, k.Signature)
		for _, d := range g.Databases {
			assert.Equal(t, version <= 2003, d.StreamFile != "")
			v, err := ese.VerifyDatabase(t.Context(), open(t, d.File), -1)
			require.NoError(t, err)
			assert.Equal(t, ese.DirtyShutdown, v.State)
			assert.Equal(t, last.Signature, v.LogSignature)
			assert.Equal(t, gen, v.CommittedLast)
			assert.LessOrEqual(t, k.At.Generation, v.RequiredFirst)
			assert.LessOrEqual(t, v.RequiredFirst, v.RequiredLast)
			assert.LessOrEqual(t, v.RequiredLast, v.CommittedLast)
		}
		v, err := ese.ReadDatabaseHeader(t.Context(), open(t, g.Databases[0].File))
		require.NoError(t, err)
		assert.Less(t, v.RequiredFirst, gen, "pages are written late")
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	now := time.Now
	for _, c := range []exchangesim.Config{
		{Version: 2007},
		{Version: 1999, Now: now},
		{Version: 2007, Now: now, LogBytes: 5000},
		{Version: 2007, Now: now, Groups: []exchangesim.Group{{Name: "x"}}},
		{Version: 2010, Now: now, Groups: []exchangesim.Group{{Name: "x", Databases: []exchangesim.Database{{Name: "y"}}}}},
		{Version: 2007, Now: now, Groups: []exchangesim.Group{{Name: "x", Databases: []exchangesim.Database{{Name: "y", File: "D/y.edb"}, {Name: "z", File: "D/y.edb"}}}}},
	} {
		_, err := exchangesim.New(t.TempDir(), c)
		require.Error(t, err)
	}
	dir := t.TempDir()
	put(t, filepath.Join(dir, "something"), nil)
	_, err := exchangesim.New(dir, exchangesim.Config{Version: 2007, Now: now})
	require.ErrorContains(t, err, "not empty")
}

func TestLedger(t *testing.T) {
	t.Parallel()
	w := serve(t, 2019)
	w.write("one", 40)
	then, state := w.now, w.read("one")
	gen, err := w.Generation("one")
	require.NoError(t, err)
	require.NoError(t, w.Rotate("one"))
	w.write("one", 40)
	assert.NotEqual(t, state, w.read("one"))
	at, err := w.At("one", then)
	require.NoError(t, err)
	assert.Equal(t, state, at)
	at, err = w.AtGeneration("one/one", gen)
	require.NoError(t, err)
	assert.Equal(t, state, at)
	at, err = w.At("one", start.Add(-1))
	require.NoError(t, err)
	assert.Empty(t, at)
	_, err = w.At("three", then)
	require.Error(t, err)
	require.Error(t, w.Write("one", "", "v"))
	require.Error(t, w.Write("one", "k", string(make([]byte, 4096))))
	require.Error(t, w.Write("none", "k", "v"))
}

func TestMounting(t *testing.T) {
	t.Parallel()
	w, ctx := serve(t, 2003), t.Context()
	m := w.Tools().Management
	w.write("mail", 60)
	state := w.read("mail")
	g := w.group("First")
	mail := g.Databases[0]
	require.NoError(t, m.Dismount(ctx, mail))
	require.NoError(t, m.Dismount(ctx, mail))
	h, err := ese.ReadDatabaseHeader(ctx, open(t, mail.File))
	require.NoError(t, err)
	assert.True(t, h.Clean())
	assert.Equal(t, state, w.read("mail"))
	got, err := exchangesim.ReadFile(mail.File)
	require.NoError(t, err)
	assert.Equal(t, state, got)
	require.Error(t, w.Write("mail", "k", "v"))
	require.NoError(t, m.Mount(ctx, mail))
	require.NoError(t, m.Mount(ctx, mail))
	assert.Equal(t, state, w.read("mail"))
	require.NoError(t, w.Write("mail", "k", "v"))
	_, err = exchangesim.ReadFile(mail.File)
	answered(t, err, esebcli.FromJET(-550))

	// Files that are missing, dirty or not the server's own.
	dirty, err := os.ReadFile(mail.File)
	require.NoError(t, err)
	require.NoError(t, m.Dismount(ctx, mail))
	clean, err := os.ReadFile(mail.File)
	require.NoError(t, err)
	require.NoError(t, os.Remove(mail.File))
	answered(t, m.Mount(ctx, mail), esebcli.FromJET(-1811))
	put(t, mail.File, dirty)
	answered(t, m.Mount(ctx, mail), esebcli.FromJET(-550))
	require.NoError(t, m.Dismount(ctx, g.Databases[1]))
	other, err := os.ReadFile(g.Databases[1].File)
	require.NoError(t, err)
	put(t, mail.File, other)
	answered(t, m.Mount(ctx, mail), esebcli.FromJET(-531))
	stm, err := os.ReadFile(mail.StreamFile)
	require.NoError(t, err)
	put(t, mail.File, clean)
	require.NoError(t, os.Remove(mail.StreamFile))
	answered(t, m.Mount(ctx, mail), esebcli.FromJET(-1811))
	put(t, mail.StreamFile, []byte("nothing"))
	answered(t, m.Mount(ctx, mail), esebcli.FromJET(-540))
	put(t, mail.StreamFile, stm)
	bad := bytes.Clone(clean)
	bad[2*4096+4000] ^= 3
	put(t, mail.File, bad)
	answered(t, m.Mount(ctx, mail), esebcli.FromJET(-1018))
	put(t, mail.File, bytes.Repeat([]byte{1}, 8192))
	answered(t, m.Mount(ctx, mail), esebcli.FromJET(-1206))
	put(t, mail.File, clean)
	require.NoError(t, m.Mount(ctx, mail))

	// An older state of itself, only when that is allowed.
	w.write("mail", 5)
	require.NoError(t, m.Dismount(ctx, mail))
	put(t, mail.File, clean)
	put(t, mail.StreamFile, stm)
	answered(t, m.Mount(ctx, mail), esebcli.HrDatabaseInUse)
	require.NoError(t, m.AllowRestore(ctx, mail))
	assert.True(t, w.group("First").Databases[0].AllowRestore)
	require.NoError(t, m.Mount(ctx, mail))
	assert.False(t, w.group("First").Databases[0].AllowRestore)
	state["k"] = "v"
	assert.Equal(t, state, w.read("mail"))
	at, err := w.At("mail", w.now)
	require.NoError(t, err)
	assert.Equal(t, state, at, "the ledger follows")

	mail.GUID = "00000000-0000-0000-0000-000000000000"
	answered(t, m.Mount(ctx, mail), esebcli.HrDatabaseNotFound)
}

func TestSeries(t *testing.T) {
	t.Parallel()
	w, ctx := serve(t, 2010), t.Context()
	w.write("one", 60)
	g := w.group("one")
	first := chainOf(t, g)[0].Log.Signature
	require.NoError(t, w.Dismount("one"))
	current := filepath.Join(g.LogDir, g.LogBase+".log")
	b, err := os.ReadFile(current)
	require.NoError(t, err)
	require.NoError(t, os.Remove(current))
	answered(t, w.Mount("one"), esebcli.FromJET(-528))
	old, err := os.ReadFile(filepath.Join(g.LogDir, closed(t, g.LogDir)[0]))
	require.NoError(t, err)
	put(t, current, old)
	answered(t, w.Mount("one"), esebcli.FromJET(-515))
	put(t, current, []byte("no log"))
	answered(t, w.Mount("one"), esebcli.FromJET(-501))
	put(t, current, b)
	require.NoError(t, w.Mount("one"))
	require.NoError(t, w.Dismount("one"))
	for _, name := range append(closed(t, g.LogDir), g.LogBase+".log") {
		require.NoError(t, os.Remove(filepath.Join(g.LogDir, name)))
	}
	require.NoError(t, w.Mount("one"))
	chain := chainOf(t, g)
	assert.NotEqual(t, first, chain[0].Log.Signature)
	assert.Equal(t, uint32(1), chain[0].Log.Generation)
	answered(t, w.Tools().Engine.Recover(ctx, exchange.Recovery{Base: g.LogBase, LogDir: g.LogDir, SystemDir: g.SystemDir}), esebcli.FromJET(-1032))
}

func TestCircular(t *testing.T) {
	t.Parallel()
	groups := two(2007)
	groups[0].Circular = true
	w := serve(t, 2007, groups...)
	w.write("mail", 200)
	g := w.group("First")
	assert.True(t, g.Circular)
	chain := chainOf(t, g)
	assert.LessOrEqual(t, len(chain), 4)
	assert.True(t, chain[0].Log.Circular)
	x, i := session(t, w.Tools().Streaming, "First")
	require.NoError(t, x.Setup(t.Context(), i.ID, esebcli.Full))
	w.write("mail", 160)
	assert.Greater(t, len(chainOf(t, g)), len(chain)+1, "not while it is in backup")
	require.NoError(t, x.End(t.Context()))
	w.write("mail", 30)
	assert.LessOrEqual(t, len(chainOf(t, g)), 4)
}

func TestCrash(t *testing.T) {
	t.Parallel()
	for _, version := range []int{2003, 2019} {
		w, ctx := serve(t, version), t.Context()
		name := w.layout().Groups[0].Databases[0].Name
		w.write(name, 90)
		state := w.read(name)
		w.Crash()
		require.Error(t, w.Write(name, "k", "v"))
		_, err := w.Tools().Management.Layout(ctx)
		answered(t, err, esebcli.HrServerUnavailable)
		_, err = w.Read(name)
		answered(t, err, esebcli.FromJET(-550))
		require.NoError(t, w.Start())
		assert.Equal(t, state, w.read(name))
		w.write(name, 10)
		state = w.read(name)
		w.Crash()
		require.NoError(t, w.Start())
		assert.Equal(t, state, w.read(name))
	}
}

// A snapshot is put back with its logs, and the store recovers it when it mounts it.
func TestMountRecovers(t *testing.T) {
	t.Parallel()
	for _, version := range []int{2003, 2007, 2019} {
		w, ctx := serve(t, version), t.Context()
		tools := w.Tools()
		g := w.layout().Groups[0]
		name := g.Databases[0].Name
		w.write(name, 100)
		state := w.read(name)
		h, err := tools.Shadows.Create(ctx, w.request(w.layout().Groups...))
		require.NoError(t, err)
		kept := t.TempDir()
		files := map[string]string{}
		for i, d := range g.Databases {
			for _, f := range []string{d.File, d.StreamFile} {
				if f != "" {
					files[f] = filepath.Join(kept, fmt.Sprint(i, filepath.Ext(f)))
				}
			}
		}
		for _, l := range append(closed(t, g.LogDir), g.LogBase+".log") {
			files[filepath.Join(g.LogDir, l)] = filepath.Join(kept, l)
		}
		for live, to := range files {
			from, err := h.Path(live)
			require.NoError(t, err)
			b, err := os.ReadFile(from)
			require.NoError(t, err)
			put(t, to, b)
		}
		require.NoError(t, h.Complete(ctx))
		w.write(name, 100)

		w.dismounted(g.Name)
		for _, l := range append(closed(t, g.LogDir), g.LogBase+".log", g.LogBase+".chk") {
			require.NoError(t, os.Remove(filepath.Join(g.LogDir, l)))
		}
		for live, from := range files {
			b, err := os.ReadFile(from)
			require.NoError(t, err)
			put(t, live, b)
		}
		first := closed(t, g.LogDir)[len(closed(t, g.LogDir))-1]
		b, err := os.ReadFile(filepath.Join(g.LogDir, first))
		require.NoError(t, err)
		require.NoError(t, os.Remove(filepath.Join(g.LogDir, first)))
		answered(t, tools.Management.Mount(ctx, g.Databases[0]), esebcli.FromJET(-528))
		put(t, filepath.Join(g.LogDir, first), b)
		for _, d := range g.Databases {
			require.NoError(t, tools.Management.Mount(ctx, d))
		}
		assert.Equal(t, state, w.read(name))
		w.write(name, 50)
		chainOf(t, g)
	}
}
