package mssqlsim

import (
	"bufio"
	"compress/flate"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math/bits"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// ReadTape returns what a device written by Tape says of itself, from its bytes alone. path names it in messages. Data is passed over, by seeking if in can.
// A set whose end is missing is Incomplete and the last. The error is a tds.Message, or what reading gave.
func ReadTape(ctx context.Context, in io.Reader, path string) (Family, []Set, Extent, error) {
	t := newTapeReader(ctx, in, path)
	err := t.run()
	return t.family, t.sets, t.whole, err
}

// LoadTape returns the records of the set at that position, as MediaReader.Load says.
func LoadTape(ctx context.Context, in io.Reader, path string, position int, sums bool) ([]Record, error) {
	t := newTapeReader(ctx, in, path)
	t.wanted, t.sums = position, sums
	if err := t.run(); err != nil {
		return nil, err
	}
	switch {
	case position > len(t.sets):
		return nil, failure(4038, "Cannot find file ID %d on device '%s'.", position, path)
	case t.cutInData:
		return nil, failure(3203, "Read on \"%s\" failed: 38(Reached the end of the file.)", path)
	case t.sets[position-1].Incomplete:
		return nil, failure(3256, "The backup set on device '%s' was terminated while it was being created and is incomplete. RESTORE sequence is terminated abnormally.", path)
	}
	return t.records, nil
}

var (
	errCut    = errors.New("the device ends") // where something is to follow
	errFormed = errors.New("the device is incorrectly formed")
)

// tapeReader goes once through a device.
type tapeReader struct {
	ctx  context.Context // of this one walk
	raw  io.Reader
	seek io.Seeker // nil when raw cannot, or is compressed
	in   *bufio.Reader
	at   int64
	path string

	wanted int // position of the set whose data is read, 0 for none
	sums   bool

	family    Family
	sets      []Set
	zone      *time.Location
	open      bool // the last set lacks its end
	marks     int  // of the set, behind MSLS
	whole     Extent
	records   []Record
	cutInData bool
}

func newTapeReader(ctx context.Context, in io.Reader, path string) *tapeReader {
	t := &tapeReader{ctx: ctx, raw: in, in: bufio.NewReaderSize(in, 64<<10), path: path, zone: time.UTC}
	t.seek, _ = in.(io.Seeker)
	return t
}

func (t *tapeReader) run() error {
	start, err := t.in.Peek(len(container))
	if len(start) == 0 && errors.Is(err, io.EOF) {
		return failure(3254, "The volume on device '%s' is empty.", t.path)
	}
	if len(start) >= 8 && string(start[:8]) == string(container[:8]) {
		_, _ = t.in.Discard(len(container))
		t.seek, t.in = nil, bufio.NewReaderSize(&segments{in: t.in}, 64<<10)
	}
	err = t.blocks()
	switch {
	case errors.Is(err, errCut) && len(t.sets) > 0 && t.open:
		t.sets[len(t.sets)-1].Incomplete = true
		return nil
	case errors.Is(err, errCut), errors.Is(err, errFormed):
		if len(t.sets) > 0 && t.wanted > 0 {
			return failure(3287, "The file ID %d on device '%s' is incorrectly formed and can not be read.", len(t.sets), t.path)
		}
		return incorrectlyFormed(t.path)
	}
	return err
}

// segments reads one compressed set after the other.
type segments struct {
	in  *bufio.Reader
	one io.ReadCloser
}

func (s *segments) Read(b []byte) (int, error) {
	if s.one == nil {
		if _, err := s.in.Peek(1); err != nil {
			return 0, err
		}
		s.one = flate.NewReader(s.in)
	}
	n, err := s.one.Read(b)
	var damaged flate.CorruptInputError
	switch {
	case errors.Is(err, io.EOF):
		s.one, err = nil, nil
	case errors.As(err, &damaged):
		err = errFormed
	}
	return n, err
}

// take reads n bytes.
func (t *tapeReader) take(n int) ([]byte, error) {
	b := make([]byte, n)
	got, err := io.ReadFull(t.in, b)
	t.at += int64(got)
	return b, cut(err)
}

func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCut
	}
	return err
}

