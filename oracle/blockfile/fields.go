package blockfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// NoSCN is the SCN that stands where there is none yet, as the end of a log that is still being written. V$LOG shows it as 18446744073709551615.
const NoSCN uint64 = math.MaxUint64

// Version is a version of Oracle Database as headers have it, the COMPATIBLE that a file was written under.
type Version uint32

// String is "11.2.0.4" up to 12.2, and "19.0.0" from 18 on, where the numbers are packed another way [OLR].
func (v Version) String() string {
	if v>>24 < 18 {
		return fmt.Sprintf("%d.%d.%d.%d", v>>24, v>>20&0xF, v>>16&0xF, v>>8&0xFF)
	}
	return fmt.Sprintf("%d.%d.%d", v>>24, v>>16&0xFF, v>>8&0xFF)
}

// fields are the bytes of a header block. Blocks are 512 bytes at least, and no offset here is beyond that.
type fields struct {
	b     []byte
	order binary.ByteOrder
}

func (f fields) u16(o int) uint16 { return f.order.Uint16(f.b[o:]) }
func (f fields) u32(o int) uint32 { return f.order.Uint32(f.b[o:]) }

// scn reads eight bytes: base u32, wrap u16, and, when the top bit of wrap is set, u16 more (5.2). As 48 bits of ones it is none.
func (f fields) scn(o int) uint64 {
	base, wrap, more := uint64(f.u32(o)), uint64(f.u16(o+4)), uint64(f.u16(o+6))
	switch {
	case base == math.MaxUint32 && wrap == math.MaxUint16:
		return NoSCN
	case wrap&0x8000 != 0:
		return base | more<<32 | (wrap&0x7FFF)<<48
	}
	return base | wrap<<32
}

// text reads a string that zeros fill up, as it is stored.
func (f fields) text(o, n int) string {
	b := f.b[o : o+n]
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// time reads a stamp (5.2): seconds since the start of 1988 in months of 31 days, in the server's local time. Zero when there is none, or no
// calendar has it.
func (f fields) time(o int) time.Time {
	v := f.u32(o)
	if v == 0 || v == math.MaxUint32 {
		return time.Time{}
	}
	second, minute, hour, v := v%60, v/60%60, v/3600%24, v/86400
	day, month, year := v%31+1, v/31%12+1, v/31/12+1988
	t := time.Date(int(year), time.Month(month), int(day), int(hour), int(minute), int(second), 0, time.UTC)
	if t.Day() != int(day) {
		return time.Time{}
	}
	return t
}
