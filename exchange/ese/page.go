package ese

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strings"
)

const (
	atPageFlags = 36
	newFormat   = 0x2000 // of the flags: the checksum is the new one
	newFlagBit  = atPageFlags*8 + 13
	atBlockSums = 40 // of pages above 8 KiB: the sums of blocks 1 to 3
	atNumber    = 64 // of pages above 8 KiB
)

// pageKind is what a page turned out to be.
type pageKind int

const (
	pageBad pageKind = iota
	pageUnused
	pageOld
	pageNew
)

// judge checks page n. Of a bad one it tells what is wrong, and the one bit that has changed, or -1.
func judge(n uint32, b []byte) (k pageKind, bit int64, what string) {
	switch flag := fields(b).u32(atPageFlags)&newFormat != 0; {
	case flag && len(b) > 8<<10:
		k, bit, what = large(n, b)
	case flag:
		k, bit, what = small(n, b)
	case fields(b).u64(0) == 0 && blank(b):
		return pageUnused, -1, ""
	default:
		k, bit, what = old(n, b)
	}
	if k == pageBad {
		if bit := lone(b); bit >= 0 {
			return pageBad, bit, "a page that was never used is not zero"
		}
	}
	return k, bit, what
}

// small checks a page of up to 8 KiB: one block.
func small(n uint32, b []byte) (k pageKind, bit int64, what string) {
	f := fields(b)
	if bit, what = compare(n, b, f.u64(0), true); what == "" {
		return pageNew, -1, ""
	}
	if bit < 0 && f.u32(4) == n && f.u32(0) == xor32(b)^newFormat {
		return pageBad, newFlagBit, "its checksum is wrong" // and was, before the flag came, the old one
	}
	return pageBad, bit, what
}

// old checks a page without the flag of the new format (4.5).
func old(n uint32, b []byte) (k pageKind, bit int64, what string) {
	f, large := fields(b), len(b) > 8<<10
	sum := f.u32(0) == xor32(b)
	if !large && sum && f.u32(4) == n {
		return pageOld, -1, ""
	}
	first := b
	if large {
		first = b[:len(b)/4]
	}
	if flipped(f.u64(0)^uint64(n), ecc(first, true), len(first)) == newFlagBit {
		return pageBad, newFlagBit, "its checksum is wrong" // and was, before the flag went, the new one
	}
	switch {
	case large:
		return pageBad, -1, "it has the flag of the old checksum, which pages of this size never have"
	case sum:
		return pageBad, -1, fmt.Sprintf("it says that it is page %d", f.u32(4))
	}
	return pageBad, -1, fmt.Sprintf("its checksum (XOR) is 0x%08X, its content gives 0x%08X", f.u32(0), xor32(b))
}

// blank reports whether all of b is zero.
func blank(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
	}
	return true
}

// lone is the only bit of b that is set, or -1.
func lone(b []byte) int64 {
	bit := int64(-1)
	for i := 0; i+8 <= len(b); i += 8 {
		v := binary.LittleEndian.Uint64(b[i:])
		if v == 0 {
			continue
		}
		if bit >= 0 || v&(v-1) != 0 {
			return -1
		}
		bit = int64(i*8 + bits.TrailingZeros64(v))
	}
	return bit
}

// large checks a page of 16 or 32 KiB: four blocks, the sums of the last three in the first.
func large(n uint32, b []byte) (k pageKind, bit int64, what string) {
	f, size := fields(b), len(b)/4
	sums := [3]uint64{f.u64(atBlockSums), f.u64(atBlockSums + 8), f.u64(atBlockSums + 16)}
	bit = -1
	var wrong []string
	if at, w := compare(n, b[:size], f.u64(0), true); w != "" {
		bit = at
		wrong = append(wrong, w)
		if i := (at - atBlockSums*8) / 64; at >= atBlockSums*8 && i < 3 {
			sums[i] ^= 1 << (at % 64) // that bit is known to be wrong
		}
	}
	for i, stored := range sums {
		at, w := compare(n, b[(i+1)*size:(i+2)*size], stored, false)
		if w == "" {
			continue
		}
		if at >= 0 {
			at += int64((i + 1) * size * 8)
		}
		if len(wrong) > 0 {
			bit = -1 // more than one
		} else {
			bit = at
		}
		wrong = append(wrong, fmt.Sprintf("in block %d of 4 %s", i+2, w))
	}
	switch {
	case len(wrong) == 1 && bit < 0 && f.u32(atNumber) == n:
		if d := f.u64(0) ^ ecc(b[:size], true) ^ uint64(n); bits.OnesCount64(d) == 1 {
			return pageBad, int64(bits.TrailingZeros64(d)), "its checksum is wrong" // of one block, so it is no other page's
		}
		return pageBad, -1, wrong[0]
	case len(wrong) > 0:
		return pageBad, bit, strings.Join(wrong, "; ")
	case f.u32(atNumber) != n:
		return pageBad, -1, fmt.Sprintf("it says that it is page %d", f.u32(atNumber))
	}
	return pageNew, -1, ""
}

// compare checks one block of page n with the sum that is stored for it. It returns no words if they agree.
func compare(n uint32, b []byte, stored uint64, first bool) (bit int64, what string) {
	computed := ecc(b, first) ^ uint64(n)
	if stored == computed {
		return -1, ""
	}
	if bit := flipped(stored, computed, len(b)); bit >= 0 {
		return bit, "its checksum is wrong"
	}
	switch d := stored ^ computed; {
	case first && d>>32 != 0 && bits.OnesCount64(d) == 1:
		return int64(bits.TrailingZeros64(d)), "its checksum is wrong"
	case d>>32 == 0:
		return -1, fmt.Sprintf("its checksum is that of number %d, or has changed", uint32(d)^n)
	}
	return -1, fmt.Sprintf("its checksum is 0x%016X, its content gives 0x%016X", stored, computed)
}