// pass goes over n bytes. The last of them is read, so that a device that ends before it is found out.
func (t *tapeReader) pass(n int64) error {
	if n <= 0 {
		return nil
	}
	if buffered := int64(t.in.Buffered()); t.seek != nil && n > buffered {
		if _, err := t.seek.Seek(n-1-buffered, io.SeekCurrent); err != nil {
			return err
		}
		t.at += n - 1
		t.in.Reset(t.raw)
		n = 1
	}
	got, err := io.CopyN(io.Discard, t.in, n)
	t.at += got
	return cut(err)
}

func (t *tapeReader) align() error { return t.pass((4 - t.at%4) % 4) }

// blocks reads TAPE and its mark, then the sets.
func (t *tapeReader) blocks() error {
	for first := true; ; first = false {
		if t.ctx.Err() != nil {
			return context.Cause(t.ctx)
		}
		if !t.open && !first {
			if _, err := t.in.Peek(1); errors.Is(err, io.EOF) {
				return nil
			}
			if t.wanted > 0 && len(t.sets) == t.wanted {
				return nil
			}
		}
		b, err := t.header()
		if err != nil {
			return err
		}
		if id := b.id(); first != (id == "TAPE") {
			return errFormed
		}
		if err := t.block(b); err != nil {
			return err
		}
	}
}

// chunk is a block header or a record of a description.
type chunk []byte

func (c chunk) id() string { return string(c[:4]) }

func (c chunk) u16(at int) int    { return int(binary.LittleEndian.Uint16(c[at:])) }
func (c chunk) u32(at int) uint32 { return binary.LittleEndian.Uint32(c[at:]) }
func (c chunk) u64(at int) uint64 { return binary.LittleEndian.Uint64(c[at:]) }

func (c chunk) guid(at int) tds.GUID { return tapeGUID(tds.GUID(c[at : at+16])) }

func (c chunk) lsn(at int) LSN {
	return LSN(uint64(c.u32(at))*blocks*slots + uint64(c.u32(at+4))*slots + uint64(c.u16(at+8)))
}

func (c chunk) text(at int) string {
	size, from := c.u16(at), c.u16(at+2)
	if from+size > len(c) {
		return ""
	}
	var u []uint16
	for i := from; i < from+size-1; i += 2 {
		u = append(u, binary.LittleEndian.Uint16(c[i:]))
	}
	return strings.TrimRight(string(utf16.Decode(u)), "\x00")
}

func (c chunk) date(at int, zone *time.Location) time.Time {
	var v uint64
	for _, b := range c[at : at+5] {
		v = v<<8 | uint64(b)
	}
	if v == 0 {
		return time.Time{}
	}
	return time.Date(int(v>>26), time.Month(v>>22&15), int(v>>17&31), int(v>>12&31), int(v>>6&63), int(v&63), 0, zone)
}

func wordsXOR(b []byte) (x int) {
	for i := 0; i+1 < len(b); i += 2 {
		x ^= int(binary.LittleEndian.Uint16(b[i:]))
	}
	return x
}

// header reads a block header with its strings.
func (t *tapeReader) header() (chunk, error) {
	b, err := t.take(52)
	if err != nil {
		return nil, err
	}
	c := chunk(b)
	size := c.u16(8)
	if wordsXOR(c[:50]) != c.u16(50) || size < 52 {
		return nil, errFormed
	}
	rest, err := t.take(size - 52)
	return append(c, rest...), err
}

// sizes of the headers, as far as they are read.
var atLeast = [...]struct {
	id   string
	size int
}{{"TAPE", 94}, {"SSET", 100}, {"SCIN", 0xF0}, {"SFIN", 0x38}}

