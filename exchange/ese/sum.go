package ese

import (
	"encoding/binary"
	"math/bits"
)

// xor32 is the checksum of headers and of old pages (4.4): all words but the first, into a seed. b is a multiple of 8 bytes.
func xor32(b []byte) uint32 {
	x := uint64(binary.LittleEndian.Uint32(b)) // takes the first word out again
	for ; len(b) >= 8; b = b[8:] {
		x ^= binary.LittleEndian.Uint64(b)
	}
	return 0x89ABCDEF ^ uint32(x) ^ uint32(x>>32)
}

// ecc is the checksum of new pages and of segments of logs (4.5) without the number of the page, which is XORed into it. With first, the first 8 bytes count as zero: there the checksum itself stands.
//
// A block is rows of 16 bytes. The upper half of the sum, an error-correcting code, has the XOR of the numbers of all rows with odd parity, and of their complements; the same for the columns of the row in
// which all rows are XORed; and the same again for the bits of the word in which these columns are. The lower half is that word.
func ecc(b []byte, first bool) uint64 {
	var left, right, odd1, odd2, odd4, rows uint64 // XOR of both halves of the rows, of rows whose number has bit 0, 1, 2; numbers of rows with odd parity, in eights
	size, head := uint32(len(b)), binary.LittleEndian.Uint64(b)
	for group := uint64(0); len(b) >= 128; group++ {
		r := (*[128]byte)(b)
		b = b[128:]
		l0, r0 := binary.LittleEndian.Uint64(r[0:]), binary.LittleEndian.Uint64(r[8:])
		l1, r1 := binary.LittleEndian.Uint64(r[16:]), binary.LittleEndian.Uint64(r[24:])
		l2, r2 := binary.LittleEndian.Uint64(r[32:]), binary.LittleEndian.Uint64(r[40:])
		l3, r3 := binary.LittleEndian.Uint64(r[48:]), binary.LittleEndian.Uint64(r[56:])
		l4, r4 := binary.LittleEndian.Uint64(r[64:]), binary.LittleEndian.Uint64(r[72:])
		l5, r5 := binary.LittleEndian.Uint64(r[80:]), binary.LittleEndian.Uint64(r[88:])
		l6, r6 := binary.LittleEndian.Uint64(r[96:]), binary.LittleEndian.Uint64(r[104:])
		l7, r7 := binary.LittleEndian.Uint64(r[112:]), binary.LittleEndian.Uint64(r[120:])
		l := l0 ^ l1 ^ l2 ^ l3 ^ l4 ^ l5 ^ l6 ^ l7
		h := r0 ^ r1 ^ r2 ^ r3 ^ r4 ^ r5 ^ r6 ^ r7
		left ^= l
		right ^= h
		v3, v5, v6, v7 := l3^r3, l5^r5, l6^r6, l7^r7
		odd1 ^= l1 ^ r1 ^ v3 ^ v5 ^ v7
		odd2 ^= l2 ^ r2 ^ v3 ^ v6 ^ v7
		odd4 ^= l4 ^ r4 ^ v5 ^ v6 ^ v7
		rows ^= group * parity(l^h)
	}
	if first {
		left ^= head // of row 0, which is in none of the others
	}
	row := uint32(rows<<3 | parity(odd4)<<2 | parity(odd2)<<1 | parity(odd1))
	all := uint32(parity(left ^ right))
	p := row<<7 | (row^all*0x1FF)<<23
	w0, w1, w2, w3 := uint32(left), uint32(left>>32), uint32(right), uint32(right>>32)
	p |= odd(w0^w1)<<22 | odd(w2^w3)<<6 | odd(w0^w2)<<21 | odd(w1^w3)<<5
	word := w0 ^ w1 ^ w2 ^ w3
	bit := odd(word&0xAAAAAAAA) | odd(word&0xCCCCCCCC)<<1 | odd(word&0xF0F0F0F0)<<2 | odd(word&0xFF00FF00)<<3 | odd(word&0xFFFF0000)<<4
	code := p&0xFFE0FFE0&(size<<19-1) | bit | (bit^all*0x1F)<<16
	return uint64(code)<<32 | uint64(word)
}

func parity(v uint64) uint64 { return uint64(bits.OnesCount64(v)) & 1 }
func odd(v uint32) uint32    { return uint32(bits.OnesCount32(v)) & 1 }

// flipped is the number of the one changed bit of a block that explains the difference between its two sums, or -1.
func flipped(stored, computed uint64, size int) int64 {
	e, all := uint32((stored^computed)>>32), uint32(size*8-1)
	if (e>>16^e)&all != all || bits.OnesCount32(uint32(stored^computed)) != 1 {
		return -1
	}
	return int64(e & all)
}
