package ese

import (
	"bytes"
	"context"
	"fmt"
	"io"
)

// MatchBytes is how much of the start of a file [Match] wants to see; less is enough for a file that is shorter, and for most that are whole.
const MatchBytes = 2 * maxPage

const (
	minPage = 2 << 10
	maxPage = 32 << 10
	magic   = 0x89ABCDEF
	version = 0x620
)

// Match reports whether a file that begins with head is a database of the engine: .edb, .stm, ntds.dit and the like. One whole copy of its header, or the start of a first copy, is enough.
func Match(head []byte) bool {
	if len(head) >= 12 && fields(head).u32(4) == magic && fields(head).u32(8) == version {
		return true
	}
	first, second := copies(head)
	return first != nil || second != nil
}

// copies are the two copies of the header at the start of a file (4.2), each nil if it is not whole.
func copies(head []byte) (first, second []byte) {
	for size := minPage; size <= maxPage && size <= len(head); size *= 2 {
		if whole(head[:size]) {
			first = head[:size]
		}
		if len(head) >= 2*size && whole(head[size:2*size]) {
			second = head[size : 2*size]
		}
		if first != nil || second != nil {
			return first, second
		}
	}
	return nil, nil
}

// whole reports whether b, one page, is a header with its checksum and of that page size.
func whole(b []byte) bool {
	f := fields(b)
	size := int(f.u32(236))
	if size == 0 {
		size = 4 << 10
	}
	return f.u32(4) == magic && f.u32(8) == version && size == len(b) && f.u32(0) == xor32(b)
}

// Header is what the header of a database says.
type Header struct {
	PageSizeBytes int
	// Streaming: this is the .stm file of Exchange 2000 or 2003, whose pages have no checksums of their own.
	Streaming bool
	State     State
	// Signature is that of the database, LogSignature that of the logs it needs; zero when it never used any.
	Signature, LogSignature Signature
	// RequiredFirst and RequiredLast are the generations of the logs without which the database cannot be recovered; 0 and 0: none. CommittedLast is the last that was written: less than that loses changes.
	RequiredFirst, RequiredLast, CommittedLast uint32
	// RequiredLastCreated and CommittedLastCreated are when the logs RequiredLast and CommittedLast were created, as newer engines have it. Older ones have one stamp for both, as CommittedLastCreated, and not all say to which it belongs.
	RequiredLastCreated, CommittedLastCreated Stamp
	// Consistent, Attached and Detached are where and when it last became clean, and was attached to and detached from its logs.
	Consistent, Attached, Detached             Position
	ConsistentTime, AttachedTime, DetachedTime Stamp
	// The last backups. FullCurrent is set in a copy by the streaming API, SnapshotCurrent may be in one from a snapshot.
	FullPrevious, IncrementalPrevious, CopyPrevious, DifferentialPrevious, FullCurrent, SnapshotCurrent BackupMark
	// Format and FormatMinor are the revision of the format.
	Format, FormatMinor uint32
	// DBTime is the counter of changes.
	DBTime uint64
	// Repairs is how often it was repaired, which drops data; RepairTime when last.
	Repairs    uint32
	RepairTime Stamp
	// ECCFixed, ECCFailed and BadChecksums are how many pages the engine found with one wrong bit, with more, or with a wrong checksum.
	ECCFixed, ECCFailed, BadChecksums uint32
}

// parse reads a whole header.
func parse(b []byte) Header {
	f := fields(b)
	return Header{
		PageSizeBytes: len(b), Streaming: f.u32(12) == 1, State: State(f.u32(52)), Signature: f.signature(24), LogSignature: f.signature(108),
		RequiredFirst: f.u32(296), RequiredLast: f.u32(300), CommittedLast: f.u32(416), RequiredLastCreated: f.stamp(672), CommittedLastCreated: f.stamp(348),
		Consistent: f.position(56), ConsistentTime: f.stamp(64), AttachedTime: f.stamp(72), Attached: f.position(80), DetachedTime: f.stamp(88), Detached: f.position(96),
		FullPrevious: f.previous(136, 356), IncrementalPrevious: f.previous(160, 360), CopyPrevious: f.previous(420, 468), DifferentialPrevious: f.previous(444, 472),
		FullCurrent: f.mark(184), SnapshotCurrent: f.mark(316),
		Format: f.u32(232), FormatMinor: f.u32(644), DBTime: f.u64(16), Repairs: f.u32(240), RepairTime: f.stamp(244), ECCFixed: f.u32(368), ECCFailed: f.u32(384), BadChecksums: f.u32(400),
	}
}

// ReadDatabaseHeader reads at most the first 64 KiB of a database, which is enough for both copies of its header whatever the page size, and checks these: what the header says comes without a reading of the pages.
// r may be longer, or end with these bytes. The Depth is HeaderRead. When one copy is damaged the other is used and told, along with an error; Database.PageSizeBytes is 0 when neither can be.
// Damage is a *CorruptError, or several joined. Other errors are those of r and ctx.
func ReadDatabaseHeader(ctx context.Context, r io.Reader) (*Database, error) {
	w := &walk{d: &Database{}}
	head, err := readHead(ctx, r, MatchBytes)
	if err != nil {
		return w.d, err
	}
	w.header(head)
	if err := w.bad.err(); err != nil {
		return w.d, err
	}
	w.d.Depth = HeaderRead
	return w.d, nil
}

// readHead reads the first bytes of a file, fewer if the file is shorter.
func readHead(ctx context.Context, r io.Reader, limit int64) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	head, err := io.ReadAll(io.LimitReader(r, limit))
	if err != nil {
		return nil, fmt.Errorf("read at byte %d: %w", len(head), err)
	}
	return head, nil
}

// header judges both copies and reads the better one. It returns false if there is none.
func (w *walk) header(head []byte) bool {
	first, second := copies(head)
	switch {
	case first == nil && second == nil && Match(head):
		w.bad.file(0, "neither copy of the header is whole")
		return false
	case first == nil && second == nil:
		w.bad.file(0, "this is not a database of the Extensible Storage Engine, it begins with % x", head[:min(8, len(head))])
		return false
	case first == nil:
		w.d.Header = parse(second)
		w.bad.file(0, "the first copy of the header is damaged; the second, at byte %d, is whole and was used", len(second))
		return true
	}
	w.d.Header = parse(first)
	switch off := first[208]&1 != 0; { // shadowing disabled
	case second == nil && off:
		w.note("the header has no second copy, and says so")
	case second == nil:
		w.bad.file(int64(len(first)), "the second copy of the header is damaged; the first is whole")
	case !bytes.Equal(first, second):
		w.note("the two copies of the header are whole and differ, as while the server writes them; the first was used")
	}
	return true
}

func (w *walk) note(format string, args ...any) {
	w.d.Notes = append(w.d.Notes, fmt.Sprintf(format, args...))
}
