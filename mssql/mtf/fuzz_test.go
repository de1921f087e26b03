package mtf_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
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

// FuzzScan: whatever a file holds, Scan and Verify end, agree on what they saw, and call nothing but damage by its name. The fuzzer edits one of a few
// files: each edit is an offset of two bytes and two bytes to put there. With a number beyond the files its bytes are the file.
func FuzzScan(f *testing.F) {
	small := full()
	small.Pages, small.Log = [][]byte{pages(1, 1)[:512]}, pages(1, 2)[:1024]
	plain := small
	plain.Checksum = false
	var bases [][]byte
	for i, sets := range [][]tapesim.Set{{small}, {plain}, {empty(), empty()}, {}} {
		bases = append(bases, media(sets...).Bytes())
		f.Add(byte(i), []byte{})
	}
	for _, id := range []string{"SCIN", "SFIN", "MQDA", "MSTL", "SFMB", "RAID"} {
		at := bytes.Index(bases[0], []byte(id))
		for o := range 3 {
			f.Add(byte(0), append(binary.BigEndian.AppendUint16(nil, uint16(at+4+4*o)), 0xff, 0x7f))
		}
	}
	f.Add(byte(255), []byte("MSSQLBAK\x01\x00\x00\x00\x00\x00\x00\x00 and more"))
	f.Fuzz(func(t *testing.T, which byte, edits []byte) {
		b := edits
		if int(which) < len(bases) {
			b = bytes.Clone(bases[which])
			for ; len(edits) >= 4; edits = edits[4:] {
				copy(b[int(binary.BigEndian.Uint16(edits))%len(b):], edits[2:4])
			}
		} else {
			b = bytes.Clone(b)
		}
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
			_, errText := json.Marshal(m)
			require.NoError(t, errText, "what was read can be told")
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
func TestMemoryIsBounded(t *testing.T) {
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
