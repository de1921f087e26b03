package blocks

import (
	"encoding/binary"
	"math/bits"
	"time"
)

// NoSCN is the SCN of what has no end yet.
const NoSCN = 1<<64 - 1

// block is bytes of a file, written and read in the byte order of a platform.
type block struct {
	b     []byte
	order binary.ByteOrder
}

func newBlock(size int, big bool) block { return block{b: make([]byte, size), order: orderOf(big)} }

func orderOf(big bool) binary.ByteOrder {
	if big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

func (k block) put16(at int, v uint16) { k.order.PutUint16(k.b[at:], v) }
func (k block) put32(at int, v uint32) { k.order.PutUint32(k.b[at:], v) }
func (k block) get16(at int) uint16    { return k.order.Uint16(k.b[at:]) }
func (k block) get32(at int) uint32    { return k.order.Uint32(k.b[at:]) }

// putSCN writes base and wrap; beyond 47 bits the long form, which the top bit of wrap announces.
func (k block) putSCN(at int, v uint64) {
	switch {
	case v == NoSCN:
		k.put32(at, 1<<32-1)
		k.put16(at+4, 1<<16-1)
	case v>>47 == 0:
		k.put32(at, uint32(v))
		k.put16(at+4, uint16(v>>32))
	default:
		k.put32(at, uint32(v))
		k.put16(at+4, 0x8000|uint16(v>>48))
		k.put16(at+6, uint16(v>>32))
	}
}

func (k block) getSCN(at int) uint64 {
	low, wrap := uint64(k.get32(at)), k.get16(at+4)
	if low == 1<<32-1 && wrap == 1<<16-1 {
		return NoSCN
	}
	if wrap < 0x8000 {
		return uint64(wrap)<<32 + low
	}
	return uint64(wrap&^0x8000)<<48 + uint64(k.get16(at+6))<<32 + low
}

// Stamp is a time as headers have it: seconds in months of 31 days since 1988. The zone is dropped.
func Stamp(t time.Time) uint32 {
	if t.IsZero() {
		return 0
	}
	days := ((t.Year()-1988)*12+int(t.Month())-1)*31 + t.Day() - 1
	return uint32(((days*24+t.Hour())*60+t.Minute())*60 + t.Second())
}

// putSum makes the XOR of all words of the block zero by the word at at, word by word.
func (k block) putSum(at int) {
	k.put16(at, 0)
	k.put16(at, k.sum())
}

func (k block) sum() (x uint16) {
	for i := 0; i < len(k.b); i += 2 {
		x ^= k.order.Uint16(k.b[i:])
	}
	return x
}

// block0 is the first block of any file. count is how many follow.
func block0(size int, big bool, format byte, count uint32) []byte {
	k := newBlock(size, big)
	k.b[1] = format
	k.put32(20, uint32(size))
	k.put32(24, count)
	k.put32(28, 0x7A7B7C7D)
	return k.b
}

// formatByte is the second byte of blocks of that size.
func formatByte(size int) byte {
	if size < 2048 {
		return 0x22
	}
	return byte(0x62 + 0x20*(bits.Len(uint(size))-12))
}
