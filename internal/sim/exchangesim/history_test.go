package exchangesim_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
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

// The server works on between the reads of a stream: the copy is a mixture of moments, and the logs make a state of it.
func TestCopyIsAMixture(t *testing.T) {
	t.Parallel()
	for _, version := range []int{2003, 2007} {
		h := &history{world: serve(t, version), full: newCopies()}
		ctx := t.Context()
		h.write("mail", 100)
		require.NoError(t, h.Flush("mail"))
		before := h.states()
		h.SetFault(func(c exchangesim.Call) error {
			if c.Name == "Session.Read" && c.After {
				h.write("mail", 3)
			}
			return nil
		})
		h.stream(h.Tools().Streaming, "First", esebcli.Full, false, h.full)
		h.SetFault(nil)
		gen, err := h.Generation("First")
		require.NoError(t, err)
		want, err := h.AtGeneration("First/mail", gen-1)
		require.NoError(t, err)
		require.NotEqual(t, before["mail"], want)

		h.dismounted("First")
		r, dir := h.open(h.full.logs)
		require.NoError(t, r.SaveEnvironment(ctx))
		require.NoError(t, r.Complete(ctx, dir, dir, "", 0))
		require.NoError(t, r.Close(ctx, false))
		d := h.group("First").Databases[0]
		got, err := exchangesim.ReadFile(d.File)
		require.NoError(t, err)
		assert.Equal(t, want, got)

		// Without the logs it is none of the states that were.
		copied := h.full.dbs["mail"][d.File]
		size := map[int]int{2003: 4096, 2007: 8192}[version]
		older, newer := 0, 0
		for key := range want {
			if at(copied, size, key) == before["mail"][key] {
				older++
			} else {
				newer++
			}
		}
		assert.Positive(t, newer, "pages written during the copy")
		assert.Positive(t, older, "pages copied before they were changed, or not written yet")
	}
}

// at finds the value of a key in the pages of a copy: "" when it is not there.
func at(b []byte, size int, key string) string {
	for n := 2 * size; n+size <= len(b); n += size {
		body := b[n+40 : n+size]
		k, v := int(body[4])|int(body[5])<<8, int(body[6])|int(body[7])<<8
		if string(body[:4]) == "QSIM" && string(body[8:8+k]) == key {
			return string(body[8+k : 8+k+v])
		}
	}
	return ""
}

// Whatever happens to a server, its logs lead from a backup to every state that a generation ended with.
func TestRandomHistories(t *testing.T) {
	t.Parallel()
	for _, version := range []int{2003, 2007, 2010, 2019} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("%d/%d", version, seed), func(t *testing.T) {
				t.Parallel()
				randomHistory(t, version, rand.New(rand.NewPCG(seed, uint64(version))))
			})
		}
	}
}

func randomHistory(t *testing.T, version int, r *rand.Rand) {
	w, ctx := serve(t, version), t.Context()
	g := w.layout().Groups[1] // one database
	name := g.Databases[0].Name
	kept := t.TempDir()
	w.write(name, r.IntN(150))
	h, err := w.Tools().Shadows.Create(ctx, w.request(w.layout().Groups...))
	require.NoError(t, err)
	snapshot := func(live string) string {
		path, err := h.Path(live)
		require.NoError(t, err)
		return path
	}
	dbs := map[string]string{}
	for _, f := range []string{g.Databases[0].File, g.Databases[0].StreamFile} {
		if f != "" {
			dbs[filepath.Base(f)] = snapshot(f)
		}
	}
	copyInto(t, kept, dbs)
	first, err := w.Generation(g.Name)
	require.NoError(t, err)
	logs := map[string]string{}
	for _, l := range closed(t, snapshot(g.LogDir)) {
		logs[l] = filepath.Join(snapshot(g.LogDir), l)
	}
	copyInto(t, kept, logs)
	require.NoError(t, h.Complete(ctx))
	for range 40 {
		switch r.IntN(8) {
		default:
			w.write(name, r.IntN(20))
		case 0:
			require.NoError(t, w.Rotate(g.Name))
		case 1:
			require.NoError(t, w.Flush(name))
		case 2:
			w.Crash()
			require.NoError(t, w.Start())
		case 3:
			require.NoError(t, w.Dismount(name))
			require.NoError(t, w.Mount(name))
		}
	}
	require.NoError(t, w.Rotate(g.Name))
	last, err := w.Generation(g.Name)
	require.NoError(t, err)
	all := map[string]string{}
	for _, l := range closed(t, g.LogDir) {
		all[l] = filepath.Join(g.LogDir, l)
	}
	copyInto(t, kept, all)
	for gen := first; gen < last; gen += 1 + uint32(r.IntN(3)) {
		dir := t.TempDir()
		files := map[string]string{}
		for f := range dbs {
			files[f] = filepath.Join(kept, f)
		}
		for _, l := range closed(t, kept) {
			if n, _ := ese.ParseLogName(l); n.Generation <= gen {
				files[l] = filepath.Join(kept, l)
			}
		}
		copyInto(t, dir, files)
		require.NoError(t, w.Tools().Engine.Recover(ctx, exchange.Recovery{Base: g.LogBase, LogDir: dir, SystemDir: dir, DatabaseDir: dir}))
		got, err := exchangesim.ReadFile(filepath.Join(dir, filepath.Base(g.Databases[0].File)))
		require.NoError(t, err)
		want, err := w.AtGeneration(g.Name+"/"+name, gen)
		require.NoError(t, err)
		require.Equal(t, want, got, "generation %d of %d to %d", gen, first, last)
	}
	assert.Equal(t, exchangesim.Open{}, w.Open())
	chainOf(t, w.group(g.Name))
}

// copyInto copies files under their names into a folder.
func copyInto(t *testing.T, dir string, files map[string]string) {
	for name := range maps.Keys(files) {
		b, err := os.ReadFile(files[name])
		require.NoError(t, err)
		put(t, filepath.Join(dir, name), b)
	}
}
