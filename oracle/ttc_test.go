package oracle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// ttc is the far end of a session of the genuine driver: it takes any login, and answers the calls that BFILEs are read by. What it says is what go-ora v2.8.24 can read, from its source [GO]; whether a server says the same, no test here shows.
type ttc struct {
	// size and at are the files of the server, by DIRECTORY and name; a file that has no size is not there.
	size func(file string) (int64, bool)
	at   func(file string, offset int64, p []byte)
	// before each call, its operation and offset; an error ends the connection.
	before func(operation int, offset int64) error

	mu       sync.Mutex
	sessions int
	mostOpen int // files in one session
	calls    map[int]int
}

// Operations on LOBs [GO].
const (
	lobLength = 0x1
	lobRead   = 0x2
	lobOpen   = 0x100
	lobClose  = 0x200
)

// dsn names a listener for t. The driver asks for the server's zone in SQL unless it is told.
func (s *ttc) dsn(t testing.TB) string {
	s.calls = map[int]int{}
	return strings.Replace(listener(t, s.serve), "?", "?SERVER LOCATION=UTC&", 1)
}

// serve is one connection.
func (s *ttc) serve(c net.Conn) {
	if !connectPacket(c) {
		return
	}
	s.mu.Lock()
	s.sessions++
	s.mu.Unlock()
	accept := make([]byte, 41)
	binary.BigEndian.PutUint16(accept, 41)
	accept[4] = 2
	binary.BigEndian.PutUint16(accept[8:], 318) // with lengths of four bytes
	binary.BigEndian.PutUint16(accept[20:], 41)
	binary.BigEndian.PutUint32(accept[32:], 65536)
	binary.BigEndian.PutUint32(accept[36:], 65536)
	if _, err := c.Write(accept); err != nil {
		return
	}
	open := map[string]bool{}
	for {
		head := make([]byte, 10)
		if _, err := io.ReadFull(c, head); err != nil || head[4] != 6 {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head)-10)
		if _, err := io.ReadFull(c, body); err != nil || len(body) < 3 {
			return
		}
		answer, err := s.answer(body, open)
		if err != nil {
			return
		}
		out := make([]byte, 10)
		binary.BigEndian.PutUint32(out, uint32(10+len(answer)))
		out[4] = 6
		if _, err := c.Write(append(out, answer...)); err != nil {
			return
		}
	}
}

func (s *ttc) answer(body []byte, open map[string]bool) ([]byte, error) {
	var b bytes.Buffer
	switch {
	case body[0] == 1: // the protocol: version, banner, character sets, capabilities
		b.Write([]byte{1, 6, 0})
		b.WriteString("fake\x00")
		b.Write([]byte{0x69, 0x03, 1, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x07, 0xD0})
		caps := make([]byte, 42)
		caps[4], caps[7], caps[37] = 2, 11, 32 // TTC version, big pieces
		b.WriteByte(byte(len(caps)))
		b.Write(caps)
		b.Write([]byte{7, 2, 1, 0, 0, 0, 0, 0})
	case body[0] == 2: // types: the zone of the database
		b.Write([]byte{2, 0, 0, 0, 0, 60, 60, 60, 0, 0, 0, 0, 0, 0, 0, 32, 0})
	case body[0] != 3:
		return nil, fmt.Errorf("message %d is not known", body[0])
	case body[1] == 0x76:
		pairs(&b, 2)
		pair(&b, "AUTH_SESSKEY", strings.Repeat("A5", 48), 0)
		pair(&b, "AUTH_VFR_DATA", "00112233445566778899", 6949)
		summary(&b, 0, "")
	case body[1] == 0x73:
		pairs(&b, 2)
		pair(&b, "AUTH_SESSION_ID", "7", 0)
		pair(&b, "AUTH_SERIAL_NUM", "9", 0)
		b.Write([]byte{23, 5, 0, 0, 1, 1, 0})
		pair(&b, "AUTH_NLS_LXLAN", "AMERICAN", 16)
		b.WriteByte(0)
		summary(&b, 0, "")
	case body[1] == 0x3B:
		b.WriteByte(8)
		ttcNumber(&b, 4)
		clr(&b, []byte("fake"))
		ttcNumber(&b, 0x13000000)
	case body[1] == 0x60:
		return s.lob(body, open)
	case body[1] == 9:
		b.WriteByte(9)
	default:
		return nil, fmt.Errorf("function %#x is not known", body[1])
	}
	return b.Bytes(), nil
}

