package ese_test

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

// made is a database in dirty shutdown, of pages that are new, old where they can be, and unused: its content is random and the same each time.
func made(page, pages int) []byte {
	r := rand.New(rand.NewPCG(uint64(page), uint64(pages)))
	b := make([]byte, (pages+2)*page)
	for n := 1; n <= pages; n++ {
		p := b[(n+1)*page : (n+2)*page]
		if n%4 == 3 {
			continue
		}
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		sealPage(p, uint32(n), n%4 == 2 && page <= 8192)
	}
	h := b[:page]
	le := binary.LittleEndian
	le.PutUint32(h[4:], 0x89ABCDEF)
	le.PutUint32(h[8:], 0x620)
	le.PutUint64(h[16:], 4711)
	copy(h[24:], "\x01\x02\x03\x04\x05\x1e\x0c\x01\x03\x7c\x01\x00EXCH1")
	copy(h[108:], "\x05\x06\x07\x08\x05\x1e\x0c\x01\x03\x7c\x00\x00EXCH1")
	le.PutUint32(h[52:], 2)
	le.PutUint32(h[232:], 0x14)
	le.PutUint32(h[236:], uint32(page))
	le.PutUint32(h[296:], 17)
	le.PutUint32(h[300:], 19)
	le.PutUint32(h[416:], 20)
	sealHeaders(b, page)
	return b
}

// sealHeaders makes both copies of the header whole and equal, after the first was changed.
func sealHeaders(b []byte, page int) {
	sealBlock(b[:page])
	copy(b[page:], b[:page])
}

func sealBlock(b []byte) { binary.LittleEndian.PutUint32(b, xorSum(b)) }

// sealPage gives a page its number and checksum.
func sealPage(p []byte, n uint32, old bool) {
	le := binary.LittleEndian
	p[37] |= 0x20
	switch size := len(p); {
	case old:
		p[37] &^= 0x20
		le.PutUint32(p[4:], n)
		sealBlock(p)
	case size <= 8192:
		le.PutUint64(p, slowSum(p, n, true))
	default:
		le.PutUint32(p[64:], n)
		q := size / 4
		for i := 1; i < 4; i++ {
			le.PutUint64(p[32+8*i:], slowSum(p[i*q:(i+1)*q], n, false))
		}
		le.PutUint64(p, slowSum(p[:q], n, true))
	}
}

func xorSum(b []byte) uint32 {
	c := uint32(0x89ABCDEF)
	for i := 4; i < len(b); i += 4 {
		c ^= binary.LittleEndian.Uint32(b[i:])
	}
	return c
}

// slowSum is the new checksum, written down row by row and bit by bit as the format describes it.
func slowSum(b []byte, n uint32, header bool) uint64 {
	odd := func(v uint32) bool { return bits.OnesCount32(v)%2 == 1 }
	var col [4]uint32
	var p, r uint32
	idx := uint32(0xFF800000)
	for at := 0; at < len(b); at += 16 {
		var all uint32
		for i := range col {
			w := binary.LittleEndian.Uint32(b[at+4*i:])
			if header && at == 0 && i < 2 {
				w = 0
			}
			col[i] ^= w
			all ^= w
		}
		if odd(all) {
			p ^= idx
		}
		idx += 0xFF800080
	}
	for _, s := range []struct{ v, bit uint32 }{{col[0] ^ col[1], 0x00400000}, {col[2] ^ col[3], 0x00000040}, {col[0] ^ col[2], 0x00200000}, {col[1] ^ col[3], 0x00000020}} {
		if odd(s.v) {
			p |= s.bit
		}
	}
	x := col[0] ^ col[1] ^ col[2] ^ col[3]
	k := uint32(0xFFFF0000)
	for bit := range 32 {
		if x>>bit&1 == 1 {
			r ^= k
		}
		k += 0xFFFF0001
	}
	return uint64(p&0xFFE0FFE0&(uint32(len(b))<<19-1)|r&0x001F001F)<<32 | uint64(x^n)
}

// madeLog is a log of 8 segments, of which 5 have data, one is a copy of the last of them and one is empty; or, of version 7, a log of 64 sectors of 512 bytes.
// It continues the log with the sum before, and was created at the minute of its generation.
func madeLog(version int, generation uint32, before uint64) []byte {
	b := make([]byte, 8*4096)
	le := binary.LittleEndian
	le.PutUint32(b[4:], generation)
	le.PutUint16(b[8:], 4096)
	le.PutUint16(b[10:], 1)
	le.PutUint16(b[12:], 8)
	copy(b[16:], "\x05\x00\x0c\x01\x03\x7c\x01\x00")
	copy(b[24:], "\x05\x00\x0c\x01\x03\x7c\x01\x00")
	b[17], b[25] = byte(generation), byte(generation-1)
	copy(b[44:], "\x05\x06\x07\x08\x05\x1e\x0c\x01\x03\x7c\x00\x00EXCH1")
	le.PutUint32(b[32:], 8)
	le.PutUint32(b[36:], 4000)
	le.PutUint32(b[648:], 13)
	le.PutUint64(b[653:], before)
	le.PutUint32(b[667:], 3)
	if version == 7 {
		le.PutUint32(b[32:], 7)
		le.PutUint32(b[36:], 3704)
		le.PutUint16(b[8:], 512)
		le.PutUint16(b[10:], 8)
		le.PutUint16(b[12:], 64)
		sealBlock(b[:4096])
		return b
	}
	sealBlock(b[:4096])
	for n := uint32(1); n <= 5; n++ {
		s := b[n*4096 : (n+1)*4096]
		le.PutUint16(s[10:], uint16(n))
		le.PutUint32(s[12:], generation)
		s[37] = 0x20
		copy(s[40:], "records")
		le.PutUint64(s, slowSum(s, n, true))
	}
	copy(b[6*4096:], b[5*4096:6*4096])
	return b
}

// madeCheckpoint is at generation 17 of the same series.
func madeCheckpoint() []byte {
	b := make([]byte, 8192)
	copy(b[12:], "\x01\x00\x02\x00\x11\x00\x00\x00")
	copy(b[20:], "\x05\x06\x07\x08\x05\x1e\x0c\x01\x03\x7c\x00\x00EXCH1")
	b[667] = 4
	sealHeaders(b, 4096)
	return b
}
