package mtf_test

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/tapesim"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// reseal gives all headers in b the checksums of their content, so that what a fuzzer writes into them is read.
func reseal(b []byte) {
	xor := func(b []byte) (x uint16) {
		for i := 0; i < len(b); i += 2 {
			x ^= binary.LittleEndian.Uint16(b[i:])
		}
		return x
	}
	for at := 0; at+52 <= len(b); at += 4 {
		switch string(b[at : at+4]) {
		case "TAPE", "SFMB", "SSET", "VOLB", "MSCI", "MSDA", "MSTL", "MSLS", "ESET":
			binary.LittleEndian.PutUint16(b[at+50:], xor(b[at:at+50]))
		case "RAID", "MQCI", "APAD", "MQDA", "MQTL", "CSUM", "SPAD":
			binary.LittleEndian.PutUint16(b[at+20:], xor(b[at:at+20]))
		}
	}
}

// FuzzScan: whatever a file holds, Scan and Verify end, agree on what they saw, and call nothing but damage by its name.
func FuzzScan(f *testing.F) {
	small := full()
	small.Pages, small.Log = [][]byte{pages(1, 1)}, pages(1, 2)
	plain := small
	plain.Checksum = false
	for _, sets := range [][]tapesim.Set{{small}, {plain}, {empty(), empty()}, {}} {
		f.Add(media(sets...).Bytes())
	}
	f.Add([]byte("MSSQLBAK\x01\x00\x00\x00\x00\x00\x00\x00 and more"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for range 2 {
			m, err := mtf.Scan(t.Context(), bytes.NewReader(b), int64(len(b)))
			also, errToo := mtf.Verify(t.Context(), bytes.NewReader(b))
			for _, err := range []error{err, errToo} {
				if err != nil {
					require.ErrorIs(t, err, backup.ErrCorrupt)
				}
			}
			require.NotNil(t, m)
			require.NotNil(t, also)
			if errToo == nil {
				require.NoError(t, err, "Verify accepts what Scan does not")
				require.Equal(t, m.Sets, also.Sets)
				require.EqualValues(t, len(b), also.SizeBytes)
			}
			for _, set := range mtf.Group(m, also) {
				_ = set.Check()
			}
			reseal(b)
		}
	})
}

// TestMemoryIsBounded reads a file of many times the memory that Verify may take. It is not parallel, so that it counts its own memory only.
func TestMemoryIsBounded(t *testing.T) { //nolint:paralleltest // see above
	s := full()
	s.Pages = [][]byte{pages(4096, 1)}
	b := media(s).Bytes()
	for what, read := range map[string]func() error{
		"verify": func() error { _, err := mtf.Verify(t.Context(), bytes.NewReader(b)); return err },
		"scan":   func() error { _, err := mtf.Scan(t.Context(), bytes.NewReader(b), int64(len(b))); return err },
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		require.NoError(t, read())
		runtime.ReadMemStats(&after)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), what)
	}
}

// BenchmarkVerify reads a backup WITH CHECKSUM from memory.
func BenchmarkVerify(b *testing.B) {
	s := full()
	s.Pages = [][]byte{pages(8192, 1)}
	file := media(s).Bytes()
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		m, err := mtf.Verify(b.Context(), bytes.NewReader(file))
		if err != nil || m.Depth != mtf.Summed {
			b.Fatal(m, err)
		}
	}
}
