package esefile

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
)

const (
	headBytes    = 4096 // of the header of a log or a checkpoint, and of a segment
	segmentHead  = 40
	sectorBytes  = 512
	typeLog      = 3
	typeCheck    = 4
	recordHead   = 32
	recordFrame  = recordHead + 4
	attachBytes  = 64
	attachAt     = 671
	attachLength = 2048
	linkedMinor  = 13

	// FlagCircular and FlagCircularOnce are flags of a log: circular logging now, and before.
	FlagCircular     = 0x02
	FlagCircularOnce = 0x04

	// MaxRecord is how long key and value of a record can be together.
	MaxRecord = headBytes - segmentHead - recordFrame
)

// LogHeader is the header of a log (4.3), as far as the model has it.
type LogHeader struct {
	Generation            uint32
	Bytes                 int // length of the file
	Segmented             bool
	PageBytes             int
	Created, PrevCreated  Stamp
	Signature             Signature
	SystemPath, LogPath   string
	Flags                 byte
	Checkpoint            Position
	PreviousSum           uint64
	Databases             []Attached
	major, minor, updated uint32
}

// Attached is a database in the header of a log.
type Attached struct {
	ID        byte
	DBTime    uint64
	Attach    Position
	Consist   Position
	Signature Signature
	Path      string
}

func (h *LogHeader) fields(c coder) {
	var sector, head, count, page uint16 = sectorBytes, headBytes / sectorBytes, uint16(h.Bytes / sectorBytes), uint16(h.PageBytes & 0xFFFF)
	if h.Segmented {
		sector, head, count = headBytes, 1, uint16(h.Bytes/headBytes)
	}
	kind := uint32(typeLog)
	c.u32(4, &h.Generation)
	c.u16(8, &sector)
	c.u16(10, &head)
	c.u16(12, &count)
	c.u16(14, &page)
	c.bytes(16, h.Created[:])
	c.bytes(24, h.PrevCreated[:])
	c.u32(32, &h.major)
	c.u32(36, &h.minor)
	c.bytes(44, h.Signature[:])
	c.u8(639, &h.Flags)
	c.position(640, &h.Checkpoint)
	c.u32(648, &h.updated)
	c.u64(653, &h.PreviousSum)
	c.u32(667, &kind)
	h.Bytes, h.PageBytes, h.Segmented = int(sector)*int(count), int(page), sector == headBytes
}

// Encode returns the header, 4096 bytes.
func (h LogHeader) Encode() ([]byte, error) {
	h.major, h.minor, h.updated = 7, 3704, 0
	if h.Segmented {
		h.major, h.minor, h.updated = 8, 4000, linkedMinor
	}
	b := make([]byte, headBytes)
	h.fields(coder{b, true})
	copy(b[72:72+260], h.SystemPath)
	copy(b[72+261:72+261+260], h.LogPath)
	at := attachAt
	for _, d := range h.Databases {
		end := at + attachBytes + len(d.Path)
		if end >= attachAt+attachLength {
			return nil, errors.New("the paths of the databases do not fit into the header of a log")
		}
		c := coder{b, true}
		n, id := uint16(len(d.Path)), d.ID
		c.u8(at, &id)
		c.u16(at+2, &n)
		c.u64(at+4, &d.DBTime)
		c.position(at+20, &d.Attach)
		c.position(at+28, &d.Consist)
		c.bytes(at+36, d.Signature[:])
		copy(b[at+attachBytes:], d.Path)
		at = end
	}
	sealXor(b)
	return b, nil
}

// ErrLog is returned for a log with a damaged header, segment or record, or another length than its header says.
var ErrLog = errors.New("damaged log")

