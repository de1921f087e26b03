package blockfile

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"time"
)

// RedoLog is what an archived redo log says of itself, and how its blocks were found.
type RedoLog struct {
	// Depth is how far the file was found good.
	Depth Depth
	// BigEndian is the byte order of the platform it was written on.
	BigEndian      bool
	BlockSizeBytes int
	// Blocks is how many blocks are in use, with block 0 (nab, the next available block); 0 while the log is being written.
	Blocks uint32
	// SizeBytes is the whole file as it was read; 0 when it was not read to its end.
	SizeBytes int64

	DBID uint32
	// Database is as stored.
	Database string
	// Compatible is the version whose format the file has.
	Compatible Version
	// Thread is the redo thread, one an instance; Sequence counts its logs within an incarnation.
	Thread, Sequence uint32
	// ResetlogsID and ResetlogsSCN name the incarnation of the database; those of the one before follow.
	ResetlogsID, PreviousResetlogsID   uint32
	ResetlogsSCN, PreviousResetlogsSCN uint64
	// FirstSCN is the first that the log holds, NextSCN the first that it does not: FIRST_CHANGE# and NEXT_CHANGE# of V$ARCHIVED_LOG. NextSCN is
	// NoSCN while the log is being written.
	FirstSCN, NextSCN uint64
	// FirstTime and NextTime are the server's local time, expressed as UTC since the header names no zone; zero when unknown.
	FirstTime, NextTime time.Time
	// Description is a text that the server made, with thread, sequence and SCNs.
	Description string
	// ActivationID tells apart what a database wrote before and after it was opened in another role or incarnation.
	ActivationID uint32
	// FileNumber is the group that the log was written in.
	FileNumber uint32
	// KeyFlag is not 0 when the header has a key, that is, when redo in the log may be encrypted.
	KeyFlag uint16

	// Summed counts blocks with a checksum that is right, Unsummed those without one.
	Summed, Unsummed int64
	// Spare counts blocks behind the last one in use. They are not looked at.
	Spare int64
	// Warnings are what is odd and no damage, a sentence each.
	Warnings []string
}

// Offsets of the header of every block, and of the file header in block 1 (5.2).
const (
	redoNumber      = 4   // u32
	redoSequence    = 8   // u32
	redoChecksum    = 14  // u16
	redoCompatible  = 20  // u32
	redoDBID        = 24  // u32
	redoDatabase    = 28  // 8 bytes
	redoFile        = 48  // u16
	redoActivation  = 52  // u32
	redoDescription = 92  // 64 bytes
	redoUsed        = 156 // u32
	redoResetlogs   = 160 // u32
	redoResetSCN    = 164 // scn
	redoThread      = 176 // u16
	redoFirst       = 180 // scn
	redoFirstTime   = 188 // time
	redoNext        = 192 // scn
	redoNextTime    = 200 // time
	redoPreviousSCN = 284 // scn
	redoPrevious    = 292 // u32
	redoKeyFlag     = 480 // u16
)

func (l *RedoLog) header(f fields) {
	l.Sequence, l.Thread = f.u32(redoSequence), uint32(f.u16(redoThread))
	l.Compatible, l.DBID, l.Database = Version(f.u32(redoCompatible)), f.u32(redoDBID), f.text(redoDatabase, 8)
	l.FileNumber, l.ActivationID, l.Description = uint32(f.u16(redoFile)), f.u32(redoActivation), f.text(redoDescription, 64)
	l.ResetlogsID, l.ResetlogsSCN = f.u32(redoResetlogs), f.scn(redoResetSCN)
	l.PreviousResetlogsID, l.PreviousResetlogsSCN = f.u32(redoPrevious), f.scn(redoPreviousSCN)
	l.FirstSCN, l.FirstTime = f.scn(redoFirst), f.time(redoFirstTime)
	l.NextSCN, l.NextTime = f.scn(redoNext), f.time(redoNextTime)
	l.KeyFlag = f.u16(redoKeyFlag)
	if n := f.u32(redoUsed); n != math.MaxUint32 {
		l.Blocks = n
	}
}

