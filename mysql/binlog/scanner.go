package binlog

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"
)

// Magic is what every file begins with.
const Magic = "\xfebin"

const (
	headerBytes   = replication.EventHeaderSize
	checksumBytes = replication.BinlogChecksumLength
	// stepBytes is how much is read at once of an event, whatever length it claims.
	stepBytes = 1 << 20
)

// Event is one event as the server wrote it.
type Event struct {
	Type replication.EventType
	// Time is that of the header, to the second.
	Time     time.Time
	ServerID uint32
	// Next is the position behind the event in its file at the server; 0 when it does not say. Beyond 4 GiB it begins again at 0.
	Next  uint32
	Flags uint16
	// Raw is the whole event, with header and checksum. It is valid until the next event is read.
	Raw []byte
}

// Format is what the format description says.
type Format struct {
	// Server is the version of the server.
	Server string
	// MariaDB: it is one, not MySQL.
	MariaDB bool
	// Checksums: each event ends in a CRC-32.
	Checksums bool
	// InUse: the server had not closed the file.
	InUse bool
	// Raw is the event.
	Raw []byte
}

// Scanner reads events. Make one with NewScanner.
type Scanner struct {
	r      *bufio.Reader
	parser *replication.BinlogParser
	format *Format
	buf    []byte
	offset int64  // of the next event
	next   uint32 // what the last event named as the position behind it
	err    error
}

// NewScanner reads a file or piece from its start.
func NewScanner(r io.Reader) *Scanner {
	s := &Scanner{r: bufio.NewReaderSize(r, 256<<10)}
	s.reset()
	return s
}

func (s *Scanner) reset() {
	s.parser = replication.NewBinlogParser()
	s.parser.SetRowsEventDecodeFunc(func(*replication.RowsEvent, []byte) error { return nil })
	s.parser.SetPayloadDecoderConcurrency(1)
}

// Offset is where the next event begins, in bytes from the start.
func (s *Scanner) Offset() int64 { return s.offset }

// Format is what the last format description said; nil before the first event.
func (s *Scanner) Format() *Format { return s.format }

// Next returns the next event. At the end, behind a whole event, it returns io.EOF. Damage is a *CorruptError; other errors are those of the reader. After an error every call returns it.
func (s *Scanner) Next() (*Event, error) {
	if s.err != nil {
		return nil, s.err
	}
	e, err := s.read()
	if err != nil {
		s.err = err
		return nil, err
	}
	s.offset += int64(len(e.Raw))
	return e, nil
}

func (s *Scanner) corrupt(format string, args ...any) error {
	return &CorruptError{Offset: s.offset, What: fmt.Sprintf(format, args...)}
}

func (s *Scanner) read() (*Event, error) {
	if s.offset == 0 {
		if err := s.magic(); err != nil {
			return nil, err
		}
	}
	e, err := s.event()
	if err != nil {
		return nil, err
	}
	if e.Type == replication.FORMAT_DESCRIPTION_EVENT {
		if err := s.describe(e); err != nil {
			return nil, err
		}
	} else if err := s.check(e); err != nil {
		return nil, err
	}
	if !artificial(e) {
		s.next = e.Next
	}
	return e, nil
}

func (s *Scanner) magic() error {
	var head [len(Magic)]byte
	n, err := io.ReadFull(s.r, head[:])
	switch {
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		return s.corrupt("a binary log begins with fe 62 69 6e, and there are %d bytes only", n)
	case err != nil:
		return err
	case string(head[:]) != Magic:
		return s.corrupt("a binary log begins with fe 62 69 6e, not with % x: it is none, or it is encrypted", head)
	}
	s.offset = int64(len(head))
	return nil
}

// event reads header and body.
func (s *Scanner) event() (*Event, error) {
	if cap(s.buf) < headerBytes {
		s.buf = make([]byte, 0, 64<<10)
	}
	s.buf = s.buf[:headerBytes]
	n, err := io.ReadFull(s.r, s.buf)
	switch {
	case err == io.EOF:
		return nil, io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, s.corrupt("it ends in the middle of an event, after %d bytes of its header", n)
	case err != nil:
		return nil, err
	}
	e := &Event{
		Time: time.Unix(int64(binary.LittleEndian.Uint32(s.buf)), 0), Type: replication.EventType(s.buf[4]), ServerID: binary.LittleEndian.Uint32(s.buf[5:]),
		Next: binary.LittleEndian.Uint32(s.buf[13:]), Flags: binary.LittleEndian.Uint16(s.buf[17:]),
	}
	size := int64(binary.LittleEndian.Uint32(s.buf[9:]))
	if size < headerBytes {
		return nil, s.corrupt("an event of %d bytes is shorter than a header", size)
	}
	for int64(len(s.buf)) < size {
		have := len(s.buf)
		more := int(min(size-int64(have), stepBytes))
		s.buf = append(s.buf, make([]byte, more)...)
		n, err := io.ReadFull(s.r, s.buf[have:])
		switch {
		case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
			return nil, s.corrupt("it ends in the middle of an event: %d of %d bytes are there", have+n, size)
		case err != nil:
			return nil, err
		}
	}
	e.Raw = s.buf
	return e, nil
}

