package ese

import (
	"context"
	"errors"
	"fmt"
	"io"
)

const (
	headBytes    = 4096 // of the header of a log or a checkpoint, and of a segment of a log
	atFileType   = 667
	typeLog      = 3
	typeUnknown  = 0 // of old engines
	linkedMinor  = 13
	circularNow  = 0x02
	circularOnce = 0x04
)

// Log is what was found out about a file of transaction logs.
type Log struct {
	// Depth says how much the absence of an error is worth. It is Measured for logs before Exchange 2013, whose records are not looked at, and Summed for later ones.
	Depth Depth
	// SizeBytes is the file as it was read, or, by ReadLogHeader, as its header gives it.
	SizeBytes int64
	// Generation is its number in the series, Signature that of the series.
	Generation uint32
	Signature  Signature
	// Created is when this file was, PreviousCreated when that of the generation before was; zero in the first.
	Created, PreviousCreated Stamp
	// Major, Minor, UpdateMajor and UpdateMinor are the version of the format: 7.3704 up to Exchange 2010, 8.4000 since.
	Major, Minor, UpdateMajor, UpdateMinor uint32
	// DatabasePageBytes is the page size of the databases.
	DatabasePageBytes int
	// Checkpoint is where it was when this file was created.
	Checkpoint Position
	// Circular: logs are deleted when no database needs them, so that there are no log backups. CircularBefore: it was so once.
	Circular, CircularBefore bool
	// Linked says that PreviousSum holds the Sum of the generation before.
	Linked bool
	// Sum is all checksums of the segments of this file in one, where it has segments.
	PreviousSum, Sum uint64
	// Data, Shadow, Unused and Bad are how many segments have data of this generation, are a copy of the one before, are empty or of an older generation, and are damaged. All are 0 in a file without segments.
	Data, Shadow, Unused, Bad int64
}

// MatchLog reports whether a file that begins with head, at least 4096 bytes, is a log with a whole header.
func MatchLog(head []byte) bool {
	return len(head) >= headBytes && fields(head).u32(0) == xor32(head[:headBytes]) && likeLog(head)
}

// likeLog reports whether a header without regard to its checksum is that of a log.
func likeLog(f fields) bool {
	kind, major, minor := f.u32(atFileType), f.u32(32), f.u32(36)
	return (kind == typeLog || kind == typeUnknown) && (major == 7 && minor >= 3704 || major == 8 && minor >= 4000) && f.u16(8) != 0 && f.u16(12) != 0
}

// VerifyLog reads a log to its end and checks header, length and, since Exchange 2013, every segment. It needs 512 KiB of memory.
// Damage is a *CorruptError, or several joined, at most 21; the Log then has what was understood. Other errors are those of r and ctx.
func VerifyLog(ctx context.Context, r io.Reader) (*Log, error) {
	w := &logWalk{l: &Log{}}
	buf := make([]byte, bufferBytes)
	for end := false; !end; {
		if ctx.Err() != nil {
			return w.l, context.Cause(ctx)
		}
		n, err := io.ReadFull(r, buf)
		end = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !end {
			return w.l, fmt.Errorf("read at byte %d: %w", w.l.SizeBytes+int64(n), err)
		}
		if w.l.SizeBytes == 0 && !w.header(buf[:n]) {
			return w.l, w.bad.err()
		}
		w.segments(buf[:n])
		w.l.SizeBytes += int64(n)
	}
	if w.l.SizeBytes != w.want {
		w.bad.file(min(w.l.SizeBytes, w.want), "the file has %d bytes; its header gives it %d", w.l.SizeBytes, w.want)
	}
	if err := w.bad.err(); err != nil {
		return w.l, err
	}
	w.l.Depth = Measured
	if w.segmented {
		w.l.Depth = Summed
	}
	return w.l, nil
}

// ReadLogHeader reads the first 4096 bytes of a log and checks the header in them. r may be longer, or end with these bytes. The Depth is HeaderRead, SizeBytes what the file should have by the header, and nothing is known of segments:
// [CheckChain] then compares numbers, signatures and times, and no sums.
// Damage is a *CorruptError. Other errors are those of r and ctx.
func ReadLogHeader(ctx context.Context, r io.Reader) (*Log, error) {
	w := &logWalk{l: &Log{}}
	head, err := readHead(ctx, r, headBytes)
	if err != nil {
		return w.l, err
	}
	if !w.header(head) {
		return w.l, w.bad.err()
	}
	w.l.Depth, w.l.SizeBytes = HeaderRead, w.want
	return w.l, nil
}

