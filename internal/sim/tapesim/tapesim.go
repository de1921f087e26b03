package tapesim

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"time"
	"unicode/utf16"
)

// File is one backup file.
type File struct {
	SetID            [16]byte // common to all stripes
	Family, Families int      // 0: 1
	FilemarkBytes    int      // 0: 512
	ID               uint32   // of this family; 0: a number made from Family
	Name, About      string   // MEDIANAME, MEDIADESCRIPTION
	Written          time.Time
	Password         bool
	Vendor           uint16 // 0: SQL Server
	Sets             []Set
}

// LSN is a place in a log: virtual log file, block, slot.
type LSN [3]uint32

// Set is one backup.
type Set struct {
	Type                                 byte // D, I or L
	GUID                                 [16]byte
	Name, Description, User              string
	Database, Server, Machine            string
	First, Last, Checkpoint, FullBackup  LSN
	FullGUID, BaseGUID                   [16]byte
	BaseLSN, ForkPoint                   LSN
	Binding, Fork, FirstFork, FamilyGUID [16]byte
	Created, Started, Finished           time.Time
	Zone                                 int8 // quarters of an hour, 127 unknown
	Major, Minor                         byte
	DatabaseVersion                      uint16
	Compatibility                        byte // 0: 100
	CopyOnly, Password                   bool
	Encryption, Compression              uint16 // in the headers of data streams
	Checksum                             bool
	Groups                               []string
	Files                                []Database
	Pages                                [][]byte // of each data file, whole sectors
	Log                                  []byte   // whole sectors
	Bytes                                uint64   // of pages and log over all stripes; 0: those of Pages and Log
	Records                              []Record // added to the description of the set
}

// Record is one more record of the description, of which this package knows nothing.
type Record struct {
	ID   string // four letters
	Data []byte
}

// Database is a file of a database. Its group is the number of the name in Set.Groups, from 1; 0 is a log file.
type Database struct {
	ID                uint32 // 0: its number in Set.Files, from 1
	Logical, Physical string
	Group             uint32
	Size              uint64
	Pages             uint32
}

const logical = 1024 // bytes in a logical block

// writer lays out one block after the other. b is what was not yet handed on.
type writer struct {
	b     []byte
	base  int64  // where in the file b begins
	set   int64  // where in the file the set begins
	order uint32 // of the next block in it
	marks uint32
}

// here is where in the file the next byte will be.
func (w *writer) here() int64 { return w.base + int64(len(w.b)) }

// Bytes is the file.
func (f File) Bytes() []byte {
	var out bytes.Buffer // which never fails
	t, _ := NewWriter(&out, f)
	for _, s := range f.Sets {
		_ = t.Begin(s)
		for _, p := range s.Pages {
			_ = t.Pages(int64(len(p)))
			_, _ = t.Write(p)
			_ = t.EndData()
		}
		_ = t.Log(int64(len(s.Log)))
		_, _ = t.Write(s.Log)
		_ = t.EndData()
		_ = t.End(s)
	}
	return out.Bytes()
}

func (w *writer) u16(at int, v uint16) { binary.LittleEndian.PutUint16(w.b[at:], v) }
func (w *writer) u32(at int, v uint32) { binary.LittleEndian.PutUint32(w.b[at:], v) }
func (w *writer) u64(at int, v uint64) { binary.LittleEndian.PutUint64(w.b[at:], v) }

// block begins a block with a header of size bytes and returns where.
func (w *writer) block(id string, size int, attributes uint32) int {
	at := len(w.b)
	w.b = append(w.b, make([]byte, size)...)
	copy(w.b[at:], id)
	w.u32(at+4, attributes)
	w.b[at+10], w.b[at+11] = 14, 1
	switch id {
	case "TAPE", "SFMB", "ESET":
	default:
		w.u64(at+20, uint64(w.base+int64(at)-w.set)/logical)
		w.u32(at+36, w.order)
		w.order++
	}
	return at
}

// text adds a string to the block or record at start, and its address at o of it.
func (w *writer) text(start, o int, s string) {
	if s == "" {
		return
	}
	from := len(w.b) - start
	for _, u := range utf16.Encode([]rune(s)) {
		w.b = binary.LittleEndian.AppendUint16(w.b, u)
	}
	w.u16(start+o, uint16(len(w.b)-start-from))
	w.u16(start+o+2, uint16(from))
}

// seal ends the header of the block: its length, its checksum.
func (w *writer) seal(at int) {
	for len(w.b)%4 != 0 {
		w.b = append(w.b, 0)
	}
	w.u16(at+8, uint16(len(w.b)-at))
	w.u16(at+50, xor(w.b[at:at+50]))
}

func xor(b []byte) (x uint16) {
	for i := 0; i < len(b); i += 2 {
		x ^= binary.LittleEndian.Uint16(b[i:])
	}
	return x
}

// stream adds a stream, and the bytes up to the next word.
func (w *writer) stream(id string, attributes uint16, data []byte) {
	w.header(id, attributes, int64(len(data)))
	w.b = append(w.b, data...)
	w.align()
}

