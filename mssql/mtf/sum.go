package mtf

import (
	"encoding/binary"
	"math/bits"
)

// sector is the unit of the data checksum in bytes (7.11, observed on 49 of 49 streams).
const sector = 512

// sum is the checksum of one data stream: for every sector, the XOR of its 128 words of 32 bits is XORed to the sum, rotated left by one before that.
type sum uint32

// add takes whole sectors. Two words at a time go through a register of 64 bits; since XOR knows no carry, its halves are combined once a sector.
func (s *sum) add(b []byte) {
	x := uint32(*s)
	for ; len(b) >= sector; b = b[sector:] {
		p := (*[sector]byte)(b)
		var w0, w1, w2, w3 uint64
		for i := 0; i < sector; i += 64 {
			q := (*[64]byte)(p[i:])
			w0 ^= binary.LittleEndian.Uint64(q[0:]) ^ binary.LittleEndian.Uint64(q[32:])
			w1 ^= binary.LittleEndian.Uint64(q[8:]) ^ binary.LittleEndian.Uint64(q[40:])
			w2 ^= binary.LittleEndian.Uint64(q[16:]) ^ binary.LittleEndian.Uint64(q[48:])
			w3 ^= binary.LittleEndian.Uint64(q[24:]) ^ binary.LittleEndian.Uint64(q[56:])
		}
		w := w0 ^ w1 ^ w2 ^ w3
		x = bits.RotateLeft32(x, 1) ^ uint32(w) ^ uint32(w>>32)
	}
	*s = sum(x)
}
