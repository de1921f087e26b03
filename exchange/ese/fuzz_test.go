package ese_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/ese"
)

// FuzzVerifyDatabase: whatever a file holds, the reader ends, calls nothing but damage by its name, and what it accepts Match knows. The fuzzer edits a file: each edit is an offset of two bytes and two bytes to put there.
// With a number beyond the files its bytes are the file. Headers are made whole again, so that what they say is reached.
func FuzzVerifyDatabase(f *testing.F) {
	bases, sizes := [][]byte{made(2048, 4), made(4096, 4), streamed(8192), streamed(32768)}, []int{2048, 4096, 8192, 32768}
	for i := range bases {
		f.Add(byte(i), false, []byte{})
		for _, at := range []uint16{0, 4, 12, 36, 52, 108, 184, 208, 236, 296, 4096, 8192, 8228, 16384} {
			f.Add(byte(i), at%8 == 0, append(binary.BigEndian.AppendUint16(nil, at), 0xFF, 0x01))
		}
	}
	f.Add(byte(9), false, bases[0][:9000])
	logs := madeLogs(f, 16, 20)
	f.Fuzz(func(t *testing.T, which byte, seal bool, edits []byte) {
		b := bytes.Clone(edits)
		if int(which) < len(bases) {
			b = bytes.Clone(bases[which])
			for ; len(edits) >= 4; edits = edits[4:] {
				copy(b[int(binary.BigEndian.Uint16(edits))%len(b):], edits[2:4])
			}
			if seal {
				sealHeaders(b, sizes[which])
			}
		}
		d, err := ese.VerifyDatabase(t.Context(), bytes.NewReader(b), int64(len(b)))
		r, k := judged(t, d, logs)
		_, textErr := json.Marshal([]any{d, r, k})
		require.NoError(t, textErr, "what was read can be told")
		head, headErr := ese.ReadDatabaseHeader(t.Context(), bytes.NewReader(b))
		require.Equal(t, d.Header, head.Header)
		require.False(t, err == nil && headErr != nil)
		if err != nil {
			require.ErrorIs(t, err, backup.ErrCorrupt)
			require.Equal(t, ese.Recognised, d.Depth)
			return
		}
		require.True(t, ese.Match(b))
		require.Zero(t, d.Bad)
	})
}

// judged is what is said of a database with logs. Whatever was read, there is something to say.
func judged(t *testing.T, d *ese.Database, logs []ese.NamedLog) (*ese.Recovery, *ese.Kept) {
	t.Helper()
	r := ese.Explain(ese.Set{Database: d, Logs: logs})
	k := ese.WhyKept(ese.Stream{Databases: []ese.NamedDatabase{{Name: "mail.edb", Database: d}}, Logs: logs})
	require.NotEmpty(t, r.String())
	require.NotEmpty(t, k.String())
	require.False(t, r.Possible && (d.Depth == ese.Recognised || r.Last < r.RequiredLast))
	require.True(t, r.Possible || len(r.Reasons) > 0, "a verdict has a reason")
	require.LessOrEqual(t, k.FreeLast, k.Last)
	return r, k
}

// TestMemoryIsBounded reads a file of many times the memory that a reader may take. It is not parallel, so that it counts its own memory only.
func TestMemoryIsBounded(t *testing.T) {
	b := append(made(32768, 4), make([]byte, 16<<20)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := verify(t, b)
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(768<<10))
}

// BenchmarkVerifyDatabase reads databases of each page size from memory, all pages in use.
func BenchmarkVerifyDatabase(b *testing.B) {
	for _, size := range []int{4096, 8192, 32768} {
		b.Run(map[int]string{4096: "4k", 8192: "8k", 32768: "32k"}[size], func(b *testing.B) {
			file := made(size, 16)[:2*size]
			for n := uint32(1); len(file) < 64<<20; n++ {
				page := bytes.Repeat([]byte{byte(n), 0x5A, 7, 0x21}, size/4)
				sealPage(page, n, false)
				file = append(file, page...)
			}
			b.SetBytes(int64(len(file)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ese.VerifyDatabase(b.Context(), bytes.NewReader(file), -1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzVerifyLog does the same for logs and checkpoints. What is accepted is a chain with itself, or not, without a panic.
func FuzzVerifyLog(f *testing.F) {
	bases := [][]byte{madeLog(8, 17, 0), madeLog(7, 18, 0), madeCheckpoint()}
	for i := range bases {
		for _, at := range []uint16{4, 8, 12, 16, 32, 44, 639, 653, 667, 4096, 4106, 8192, 28000} {
			f.Add(byte(i), at%8 == 0, "E0000011.log", append(binary.BigEndian.AppendUint16(nil, at), 0xFF, 0x01))
		}
	}
	f.Add(byte(9), false, "E00.log", bases[0][:5000])
	d, err := verify(f, made(4096, 4))
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, which byte, seal bool, name string, edits []byte) {
		b := bytes.Clone(edits)
		if int(which) < len(bases) {
			b = bytes.Clone(bases[which])
			for ; len(edits) >= 4; edits = edits[4:] {
				copy(b[int(binary.BigEndian.Uint16(edits))%len(b):], edits[2:4])
			}
			if seal {
				sealBlock(b[:4096])
			}
		}
		if c, err := ese.VerifyCheckpoint(t.Context(), bytes.NewReader(b)); err == nil {
			require.True(t, ese.MatchCheckpoint(b))
			_, err = json.Marshal(c)
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, backup.ErrCorrupt)
		}
		l, err := ese.VerifyLog(t.Context(), bytes.NewReader(b))
		_, textErr := json.Marshal(l)
		require.NoError(t, textErr)
		if err != nil {
			require.ErrorIs(t, err, backup.ErrCorrupt)
			return
		}
		require.True(t, ese.MatchLog(b))
		head, err := ese.ReadLogHeader(t.Context(), bytes.NewReader(b))
		require.NoError(t, err)
		require.Equal(t, l.Created, head.Created)
		judged(t, d, []ese.NamedLog{{Name: name, Log: l}, {Name: "E0000011.log", Log: head}, {Name: "E0000012.log", Log: l}})
		if err := ese.CheckChain(ese.Signature{}, []ese.NamedLog{{Name: name, Log: l}, {Name: "E0000012.log", Log: l}}); err != nil {
			require.ErrorIs(t, err, backup.ErrChainBroken)
		}
	})
}
