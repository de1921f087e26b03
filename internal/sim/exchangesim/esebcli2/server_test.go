package esebcli2_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/exchange/ese"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim/esebcli2"
)

// TestFilesAreGenuine looks at the files of a server with the eyes of package ese.
func TestFilesAreGenuine(t *testing.T) {
	t.Parallel()
	moment := time.Date(2007, 3, 9, 14, 5, 6, 0, time.UTC)
	s, err := esebcli2.New(t.TempDir(), "EXCH1", func() time.Time { moment = moment.Add(time.Second); return moment },
		esebcli2.Group{ID: 1, Name: "g", Databases: []esebcli2.Database{{Name: "d", Mounted: true}}})
	require.NoError(t, err)
	g := &s.Groups[0]
	d := &g.Databases[0]
	for range 60 {
		require.NoError(t, s.Put(g, d, "k", strings.Repeat("x", 3000)))
	}
	closed, err := g.Logs()
	require.NoError(t, err)
	require.Equal(t, []uint32{1, 2}, closed)
	require.NoError(t, s.Flush(g))

	var chain []ese.NamedLog
	for _, name := range []string{"E0000001.log", "E0000002.log", "E00.log"} {
		f, err := os.Open(filepath.Join(g.LogDir, name))
		require.NoError(t, err)
		l, err := ese.VerifyLog(t.Context(), f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		chain = append(chain, ese.NamedLog{Name: name, Log: l})
	}
	require.NoError(t, ese.CheckChain(chain[0].Log.Signature, chain))

	f, err := os.Open(d.File)
	require.NoError(t, err)
	defer f.Close()
	v, err := ese.VerifyDatabase(t.Context(), f, -1)
	require.NoError(t, err)
	assert.Equal(t, ese.DirtyShutdown, v.State)
	assert.Equal(t, [3]int64{1, 0, 0}, [3]int64{v.Good, v.Unused, v.Bad})
	assert.Equal(t, chain[0].Log.Signature, v.LogSignature)
	_, err = esebcli2.Content(d.File)
	require.ErrorContains(t, err, "want clean shutdown")

	d.Mounted = false
	require.NoError(t, s.Refresh())
	assert.True(t, d.Mounted, "as the description has it")
}
