package ese

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"time"
)

// Stamp is a time as the engine writes it: to the second or the millisecond, in UTC or in the server's zone, which it does not name. Stamps are compared byte for byte. Zero: not set.
type Stamp [8]byte

// IsZero reports whether no time was set.
func (s Stamp) IsZero() bool { return s == Stamp{} }

// UTC reports whether the time is in UTC; otherwise it is in the zone of the server.
func (s Stamp) UTC() bool { return s[6]&1 != 0 }

// Time is the stamp as if it were in UTC: see [Stamp.UTC]. It is zero if none was set, or if what was set is no time.
func (s Stamp) Time() time.Time {
	if s[0] > 59 || s[1] > 59 || s[2] > 23 || s[3] < 1 || s[3] > 31 || s[4] < 1 || s[4] > 12 {
		return time.Time{}
	}
	ms := int(s[6]>>1) | int(s[7]>>1&7)<<7
	return time.Date(1900+int(s[5]), time.Month(s[4]), int(s[3]), int(s[2]), int(s[1]), int(s[0]), ms*int(time.Millisecond), time.UTC)
}

// In is the moment of the stamp: a stamp that is not in UTC is taken as a time in zone, the zone of the server, which must not be nil. The result is in zone. It is zero where [Stamp.Time] is.
// In the hour that a zone repeats in autumn it may be an hour off.
func (s Stamp) In(zone *time.Location) time.Time {
	at := s.Time()
	switch {
	case at.IsZero():
		return at
	case s.UTC():
		return at.In(zone)
	}
	return time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), zone)
}

// String reads "2024-03-01 12:30:05Z", without the Z if it is in the zone of the server.
func (s Stamp) String() string {
	at := s.Time()
	switch {
	case s.IsZero():
		return "not set"
	case at.IsZero():
		return fmt.Sprintf("no time (% x)", s[:])
	case s.UTC():
		return at.Format("2006-01-02 15:04:05Z")
	}
	return at.Format("2006-01-02 15:04:05")
}

// MarshalText is [Stamp.String].
func (s Stamp) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Position is a place in the stream of logs. Zero: not set.
type Position struct {
	Generation uint32
	Sector     uint16
	Byte       uint16
}

// Before reports whether p comes before q in the stream.
func (p Position) Before(q Position) bool {
	return cmp.Or(cmp.Compare(p.Generation, q.Generation), cmp.Compare(p.Sector, q.Sector), cmp.Compare(p.Byte, q.Byte)) < 0
}

// String reads "0x49:15:0": generation, sector and byte, as the engine's tools write it.
func (p Position) String() string { return fmt.Sprintf("0x%X:%X:%X", p.Generation, p.Sector, p.Byte) }

// MarshalText is [Position.String].
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Signature names one life of a database, or one series of logs. Zero: none.
type Signature struct {
	Random   uint32
	Created  Stamp
	Computer string
}

// IsZero reports whether there is none.
func (s Signature) IsZero() bool { return s == Signature{} }

// String reads "2811239436 of 2024-03-01 12:30:05".
func (s Signature) String() string {
	if s.IsZero() {
		return "none"
	}
	return fmt.Sprintf("%d of %s", s.Random, s.Created)
}

// fields reads little-endian fields by offset.
type fields []byte

func (f fields) u16(at int) uint16 { return binary.LittleEndian.Uint16(f[at:]) }
func (f fields) u32(at int) uint32 { return binary.LittleEndian.Uint32(f[at:]) }
func (f fields) u64(at int) uint64 { return binary.LittleEndian.Uint64(f[at:]) }

func (f fields) stamp(at int) Stamp { return Stamp(f[at : at+8]) }

func (f fields) position(at int) Position {
	return Position{Byte: f.u16(at), Sector: f.u16(at + 2), Generation: f.u32(at + 4)}
}

func (f fields) signature(at int) Signature {
	computer, _, _ := bytes.Cut(f[at+12:at+28], []byte{0})
	return Signature{Random: f.u32(at), Created: f.stamp(at + 4), Computer: string(computer)}
}
