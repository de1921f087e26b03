package tds

import (
	"encoding/binary"
	"fmt"
	"io"
)

// kind is the first byte of a packet: what the message is.
type kind byte

const (
	kindBatch       kind = 1
	kindRPC         kind = 3
	kindReply       kind = 4
	kindAttention   kind = 6
	kindTransaction kind = 14
	kindLogin       kind = 16
	kindPrelogin    kind = 18
)

// Bits of the second byte of a packet.
const (
	statusLast      = 0x01
	statusReset     = 0x08 // put the session back to what it was after login, then answer
	statusResetKeep = 0x10 // the same, but keep the transaction
)

const (
	headerSize        = 8
	defaultPacketSize = 4096
	minPacketSize     = 512
	maxPacketSize     = 32767
	maxSealedSize     = 16383 // with encryption, packets are no larger than a TLS record
	maxMessage        = 64 << 20
)

// message is what one side says at once: the bodies of its packets in order.
type message struct {
	kind   kind
	status byte // of the first packet, without statusLast
	body   []byte
}

func readMessage(r io.Reader) (message, error) {
	var m message
	for first := true; ; first = false {
		k, status, body, err := readPacket(r)
		if err != nil {
			return message{}, err
		}
		if first {
			m.kind, m.status = k, status&^statusLast
		}
		if k != m.kind {
			return message{}, fmt.Errorf("tds: a packet of type %d inside a message of type %d", k, m.kind)
		}
		if len(m.body)+len(body) > maxMessage {
			return message{}, fmt.Errorf("tds: message longer than %d bytes", maxMessage)
		}
		m.body = append(m.body, body...)
		if status&statusLast != 0 {
			return m, nil
		}
	}
}

func readPacket(r io.Reader) (k kind, status byte, body []byte, err error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, 0, nil, err
	}
	size := int(binary.BigEndian.Uint16(h[2:]))
	if size < headerSize || size > maxPacketSize {
		return 0, 0, nil, fmt.Errorf("tds: packet length %d, want %d to %d", size, headerSize, maxPacketSize)
	}
	if unknown := h[1] &^ (statusLast | statusReset | statusResetKeep); unknown != 0 {
		return 0, 0, nil, fmt.Errorf("tds: packet status %#02x is not known here", unknown)
	}
	body = make([]byte, size-headerSize)
	if _, err := io.ReadFull(r, body); err != nil {
		return 0, 0, nil, err
	}
	return kind(h[0]), h[1], body, nil
}

// packetWriter cuts one message after another into packets.
type packetWriter struct {
	w    io.Writer
	kind kind
	size int // of a packet, with header
	spid uint16
	seq  byte
	buf  []byte // body bytes not sent yet
}

// write adds to the message. Full packets leave at once, except the newest: the last packet of a message must not be empty.
func (p *packetWriter) write(b []byte) error {
	p.buf = append(p.buf, b...)
	for len(p.buf) > p.size-headerSize {
		if err := p.send(0, p.size-headerSize); err != nil {
			return err
		}
	}
	return nil
}

// flush sends what there is; the message goes on.
func (p *packetWriter) flush() error {
	if len(p.buf) == 0 {
		return nil
	}
	return p.send(0, len(p.buf))
}

// finish sends the rest and ends the message.
func (p *packetWriter) finish() error {
	err := p.send(statusLast, len(p.buf))
	p.seq = 0
	return err
}

func (p *packetWriter) send(status byte, n int) error {
	p.seq++
	packet := make([]byte, headerSize, headerSize+n)
	packet[0], packet[1] = byte(p.kind), status
	binary.BigEndian.PutUint16(packet[2:], uint16(headerSize+n))
	binary.BigEndian.PutUint16(packet[4:], p.spid)
	packet[6] = p.seq
	packet = append(packet, p.buf[:n]...)
	p.buf = p.buf[n:]
	_, err := p.w.Write(packet)
	return err
}
