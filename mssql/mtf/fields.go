package mtf

import (
	"encoding/binary"
	"time"
	"unicode/utf16"
)

// fields are the bytes of a block header or a record, read at the offsets of the format. What lies beyond their end reads as zero: older servers write
// shorter records.
type fields []byte

func (f fields) at(o, n int) []byte {
	if o+n > len(f) {
		return make([]byte, n)
	}
	return f[o : o+n]
}

func (f fields) u8(o int) int     { return int(f.at(o, 1)[0]) }
func (f fields) u16(o int) int    { return int(binary.LittleEndian.Uint16(f.at(o, 2))) }
func (f fields) u32(o int) uint32 { return binary.LittleEndian.Uint32(f.at(o, 4)) }
func (f fields) u64(o int) uint64 { return binary.LittleEndian.Uint64(f.at(o, 8)) }
func (f fields) lsn(o int) LSN    { return decodeLSN(f.at(o, lsnSize)) }
func (f fields) guid(o int) GUID  { return GUID(f.at(o, len(GUID{}))) }

// size reads a count of bytes; false when it is beyond what a file can have.
func (f fields) size(o int) (int64, bool) {
	n := f.u64(o)
	return int64(n), n < 1<<63
}

// date reads five bytes, big-endian bit fields: year 14, month 4, day 5, hour 5, minute 6, second 6 (MTF 1.00a MTF_DATE_TIME; 7.8). All zero is none, and so is
// what no calendar knows.
func (f fields) date(o int, zone *time.Location) time.Time {
	var v uint64
	for _, b := range f.at(o, 5) {
		v = v<<8 | uint64(b)
	}
	if v == 0 {
		return time.Time{}
	}
	part := func(shift, width int) int { return int(v>>shift) & (1<<width - 1) }
	year, month, day, hour, minute, second := part(26, 14), part(22, 4), part(17, 5), part(12, 5), part(6, 6), part(0, 6)
	if year < 1 || year > 9999 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, 0, zone)
}

// Types of strings (MTF 1.00a; 7.2).
const (
	ansi    = 1
	unicode = 2
)

// maxText is the longest string that is believed, in bytes. SQL Server's longest here, a path, has 260 characters.
const maxText = 2048

// text reads the string that the tape address at o names: its size in bytes and where it lies in f, each 16 bits (7). False when it lies outside.
func (f fields) text(o, kind int) (string, bool) {
	size, from := f.u16(o), f.u16(o+2)
	if size == 0 {
		return "", true
	}
	if from+size > len(f) || size > maxText {
		return "", false
	}
	b := f[from : from+size]
	switch kind {
	case ansi:
		r := make([]rune, len(b))
		for i := range b {
			r[i] = rune(b[i])
		}
		return trim(r), true
	case unicode:
		if size%2 != 0 {
			return "", false
		}
		u := make([]uint16, size/2)
		for i := range u {
			u[i] = binary.LittleEndian.Uint16(b[2*i:])
		}
		return trim(utf16.Decode(u)), true
	}
	return "", false
}

// trim takes the zeros off the end: the software name is stored with some (observed).
func trim(r []rune) string {
	for len(r) > 0 && r[len(r)-1] == 0 {
		r = r[:len(r)-1]
	}
	return string(r)
}