// logWalk goes through one log.
type logWalk struct {
	l         *Log
	bad       damage
	want      int64 // bytes by the header
	segmented bool
	next      uint32 // the segment to come; 0 is the header
	hole      uint32 // an empty segment that had data before it, or 0
}

// header reads the header of a log (4.3). It returns false if there is none.
func (w *logWalk) header(b []byte) bool {
	switch {
	case len(b) < headBytes:
		w.bad.file(int64(len(b)), "the file ends here, inside the header of a log")
		return false
	case !likeLog(b):
		w.bad.file(0, "this is not a log of the Extensible Storage Engine, it begins with % x", b[:8])
		return false
	case !MatchLog(b):
		w.bad.file(0, "the checksum of the header is 0x%08X, its content gives 0x%08X", fields(b).u32(0), xor32(b[:headBytes]))
		return false
	}
	f, l := fields(b), w.l
	l.Generation, l.Signature, l.Created, l.PreviousCreated = f.u32(4), f.signature(44), f.stamp(16), f.stamp(24)
	l.Major, l.Minor, l.UpdateMajor, l.UpdateMinor = f.u32(32), f.u32(36), f.u32(40), f.u32(648)
	if l.DatabasePageBytes = int(f.u16(14)); l.DatabasePageBytes == 0 {
		l.DatabasePageBytes = 4096
	}
	l.Checkpoint = f.position(640)
	l.Circular, l.CircularBefore = f[639]&circularNow != 0, f[639]&circularOnce != 0
	if l.Linked = l.Major == 8 && l.UpdateMinor >= linkedMinor; l.Linked {
		l.PreviousSum = f.u64(653)
	}
	w.want = int64(f.u16(8)) * int64(f.u16(12))
	w.segmented = l.Major == 8
	if w.segmented && f.u16(8) != headBytes {
		w.bad.file(8, "the header says segments of %d bytes; this format has 4096", f.u16(8))
		return false
	}
	return true
}

// segments judges the whole segments of b.
func (w *logWalk) segments(b []byte) {
	for ; w.segmented && len(b) >= headBytes; b = b[headBytes:] {
		if w.next > 0 {
			w.segment(b[:headBytes])
		}
		w.next++
	}
}

func (w *logWalk) segment(b []byte) {
	l, f, n := w.l, fields(b), w.next
	if blank(b) {
		l.Unused++
		if w.hole == 0 && l.Data > 0 {
			w.hole = n
		}
		return
	}
	bit, what := compare(n, b, f.u64(0), true)
	old, isCopy := compare(n-1, b, f.u64(0), true)
	switch {
	case what == "" && f.u16(10) != uint16(n):
		l.Bad++
		w.bad.add(&CorruptError{Offset: int64(n) * headBytes, Bit: -1, What: fmt.Sprintf("segment %d says that it is segment %d", n, f.u16(10))})
	case what == "" && f.u32(12) != l.Generation:
		l.Unused++ // left over from the log that this file was before
	case what == "":
		l.Data++
		l.Sum ^= f.u64(0)
		if w.hole > 0 {
			w.bad.file(int64(w.hole)*headBytes, "segment %d is empty, and segment %d has data", w.hole, n)
			w.hole = 0
		}
	case isCopy == "" && f.u16(10) == uint16(n-1): // by its number too: in the checksum it may be a matter of one bit
		l.Shadow++
	default:
		l.Bad++
		if bit < 0 && n > 1 {
			bit = old
		}
		if only := lone(b); only >= 0 {
			bit = only
		} else if f.u16(10) == uint16(n) {
			l.Sum ^= f.u64(0) // the next log is linked to the sums as they were stored
		}
		w.bad.add(&CorruptError{Offset: int64(n) * headBytes, Bit: bit, What: fmt.Sprintf("segment %d: %s", n, what)})
	}
}