func (w *writer) align() {
	for w.here()%4 != 0 {
		w.b = append(w.b, 0)
	}
}

// pad ends a block: SPAD up to the next multiple of unit, counted from the start of the set.
func (w *writer) pad(unit int) {
	free := unit - int((w.here()-w.set+22)%int64(unit))
	w.stream("SPAD", 0, make([]byte, free%unit))
}

func (w *writer) filemark(size int) {
	at := w.block("SFMB", size, 0x80000000)
	w.u16(at+8, uint16(size))
	w.u32(at+52, uint32((size-64)/8-1))
	w.u32(at+56, w.marks)
	w.marks++
	w.u16(at+50, xor(w.b[at:at+50]))
}

func (w *writer) tape(f File, mark int) {
	at := w.block("TAPE", 94, 0x30000)
	w.b[at+48] = 2
	id := f.ID
	if id == 0 {
		id = 0xC0FFEE00 + uint32(max(f.Family, 1))
	}
	w.u32(at+52, id)
	w.u32(at+56, 5)
	w.u16(at+60, 1)
	if f.Password {
		w.u16(at+62, 5)
	}
	w.u16(at+64, uint16(mark/512))
	w.u16(at+66, 3)
	w.text(at, 68, f.Name)
	w.text(at, 72, f.About)
	w.text(at, 80, "Microsoft SQL Server\x00\x00")
	w.u16(at+84, logical)
	vendor := f.Vendor
	if vendor == 0 {
		vendor = 0x1200
	}
	w.u16(at+86, vendor)
	written := f.Written
	if written.IsZero() && len(f.Sets) > 0 {
		written = f.Sets[0].Started
	}
	w.date(at+88, written)
	w.b[at+93] = 1
	w.seal(at)
	raid := make([]byte, 32)
	copy(raid, f.SetID[:])
	binary.LittleEndian.PutUint32(raid[16:], 0xF00000AD)
	for o, v := range map[int]int{20: max(f.Families, 1), 22: 1, 24: max(f.Family, 1), 30: 1} {
		binary.LittleEndian.PutUint16(raid[o:], uint16(v))
	}
	w.stream("RAID", 0, raid)
	w.pad(max(mark, logical))
}

// date puts five bytes: year 14, month 4, day 5, hour 5, minute 6, second 6 bits.
func (w *writer) date(at int, t time.Time) {
	if t.IsZero() {
		return
	}
	v := uint64(t.Year())<<26 | uint64(t.Month())<<22 | uint64(t.Day())<<17 | uint64(t.Hour())<<12 | uint64(t.Minute())<<6 | uint64(t.Second())
	for i := range 5 {
		w.b[at+i] = byte(v >> (32 - 8*i))
	}
}

func (w *writer) sset(s Set, position int) {
	w.set, w.order = w.here(), 0
	at := w.block("SSET", 100, 0)
	w.b[at+48] = 2
	kind := uint32(4)
	if s.Type == 'I' {
		kind = 8
	}
	if s.CopyOnly {
		kind |= 2
	}
	w.u32(at+52, kind)
	if s.Password {
		w.u16(at+56, 5)
	}
	w.u16(at+60, 0x1200)
	w.u16(at+62, uint16(position))
	w.u16(at+44, 21)
	w.u16(at+46, 100)
	w.b = append(append(w.b, s.GUID[:]...), make([]byte, 6)...)
	w.text(at, 64, s.Name)
	w.text(at, 68, s.Description)
	w.text(at, 76, s.User)
	w.u64(at+80, uint64(w.base)+uint64(at))
	w.date(at+88, s.Started)
	w.b[at+93], w.b[at+94], w.b[at+95] = s.Major, s.Minor, byte(s.Zone)
	w.b[at+97] = 2
	w.seal(at)
	w.pad(logical)
}

func (w *writer) volb(s Set) {
	at := w.block("VOLB", 74, 0)
	w.b[at+48] = 2
	w.u32(at+52, 2)
	w.text(at, 56, "C:")
	w.text(at, 64, s.Machine)
	w.date(at+68, s.Started)
	w.seal(at)
	w.pad(logical)
}

// header adds the header of a stream of size bytes.
func (w *writer) header(id string, attributes uint16, size int64, algorithms ...uint16) {
	at := len(w.b)
	w.b = append(w.b, make([]byte, 22)...)
	copy(w.b[at:], id)
	w.u16(at+6, attributes)
	w.u64(at+8, uint64(size))
	for i, a := range algorithms {
		w.u16(at+16+2*i, a)
	}
	w.u16(at+20, xor(w.b[at:at+20]))
}

// Sum is the checksum of data, word by word.
func Sum(data []byte) (x uint32) { return addSum(0, data) }

// addSum continues the sum x over whole sectors.
func addSum(x uint32, data []byte) uint32 {
	for ; len(data) > 0; data = data[512:] {
		var word uint32
		for i := 0; i < 512; i += 4 {
			word ^= binary.LittleEndian.Uint32(data[i:])
		}
		x = bits.RotateLeft32(x, 1) ^ word
	}
	return x
}
