package mtf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// stage is what has been passed of the order TAPE SFMB { SSET VOLB MSCI [MSDA] MSTL+ MSLS SFMB ESET ESET SFMB }+ (7.4, observed on 108 files).
type stage int

const (
	atStart     stage = iota
	afterTape         // TAPE
	betweenSets       // the file mark after TAPE, or after a set: the file may end when it has a set
	afterSet          // SSET
	afterVolume       // VOLB
	inData            // MSCI: blocks with data follow, whatever they are called
	afterData         // MSLS
	beforeEnd         // its file mark
	atEnd             // ESET
)

// follow is the stage after the block id; false when id cannot stand here.
func (s stage) follow(id string) (stage, bool) {
	type step struct {
		from stage
		id   string
	}
	switch (step{s, id}) {
	case step{atStart, "TAPE"}:
		return afterTape, true
	case step{afterTape, "SFMB"}, step{atEnd, "SFMB"}:
		return betweenSets, true
	case step{betweenSets, "SSET"}:
		return afterSet, true
	case step{afterSet, "VOLB"}:
		return afterVolume, true
	case step{afterVolume, "MSCI"}:
		return inData, true
	case step{inData, "MSLS"}:
		return afterData, true
	case step{afterData, "SFMB"}:
		return beforeEnd, true
	case step{beforeEnd, "ESET"}, step{atEnd, "ESET"}:
		return atEnd, true
	}
	switch id {
	case "TAPE", "SSET", "VOLB", "MSCI", "SFMB", "ESET", "EOTM":
		return s, false
	}
	return s, s == inData
}

// expected names what could stand here.
func (s stage) expected() string {
	return [...]string{"TAPE", "SFMB", "SSET", "VOLB", "MSCI", "MSDA, MSTL or MSLS", "SFMB", "ESET", "ESET or SFMB"}[s]
}

// maxDamage is how many faults a walk gathers before it gives up.
const maxDamage = 32

// walk goes through a file once.
type walk struct {
	t     *tape
	m     *Media
	sums  bool // read the data and compare its checksums
	set   *Set // the one being read
	first *Set // how it was described at its start
	zone  *time.Location

	lastAgain LSN    // LastLSN as the newest description repeats it
	unit      int64  // bytes in a logical block
	order     uint32 // control block id of the next block of the set
	data      int    // data streams of the set
	summed    int    // those with a checksum

	unsummed bool // a set has data without a checksum
	damage   []error
}

// broken records damage after which the walk goes on. It returns an error when there is too much.
func (w *walk) broken(offset int64, format string, args ...any) error {
	w.damage = append(w.damage, corrupt(offset, format, args...))
	if len(w.damage) >= maxDamage {
		return errTooMuch
	}
	return nil
}

var errTooMuch = errors.New("too much damage")

// run walks to the end of the file and returns all that is wrong.
func (w *walk) run() error {
	w.m.Depth = Recognised
	err := w.blocks()
	if err != nil && !errors.Is(err, errTooMuch) {
		w.damage = append(w.damage, err)
	}
	if err == nil {
		w.m.SizeBytes = w.t.at
	}
	if len(w.damage) == 1 {
		return w.damage[0]
	}
	if len(w.damage) > 0 {
		return errors.Join(w.damage...)
	}
	w.m.Depth = Walked
	if w.sums && !w.unsummed {
		w.m.Depth = Summed
	}
	return nil
}

func (w *walk) blocks() error {
	for st := atStart; ; {
		if st == betweenSets && len(w.m.Sets) > 0 {
			if more, err := w.t.more(); err != nil || !more {
				return err
			}
		}
		b, err := w.next()
		if errors.Is(err, errShort) {
			return corrupt(w.t.size, "the file ends here, where a block %s is to follow", st.expected())
		}
		if err != nil {
			return err
		}
		to, ok := st.follow(b.id)
		if !ok {
			return corrupt(b.at, "a block %s stands where %s is to follow", b.id, st.expected())
		}
		if err := w.enter(b); errors.Is(err, errShort) {
			return corrupt(w.t.size, "the file ends here, inside the block %s that begins at byte %d", b.id, b.at)
		} else if err != nil {
			return err
		}
		st = to
	}
}

// block is the header of a block with its strings.
type block struct {
	fields // valid until the tape is read on
	at     int64
	id     string
}