// VerifyRedo reads every byte of an archived redo log once, to its end: header, whether the log was closed and is all there, and for each block in
// use its number, its sequence and its checksum. It needs 512 KiB of memory. Damage is a *CorruptError, or several joined, at most 21; the RedoLog
// then has what was understood. Other errors are those of r and ctx. RedoLog.Depth says how much the absence of an error is worth.
func VerifyRedo(ctx context.Context, r io.Reader) (*RedoLog, error) {
	l := &RedoLog{}
	c := read(ctx, r)
	head, err := c.next()
	if err != nil {
		return l, err
	}
	at, ok := recognise(head)
	if !ok || at.kind != Redo || len(head) < 2*at.size {
		return l, notOne(head, Redo)
	}
	w := &redoWalk{l: l, at: at, bad: damage{blockSize: int64(at.size)}}
	w.format, _ = formatOf(Redo, at.size)
	l.BlockSizeBytes, l.BigEndian = at.size, at.order == binary.BigEndian
	l.header(at.fields(head[at.size : 2*at.size]))
	rest, err := c.each(head, at.size, w.block)
	if err != nil {
		return l, err
	}
	l.SizeBytes = c.at
	w.whole(rest)
	if err := w.bad.err(); err != nil {
		return l, err
	}
	l.Depth = Walked
	if l.Unsummed == 0 {
		l.Depth = Summed
	}
	return l, nil
}

// redoWalk goes through the blocks of one log.
type redoWalk struct {
	l      *RedoLog
	at     layout
	format byte
	blocks uint32 // block 0 says, read before the buffer is used again
	bad    damage
}

func (w *redoWalk) block(n int64, b []byte) {
	f := w.at.fields(b)
	switch {
	case n == 0:
		w.blocks = f.u32(osBlocks)
	case n >= int64(w.l.Blocks) && n > 1:
		w.l.Spare++
	case b[0] != typeRedo || b[1] != w.format:
		w.bad.block(n, fmt.Sprintf("it begins with % x, blocks of redo with %02x %02x", b[:2], typeRedo, w.format))
	case f.u32(redoNumber) != uint32(n):
		w.bad.block(n, fmt.Sprintf("it says that it is block %d", f.u32(redoNumber)))
	case f.u32(redoSequence) != w.l.Sequence:
		w.bad.block(n, fmt.Sprintf("it is of sequence %d, the log of %d", f.u32(redoSequence), w.l.Sequence))
	default:
		w.sum(n, f)
	}
}

// sum checks the checksum of a block. A stored 0 that is not right means that the server computes none, DB_BLOCK_CHECKSUM being OFF.
func (w *redoWalk) sum(n int64, f fields) {
	x := fold(f.b)
	stored := f.u16(redoChecksum)
	switch {
	case x == 0:
		w.l.Summed++
	case stored == 0:
		w.l.Unsummed++
	default:
		w.bad.block(n, fmt.Sprintf("its checksum is 0x%04x, its content gives 0x%04x", stored, stored^f.order.Uint16([]byte{byte(x), byte(x >> 8)})))
	}
}

// whole judges the log as a file.
func (w *redoWalk) whole(rest int) {
	l, size := w.l, int64(w.at.size)
	want := int64(l.Blocks) * size
	switch {
	case l.NextSCN == NoSCN || l.Blocks == 0:
		w.bad.block(1, "the log was being written when it was copied: it has no end yet; archive it, then copy the archived log")
	case l.Blocks < 2:
		w.bad.block(1, fmt.Sprintf("it says that %d block is in use, and is the second itself", l.Blocks))
	case l.SizeBytes < want:
		w.bad.file(l.SizeBytes, "the file ends here; %d blocks, which are %d bytes, are in use", l.Blocks, want)
	case rest != 0:
		l.Warnings = append(l.Warnings, fmt.Sprintf("%d bytes behind the last block are no whole block", rest))
	}
	if l.NextSCN < l.FirstSCN {
		w.bad.block(1, fmt.Sprintf("it says that the log goes from SCN %d back to %d", l.FirstSCN, l.NextSCN))
	}
	if have := l.SizeBytes/size - 1; rest == 0 && l.SizeBytes >= want && int64(w.blocks) != have {
		l.Warnings = append(l.Warnings, fmt.Sprintf("block 0 says that %d blocks follow, %d do", w.blocks, have))
	}
	if l.Summed > 0 && l.Unsummed > 0 {
		l.Warnings = append(l.Warnings, fmt.Sprintf("%d of %d blocks have no checksum; DB_BLOCK_CHECKSUM may have been changed meanwhile", l.Unsummed, l.Unsummed+l.Summed))
	}
}