// describe takes over how the events that follow are written.
func (s *Scanner) describe(e *Event) error {
	s.reset()
	raw := append([]byte(nil), e.Raw...)
	d, err := s.decode(raw)
	if err != nil {
		return err
	}
	fde, ok := d.(*replication.FormatDescriptionEvent)
	if !ok || fde.EventHeaderLength != headerBytes {
		return s.corrupt("a format description with headers of another length than %d", headerBytes)
	}
	// Servers since MySQL 5.6 and MariaDB 5.3 give this event a checksum whatever they give the others. So a change in the version of the server, by which the library tells if there is one, is found too.
	if err := s.sum(e, ^byte(replication.LOG_EVENT_BINLOG_IN_USE_F)); err != nil {
		return err
	}
	if a := fde.ChecksumAlgorithm; a != replication.BINLOG_CHECKSUM_ALG_OFF && a != replication.BINLOG_CHECKSUM_ALG_CRC32 {
		return s.corrupt("it was written by %q: want MySQL 5.6, MariaDB 5.3 or later", strings.TrimRight(fde.ServerVersion, "\x00"))
	}
	s.format = &Format{
		Server: strings.TrimRight(fde.ServerVersion, "\x00"), MariaDB: strings.Contains(strings.ToLower(fde.ServerVersion), "mariadb"), Checksums: fde.ChecksumAlgorithm == replication.BINLOG_CHECKSUM_ALG_CRC32,
		InUse: e.Flags&replication.LOG_EVENT_BINLOG_IN_USE_F != 0, Raw: raw,
	}
	flavor := "mysql"
	if s.format.MariaDB {
		flavor = "mariadb"
	}
	s.parser.SetFlavor(flavor)
	return nil
}

// check compares the checksum, and the position with that of the event before.
func (s *Scanner) check(e *Event) error {
	if s.format == nil {
		return s.corrupt("the first event is a %s: want a format description", e.Type)
	}
	if s.format.Checksums {
		if err := s.sum(e, 0xff); err != nil {
			return err
		}
	}
	if s.next != 0 && e.Next != 0 && !artificial(e) && e.Next-uint32(len(e.Raw)) != s.next {
		return s.corrupt("the event stood at %d, and the one before it ended at %d: what lies between them is missing", e.Next-uint32(len(e.Raw)), s.next)
	}
	return nil
}

// sum compares the checksum of an event of which only some flags count: the server sets that of a file in use after the checksum was made.
func (s *Scanner) sum(e *Event, flags byte) error {
	end := len(e.Raw) - checksumBytes
	if end < headerBytes {
		return s.corrupt("an event of %d bytes has no room for its checksum", len(e.Raw))
	}
	const flagByte = 17
	sum := crc32.ChecksumIEEE(e.Raw[:flagByte])
	sum = crc32.Update(sum, crc32.IEEETable, []byte{e.Raw[flagByte] & flags})
	sum = crc32.Update(sum, crc32.IEEETable, e.Raw[flagByte+1:end])
	if sum != binary.LittleEndian.Uint32(e.Raw[end:]) {
		return s.corrupt("the checksum of the event (%s) is wrong", e.Type)
	}
	return nil
}

// decode has the library decode an event; row events are left alone. The library trusts what it is given, so an index out of range is damage.
func (s *Scanner) decode(raw []byte) (_ replication.Event, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.corrupt("the event (%s) makes no sense: %v", replication.EventType(raw[4]), p)
		}
	}()
	e, err := s.parser.Parse(raw)
	if err != nil {
		return nil, s.corrupt("the event (%s) makes no sense: %v", replication.EventType(raw[4]), err)
	}
	return e.Event, nil
}

// artificial reports whether the server made the event up for its reader, so that it has no position.
func artificial(e *Event) bool {
	const flag = 0x20 // LOG_EVENT_ARTIFICIAL_F
	return e.Next == 0 || e.Flags&flag != 0
}
