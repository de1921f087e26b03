package blockfile

import "encoding/binary"

// fold is the XOR of all 16-bit words of a block, its checksum included: 0 when the checksum is right, in either byte order (5.2, 5.3). XOR knows no
// carry, so eight bytes at a time give the same.
func fold(b []byte) uint16 {
	var w0, w1, w2, w3 uint64
	for ; len(b) >= 64; b = b[64:] {
		p := (*[64]byte)(b)
		w0 ^= binary.LittleEndian.Uint64(p[0:]) ^ binary.LittleEndian.Uint64(p[32:])
		w1 ^= binary.LittleEndian.Uint64(p[8:]) ^ binary.LittleEndian.Uint64(p[40:])
		w2 ^= binary.LittleEndian.Uint64(p[16:]) ^ binary.LittleEndian.Uint64(p[48:])
		w3 ^= binary.LittleEndian.Uint64(p[24:]) ^ binary.LittleEndian.Uint64(p[56:])
	}
	w := w0 ^ w1 ^ w2 ^ w3
	w ^= w >> 32
	return uint16(w) ^ uint16(w>>16)
}

// blank reports whether all bytes of a block are zero.
func blank(b []byte) bool {
	for ; len(b) >= 64; b = b[64:] {
		p := (*[64]byte)(b)
		var w uint64
		for i := 0; i < 64; i += 8 {
			w |= binary.LittleEndian.Uint64(p[i:])
		}
		if w != 0 {
			return false
		}
	}
	return true
}
