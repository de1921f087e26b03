package tds

import (
	"encoding/binary"
	"errors"
	"unicode/utf16"
)

var errShort = errors.New("tds: message ends too early")

// cursor reads little-endian fields from a message. The first error stays; the caller asks once, at the end.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) fail(err error) {
	if c.err == nil {
		c.err = err
		c.b = nil
	}
}

func (c *cursor) bytes(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.fail(errShort)
	}
	if c.err != nil {
		return nil
	}
	b := c.b[:n:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) u8() byte {
	if b := c.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if b := c.bytes(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// text reads n UTF-16 units.
func (c *cursor) text(n int) string {
	return decodeText(c.bytes(2 * n))
}

// bVarChar reads text with its length in one byte.
func (c *cursor) bVarChar() string { return c.text(int(c.u8())) }

// decodeText reads UTF-16LE. An odd byte at the end is dropped: callers check the length where it comes from outside.
func decodeText(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}

func appendText(b []byte, s string) []byte {
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// textUnits is the length of s on the wire, in UTF-16 units.
func textUnits(s string) int { return len(utf16.Encode([]rune(s))) }

// appendBVarChar writes text with its length in one byte; the caller has seen to it that it fits.
func appendBVarChar(b []byte, s string) []byte {
	return appendText(append(b, byte(textUnits(s))), s)
}

// appendUSVarChar writes text with its length in two bytes; the caller has seen to it that it fits.
func appendUSVarChar(b []byte, s string) []byte {
	return appendText(binary.LittleEndian.AppendUint16(b, uint16(textUnits(s))), s)
}
