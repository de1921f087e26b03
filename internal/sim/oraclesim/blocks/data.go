package blocks

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

// DataFile is the header of a data file.
type DataFile struct {
	BigEndian       bool
	BlockSize       int    // 0: 8192
	Blocks          uint32 // without block 0
	DBID            uint32
	Database        string // 8 bytes at most
	Compatible      uint32
	ControlSequence uint32
	File            uint16
	RelativeFile    uint32 // 0: File
	Bigfile         bool   // RelativeFile is 1024
	Tablespace      int32
	TablespaceName  string // 30 bytes at most
	Status          uint16 // see Closed, InBackup, Online
	NoChecksum      bool   // DB_BLOCK_CHECKSUM=OFF; the header has one all the same

	CreationSCN, ResetlogsSCN, PreviousResetlogsSCN uint64
	CheckpointSCN, BackupSCN                        uint64
	Created, CheckpointTime, BackupTime             time.Time
	ResetlogsID, PreviousResetlogsID                uint32
	Thread                                          uint16 // of the checkpoint
	Sequence                                        uint32 // of the checkpoint
	CheckpointCount                                 uint32
}

// Flags of DataFile.Status.
const (
	Closed   = 0x0
	InBackup = 0x1
	Online   = 0x4 // fuzzy
)

// Types of blocks.
const (
	TypeFileHeader = 0x0B
	TypeTable      = 0x06 // rows of tables and indexes
)

// Size is the bytes of a block.
func (f DataFile) Size() int {
	if f.BlockSize == 0 {
		return 8192
	}
	return f.BlockSize
}

// Length is the bytes of the file.
func (f DataFile) Length() int64 { return (int64(f.Blocks) + 1) * int64(f.Size()) }

// Offset is where block n begins.
func (f DataFile) Offset(n uint32) int64 { return int64(n) * int64(f.Size()) }

// Payload is how many bytes a block holds beside its header and tail.
func (f DataFile) Payload() int { return f.Size() - cacheHeader - 4 }

const cacheHeader = 20

func (f DataFile) relative() uint32 {
	switch {
	case f.Bigfile:
		return 1024
	case f.RelativeFile == 0:
		return uint32(f.File)
	}
	return f.RelativeFile
}

func (f DataFile) address(n uint32) uint32 {
	if f.Bigfile {
		return n
	}
	return f.relative()<<22 + n
}

// Block0 is the first block of the file.
func (f DataFile) Block0() []byte {
	return block0(f.Size(), f.BigEndian, formatByte(f.Size()), f.Blocks)
}

// Header is block 1.
func (f DataFile) Header() []byte {
	k := newBlock(f.Size(), f.BigEndian)
	k.put32(24, f.Compatible)
	k.put32(28, f.DBID)
	copy(k.b[32:40], f.Database)
	k.put32(40, f.ControlSequence)
	k.put32(44, f.Blocks)
	k.put32(48, uint32(f.Size()))
	k.put16(52, f.File)
	k.put16(54, 3)
	k.putSCN(100, f.CreationSCN)
	k.put32(108, Stamp(f.Created))
	k.put32(112, f.ResetlogsID)
	k.putSCN(116, f.ResetlogsSCN)
	k.put32(124, Stamp(f.BackupTime))
	k.putSCN(128, f.BackupSCN)
	k.put16(138, f.Status)
	k.put32(140, f.CheckpointCount)
	k.put32(332, uint32(f.Tablespace))
	k.put16(336, uint16(len(f.TablespaceName)))
	copy(k.b[338:368], f.TablespaceName)
	k.put32(368, f.relative())
	k.put32(416, f.PreviousResetlogsID)
	k.putSCN(420, f.PreviousResetlogsSCN)
	k.putSCN(484, f.CheckpointSCN)
	k.put32(492, Stamp(f.CheckpointTime))
	k.put16(496, f.Thread)
	k.put32(500, f.Sequence)
	f.finish(k, 1, TypeFileHeader, 0, 1, true)
	return k.b
}

// finish writes the cache header, the tail and the checksum.
func (f DataFile) finish(k block, n uint32, kind byte, scn uint64, sequence byte, summed bool) {
	k.b[0], k.b[1] = kind, formatByte(f.Size())
	k.put32(4, f.address(n))
	k.put32(8, uint32(scn))
	k.put16(12, uint16(scn>>32))
	k.b[14] = sequence
	k.put32(len(k.b)-4, uint32(uint16(scn))<<16+uint32(kind)<<8+uint32(sequence))
	if summed {
		k.b[15] = 4
		k.putSum(16)
	}
}

