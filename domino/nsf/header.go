package nsf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/domino/notes"
)

// MatchBytes is how many bytes Match needs.
const MatchBytes = 64

// Match reports whether a file that begins with head is a database: by its signature, the size of its header, its ODS and its class. Give it MatchBytes bytes.
func Match(head []byte) bool {
	if len(head) < MatchBytes || head[0] != signature[0] || head[1] != signature[1] {
		return false
	}
	f := fields(head)
	size, ods := f.u32(atHeaderSize), f.u32(atODS)
	return size >= 512 && size <= 16<<10 && size&(size-1) == 0 && ods >= 16 && ods < 256 && Class(f.u16(atClass)).plausible()
}

// Header is what the header of a database says. Times are zero where there is none.
type Header struct {
	// ODS is the version of the on-disk structure, Release the releases that write it; empty when it is not known here.
	ODS     uint32
	Release string
	// HeaderBytes is the size of the header.
	HeaderBytes uint32
	Class       Class
	Flags       uint16
	// Title, Categories as one text with commas, the Template that this is, and the one that its design is from.
	Title, Categories, Template, Inherits string
	// SizeBytes is the length of the file that the header gives. The file may be longer.
	SizeBytes int64
	// ReplicaID and DBID are TIMEDATEs, each as 16 hex digits, which is how Notes shows them.
	ReplicaID, DBID string
	// Modified is when a document was changed last, NotDataModified when anything else was, DesignModified when a design element was, BucketModified when anything was written.
	Modified, NotDataModified, DesignModified, BucketModified time.Time
	// NextPurge, Fixup, FullCompaction and Compaction are when the server is to purge next, and when it did these last.
	NextPurge, Fixup, FullCompaction, Compaction time.Time
	// DBIID names this life of the database in a transaction log, DBIIDCreated dates it. LogID names the series of the log that knew the database last, LogNumber the number of an extent in it.
	// All are zero for a database that was never logged. DBIID and LogNumber are not verified; see the package.
	DBIID        notes.UNID
	DBIIDCreated time.Time
	LogID        notes.UNID
	LogNumber    uint32
	Superblocks  [2]Superblock
}

// Superblock is a root of the file's structure.
type Superblock struct{ Offset, SizeBytes int64 }

// Offsets in the header [LIBNSF], read from genuine files but for those of the log.
const (
	atHeaderSize      = 2
	atODS             = 6
	atDBID            = 10
	atBucketModified  = 34
	atClass           = 42
	atFlags           = 44
	atSize            = 88 // in units
	atModified        = 136
	atNextPurge       = 144
	atNotDataModified = 172
	atReplicaID       = 180
	atInfo            = 200
	atFixup           = 520
	atSuperblocks     = 560 // position in units and size in bytes of each
	atDBIID           = 688
	atDBIIDCreated    = 696
	atLogNumber       = 728
	atLogID           = 768
	atFullCompaction  = 784
	atDesignModified  = 834
	atCompaction      = 890

	infoBytes = 128
	// leastHeader is the least that is read; all fields lie in it.
	leastHeader = 1024
	// unit is what sizes and positions are counted in.
	unit = 256
)

var signature = [2]byte{0x1A, 0x00}

// parse reads leastHeader bytes.
func parse(b []byte) Header {
	f := fields(b)
	ods := f.u32(atODS)
	h := Header{ODS: ods, Release: structures(ods).release, HeaderBytes: f.u32(atHeaderSize), Class: Class(f.u16(atClass)), Flags: f.u16(atFlags), SizeBytes: int64(f.u32(atSize)) * unit,
		ReplicaID: f.id(atReplicaID), DBID: f.id(atDBID), Modified: f.time(atModified), NotDataModified: f.time(atNotDataModified), DesignModified: f.time(atDesignModified),
		BucketModified: f.time(atBucketModified), NextPurge: f.time(atNextPurge), Fixup: f.time(atFixup), FullCompaction: f.time(atFullCompaction), Compaction: f.time(atCompaction),
		DBIID: f.unid(atDBIID), DBIIDCreated: f.time(atDBIIDCreated), LogID: f.unid(atLogID), LogNumber: f.u32(atLogNumber)}
	for i := range h.Superblocks {
		at := atSuperblocks + 8*i
		h.Superblocks[i] = Superblock{int64(f.u32(at)) * unit, int64(f.u32(at + 4))}
	}
	h.info(b[atInfo : atInfo+infoBytes])
	return h
}

// info takes the text of a database apart: the title, then lines with categories, the name of the template, and the template that the design is from.
func (h *Header) info(b []byte) {
	b, _, _ = bytes.Cut(b, []byte{0})
	title, rest, _ := strings.Cut(text(b), "\n")
	h.Title = title
	for line := range strings.SplitSeq(rest, "\n") {
		switch {
		case strings.HasPrefix(line, "#1"):
			h.Template = line[2:]
		case strings.HasPrefix(line, "#2"):
			h.Inherits = line[2:]
		case h.Categories == "":
			h.Categories = line
		}
	}
}

// fields are little-endian values at offsets of the header.
type fields []byte

func (f fields) u16(at int) uint16 { return binary.LittleEndian.Uint16(f[at:]) }
func (f fields) u32(at int) uint32 { return binary.LittleEndian.Uint32(f[at:]) }

// unid is an id of two TIMEDATEs.
func (f fields) unid(at int) notes.UNID { return notes.UNID(f[at : at+16]) }

// id is a TIMEDATE as Notes shows ids.
func (f fields) id(at int) string { return fmt.Sprintf("%08X%08X", f.u32(at+4), f.u32(at)) }

// time is a TIMEDATE, zero also when no calendar has it.
func (f fields) time(at int) time.Time {
	t := notes.TimeDate{f.u32(at), f.u32(at + 4)}.Time()
	if t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}
