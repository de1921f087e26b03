package blocks

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// Control is the header of a control file.
type Control struct {
	BigEndian  bool
	BlockSize  int    // 0: 16384
	Blocks     uint32 // without block 0; 0: what the content needs
	DBID       uint32
	Database   string // 8 bytes at most
	Compatible uint32
	Sequence   uint32
}

// Size is the bytes of a block.
func (c Control) Size() int {
	if c.BlockSize == 0 {
		return 16384
	}
	return c.BlockSize
}

// Write writes a control file with content, spread over its blocks from 2 on.
func (c Control) Write(w io.Writer, content []byte) error {
	content = append(binary.BigEndian.AppendUint32(nil, uint32(len(content))), content...)
	room := c.Size() - cacheHeader - 4
	c.Blocks = max(c.Blocks, 1+uint32((len(content)+room-1)/room))
	if _, err := w.Write(block0(c.Size(), c.BigEndian, formatByte(c.Size()), c.Blocks)); err != nil {
		return err
	}
	for n := uint32(1); n <= c.Blocks; n++ {
		k := newBlock(c.Size(), c.BigEndian)
		if n == 1 {
			k.put32(24, c.Compatible)
			k.put32(28, c.DBID)
			copy(k.b[32:40], c.Database)
			k.put32(40, c.Sequence)
			k.put32(44, c.Blocks)
			k.put32(48, uint32(c.Size()))
			k.put16(54, 1)
		} else {
			content = content[copy(k.b[cacheHeader:len(k.b)-4], content):]
		}
		k.b[0], k.b[1], k.b[14], k.b[15] = typeControl, formatByte(c.Size()), 1, 4
		k.put32(4, n)
		k.put32(len(k.b)-4, typeControl<<8+1)
		k.putSum(16)
		if _, err := w.Write(k.b); err != nil {
			return err
		}
	}
	return nil
}

const typeControl = 0x15

// ErrControl: what was read is no whole control file.
var ErrControl = errors.New("blocks: not a whole control file")

// ReadControl reads what Write wrote: the header and the content.
func ReadControl(file []byte) (Control, []byte, error) {
	if len(file) < 1024 {
		return Control{}, nil, ErrControl
	}
	c := Control{BigEndian: file[28] == 0x7A}
	k := block{order: orderOf(c.BigEndian)}
	c.BlockSize = int(k.order.Uint32(file[20:]))
	if c.BlockSize < 512 || c.BlockSize > len(file)/2 || len(file)%c.BlockSize != 0 {
		return Control{}, nil, ErrControl
	}
	var content []byte
	for n := 1; n < len(file)/c.BlockSize; n++ {
		k.b = file[n*c.BlockSize:][:c.BlockSize]
		if k.b[0] != typeControl || k.get32(4) != uint32(n) || k.sum() != 0 {
			return c, nil, ErrControl
		}
		if n > 1 {
			content = append(content, k.b[cacheHeader:len(k.b)-4]...)
			continue
		}
		c.Compatible, c.DBID, c.Database, c.Sequence, c.Blocks = k.get32(24), k.get32(28), string(bytes.TrimRight(k.b[32:40], "\x00")), k.get32(40), k.get32(44)
	}
	if int(c.Blocks)+1 != len(file)/c.BlockSize || len(content) < 4 || int(binary.BigEndian.Uint32(content)) > len(content)-4 {
		return c, nil, ErrControl
	}
	return c, content[4:][:binary.BigEndian.Uint32(content)], nil
}