// Block is block n, from 2 on, as of the change at scn, which is below 1<<47; sequence tells apart changes at one SCN, from 1 on. It fails when the
// payload is longer than a block takes.
func (f DataFile) Block(n uint32, scn uint64, sequence byte, payload []byte) ([]byte, error) {
	switch {
	case len(payload) > f.Payload():
		return nil, fmt.Errorf("blocks: %d bytes for a block that takes %d", len(payload), f.Payload())
	case n < 2 || n > f.Blocks:
		return nil, fmt.Errorf("blocks: no block %d in a file of %d", n, f.Blocks)
	case scn>>47 != 0:
		return nil, fmt.Errorf("blocks: SCN %d is beyond what a block takes", scn)
	}
	k := newBlock(f.Size(), f.BigEndian)
	copy(k.b[cacheHeader:], payload)
	f.finish(k, n, TypeTable, scn, sequence, !f.NoChecksum)
	return k.b, nil
}

// Torn is a block as a reader finds it that comes while the server replaces old by new: the first at bytes are new.
func Torn(old, replacement []byte, at int) []byte {
	b := bytes.Clone(old)
	copy(b, replacement[:at])
	return b
}

// ErrTorn: a block is not whole.
var ErrTorn = errors.New("blocks: the block is torn or of another place")

// Read returns the SCN and the payload, which aliases b, of a block n that Block made. It is nil and 0 for one that was never written.
func (f DataFile) Read(n uint32, b []byte) (scn uint64, payload []byte, err error) {
	if len(bytes.Trim(b, "\x00")) == 0 {
		return 0, nil, nil
	}
	k := block{b: b, order: orderOf(f.BigEndian)}
	tail := k.get32(len(b) - 4)
	if k.get32(4) != f.address(n) || tail>>16 != k.get32(8)&0xFFFF || byte(tail>>8) != b[0] || byte(tail) != b[14] || b[15]&4 != 0 && k.sum() != 0 {
		return 0, nil, ErrTorn
	}
	return uint64(k.get16(12))<<32 + uint64(k.get32(8)), b[cacheHeader : len(b)-4], nil
}

// ReadHeader is what block 1 says, if it is one of the given byte order and not torn.
func ReadHeader(b []byte, bigEndian bool) (DataFile, error) {
	if len(b) < 512 || b[0] != TypeFileHeader {
		return DataFile{}, ErrTorn
	}
	k := block{b: b, order: orderOf(bigEndian)}
	f := DataFile{
		BigEndian: bigEndian, BlockSize: len(b), Compatible: k.get32(24), DBID: k.get32(28), Database: string(bytes.TrimRight(b[32:40], "\x00")), ControlSequence: k.get32(40), Blocks: k.get32(44),
		File: k.get16(52), CreationSCN: k.getSCN(100), ResetlogsID: k.get32(112), ResetlogsSCN: k.getSCN(116), BackupSCN: k.getSCN(128), Status: k.get16(138), CheckpointCount: k.get32(140),
		Tablespace: int32(k.get32(332)), TablespaceName: string(b[338 : 338+min(30, int(k.get16(336)))]), RelativeFile: k.get32(368), PreviousResetlogsID: k.get32(416),
		PreviousResetlogsSCN: k.getSCN(420), CheckpointSCN: k.getSCN(484), Thread: k.get16(496), Sequence: k.get32(500),
		Created: unstamp(k.get32(108)), BackupTime: unstamp(k.get32(124)), CheckpointTime: unstamp(k.get32(492)),
	}
	f.Bigfile = k.get32(4) == 1
	_, _, err := f.Read(1, b)
	return f, err
}

// unstamp is the time, as UTC, of a stamp.
func unstamp(v uint32) time.Time {
	if v == 0 {
		return time.Time{}
	}
	days := int(v / 86400)
	return time.Date(1988+days/372, time.Month(1+days/31%12), 1+days%31, 0, 0, int(v%86400), 0, time.UTC)
}

// DataWriter writes a data file from its start to its end.
type DataWriter struct {
	w    io.Writer
	f    DataFile
	next uint32
	zero []byte
}

// NewDataWriter writes blocks 0 and 1. Blocks 2 to f.Blocks follow by Write and Zero, then Close.
func NewDataWriter(w io.Writer, f DataFile) (*DataWriter, error) {
	t := &DataWriter{w: w, f: f, next: 2, zero: make([]byte, f.Size())}
	if _, err := w.Write(f.Block0()); err != nil {
		return nil, err
	}
	_, err := w.Write(f.Header())
	return t, err
}

// Write adds a block.
func (t *DataWriter) Write(scn uint64, payload []byte) error {
	b, err := t.f.Block(t.next, scn, 1, payload)
	if err == nil {
		err = t.Raw(b)
	}
	return err
}

// Raw adds a block as it is: torn, say.
func (t *DataWriter) Raw(b []byte) error {
	if len(b) != t.f.Size() || t.next > t.f.Blocks {
		return fmt.Errorf("blocks: %d bytes are no block %d of %d in this file", len(b), t.next, t.f.Blocks)
	}
	t.next++
	_, err := t.w.Write(b)
	return err
}

// Zero adds a block that was never written.
func (t *DataWriter) Zero() error { return t.Raw(t.zero) }

// Close fills the file up with blocks that were never written.
func (t *DataWriter) Close() error {
	for t.next <= t.f.Blocks {
		if err := t.Zero(); err != nil {
			return err
		}
	}
	return nil
}
