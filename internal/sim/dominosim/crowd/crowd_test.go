package crowd_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim/crowd"
)

// What the suite believes of a crowd: a state that was is known, one that was not is not, and what is lost and damaged shows.
func TestCrowd(t *testing.T) {
	t.Parallel()
	sim, err := dominosim.New(t.TempDir(), dominosim.Config{Clock: time.Now, Style: notes.LogArchive})
	require.NoError(t, err)
	c, err := crowd.New(sim)
	require.NoError(t, err)
	known := func() (string, bool) {
		is, err := c.Fingerprint(t.Context())
		require.NoError(t, err)
		ok, err := c.Committed(t.Context(), is)
		require.NoError(t, err)
		return is, ok
	}
	first, ok := known()
	assert.True(t, ok)
	require.NoError(t, c.Mutate(t.Context(), 1))
	second, ok := known()
	assert.True(t, ok)
	assert.NotEqual(t, first, second)
	require.NoError(t, sim.Write("names.nsf", "by", "somebody else"))
	_, ok = known()
	assert.False(t, ok)

	alive, end, err := c.OpenForeign(t.Context())
	require.NoError(t, err)
	require.NoError(t, alive(t.Context()))
	require.NoError(t, c.Ended(), "it is not ours")
	require.NoError(t, end(t.Context()))
	require.Error(t, alive(t.Context()))

	p := sim.Process()
	defer p.Close()
	th, err := p.Thread(t.Context())
	require.NoError(t, err)
	h, err := th.Open(t.Context(), "names.nsf")
	require.NoError(t, err)
	_, _, err = th.BackupStart(t.Context(), h)
	require.NoError(t, err)
	require.ErrorContains(t, c.Ended(), "names.nsf")
	require.NoError(t, sim.ResetBackup("names.nsf"))

	name, mend, err := c.FailItem(t.Context())
	require.NoError(t, err)
	_, err = sim.Read(name)
	require.Error(t, err)
	require.NoError(t, mend(t.Context()))
	_, err = sim.Read(name)
	require.NoError(t, err)
	require.NoError(t, c.Lose(t.Context()))
	_, err = sim.Read("names.nsf")
	require.Error(t, err)
}
