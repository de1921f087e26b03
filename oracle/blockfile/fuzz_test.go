package blockfile_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim/blocks"
	"github.com/quiesce-go/quiesce/oracle/blockfile"
)

// reseal gives the blocks of a file checksums that fit, so that what a fuzzer writes into them is read. at is where a checksum lies.
func reseal(b []byte, size, at int) {
	for ; len(b) >= size; b = b[size:] {
		var x uint16
		for i := 0; i < size; i += 2 {
			x ^= binary.LittleEndian.Uint16(b[i:])
		}
		binary.LittleEndian.PutUint16(b[at:], binary.LittleEndian.Uint16(b[at:])^x)
	}
}

// FuzzVerify: whatever a file holds, the readers end, call nothing but damage by its name, and what Match knows not none of them accepts. The fuzzer
// edits one of a few files: each edit is an offset of two bytes and two bytes to put there. With a number beyond the files its bytes are the file.
func FuzzVerify(f *testing.F) {
	small := hot()
	small.BlockSize, small.Blocks = 2048, 6
	big := small
	big.BigEndian, big.Bigfile = true, true
	turned := log17()
	turned.BigEndian, turned.BlockSize = true, 1024
	var control bytes.Buffer
	require.NoError(f, blocks.Control{BlockSize: 2048, Database: "SHOP"}.Write(&control, noise(3000, 1)))
	bases := []struct {
		b        []byte
		size, at int
	}{{write(f, small), 2048, 16}, {write(f, big), 2048, 16}, {writeLog(f, log17(), 1500), 512, 14}, {writeLog(f, turned, 3000), 1024, 14}, {control.Bytes(), 2048, 16}}
	for i, base := range bases {
		f.Add(byte(i), []byte{})
		for _, o := range []int{4, 8, 14, 24, 44, 48, 138, 156, 192, 336} {
			f.Add(byte(i), append(binary.BigEndian.AppendUint16(nil, uint16(base.size+o)), 0xFF, 0xFF))
			f.Add(byte(i), append(binary.BigEndian.AppendUint16(nil, uint16(o%32)), 0x7F, 0x01))
		}
	}
	f.Add(byte(255), write(f, small)[:4096])
	f.Fuzz(func(t *testing.T, which byte, edits []byte) {
		b, size, at := bytes.Clone(edits), 2048, 16
		if int(which) < len(bases) {
			base := bases[which]
			b, size, at = bytes.Clone(base.b), base.size, base.at
			for ; len(edits) >= 4; edits = edits[4:] {
				copy(b[int(binary.BigEndian.Uint16(edits))%len(b):], edits[2:4])
			}
		}
		for range 2 {
			kind, _ := blockfile.Match(b)
			for as, verify := range map[blockfile.Kind]func(context.Context, io.Reader) (any, error){
				blockfile.Data: func(ctx context.Context, r io.Reader) (any, error) {
					return blockfile.VerifyData(ctx, r, blockfile.Options{Hot: true})
				},
				blockfile.Redo:    func(ctx context.Context, r io.Reader) (any, error) { return blockfile.VerifyRedo(ctx, r) },
				blockfile.Control: func(ctx context.Context, r io.Reader) (any, error) { return blockfile.VerifyControl(ctx, r) },
			} {
				got, err := verify(t.Context(), bytes.NewReader(b))
				_, errText := json.Marshal(got)
				require.NoError(t, errText, "what was read can be told")
				if as != kind {
					require.Error(t, err, "%s taken for %s", kind, as)
				}
				if err != nil {
					require.ErrorIs(t, err, backup.ErrCorrupt)
				}
			}
			reseal(b, size, at)
		}
	})
}

// TestMemoryIsBounded reads files of many times the memory that a reader may take, whole and with nothing right in them. It is not parallel, so that
// it counts its own memory only.
func TestMemoryIsBounded(t *testing.T) {
	f := hot()
	f.Blocks = 4000
	whole := write(t, f)
	redo := writeLog(t, log17(), 16<<20)
	claims := bytes.Clone(whole[:3*8192]) // of a length it has not
	binary.LittleEndian.PutUint32(claims[8192+44:], 1<<32-1)
	for what, verify := range map[string]func() error{
		"data":   func() error { _, err := verifyData(t, whole, blockfile.Options{}); return err },
		"redo":   func() error { _, err := verifyRedo(t, redo); return err },
		"claims": func() error { _, err := verifyData(t, claims, blockfile.Options{}); require.Error(t, err); return nil },
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		require.NoError(t, verify(), what)
		runtime.ReadMemStats(&after)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), what)
	}
}

// BenchmarkVerifyData reads a data file with checksums from memory.
func BenchmarkVerifyData(b *testing.B) {
	f := users()
	f.Blocks = 8192
	file := write(b, f)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		d, err := verifyData(b, file, blockfile.Options{})
		if err != nil || d.Depth != blockfile.Summed {
			b.Fatal(d, err)
		}
	}
}

// BenchmarkVerifyRedo reads a log of 512-byte blocks with checksums from memory.
func BenchmarkVerifyRedo(b *testing.B) {
	file := writeLog(b, log17(), 64<<20)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		l, err := verifyRedo(b, file)
		if err != nil || l.Depth != blockfile.Summed {
			b.Fatal(l, err)
		}
	}
}
