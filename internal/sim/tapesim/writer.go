package tapesim

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Writer writes a file from its start to its end, holding no more of it than a block header. The order of calls is Begin, Pages any number of times, Log, End for each
// set; behind Pages and Log come the data by Write, and EndData. Once a call has failed, the file is of no use.
type Writer struct {
	out  io.Writer
	w    writer
	mark int
	sets int

	set   Set    // being written
	data  string // MSDA or MSTL, while one is
	left  int64  // data not yet written
	sum   uint32
	empty bool // it has no stream
}

// NewWriter begins a file with its media header. Sets of f are not written; the first of them dates the media if Written does not.
func NewWriter(out io.Writer, f File) (*Writer, error) {
	t := &Writer{out: out, mark: max(f.FilemarkBytes, 512)}
	t.w.tape(f, t.mark)
	t.w.filemark(t.mark)
	return t, t.flush()
}

// Continue writes behind a file of size bytes that holds the given number of sets.
func Continue(out io.Writer, f File, size int64, sets int) *Writer {
	return &Writer{out: out, mark: max(f.FilemarkBytes, 512), sets: sets, w: writer{base: size, marks: uint32(1 + 2*sets)}}
}

func (t *Writer) flush() error {
	n, err := t.out.Write(t.w.b)
	t.w.base += int64(n)
	t.w.b = t.w.b[:0]
	return err
}

// Begin writes the first description of a set.
func (t *Writer) Begin(s Set) error {
	t.sets++
	t.set = s
	t.w.sset(s, t.sets)
	t.w.volb(s)
	t.w.config("MSCI", s, logical)
	return t.flush()
}

// Pages opens the pages of a data file in this set: size bytes, whole sectors.
func (t *Writer) Pages(size int64) error {
	t.w.seal(t.w.block("MSDA", 60, 0))
	return t.open("MSDA", "MQDA", 0x2, size)
}

// Log opens the log in this set: size bytes, whole sectors; 0 for none.
func (t *Writer) Log(size int64) error {
	t.w.seal(t.w.block("MSTL", 592, 0))
	return t.open("MSTL", "MQTL", 0, size)
}

// open begins a stream whose data begin on an even address, as the server has it, behind two zero bytes.
func (t *Writer) open(block, id string, attributes uint16, size int64) error {
	t.data, t.left, t.sum, t.empty = block, size, 0, size == 0
	if t.empty {
		return t.flush()
	}
	free := 512 - int((t.w.here()+22+22+2)%512)
	t.w.stream("APAD", 0x80, make([]byte, free))
	if t.set.Checksum {
		attributes |= 0x100
	}
	t.w.header(id, attributes, 2+size, t.set.Encryption, t.set.Compression)
	t.w.b = append(t.w.b, 0, 0)
	return t.flush()
}

// Write adds whole sectors to the open data.
func (t *Writer) Write(b []byte) (int, error) {
	if int64(len(b)) > t.left || len(b)%512 != 0 {
		return 0, fmt.Errorf("tapesim: %d bytes for a stream that takes %d more, in whole sectors", len(b), t.left)
	}
	if t.set.Checksum {
		t.sum = addSum(t.sum, b)
	}
	n, err := t.out.Write(b)
	t.w.base += int64(n)
	t.left -= int64(n)
	return n, err
}

// EndData ends the open data, with its checksum if there is to be one.
func (t *Writer) EndData() error {
	if t.left != 0 {
		return fmt.Errorf("tapesim: %d bytes are missing at the end of a stream", t.left)
	}
	t.w.align()
	if t.set.Checksum && !t.empty {
		t.w.stream("CSUM", 0, binary.LittleEndian.AppendUint32(nil, t.sum))
	}
	if t.data == "MSDA" {
		t.w.stream("MQDA", 0x6, nil)
	}
	t.w.pad(logical)
	return t.flush()
}

// End writes what follows the data. s is the set that Begin was given, with what is known at its end: Finished and Bytes.
func (t *Writer) End(s Set) error {
	t.w.config("MSLS", s, max(t.mark, logical))
	t.w.filemark(t.mark)
	for range 2 {
		at := t.w.block("ESET", 88, 0)
		t.w.seal(at)
		t.w.pad(max(t.mark, logical))
	}
	t.w.filemark(t.mark)
	return t.flush()
}
