package domino

import (
	"encoding/binary"
	"fmt"
)

// Places in the header of a database, little-endian [LIBNSF].
const (
	headerBytes   = 92
	headerSizeAt  = 88
	headerSizeLen = 256 // the unit of the size there
)

// header keeps the beginning of a database that passes through.
type header struct {
	head []byte
}

func (h *header) Write(p []byte) (int, error) {
	if missing := headerBytes - len(h.head); missing > 0 {
		h.head = append(h.head, p[:min(missing, len(p))]...)
	}
	return len(p), nil
}

// check tells whether a copy of that many bytes begins like a database and is not cut short.
func (h *header) check(size int64, _ map[string]string) error {
	if len(h.head) < headerBytes || h.head[0] != 0x1A || h.head[1] != 0 {
		return fmt.Errorf("it does not begin like a database (1A 00)")
	}
	if want := int64(binary.LittleEndian.Uint32(h.head[headerSizeAt:])) * headerSizeLen; want > size {
		return fmt.Errorf("it has %d bytes, and its header says %d", size, want)
	}
	return nil
}
