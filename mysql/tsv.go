package mysql

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/quiesce-go/quiesce/backup"
)

// A chunk is text in the dialect of LOAD DATA with its defaults: fields end in a tab, lines in a newline, a backslash escapes. Only four bytes
// need it; NULL is \N.

// escapes holds, for the bytes that cannot stand in a field, what follows the backslash.
var escapes = [256]byte{'\t': 't', '\n': 'n', '\\': '\\', 0: '0'}

// appendField appends v as the content of a field. Most values hold nothing to escape, so eight bytes are looked at together.
func appendField(dst, v []byte) []byte {
	start, i := 0, 0
	for i < len(v) {
		if len(v)-i >= 8 && plain(binary.LittleEndian.Uint64(v[i:])) {
			i += 8
			continue
		}
		for end := min(i+8, len(v)); i < end; i++ {
			if e := escapes[v[i]]; e != 0 {
				dst = append(append(dst, v[start:i]...), '\\', e)
				start = i + 1
			}
		}
	}
	return append(dst, v[start:]...)
}

// plain reports whether none of the eight bytes in w needs an escape. It may say no for nothing, when a byte is below 0x0b.
func plain(w uint64) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	low := (w - ones*('\n'+1)) &^ w // top bit set where a byte is at most '\n'
	x := w ^ ones*'\\'
	back := (x - ones) &^ x // top bit set where a byte is a backslash
	return (low|back)&tops == 0
}

// unescape appends to dst what the field stands for; null is true for \N alone.
func unescape(dst, field []byte) (out []byte, null bool, err error) {
	if len(field) == 2 && field[0] == '\\' && field[1] == 'N' {
		return dst, true, nil
	}
	for {
		n := bytes.IndexByte(field, '\\')
		if n < 0 {
			return append(dst, field...), false, nil
		}
		dst = append(dst, field[:n]...)
		if n+1 == len(field) {
			return dst, false, fmt.Errorf("backslash at the end of a field: %w", backup.ErrCorrupt)
		}
		switch field[n+1] {
		case 't':
			dst = append(dst, '\t')
		case 'n':
			dst = append(dst, '\n')
		case '\\':
			dst = append(dst, '\\')
		case '0':
			dst = append(dst, 0)
		default:
			return dst, false, fmt.Errorf("unknown escape \\%c: %w", field[n+1], backup.ErrCorrupt)
		}
		field = field[n+2:]
	}
}

// lines reads a chunk line by line. A line may be longer than the buffer.
type lines struct {
	r    *bufio.Reader
	long []byte
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, 256<<10)} }

// next returns the next line without its newline, valid until the next call, or io.EOF after the last. A last line without a newline is a chunk cut short.
func (l *lines) next() ([]byte, error) {
	line, err := l.r.ReadSlice('\n')
	if err == nil {
		return line[:len(line)-1], nil
	}
	l.long = l.long[:0]
	for err == bufio.ErrBufferFull {
		l.long = append(l.long, line...)
		line, err = l.r.ReadSlice('\n')
	}
	l.long = append(l.long, line...)
	switch {
	case err == nil:
		return l.long[:len(l.long)-1], nil
	case err == io.EOF && len(l.long) == 0:
		return nil, io.EOF
	case err == io.EOF:
		return nil, fmt.Errorf("the last line has no end: %w", backup.ErrCorrupt)
	}
	return nil, err
}

// nextField cuts the first field off line. Tabs inside fields are escaped, so every tab is a border.
func nextField(line []byte) (field, rest []byte, more bool) {
	if n := bytes.IndexByte(line, '\t'); n >= 0 {
		return line[:n], line[n+1:], true
	}
	return line, nil, false
}
