package nsf_test

import (
	"bytes"
	"encoding/binary"
)

// le writes little-endian values into a file.
type le []byte

func (b le) u16(at int, v uint16) le { binary.LittleEndian.PutUint16(b[at:], v); return b }
func (b le) u32(at int, v uint32) le { binary.LittleEndian.PutUint32(b[at:], v); return b }

// made is a small database: the header of that ODS, two superblocks, and some pages. LogID and DBIID are set.
func made(ods uint32) le {
	head := 1024
	if ods >= 53 {
		head = 2048
	}
	b := le(make([]byte, head+2*4096+8192))
	b.u16(0, 0x1A).u32(2, uint32(head)).u32(6, ods).u16(42, 0xFF01).u32(88, uint32(len(b)/256))
	b.u32(136, 0x006CDCC0).u32(140, 0x852563FC).u32(180, 0x0055AB21).u32(184, 0x852566B9)
	copy(b[200:], "Orders \x81ber\x14\x26\x3a\nSales,Shop\n#1StdOrders\n#2Base")
	for i := range 2 {
		at := head + i*4096
		b.u32(560+8*i, uint32(at/256)).u32(564+8*i, 4096)
		b.u16(at, 0x0E)
	}
	copy(b[688:], bytes.Repeat([]byte{0xDB}, 16))
	copy(b[768:], bytes.Repeat([]byte{0x10}, 16))
	b.u32(728, 17)
	return b
}
