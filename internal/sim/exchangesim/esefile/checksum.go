package esefile

import "math/bits"

const seed = 0x89ABCDEF

// xorSum is the checksum of headers, logs' headers, checkpoints and trailers (4.4).
func xorSum(b []byte) uint32 {
	sum := uint32(seed)
	for at := 4; at < len(b); at += 4 {
		sum ^= le.Uint32(b[at:])
	}
	return sum
}

// sealXor puts that checksum in its place.
func sealXor(b []byte) { le.PutUint32(b, xorSum(b)) }

func xorGood(b []byte) bool { return le.Uint32(b) == xorSum(b) }

// blockSum is the checksum of new pages and of segments (4.5), step by step as it is described there. head says that the first eight bytes, where the sum itself stands, count as zero.
func blockSum(b []byte, number uint32, head bool) uint64 {
	var column [4]uint32
	rowCode, rowIndex := uint32(0), uint32(0xFF800000)
	for at := 0; at < len(b); at += 16 {
		row := uint32(0)
		for i := range column {
			word := le.Uint32(b[at+4*i:])
			if head && at == 0 && i < 2 {
				word = 0
			}
			column[i] ^= word
			row ^= word
		}
		if bits.OnesCount32(row)&1 == 1 {
			rowCode ^= rowIndex
		}
		rowIndex += 0xFF800080
	}
	set := func(word, bit uint32) {
		if bits.OnesCount32(word)&1 == 1 {
			rowCode |= bit
		}
	}
	set(column[0]^column[1], 0x00400000)
	set(column[2]^column[3], 0x00000040)
	left, right := column[0]^column[2], column[1]^column[3]
	set(left, 0x00200000)
	set(right, 0x00000020)
	sum := left ^ right
	bitCode, bitIndex := uint32(0), uint32(0xFFFF0000)
	for bit := range 32 {
		if sum>>bit&1 == 1 {
			bitCode ^= bitIndex
		}
		bitIndex += 0xFFFF0001
	}
	mask := uint32(len(b))<<19 - 1
	code := rowCode&0xFFE0FFE0&mask | bitCode&0x001F001F
	return uint64(code)<<32 | uint64(sum^number)
}

// sealPage gives a page its checksum, or those of its four blocks if it is larger than 8 KiB.
func sealPage(b []byte, number uint32) {
	if len(b) > smallPage {
		le.PutUint32(b[64:], number)
		quarter := len(b) / 4
		for i := 1; i < 4; i++ {
			le.PutUint64(b[32+8*i:], blockSum(b[i*quarter:(i+1)*quarter], number, false))
		}
		le.PutUint64(b, blockSum(b[:quarter], number, true))
		return
	}
	le.PutUint64(b, blockSum(b, number, true))
}

// pageGood reports whether a page has the checksums of its place.
func pageGood(b []byte, number uint32) bool {
	first := b
	if len(b) > smallPage {
		quarter := len(b) / 4
		first = b[:quarter]
		for i := 1; i < 4; i++ {
			if le.Uint64(b[32+8*i:]) != blockSum(b[i*quarter:(i+1)*quarter], number, false) {
				return false
			}
		}
	}
	return le.Uint64(b) == blockSum(first, number, true)
}
