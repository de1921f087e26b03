package blockfile

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
)

// ControlFile is what the generic header of a control file says. Nothing else in it is read.
type ControlFile struct {
	// Depth is Measured at most.
	Depth Depth
	// BigEndian is the byte order of the platform it was written on.
	BigEndian      bool
	BlockSizeBytes int
	// Blocks is the length that the header gives, in blocks, without block 0.
	Blocks uint32
	// SizeBytes is the whole file as it was read; 0 when it was not read to its end.
	SizeBytes int64

	DBID uint32
	// Database is as stored.
	Database string
	// Compatible is the version whose format the file has.
	Compatible Version
	// Sequence grows with each change of the control file.
	Sequence uint32
}

// VerifyControl reads a control file to its end and checks its header and its length. Damage is a *CorruptError, or several joined; the ControlFile
// then has what was understood. Other errors are those of r and ctx.
func VerifyControl(ctx context.Context, r io.Reader) (*ControlFile, error) {
	f := &ControlFile{}
	c := read(ctx, r)
	head, err := c.next()
	if err != nil {
		return f, err
	}
	l, ok := recognise(head)
	if !ok || l.kind != Control || len(head) < 2*l.size {
		return f, notOne(head, Control)
	}
	bad := damage{blockSize: int64(l.size)}
	b := l.fields(head[l.size : 2*l.size])
	f.BlockSizeBytes, f.BigEndian = l.size, l.order == binary.BigEndian
	f.Compatible, f.DBID, f.Database = Version(b.u32(fileCompatible)), b.u32(fileDBID), b.text(fileDatabase, 8)
	f.Sequence, f.Blocks = b.u32(fileControlSequence), b.u32(fileBlocks)
	if x := fold(b.b); b.b[blockFlags]&summed != 0 && x != 0 {
		bad.block(1, fmt.Sprintf("its checksum 0x%04x does not go with its content", b.u16(16)))
	}
	if _, err := c.each(head, l.size, func(int64, []byte) {}); err != nil {
		return f, err
	}
	f.SizeBytes = c.at
	if want := (int64(f.Blocks) + 1) * int64(l.size); f.SizeBytes != want {
		bad.file(min(want, f.SizeBytes), "the file has %d bytes, its header gives it %d blocks, which are %d bytes", f.SizeBytes, f.Blocks, want)
	}
	if err := bad.err(); err != nil {
		return f, err
	}
	f.Depth = Measured
	return f, nil
}
