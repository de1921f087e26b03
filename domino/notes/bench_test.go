package notes_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/domino/notes"
)

// BenchmarkCalls measures what the way to another process costs.
func BenchmarkCalls(b *testing.B) {
	api, err := notes.Start(b.Context(), command("plain"))
	require.NoError(b, err)
	defer api.Close()
	th, err := api.Thread(b.Context())
	require.NoError(b, err)
	b.Run("small", func(b *testing.B) {
		for b.Loop() {
			_, err := th.LogStyle(b.Context())
			require.NoError(b, err)
		}
	})
	b.Run("1 MiB of change information", func(b *testing.B) {
		buf := make([]byte, 1<<20)
		b.SetBytes(int64(len(buf)))
		for b.Loop() {
			_, err := th.NextChangeInfo(b.Context(), handle, backup, buf)
			require.NoError(b, err)
		}
	})
}