func (c chunk) short() bool {
	for _, x := range atLeast {
		if c.id() == x.id && len(c) < x.size {
			return true
		}
	}
	return false
}

func (t *tapeReader) block(b chunk) error {
	if b.short() {
		return errFormed
	}
	switch b.id() {
	case "SFMB":
		if t.marks--; t.open && t.marks == 0 {
			t.open = false
			t.whole = Extent{Sets: len(t.sets), Bytes: t.at}
		}
		return nil
	case "TAPE":
		if b.u16(86) != 0x1200 {
			return failure(3242, "The file on device '%s' is not a valid Microsoft Tape Format backup set.", t.path)
		}
		t.family = Family{Sequence: 1, Count: 1, Name: b.text(68), About: b.text(72)}
		binary.BigEndian.PutUint32(t.family.ID[:], b.u32(52))
	case "SSET":
		t.begin(b)
	}
	return t.streams(b)
}

func (t *tapeReader) begin(b chunk) {
	t.zone = time.UTC
	if z := int8(b[95]); z != noZone {
		t.zone = time.FixedZone("", int(z)*900)
	}
	s := Set{Name: b.text(64), Description: b.text(68), User: b.text(76), Version: tds.Version{Major: b[93], Minor: b[94]}}
	if size, from := b.u16(44), b.u16(46); size >= 16 && from+16 <= len(b) {
		s.ID = b.guid(from)
	}
	t.sets, t.open, t.marks = append(t.sets, s), true, 0
}

// streams goes through the streams of a block up to SPAD.
func (t *tapeReader) streams(b chunk) error {
	for {
		if err := t.align(); err != nil {
			return err
		}
		h, err := t.take(22)
		if err != nil {
			return err
		}
		s := chunk(h)
		if wordsXOR(s[:20]) != s.u16(20) || s.u64(8) > 1<<50 {
			return errFormed
		}
		if err := t.stream(b, s); err != nil {
			return err
		}
		if s.id() == "SPAD" {
			return t.align()
		}
	}
}

func (t *tapeReader) stream(b, s chunk) error {
	size := int64(s.u64(8))
	switch id := s.id(); {
	case id == "RAID" && size == 32:
		r, err := t.take(32)
		if err != nil {
			return err
		}
		c := chunk(r)
		t.family.MediaSet, t.family.Count, t.family.Sequence = c.guid(0), c.u16(20), c.u16(24)
		return nil
	case id == "MQCI" && t.open && size < 1<<20:
		d, err := t.take(int(size))
		if err != nil {
			return err
		}
		if b.id() == "MSLS" {
			t.marks = 2 // the one behind it, and the one that ends the set
		}
		return t.describe(d)
	case (id == "MQDA" || id == "MQTL") && size > 2 && t.open && len(t.sets) == t.wanted:
		return t.data(s, size-2)
	default:
		return t.pass(size)
	}
}

// describe reads the records of a description into the set. That at the end of the set comes last, and counts.
func (t *tapeReader) describe(d []byte) error {
	s := &t.sets[len(t.sets)-1]
	var facts chunk
	var files []chunk
	for len(d) > 0 {
		if len(d) < 8 || binary.LittleEndian.Uint32(d[4:]) < 8 || int64(binary.LittleEndian.Uint32(d[4:])) > int64(len(d)) {
			return errFormed
		}
		c := chunk(d[:binary.LittleEndian.Uint32(d[4:])])
		d = d[len(c):]
		if c.short() {
			return errFormed
		}
		switch c.id() {
		case "SCIN":
			facts = c
		case "SFIN":
			files = append(files, c)
		case ownRecord:
			own := Set{ID: s.ID, Name: s.Name, Description: s.Description, User: s.User, Version: s.Version}
			if err := json.Unmarshal(c[8:], &own); err != nil {
				return errFormed
			}
			own.ID, own.Name, own.Description, own.User = s.ID, s.Name, s.Description, s.User
			own.Version.Major, own.Version.Minor = s.Version.Major, s.Version.Minor
			*s = own
		}
	}
	if s.Files == nil { // a real server wrote it
		s.Files = make([]File, len(files))
	}
	if facts == nil || len(files) != len(s.Files) || facts[0x57] == 'I' && len(facts) < 0x120 {
		return errFormed
	}
	for i, c := range files {
		f := &s.Files[i]
		f.ID, f.Bytes, f.Logical, f.Physical, f.Log = int(c.u32(0x14)), int64(c.u64(0x28)), c.text(0x30), c.text(0x34), c.u32(8)&8 != 0
	}
	t.facts(s, facts)
	return nil
}

