package exchangesim_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/exchange/ese"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim"
)

func TestAccidents(t *testing.T) {
	t.Parallel()
	for _, version := range []int{2007, 2019} {
		w, ctx := serve(t, version), t.Context()
		g := w.layout().Groups[1]
		d := g.Databases[0]
		w.write(d.Name, 150)
		state := w.read(d.Name)

		require.NoError(t, w.CorruptPage(d.Name, "key3"))
		_, err := ese.VerifyDatabase(ctx, open(t, d.File), -1)
		require.Error(t, err)
		require.NoError(t, w.RepairPage(d.Name, "key3"))
		_, err = ese.VerifyDatabase(ctx, open(t, d.File), -1)
		require.NoError(t, err)
		require.Error(t, w.CorruptPage(d.Name, "none"))

		require.NoError(t, w.DamageLog(g.Name, 2))
		b, err := os.ReadFile(filepath.Join(g.LogDir, closed(t, g.LogDir)[1]))
		require.NoError(t, err)
		_, err = ese.VerifyLog(ctx, bytes.NewReader(b))
		require.Error(t, err)
		require.NoError(t, w.DeleteLogs(g.Name, 2))
		assert.Zero(t, w.Truncations())
		series := chainOf(t, g)[0].Log

		require.NoError(t, w.ResetLog(g.Name))
		chain := chainOf(t, g)
		assert.NotEqual(t, series.Signature, chain[0].Log.Signature)
		assert.Equal(t, uint32(1), chain[0].Log.Generation)
		assert.Equal(t, state, w.read(d.Name))
	}
}

// Logs that another program deleted are missing in what the server offers.
func TestLogsDeletedByAnother(t *testing.T) {
	t.Parallel()
	w, ctx := serve(t, 2007), t.Context()
	w.write("mail", 50)
	a := w.Tools().Streaming
	w.stream(a, "First", esebcli.Full, false, newCopies())
	w.write("mail", 150)
	gen, err := w.Generation("First")
	require.NoError(t, err)
	require.NoError(t, w.DeleteLogs("First", gen-1))
	x, i := session(t, a, "First")
	answered(t, x.Setup(ctx, i.ID, esebcli.LogsOnly), esebcli.HrMissingFullBackup)
}

func TestAddGroup(t *testing.T) {
	t.Parallel()
	w := serve(t, 2016)
	require.NoError(t, w.AddGroup(exchangesim.Group{Name: "three", Databases: []exchangesim.Database{{Name: "three"}}}))
	w.write("three", 3)
	assert.Len(t, w.read("three"), 3)
	assert.Equal(t, "E02", w.group("three").LogBase)
	require.Error(t, w.AddGroup(exchangesim.Group{Name: "four"}))
}

// A database in a group whose logs run on can be attached to a series it never saw.
func TestMovedToAnotherSeries(t *testing.T) {
	t.Parallel()
	w := serve(t, 2007)
	w.write("mail", 50)
	state := w.read("mail")
	require.NoError(t, w.Dismount("mail"))
	require.NoError(t, w.ResetLog("First"))
	w.write("public", 50)
	require.NoError(t, w.Mount("mail"))
	w.write("mail", 20)
	assert.NotEqual(t, state, w.read("mail"))
	state = w.read("mail")
	w.Crash()
	require.NoError(t, w.Start())
	assert.Equal(t, state, w.read("mail"))
}
