package tapesim_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/sim/tapesim"
)

// What is written in pieces, and in two files' time, is what is written at once.
func TestStepByStep(t *testing.T) {
	t.Parallel()
	page := bytes.Repeat([]byte("page"), 2048)
	set := tapesim.Set{Type: 'D', Database: "sales", Checksum: true, Pages: [][]byte{page}, Log: page}
	f := tapesim.File{Sets: []tapesim.Set{set, set}}
	var out bytes.Buffer
	w, err := tapesim.NewWriter(&out, f)
	require.NoError(t, err)
	for i := range f.Sets {
		if i > 0 {
			w = tapesim.Continue(&out, f, int64(out.Len()), i)
		}
		require.NoError(t, w.Begin(set))
		require.NoError(t, w.Pages(8192))
		for part := range 4 {
			_, err := w.Write(page[2048*part:][:2048])
			require.NoError(t, err)
		}
		require.NoError(t, w.EndData())
		require.NoError(t, w.Log(8192))
		_, err := w.Write(page[:512])
		require.NoError(t, err)
		require.Error(t, w.EndData(), "the stream is longer")
		_, err = w.Write(page)
		require.Error(t, err, "but not that much")
		_, err = w.Write(page[:100])
		require.Error(t, err, "and of whole sectors")
		_, err = w.Write(page[512:])
		require.NoError(t, err)
		require.NoError(t, w.EndData())
		require.NoError(t, w.End(set))
	}
	assert.True(t, bytes.Equal(f.Bytes(), out.Bytes()))
}