func (t *tapeReader) facts(s *Set, c chunk) {
	s.First, s.Last, s.Checkpoint, s.DatabaseLSN = c.lsn(0x20), c.lsn(0x2A), c.lsn(0x34), c.lsn(0x3E)
	s.Created, s.Start, s.Finish = c.date(0x48, t.zone), c.date(0x4D, t.zone), c.date(0x52, t.zone)
	s.Type = map[byte]SetType{'D': DatabaseSet, 'L': LogSet, 'I': DifferentialSet}[c[0x57]]
	s.Bytes, s.Database, s.Server = int64(c.u64(0x60)), c.text(0x68), c.text(0x6C)
	s.Binding, s.Fork, s.FirstFork, s.DatabaseID, s.FamilyGUID = c.guid(0x7C), c.guid(0x9C), c.guid(0xB8), c.guid(0xC8), c.guid(0xE0)
	s.ForkPoint = c.lsn(0xAC)
	if s.FirstFork == (tds.GUID{}) {
		s.FirstFork = s.Fork
	}
	if s.Type == DifferentialSet {
		s.BaseLSN, s.BaseID = c.lsn(0x104), c.guid(0x110)
	}
}

// data reads pages or log, and the checksum behind them.
func (t *tapeReader) data(s chunk, size int64) error {
	if _, err := t.take(2); err != nil {
		return err
	}
	summed := t.sums && s.u16(6)&0x100 != 0
	var sum uint32
	set := t.sets[len(t.sets)-1]
	for i := int64(0); i < size/pageBytes; i++ {
		b, err := t.take(pageBytes)
		if err != nil {
			t.cutInData = errors.Is(err, errCut)
			return err
		}
		if summed {
			sum = addSum(sum, b)
		}
		n := i*int64(t.family.Count) + int64(t.family.Sequence) - 1
		records, err := readPage(b, n, set.ID, t.zone, summed)
		if err != nil {
			return failure(3183, "RESTORE detected an error on page (1:%d) in database \"%s\" as read from the backup set.", n, set.Database)
		}
		t.records = append(t.records, records...)
	}
	if err := t.pass(size % pageBytes); err != nil || s.u16(6)&0x100 == 0 {
		return err
	}
	return t.compare(sum, summed)
}

func (t *tapeReader) compare(sum uint32, summed bool) error {
	if err := t.align(); err != nil {
		return err
	}
	b, err := t.take(26)
	if err != nil {
		return err
	}
	c := chunk(b)
	if c.id() != "CSUM" || wordsXOR(c[:20]) != c.u16(20) {
		return errFormed
	}
	if summed && c.u32(22) != sum {
		return failure(3189, "Damage to the backup set was detected.")
	}
	return nil
}

// addSum continues the checksum of WITH CHECKSUM: for each sector, the XOR of its words goes into the sum, which is rotated before that.
func addSum(x uint32, b []byte) uint32 {
	for ; len(b) > 0; b = b[512:] {
		var w uint64
		for i := 0; i < 512; i += 8 {
			w ^= binary.LittleEndian.Uint64(b[i:])
		}
		x = bits.RotateLeft32(x, 1) ^ uint32(w) ^ uint32(w>>32)
	}
	return x
}
