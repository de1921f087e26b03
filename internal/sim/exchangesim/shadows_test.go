package exchangesim_test

import (
	"bytes"
	"errors"
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

// request is one for all that some groups need.
func (w *world) request(groups ...exchange.Group) exchange.ShadowRequest {
	r := exchange.ShadowRequest{Include: groups, WorkDir: w.t.TempDir(), Note: func([]byte) error { return nil }}
	for _, g := range groups {
		r.Files = append(r.Files, g.LogDir, g.SystemDir)
		for _, d := range g.Databases {
			r.Files = append(r.Files, d.File)
		}
	}
	return r
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	for _, version := range []int{2003, 2007, 2010, 2019} {
		w, ctx := serve(t, version), t.Context()
		tools := w.Tools()
		groups := w.layout().Groups
		g := groups[0]
		d := g.Databases[0]
		w.write(d.Name, 150)
		state := w.read(d.Name)
		before := closed(t, g.LogDir)
		notes := 0
		r := w.request(groups...)
		r.Note = func(note []byte) error {
			notes++
			assert.NotEmpty(t, note)
			return nil
		}
		h, err := tools.Shadows.Create(ctx, r)
		require.NoError(t, err)
		assert.Equal(t, 2, notes)
		assert.Equal(t, w.now, h.Time())
		w.write(d.Name, 50)

		// What is in the snapshot is whole, needs its logs, and has the state of the moment after recovery.
		edb, err := h.Path(d.File)
		require.NoError(t, err)
		logs, err := h.Path(g.LogDir)
		require.NoError(t, err)
		assert.Equal(t, before, closed(t, logs))
		head, err := ese.VerifyDatabase(ctx, open(t, edb), -1)
		require.NoError(t, err)
		assert.Equal(t, ese.DirtyShutdown, head.State)
		assert.False(t, head.SnapshotCurrent.IsZero())
		work := t.TempDir()
		require.NoError(t, os.CopyFS(work, os.DirFS(logs)))
		for _, d := range g.Databases { // their names may be the same: each below its own folder
			for _, f := range []string{d.File, d.StreamFile} {
				if f == "" {
					continue
				}
				in, err := h.Path(f)
				require.NoError(t, err)
				b, err := os.ReadFile(in)
				require.NoError(t, err)
				put(t, filepath.Join(work, d.Name, filepath.Base(f)), b)
			}
		}
		require.NoError(t, tools.Engine.Recover(ctx, exchange.Recovery{Base: g.LogBase, LogDir: work, SystemDir: work, DatabaseDir: filepath.Join(work, d.Name), IgnoreMissing: true}))
		got, err := exchangesim.ReadFile(filepath.Join(work, d.Name, filepath.Base(d.File)))
		require.NoError(t, err)
		assert.Equal(t, state, got)

		live, err := ese.ReadDatabaseHeader(ctx, open(t, d.File))
		require.NoError(t, err)
		assert.True(t, live.SnapshotCurrent.IsZero())
		assert.True(t, live.FullPrevious.IsZero())
		assert.Equal(t, 1, w.Open().Shadows)
		_, err = tools.Shadows.Create(ctx, w.request(groups...))
		answered(t, err, 0x80042316)
		if version < 2010 {
			x, i := session(t, tools.Streaming, g.Name)
			answered(t, x.Setup(ctx, i.ID, esebcli.Full), esebcli.HrBackupInProgress)
			require.NoError(t, x.End(ctx))
		}
		require.NoError(t, h.Complete(ctx))
		require.NoError(t, h.Complete(ctx))
		require.NoError(t, h.Abort(ctx))
		assert.Less(t, closed(t, g.LogDir)[0], "F")
		assert.NotContains(t, closed(t, g.LogDir), before[0])
		assert.Equal(t, 1, w.Truncations())
		live, err = ese.ReadDatabaseHeader(ctx, open(t, d.File))
		require.NoError(t, err)
		assert.Equal(t, ese.ByOSSnapshot, live.FullPrevious.Method)
		assert.Equal(t, exchangesim.Open{}, w.Open())
		_, err = h.Path(d.File)
		require.Error(t, err)
		chainOf(t, g)
		if version < 2010 {
			x, i := session(t, tools.Streaming, g.Name)
			answered(t, x.Setup(ctx, i.ID, esebcli.LogsOnly), esebcli.HrMissingFullBackup) // the full was of the other kind
		}
	}
}

func TestSnapshotsThatTruncateNothing(t *testing.T) {
	t.Parallel()
	w, ctx := serve(t, 2019), t.Context()
	tools := w.Tools()
	one, two := w.group("one"), w.group("two")
	w.write("one", 150)
	w.write("two", 150)
	firstOne, firstTwo := closed(t, one.LogDir)[0], closed(t, two.LogDir)[0]
	make := func(change func(r *exchange.ShadowRequest)) exchange.Shadow {
		r := w.request(one, two)
		if change != nil {
			change(&r)
		}
		h, err := tools.Shadows.Create(ctx, r)
		require.NoError(t, err)
		return h
	}
	h := make(nil)
	require.NoError(t, h.Abort(ctx))
	require.NoError(t, h.Abort(ctx))
	answered(t, h.Complete(ctx), 0x80042301)
	h = make(func(r *exchange.ShadowRequest) { r.Copy = true })
	require.NoError(t, h.Complete(ctx))
	assert.Contains(t, closed(t, one.LogDir), firstOne)
	assert.Equal(t, w.now, w.group("one").Databases[0].LastCopy)
	assert.Zero(t, w.group("one").Databases[0].LastFull)
	require.NoError(t, w.Dismount("two"))
	require.NoError(t, make(nil).Complete(ctx))
	assert.NotContains(t, closed(t, one.LogDir), firstOne)
	assert.Contains(t, closed(t, two.LogDir), firstTwo, "it is not mounted")
	require.NoError(t, w.Mount("two"))
	h = make(func(r *exchange.ShadowRequest) { r.Include, r.Exclude = r.Include[:1], r.Include[1:] })
	require.NoError(t, h.Complete(ctx))
	assert.Contains(t, closed(t, two.LogDir), firstTwo, "it was excluded")
	require.NoError(t, make(nil).Complete(ctx))
	assert.NotContains(t, closed(t, two.LogDir), firstTwo)
}

func TestSnapshotRefuses(t *testing.T) {
	t.Parallel()
	w, ctx := serve(t, 2010), t.Context()
	a := w.Tools().Shadows
	for _, change := range []func(*exchange.ShadowRequest){
		func(r *exchange.ShadowRequest) { r.Files = nil },
		func(r *exchange.ShadowRequest) { r.Files = []string{t.TempDir()} },
		func(r *exchange.ShadowRequest) { r.WorkDir = "/nowhere" },
		func(r *exchange.ShadowRequest) { r.Exclude = r.Include },
		func(r *exchange.ShadowRequest) { r.Include = []exchange.Group{{Name: "none"}} },
		func(r *exchange.ShadowRequest) { r.Note = func([]byte) error { return errors.New("disk full") } },
	} {
		r := w.request(w.group("one"))
		change(&r)
		_, err := a.Create(ctx, r)
		require.Error(t, err)
		assert.Equal(t, exchangesim.Open{}, w.Open())
	}
	n := 0
	r := w.request(w.group("one"))
	r.Note = func([]byte) error {
		if n++; n == 2 {
			return errors.New("disk full")
		}
		return nil
	}
	_, err := a.Create(ctx, r)
	require.ErrorContains(t, err, "disk full")
	assert.Equal(t, exchangesim.Open{}, w.Open())
	r = w.request(w.group("one"))
	r.Files = []string{w.group("one").Databases[0].File}
	h, err := a.Create(ctx, r)
	require.NoError(t, err)
	_, err = h.Path(w.group("one").LogDir)
	answered(t, err, 0x80042308)
	require.NoError(t, h.Abort(ctx))

	old := serve(t, 2003)
	r = old.request(old.group("First"))
	r.Exclude = []exchange.Group{old.group("Second")}
	_, err = old.Tools().Shadows.Create(ctx, r)
	answered(t, err, esebcli.HrInvalidArgument)
	x, i := session(t, old.Tools().Streaming, "First")
	require.NoError(t, x.Setup(ctx, i.ID, esebcli.Full))
	_, err = old.Tools().Shadows.Create(ctx, old.request(old.layout().Groups...))
	answered(t, err, 0x800423F4)
	oldest := serve(t, 2000)
	_, err = oldest.Tools().Shadows.Create(ctx, oldest.request(oldest.layout().Groups...))
	answered(t, err, 0x8004230C)
}

func TestSnapshotOfADeadProgram(t *testing.T) {
	t.Parallel()
	w, ctx := serve(t, 2019), t.Context()
	w.write("one", 150)
	first := closed(t, w.group("one").LogDir)[0]
	var note []byte
	r := w.request(w.group("one"), w.group("two"))
	r.Note = func(b []byte) error {
		note = bytes.Clone(b)
		return nil
	}
	w.SetFault(func(c exchangesim.Call) error {
		if c.Name == "Shadows.Snapshot" && !c.After {
			return exchangesim.ErrDie
		}
		return nil
	})
	_, err := w.Tools().Shadows.Create(ctx, r)
	require.ErrorIs(t, err, exchangesim.ErrDead)
	w.SetFault(nil)
	require.NoError(t, w.Tools().Shadows.Remove(ctx, note), "nothing was made")

	c := w.Client()
	h, err := c.Tools().Shadows.Create(ctx, r)
	require.NoError(t, err)
	c.Kill()
	require.ErrorIs(t, h.Complete(ctx), exchangesim.ErrDead)
	assert.Equal(t, exchangesim.Open{Shadows: 1}, w.Open())
	assert.Contains(t, closed(t, w.group("one").LogDir), first)
	left := bytes.Clone(note)
	next, err := w.Tools().Shadows.Create(ctx, r)
	require.NoError(t, err, "it is in nobody's way")
	require.NoError(t, next.Abort(ctx))
	require.NoError(t, w.Tools().Shadows.Remove(ctx, left))
	require.NoError(t, w.Tools().Shadows.Remove(ctx, left))
	assert.Equal(t, exchangesim.Open{}, w.Open())
	require.Error(t, w.Tools().Shadows.Remove(ctx, []byte("nonsense")))
}

func TestSystemState(t *testing.T) {
	t.Parallel()
	for version, name := range map[int]string{2003: "ntbackup", 2019: "wbadmin"} {
		w, ctx := serve(t, version), t.Context()
		tool := w.Tools().SystemState
		assert.Equal(t, name, tool.Name())
		dir := t.TempDir()
		require.NoError(t, tool.Check(ctx, dir))
		saved, err := tool.Save(ctx, dir)
		require.NoError(t, err)
		require.NotEmpty(t, saved)
		for _, f := range saved {
			assert.FileExists(t, f.Path)
		}
		_, err = tool.Save(ctx, dir)
		require.ErrorContains(t, err, "not empty")
		assert.FileExists(t, saved[0].Path)
		require.NoError(t, tool.Remove(ctx, dir))
		require.NoError(t, tool.Remove(ctx, filepath.Join(dir, "gone")))
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Empty(t, left)
		w.SetFault(func(c exchangesim.Call) error {
			if c.After {
				return errors.New("the tool failed")
			}
			return nil
		})
		_, err = tool.Save(ctx, dir)
		require.Error(t, err)
		left, err = os.ReadDir(dir)
		require.NoError(t, err)
		assert.Empty(t, left)
	}
}