// DecodeLogHeader reads the header of a log.
func DecodeLogHeader(b []byte) (h LogHeader, err error) {
	if len(b) < headBytes || !xorGood(b[:headBytes]) || le.Uint32(b[667:]) != typeLog {
		return h, ErrLog
	}
	b = b[:headBytes]
	h.fields(coder{b, false})
	h.SystemPath, h.LogPath = text(b[72:72+261]), text(b[72+261:72+522])
	for at := attachAt; at+attachBytes < attachAt+attachLength && b[at] != 0; {
		var d Attached
		var n uint16
		c := coder{b, false}
		c.u8(at, &d.ID)
		c.u16(at+2, &n)
		c.u64(at+4, &d.DBTime)
		c.position(at+20, &d.Attach)
		c.position(at+28, &d.Consist)
		c.bytes(at+36, d.Signature[:])
		if at+attachBytes+int(n) > attachAt+attachLength {
			return h, ErrLog
		}
		d.Path = string(b[at+attachBytes : at+attachBytes+int(n)])
		h.Databases = append(h.Databases, d)
		at += attachBytes + int(n)
	}
	return h, nil
}

func text(b []byte) string {
	for i, v := range b {
		if v == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// ReadLogHeader reads the header of the log at path.
func ReadLogHeader(path string) (LogHeader, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return LogHeader{}, err
	}
	h, err := DecodeLogHeader(b)
	if err != nil {
		return h, fmt.Errorf("%s: %w", path, err)
	}
	return h, nil
}

// Types of a record.
const (
	RecordSet    = 1 // a key gets a value
	RecordAttach = 2 // a database was mounted: DBTime is the counter that it came with, there is no page
	RecordDetach = 3 // it was dismounted
)

// Record is one change in a log.
type Record struct {
	Type, Database byte
	Page           uint32
	DBTime         uint64
	UnixNano       int64
	Key, Value     string
	// At is where it is; set by [Log.Append] and [DecodeLog].
	At Position
}

func (r Record) encode() []byte {
	b := make([]byte, recordFrame+len(r.Key)+len(r.Value))
	le.PutUint32(b, uint32(len(b)))
	b[4], b[5] = r.Type, r.Database
	le.PutUint32(b[8:], r.Page)
	le.PutUint64(b[12:], r.DBTime)
	le.PutUint64(b[20:], uint64(r.UnixNano))
	le.PutUint16(b[28:], uint16(len(r.Key)))
	le.PutUint16(b[30:], uint16(len(r.Value)))
	copy(b[recordHead:], r.Key)
	copy(b[recordHead+len(r.Key):], r.Value)
	le.PutUint32(b[len(b)-4:], crc32.ChecksumIEEE(b[:len(b)-4]))
	return b
}

// decodeRecord reads the record at the start of b. It returns its length, 0 at the end of the records.
func decodeRecord(b []byte) (r Record, n int, err error) {
	if len(b) < 4 || le.Uint32(b) == 0 {
		return r, 0, nil
	}
	n = int(le.Uint32(b))
	if n < recordFrame || n > len(b) || crc32.ChecksumIEEE(b[:n-4]) != le.Uint32(b[n-4:]) {
		return r, 0, ErrLog
	}
	k, v := int(le.Uint16(b[28:])), int(le.Uint16(b[30:]))
	if recordFrame+k+v != n {
		return r, 0, ErrLog
	}
	r = Record{Type: b[4], Database: b[5], Page: le.Uint32(b[8:]), DBTime: le.Uint64(b[12:]), UnixNano: int64(le.Uint64(b[20:]))}
	r.Key, r.Value = string(b[recordHead:recordHead+k]), string(b[recordHead+k:recordHead+k+v])
	return r, n, nil
}

// Log is a whole log in memory.
type Log struct {
	Header LogHeader
	b      []byte
	end    int // where the next record goes
}

// NewLog makes a log without records.
func NewLog(h LogHeader) (*Log, error) {
	head, err := h.Encode()
	if err != nil {
		return nil, err
	}
	l := &Log{Header: h, b: make([]byte, h.Bytes), end: headBytes}
	if h.Segmented {
		l.end += segmentHead
	}
	copy(l.b, head)
	return l, nil
}

// Bytes is the file.
func (l *Log) Bytes() []byte { return l.b }

// End is the position behind the last record.
func (l *Log) End() Position { return l.position(l.end) }

func (l *Log) position(at int) Position {
	unit := sectorBytes
	if l.Header.Segmented {
		unit = headBytes
	}
	return Position{Byte: uint16(at % unit), Sector: uint16(at / unit), Generation: l.Header.Generation}
}

// Append adds a record. It returns its position and which bytes of the file have changed, or false when there is no room left: then the log is full.
func (l *Log) Append(r Record, stamp Stamp) (at Position, from, to int, ok bool) {
	rec := r.encode()
	if !l.Header.Segmented {
		if l.end+len(rec)+4 > len(l.b) {
			return at, 0, 0, false
		}
		from = l.end
		copy(l.b[l.end:], rec)
		l.end += len(rec)
		return l.position(from), from, l.end, true
	}
	start := l.end
	if start%headBytes+len(rec) > headBytes || start%headBytes == 0 { // it does not fit into this segment
		start = (start+headBytes-1)/headBytes*headBytes + segmentHead
	}
	n := start / headBytes
	if n >= len(l.b)/headBytes-1 { // the last segment never has data
		return at, 0, 0, false
	}
	segment := l.b[n*headBytes : (n+1)*headBytes]
	if start%headBytes == segmentHead {
		clear(segment) // here was the shadow of the segment before
	}
	copy(l.b[start:], rec)
	l.end = start + len(rec)
	le.PutUint16(segment[10:], uint16(n))
	le.PutUint32(segment[12:], l.Header.Generation)
	copy(segment[16:], stamp[:])
	le.PutUint32(segment[36:], newChecksum)
	le.PutUint64(segment, blockSum(segment, uint32(n), true))
	copy(l.b[(n+1)*headBytes:], segment) // its shadow
	return l.position(start), n * headBytes, (n + 2) * headBytes, true
}

// Sum is all checksums of the segments of the log in one.
func (l *Log) Sum() (sum uint64) {
	for n := 1; l.Header.Segmented && n < len(l.b)/headBytes; n++ {
		if s := l.b[n*headBytes : (n+1)*headBytes]; l.isData(s, n) {
			sum ^= le.Uint64(s)
		}
	}
	return sum
}

func (l *Log) isData(segment []byte, n int) bool {
	return !blank(segment) && int(le.Uint16(segment[10:])) == n && le.Uint32(segment[12:]) == l.Header.Generation
}

// DecodeLog reads a log with its records. What is damaged is an error that wraps ErrLog.
func DecodeLog(b []byte) (*Log, []Record, error) {
	h, err := DecodeLogHeader(b)
	if err != nil {
		return nil, nil, err
	}
	if h.Bytes != len(b) {
		return nil, nil, fmt.Errorf("generation %d has %d bytes instead of %d: %w", h.Generation, len(b), h.Bytes, ErrLog)
	}
	l := &Log{Header: h, b: b, end: headBytes}
	var records []Record
	read := func(from, to int) error {
		for at := from; ; {
			r, n, err := decodeRecord(b[at:to])
			if err != nil {
				return fmt.Errorf("generation %d at byte %d: %w", h.Generation, at, err)
			}
			l.end = at
			if n == 0 {
				return nil
			}
			r.At = l.position(at)
			records = append(records, r)
			at += n
			l.end = at
		}
	}
	if !h.Segmented {
		return l, records, read(headBytes, len(b))
	}
	l.end += segmentHead
	for n := 1; n < len(b)/headBytes; n++ {
		s := b[n*headBytes : (n+1)*headBytes]
		if !l.isData(s, n) {
			if !blank(s) && !pageGood(s, uint32(n-1)) {
				return nil, nil, fmt.Errorf("generation %d, segment %d: %w", h.Generation, n, ErrLog)
			}
			continue
		}
		if !pageGood(s, uint32(n)) {
			return nil, nil, fmt.Errorf("generation %d, segment %d: %w", h.Generation, n, ErrLog)
		}
		if err := read(n*headBytes+segmentHead, (n+1)*headBytes); err != nil {
			return nil, nil, err
		}
	}
	return l, records, nil
}
