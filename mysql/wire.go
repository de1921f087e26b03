package mysql

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	driver "github.com/go-sql-driver/mysql"
)

// wire reads the rows of queries straight from a connection of the driver, which costs a copy and a slice less for each value: dumping is bound by what a value costs. It borrows the connection while the driver is idle: it writes a command,
// reads the result to its end, and leaves the connection as the driver would. Connections that are encrypted or compressed are not borrowed.
type wire struct {
	conn net.Conn
	buf  []byte // of what was read, buf[r:w] is not used yet
	r, w int
	long []byte // a packet that came in several frames
}

const (
	wireBuffer = 256 << 10
	// frameMax is the length of a frame behind which the packet goes on in the next.
	frameMax = 1<<24 - 1

	comQuery  = 0x03
	packetOK  = 0x00
	packetErr = 0xff
	packetEOF = 0xfe
	valueNull = 0xfb
)

// tap is where dial leaves the connection that is being opened for a session.
type tap struct{ conn net.Conn }

type tapKey struct{}

// tapped has dial leave the connection in the tap that its context carries. The driver tells nobody which connection it has.
func tapped(dial func(ctx context.Context, network, addr string) (net.Conn, error)) func(ctx context.Context, network, addr string) (net.Conn, error) {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if t, ok := ctx.Value(tapKey{}).(*tap); ok && err == nil {
			t.conn = c
		}
		return c, err
	}
}

func newWire(conn net.Conn) *wire { return &wire{conn: conn, buf: make([]byte, wireBuffer)} }

// query runs a query and calls row with each row as it lies on the wire: a length and its bytes for each value. After an error that is none of the server's the connection is of no use.
func (w *wire) query(ctx context.Context, query string, row func(columns int, packet []byte) error) (err error) {
	stop := context.AfterFunc(ctx, func() { _ = w.conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() {
			err = because(ctx, cmpErr(err, context.Cause(ctx)))
		}
	}()
	if err := w.send(query); err != nil {
		return err
	}
	p, err := w.packet()
	if err != nil {
		return err
	}
	if len(p) == 0 || p[0] == packetOK {
		return errors.New("a query without a result")
	}
	if p[0] == packetErr {
		return answer(p)
	}
	n, rest, ok := packedNumber(p)
	if !ok || len(rest) > 1 || n == 0 || n > 4096 {
		return fmt.Errorf("a result of %d columns makes no sense", n)
	}
	described := n
	if len(rest) == 1 && rest[0] == 0 { // MariaDB may leave out what a client has seen before, and says so
		described = 0
	}
	for range described {
		if _, err := w.packet(); err != nil {
			return err
		}
	}
	return w.rows(int(n), row)
}

// cmpErr is err, or instead when there is none.
func cmpErr(err, instead error) error {
	if err == nil {
		return instead
	}
	return err
}

func (w *wire) rows(columns int, row func(columns int, packet []byte) error) error {
	for first := true; ; first = false {
		p, err := w.packet()
		switch {
		case err != nil:
			return err
		case len(p) == 0:
			return errors.New("an empty row")
		case p[0] == packetErr:
			return answer(p)
		case p[0] == packetEOF && len(p) < frameMax && (len(p) < 9 || !value64(p)):
			// An older form of the end, of five bytes, also stands before the rows.
			if first && len(p) == 5 {
				continue
			}
			return nil
		}
		if err := row(columns, p); err != nil {
			return err
		}
	}
}

// value64 reports whether a packet begins with a value whose length takes eight bytes, which no end of a result does.
func value64(p []byte) bool {
	n := binary.LittleEndian.Uint64(p[1:9])
	return n >= frameMax && n <= uint64(len(p)-9)
}

func (w *wire) send(query string) error {
	if len(query)+1 >= frameMax {
		return fmt.Errorf("a query of %d bytes", len(query))
	}
	n := len(query) + 1
	b := append([]byte{byte(n), byte(n >> 8), byte(n >> 16), 0, comQuery}, query...)
	_, err := w.conn.Write(b)
	return err
}

// packet returns the next packet, valid until the next call.
func (w *wire) packet() ([]byte, error) {
	p, err := w.frame()
	if err != nil || len(p) < frameMax {
		return p, err
	}
	w.long = append(w.long[:0], p...)
	for {
		if p, err = w.frame(); err != nil {
			return nil, err
		}
		w.long = append(w.long, p...)
		if len(p) < frameMax {
			return w.long, nil
		}
	}
}

func (w *wire) frame() ([]byte, error) {
	const head = 4
	if err := w.fill(head); err != nil {
		return nil, err
	}
	n := int(w.buf[w.r]) | int(w.buf[w.r+1])<<8 | int(w.buf[w.r+2])<<16
	if err := w.fill(head + n); err != nil {
		return nil, err
	}
	p := w.buf[w.r+head : w.r+head+n]
	w.r += head + n
	return p, nil
}

// fill reads until n bytes are there.
func (w *wire) fill(n int) error {
	if w.w-w.r >= n {
		return nil
	}
	if w.r > 0 && (w.r == w.w || w.r+n > len(w.buf)) {
		w.w = copy(w.buf, w.buf[w.r:w.w])
		w.r = 0
	}
	if n > len(w.buf)-w.r {
		b := make([]byte, n+wireBuffer)
		w.w = copy(b, w.buf[w.r:w.w])
		w.buf, w.r = b, 0
	}
	for w.w-w.r < n {
		got, err := w.conn.Read(w.buf[w.w:])
		w.w += got
		if err != nil && w.w-w.r < n {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// answer is the error that the server sent.
func answer(p []byte) error {
	if len(p) < 3 {
		return errors.New("an error of the server that is cut short")
	}
	e := &driver.MySQLError{Number: binary.LittleEndian.Uint16(p[1:])}
	text := p[3:]
	if len(text) >= 6 && text[0] == '#' {
		copy(e.SQLState[:], text[1:6])
		text = text[6:]
	}
	e.Message = string(text)
	return e
}

// packedNumber cuts a length off the front.
func packedNumber(p []byte) (n uint64, rest []byte, ok bool) {
	if len(p) == 0 {
		return 0, nil, false
	}
	var width int
	switch p[0] {
	default:
		return uint64(p[0]), p[1:], true
	case 0xfc:
		width = 2
	case 0xfd:
		width = 3
	case 0xfe:
		width = 8
	case valueNull, 0xff:
		return 0, nil, false
	}
	if len(p) < 1+width {
		return 0, nil, false
	}
	for i := width; i > 0; i-- {
		n = n<<8 | uint64(p[i])
	}
	return n, p[1+width:], true
}