// lob carries out one operation on a BFILE.
func (s *ttc) lob(body []byte, open map[string]bool) ([]byte, error) {
	r := bytes.NewReader(body[3:])
	skip := func(n int64) { _, _ = io.CopyN(io.Discard, r, n) }
	skip(1)
	length := take(r)
	skip(1)
	take(r)
	skip(5)
	operation := int(take(r))
	skip(1)
	take(r)
	offset := take(r) - 1
	take(r)
	sized, _ := r.ReadByte()
	skip(6)
	locator := make([]byte, length)
	if _, err := io.ReadFull(r, locator); err != nil || length < 20 {
		return nil, errors.Join(err, errors.New("a locator is too short"))
	}
	var size int64
	if sized == 1 {
		size = take(r)
	}
	if r.Len() > 0 {
		return nil, fmt.Errorf("%d bytes behind the call", r.Len())
	}
	n := int(binary.BigEndian.Uint16(locator[16:]))
	file := string(locator[18:18+n]) + "/" + string(locator[20+n:])
	s.mu.Lock()
	s.calls[operation]++
	s.mu.Unlock()
	if s.before != nil {
		if err := s.before(operation, offset); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	fail := func(code int, text string) ([]byte, error) { summary(&b, code, text); return b.Bytes(), nil }
	end, there := s.size(file)
	switch {
	case operation == lobOpen && !there:
		return fail(22288, "ORA-22288: file or LOB operation FILEOPEN failed\nNo such file or directory\n")
	case operation == lobOpen:
		open[file] = true
		s.mu.Lock()
		s.mostOpen = max(s.mostOpen, len(open))
		s.mu.Unlock()
	case !open[file]:
		return fail(22289, "ORA-22289: cannot perform operation on an unopened file or LOB\n")
	case operation == lobClose:
		delete(open, file)
	case operation == lobLength:
		size = end
	case operation == lobRead && offset >= end:
		return fail(1403, "ORA-01403: no data found\n")
	case operation == lobRead:
		data := make([]byte, min(size, end-offset))
		s.at(file, offset, data)
		size = int64(len(data))
		b.WriteByte(14)
		clr(&b, data)
	default:
		return nil, fmt.Errorf("operation %#x is not known", operation)
	}
	b.WriteByte(8)
	b.Write(locator)
	if sized == 1 {
		ttcNumber(&b, size)
	}
	summary(&b, 0, "")
	return b.Bytes(), nil
}

// ttcNumber writes one as TTC does: how many bytes, and these.
func ttcNumber(b *bytes.Buffer, n int64) {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], uint64(n))
	short := bytes.TrimLeft(raw[:], "\x00")
	b.WriteByte(byte(len(short)))
	b.Write(short)
}

func take(r *bytes.Reader) (n int64) {
	size, _ := r.ReadByte()
	for range size {
		d, _ := r.ReadByte()
		n = n<<8 | int64(d)
	}
	return n
}

// clr writes bytes in pieces.
func clr(b *bytes.Buffer, data []byte) {
	if len(data) < 0xFC {
		b.WriteByte(byte(len(data)))
		b.Write(data)
		return
	}
	b.WriteByte(0xFE)
	for len(data) > 0 {
		n := min(len(data), 0x7FFF)
		ttcNumber(b, int64(n))
		b.Write(data[:n])
		data = data[n:]
	}
	b.WriteByte(0)
}

func pairs(b *bytes.Buffer, n int64) {
	b.WriteByte(8)
	ttcNumber(b, n)
}

func pair(b *bytes.Buffer, key, value string, flag int64) {
	for _, text := range []string{key, value} {
		ttcNumber(b, int64(len(text)))
		clr(b, []byte(text))
	}
	ttcNumber(b, flag)
}

// summary ends a call.
func summary(b *bytes.Buffer, code int, text string) {
	b.Write([]byte{4, 0})
	ttcNumber(b, int64(code))
	b.Write(make([]byte, 24))
	ttcNumber(b, int64(code))
	b.WriteByte(0)
	if code != 0 {
		clr(b, []byte(text))
	}
}
