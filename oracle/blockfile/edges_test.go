package blockfile_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/sim/oraclesim/blocks"
	"github.com/quiesce-go/quiesce/oracle/blockfile"
)

// edited is a file with bytes changed in one block, whose checksum is made right again: what only the meaning of the bytes tells is left.
func edited(b []byte, size, block, sumAt int, edit func(b []byte)) []byte {
	b = bytes.Clone(b)
	one := b[block*size : (block+1)*size]
	edit(one)
	reseal(one, size, sumAt)
	return b
}

func put32(at int, v uint32) func([]byte) {
	return func(b []byte) { binary.LittleEndian.PutUint32(b[at:], v) }
}

func TestRedoThatContradictsItself(t *testing.T) {
	t.Parallel()
	l := log17()
	l.Spare = 1
	whole := writeLog(t, l, 5000)
	for what, c := range map[string]struct {
		block int
		edit  func([]byte)
	}{
		"block 4 (byte 2048): it begins with 02 22":                                           {4, func(b []byte) { b[0] = 2 }},
		"block 4 (byte 2048): it begins with 01 82":                                           {4, func(b []byte) { b[1] = 0x82 }},
		"block 4 (byte 2048): it says that it is block 9":                                     {4, put32(4, 9)},
		"block 1 (byte 512): it says that 1 block is in use":                                  {1, put32(156, 1)},
		"block 1 (byte 512): the log was being written when it was copied":                    {1, put32(156, 0)},
		"block 1 (byte 512): the log was being written when it was copied: it has no end":     {1, put32(156, 1<<32-1)},
		"block 1 (byte 512): the log was being written when it was copied: it has no end yet": {1, func(b []byte) { copy(b[192:], "\xff\xff\xff\xff\xff\xff") }},
		"the file ends here; 15 blocks, which are 7680 bytes, are in use":                     {1, put32(156, 15)},
		"block 13 (byte 6656): it begins with 00 00":                                          {1, put32(156, 14)},
		"block 2 (byte 1024): it is of sequence 17, the log of 18":                            {1, put32(8, 18)},
	} {
		_, err := verifyRedo(t, edited(whole, 512, c.block, 14, c.edit))
		damaged(t, err, what)
	}
	// Of a log without an end, the header is judged all the same.
	l.Next = blocks.NoSCN
	open := writeLog(t, l, 5000)
	open[512+300] ^= 1
	_, err := verifyRedo(t, open)
	damaged(t, err, "block 1 (byte 512): its checksum is")
}

// Match does not guess: each byte that it looks at counts.
func TestMatchIsStrict(t *testing.T) {
	t.Parallel()
	var c bytes.Buffer
	require.NoError(t, blocks.Control{Database: "SHOP"}.Write(&c, nil))
	data, redo, control := write(t, users()), writeLog(t, log17(), 600), c.Bytes()
	for what, b := range map[string][]byte{
		"redo, format in block 0": edited(redo, 512, 0, 500, func(b []byte) { b[1] = 0x82 }),
		"redo, first byte":        edited(redo, 512, 0, 500, func(b []byte) { b[0] = 1 }),
		"redo, magic number":      edited(redo, 512, 0, 500, func(b []byte) { b[28] = 0 }),
		"redo, block size":        edited(redo, 512, 0, 500, put32(20, 600)),
		"redo, huge blocks":       edited(redo, 512, 0, 500, put32(20, 1<<31)),
		"redo, type":              edited(redo, 512, 1, 14, func(b []byte) { b[0] = 2 }),
		"redo, format":            edited(redo, 512, 1, 14, func(b []byte) { b[1] = 0x82 }),
		"redo, number":            edited(redo, 512, 1, 14, put32(4, 2)),
		"data, type":              edited(data, 8192, 1, 16, func(b []byte) { b[0] = 6 }),
		"data, format":            edited(data, 8192, 1, 16, func(b []byte) { b[1] = 0x82 }),
		"data, number":            edited(data, 8192, 1, 16, put32(4, 4<<22|2)),
		"data, block size":        edited(data, 8192, 1, 16, put32(48, 4096)),
		"control, type":           edited(control, 16384, 1, 16, func(b []byte) { b[0] = 0x16 }),
		"control, number":         edited(control, 16384, 1, 16, put32(4, 4<<22|1)),
		"control, block size":     edited(control, 16384, 1, 16, put32(48, 4096)),
		"short":                   data[:8192+63],
	} {
		kind, ok := blockfile.Match(b)
		assert.False(t, ok, what)
		assert.Empty(t, kind, what)
		_, err := verifyData(t, b, blockfile.Options{})
		damaged(t, err, "a data file")
		_, err = verifyRedo(t, b)
		damaged(t, err, "a redo log")
	}
}

func TestValuesBeyondTheUsual(t *testing.T) {
	t.Parallel()
	f := users()
	b := edited(write(t, f), 8192, 3, 16, func(b []byte) { b[13] |= 0x80 })
	d, err := verifyData(t, b, blockfile.Options{})
	require.NoError(t, err)
	assert.EqualValues(t, 27871231+10, d.HighestSCN, "an SCN in a form that no source describes for blocks is left out")

	var c bytes.Buffer
	require.NoError(t, blocks.Control{Database: "SHOP"}.Write(&c, nil))
	plain := c.Bytes()
	plain[16384+15], plain[16384+16] = 0, plain[16384+16]^1
	_, err = blockfile.VerifyControl(t.Context(), bytes.NewReader(plain))
	require.NoError(t, err, "a checksum that is not marked as valid is none")
}
