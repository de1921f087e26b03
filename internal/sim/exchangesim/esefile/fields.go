package esefile

import (
	"encoding/binary"
	"time"
)

var le = binary.LittleEndian

// Stamp is a LOGTIME (4.1). Zero: not set.
type Stamp [8]byte

// StampOf writes a time down: in UTC with milliseconds, as engines since Exchange 2013 do, or in the zone of the server to the second.
func StampOf(t time.Time, zone *time.Location, utc bool) Stamp {
	if utc {
		zone = time.UTC
	}
	t = t.In(zone)
	s := Stamp{byte(t.Second()), byte(t.Minute()), byte(t.Hour()), byte(t.Day()), byte(t.Month()), byte(t.Year() - 1900)}
	if utc {
		ms := t.Nanosecond() / int(time.Millisecond)
		s[6] = 1 | byte(ms&0x7F)<<1
		s[7] = byte(ms>>7) << 1
	}
	return s
}

// Position is an LGPOS (4.1).
type Position struct {
	Byte, Sector uint16
	Generation   uint32
}

// Before reports whether p is an earlier place than q.
func (p Position) Before(q Position) bool {
	if p.Generation != q.Generation {
		return p.Generation < q.Generation
	}
	if p.Sector != q.Sector {
		return p.Sector < q.Sector
	}
	return p.Byte < q.Byte
}

// Signature is a SIGNATURE (4.1): a random number, a time, the name of the computer.
type Signature [28]byte

// NewSignature makes one.
func NewSignature(random uint32, at Stamp, computer string) (s Signature) {
	le.PutUint32(s[:], random)
	copy(s[4:], at[:])
	copy(s[12:27], computer)
	return s
}

// Mark is a BKINFO (4.1): a backup.
type Mark struct {
	At          Position
	Time        Stamp
	First, Last uint32
}

// coder reads or writes fields of a header, so that one list of offsets serves both ways.
type coder struct {
	b     []byte
	write bool
}

func (c coder) u8(at int, v *byte) {
	if c.write {
		c.b[at] = *v
	} else {
		*v = c.b[at]
	}
}

func (c coder) u16(at int, v *uint16) {
	if c.write {
		le.PutUint16(c.b[at:], *v)
	} else {
		*v = le.Uint16(c.b[at:])
	}
}

func (c coder) u32(at int, v *uint32) {
	if c.write {
		le.PutUint32(c.b[at:], *v)
	} else {
		*v = le.Uint32(c.b[at:])
	}
}

func (c coder) u64(at int, v *uint64) {
	if c.write {
		le.PutUint64(c.b[at:], *v)
	} else {
		*v = le.Uint64(c.b[at:])
	}
}

func (c coder) bytes(at int, v []byte) {
	if c.write {
		copy(c.b[at:], v)
	} else {
		copy(v, c.b[at:])
	}
}

func (c coder) position(at int, p *Position) {
	c.u16(at, &p.Byte)
	c.u16(at+2, &p.Sector)
	c.u32(at+4, &p.Generation)
}

func (c coder) mark(at int, m *Mark) {
	c.position(at, &m.At)
	c.bytes(at+8, m.Time[:])
	c.u32(at+16, &m.First)
	c.u32(at+20, &m.Last)
}
