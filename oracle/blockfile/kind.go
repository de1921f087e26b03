package blockfile

import "encoding/binary"

// Kind is what a file is.
type Kind string

const (
	// Data is a data file, of any tablespace.
	Data Kind = "data file"
	// Redo is a redo log: archived, or a copy of an online one.
	Redo Kind = "redo log"
	// Control is a control file.
	Control Kind = "control file"
)

func (k Kind) phrase() string { return "a " + string(k) }

// MatchBytes is how many bytes Match may need: header blocks of up to 32 KiB, and the start of the next.
const MatchBytes = 32<<10 + 64

// Match reports what a file that begins with head is, by the magic number and the format byte of block 0 and by the header in block 1. Give it
// MatchBytes bytes, or the file when it is shorter. Block 0 of data files and control files may be anything: their block 1 is then looked for where
// each block size has it.
func Match(head []byte) (Kind, bool) {
	l, ok := recognise(head)
	return l.kind, ok
}

// layout is what is known before the first field can be read.
type layout struct {
	kind  Kind
	size  int // of a block, in bytes
	order binary.ByteOrder
	magic bool // block 0 has the magic number
}

// Offsets of block 0 (5.1).
const (
	osFormat = 1
	osSize   = 20 // u32
	osBlocks = 24 // u32, without block 0
	osMagic  = 28
)

const (
	magicLittle = "\x7d\x7c\x7b\x7a"
	magicBig    = "\x7a\x7b\x7c\x7d"
)

// Types of blocks, the first byte of each. 5.2 for redo, 5.3 for data; that of control files is seen in the published dump [CTL].
const (
	typeRedo    = 0x01
	typeData    = 0x0B
	typeControl = 0x15
)

// formatOf is the second byte of each block, by block size: 5.1 for redo and for 8 KiB, [CTL] for 16 KiB, inferred for the others.
func formatOf(kind Kind, size int) (byte, bool) {
	if kind == Redo {
		switch size {
		case 512, 1024:
			return 0x22, true
		case 4096:
			return 0x82, true
		}
		return 0, false
	}
	switch size {
	case 2 << 10:
		return 0x62, true
	case 4 << 10:
		return 0x82, true
	case 8 << 10:
		return 0xA2, true
	case 16 << 10:
		return 0xC2, true
	case 32 << 10:
		return 0xE2, true
	}
	return 0, false
}

func recognise(head []byte) (layout, bool) {
	if l, ok := fromBlock0(head); ok {
		for _, k := range []Kind{Redo, Data, Control} {
			if l.kind = k; l.fits(head) {
				return l, true
			}
		}
	}
	for size := 2 << 10; size <= 32<<10; size *= 2 {
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			for _, k := range []Kind{Data, Control} {
				if l := (layout{kind: k, size: size, order: order}); l.fits(head) {
					return l, true
				}
			}
		}
	}
	return layout{}, false
}

// fromBlock0 reads byte order and block size from block 0, if that has the magic number.
func fromBlock0(head []byte) (layout, bool) {
	if len(head) < osMagic+4 || head[0] != 0 {
		return layout{}, false
	}
	l := layout{magic: true}
	switch string(head[osMagic : osMagic+4]) {
	case magicLittle:
		l.order = binary.LittleEndian
	case magicBig:
		l.order = binary.BigEndian
	default:
		return l, false
	}
	size := l.order.Uint32(head[osSize:])
	if size < 512 || size > 32<<10 || size&(size-1) != 0 {
		return l, false
	}
	l.size = int(size)
	return l, true
}

// fits reports whether block 1 is the header of a file of that kind, as far as its own bytes tell.
func (l layout) fits(head []byte) bool {
	format, ok := formatOf(l.kind, l.size)
	if !ok || len(head) < l.size+64 {
		return false
	}
	b := l.fields(head[l.size:])
	if b.b[1] != format {
		return false
	}
	switch l.kind {
	case Redo:
		return l.magic && head[osFormat] == format && b.b[0] == typeRedo && b.u32(redoNumber) == 1
	case Control:
		return b.b[0] == typeControl && b.u32(blockAddress) == 1 && b.u32(fileBlockSize) == uint32(l.size)
	}
	return b.b[0] == typeData && b.u32(blockAddress)&blockMask == 1 && b.u32(fileBlockSize) == uint32(l.size)
}

func (l layout) fields(b []byte) fields { return fields{b: b, order: l.order} }