// Offsets of the common block header (MTF 1.00a MTF_DB_HDR; 7.2, verified on 108 files).
const (
	headerSize    = 52
	blockEvents   = 8  // u16, where the first stream begins
	blockAddress  = 20 // u64, in logical blocks from the SSET
	blockOrder    = 36 // u32, control block id
	blockExtra    = 44 // tape address of what the system adds
	blockStrings  = 48 // u8, type of the strings
	blockChecksum = 50 // u16, XOR of the words before it
	longestMark   = 64 << 10
)

// next reads the header of a block. Only a tape that ends gives errShort.
func (w *walk) next() (block, error) {
	at := w.t.at
	if err := w.t.fill(headerSize); err != nil {
		return block{}, err
	}
	f := fields(w.t.buf[w.t.from:][:headerSize])
	id := string(f[:4])
	if !printable(f[:4]) {
		return block{}, corrupt(at, "no block begins here: found % x", f[:4])
	}
	if want, got := xor(f[:blockChecksum]), uint16(f.u16(blockChecksum)); want != got {
		return block{}, corrupt(at, "the header of the block %s has checksum 0x%04x, its content gives 0x%04x", id, got, want)
	}
	size := f.u16(blockEvents)
	if id == "SFMB" {
		size = headerSize
	}
	if size < headerSize {
		return block{}, corrupt(at, "the header of the block %s says that it has %d bytes", id, size)
	}
	f, err := w.t.take(size)
	return block{fields: f, at: at, id: id}, err
}

// enter reads what a block says and goes to its end.
func (w *walk) enter(b block) error {
	switch b.id {
	case "SFMB":
		return w.filemark(b)
	case "TAPE":
		if err := w.media(b); err != nil {
			return err
		}
	case "SSET":
		if err := w.begin(b); err != nil {
			return err
		}
	case "VOLB":
		if err := w.volume(b); err != nil {
			return err
		}
	}
	if err := w.inOrder(b); err != nil {
		return err
	}
	if err := w.streams(b); err != nil {
		return err
	}
	if b.id == "MSLS" {
		return w.finish()
	}
	return nil
}

// filemark goes to the block after a file mark. The size of a mark is 16 bits wide and cannot be 64 KiB, which BLOCKSIZE allows: zero is taken for that (inferred).
func (w *walk) filemark(b block) error {
	size := b.u16(blockEvents)
	if size == 0 && w.m.FilemarkBytes == longestMark {
		size = longestMark
	}
	if size < headerSize {
		return corrupt(b.at, "the file mark has %d bytes", size)
	}
	return w.t.pass(int64(size-headerSize), nil)
}

// inOrder checks that a block of a set stands where its header says: parts put together in the wrong order are found by it. The address counts logical blocks
// from the SSET, the id counts blocks (7.2, observed).
func (w *walk) inOrder(b block) error {
	if w.set == nil || b.id == "ESET" {
		return nil
	}
	if want := (b.at - w.set.Offset) / w.unit; (b.at-w.set.Offset)%w.unit == 0 && b.u64(blockAddress) != uint64(want) {
		if err := w.broken(b.at, "the block %s says that it is logical block %d of its set, and stands at %d", b.id, b.u64(blockAddress), want); err != nil {
			return err
		}
	}
	if got := b.u32(blockOrder); got != w.order {
		if err := w.broken(b.at, "the block %s says that it is number %d of its set, and is %d", b.id, got, w.order); err != nil {
			return err
		}
	}
	w.order++
	return nil
}

// stream is the header of a stream.
type stream struct {
	id                      string
	at                      int64
	length                  int64
	attributes              int
	encryption, compression int
}

// Offsets of the stream header (MTF 1.00a MTF_STREAM_HDR; 7.3), and attributes.
const (
	streamSize        = 22
	streamAttributes  = 6  // u16
	streamLength      = 8  // u64
	streamEncryption  = 16 // u16
	streamCompression = 18 // u16
	streamChecksum    = 20 // u16, XOR of the words before it

	summedStream = 0x0100 // a stream CSUM follows
)

func (w *walk) stream() (stream, error) {
	s := stream{at: w.t.at}
	b, err := w.t.take(streamSize)
	if err != nil {
		return s, err
	}
	f := fields(b)
	if !printable(f[:4]) {
		return s, corrupt(s.at, "no stream begins here: found % x", f[:4])
	}
	s.id = string(f[:4])
	if want, got := xor(f[:streamChecksum]), uint16(f.u16(streamChecksum)); want != got {
		return s, corrupt(s.at, "the header of the stream %s has checksum 0x%04x, its content gives 0x%04x", s.id, got, want)
	}
	var ok bool
	if s.length, ok = f.size(streamLength); !ok || s.length > 1<<62 {
		return s, corrupt(s.at, "the stream %s cannot have %d bytes", s.id, f.u64(streamLength))
	}
	s.attributes, s.encryption, s.compression = f.u16(streamAttributes), f.u16(streamEncryption), f.u16(streamCompression)
	return s, nil
}

