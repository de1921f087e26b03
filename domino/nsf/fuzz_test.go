package nsf_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/nsf"
)

// FuzzVerify: whatever a file holds, the reader ends, calls nothing but damage by its name, and what it accepts Match knows. The fuzzer edits a file: each edit is an offset of two bytes and two bytes to put there.
// With a number beyond the files its bytes are the file.
func FuzzVerify(f *testing.F) {
	bases := [][]byte{made(43), made(55)}
	for i := range bases {
		f.Add(byte(i), []byte{})
		for _, at := range []uint16{0, 2, 6, 42, 88, 136, 200, 560, 564, 568, 1024, 2048} {
			f.Add(byte(i), append(binary.BigEndian.AppendUint16(nil, at), 0xFF, 0x01))
		}
	}
	f.Add(byte(9), bases[0][:1500])
	f.Fuzz(func(t *testing.T, which byte, edits []byte) {
		b := bytes.Clone(edits)
		if int(which) < len(bases) {
			b = bytes.Clone(bases[which])
			for ; len(edits) >= 4; edits = edits[4:] {
				copy(b[int(binary.BigEndian.Uint16(edits))%len(b):], edits[2:4])
			}
		}
		got, err := nsf.Verify(t.Context(), bytes.NewReader(b), int64(len(b)))
		_, textErr := json.Marshal(got)
		require.NoError(t, textErr, "what was read can be told")
		if err != nil {
			require.ErrorIs(t, err, backup.ErrCorrupt)
			return
		}
		if got.Depth == nsf.Measured {
			require.True(t, nsf.Match(b))
		}
	})
}

// TestMemoryIsBounded reads a file of many times the memory that a reader may take. It is not parallel, so that it counts its own memory only.
func TestMemoryIsBounded(t *testing.T) {
	b := append(made(43), make([]byte, 16<<20)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := nsf.Verify(t.Context(), bytes.NewReader(b), int64(len(b)))
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(256<<10))
}

// BenchmarkVerify reads a database from memory.
func BenchmarkVerify(b *testing.B) {
	file := append(made(43), make([]byte, 64<<20)...)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := nsf.Verify(b.Context(), bytes.NewReader(file), -1); err != nil {
			b.Fatal(err)
		}
	}
}