// streams goes through the streams of a block up to SPAD, behind which the next block begins.
func (w *walk) streams(b block) error {
	for {
		if err := w.t.align(); err != nil {
			return err
		}
		s, err := w.stream()
		if err != nil {
			return err
		}
		switch {
		case w.set != nil && (s.encryption != 0 || s.compression != 0):
			w.set.Encrypted = w.set.Encrypted || s.encryption != 0
			w.set.Compressed = w.set.Compressed || s.compression != 0
			w.data++
			err = w.t.pass(s.length, nil)
		case s.id == "RAID" && b.id == "TAPE":
			err = w.stripe(s)
		case s.id == "MQCI" && w.set != nil:
			err = w.config(s, b.id == "MSLS")
		case s.id == "MQDA" || s.id == "MQTL":
			err = w.content(s)
		default:
			err = w.t.pass(s.length, nil)
		}
		if errors.Is(err, errShort) {
			return corrupt(w.t.size, "the file ends here, inside the stream %s that begins at byte %d", s.id, s.at)
		}
		if err != nil {
			return err
		}
		if s.id == "SPAD" {
			return w.t.align()
		}
	}
}

// content reads pages or log: two zero bytes, then whole sectors (7.10), then, WITH CHECKSUM, a stream CSUM with their sum (7.11).
func (w *walk) content(s stream) error {
	if w.set == nil {
		return corrupt(s.at, "the stream %s stands outside a set", s.id)
	}
	if s.length == 0 {
		return nil
	}
	if s.length < 2 {
		return corrupt(s.at, "the stream %s has %d byte", s.id, s.length)
	}
	if b, err := w.t.take(2); err != nil {
		return err
	} else if b[0] != 0 || b[1] != 0 {
		if err := w.broken(s.at+streamSize, "the stream %s begins with % x, not with two zero bytes", s.id, b); err != nil {
			return err
		}
	}
	n := s.length - 2
	if s.id == "MQDA" {
		w.set.PageBytes += n
	} else {
		w.set.LogBytes += n
	}
	w.data++
	if s.attributes&summedStream == 0 {
		return w.t.pass(n, nil)
	}
	w.summed++
	if n%sector != 0 {
		return corrupt(s.at, "the stream %s has %d bytes with a checksum, which are not whole sectors", s.id, n)
	}
	var got sum
	each := got.add
	if !w.sums {
		each = nil
	}
	if err := w.t.pass(n, each); err != nil {
		return err
	}
	if err := w.t.align(); err != nil {
		return err
	}
	c, err := w.stream()
	if err != nil {
		return err
	}
	if c.id != "CSUM" || c.length != 4 {
		return corrupt(c.at, "a stream %s of %d bytes follows the stream %s at byte %d instead of its checksum", c.id, c.length, s.id, s.at)
	}
	b, err := w.t.take(4)
	if err != nil {
		return err
	}
	if want := sum(binary.LittleEndian.Uint32(b)); w.sums && got != want {
		what := "pages"
		if s.id == "MQTL" {
			what = "log"
		}
		return w.broken(s.at+streamSize+2, "the %s from here to byte %d have checksum 0x%08x, the server wrote 0x%08x", what, s.at+streamSize+s.length, uint32(got), uint32(want))
	}
	return nil
}

// printable reports whether b can be the name of a block or stream.
func printable(b []byte) bool {
	for _, c := range b {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// xor is the checksum of headers: the XOR of their 16-bit words.
func xor(b []byte) uint16 {
	var x uint16
	for ; len(b) >= 2; b = b[2:] {
		x ^= binary.LittleEndian.Uint16(b)
	}
	return x
}

// text reads a string of a header or record, and records damage when it lies outside.
func (w *walk) text(f fields, offset int64, o, kind int, into *string) error {
	s, ok := f.text(o, kind)
	if !ok {
		return w.broken(offset, "the string at 0x%x of %s is not inside it", o, fmt.Sprintf("%q", f[:4]))
	}
	*into = s
	return nil
}
