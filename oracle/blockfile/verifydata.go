package blockfile

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
)

// Options say how a data file was copied. The zero value is right for a file that was closed when it was copied, and for an image copy by RMAN.
type Options struct {
	// Hot: the file was copied while the database wrote to it, in backup mode. Fractured blocks are then counted and not damage, and the file may
	// have grown. Where the header does not say that the file was in backup mode when the copy began, this changes nothing: redo does not repair
	// such a copy.
	Hot bool
	// Findings is how many fractured blocks are told one by one; 0: 20.
	Findings int
}

// VerifyData reads every byte of a data file once, to its end: header, length, and for each block its address, whether its end belongs to its start,
// and its checksum. It needs 512 KiB of memory. Damage is a *CorruptError, or several joined, at most 21; the DataFile then has what was understood.
// Other errors are those of r and ctx. DataFile.Depth says how much the absence of an error is worth.
func VerifyData(ctx context.Context, r io.Reader, opt Options) (*DataFile, error) {
	d := &DataFile{}
	c := read(ctx, r)
	head, err := c.next()
	if err != nil {
		return d, err
	}
	l, ok := recognise(head)
	if !ok || l.kind != Data || len(head) < 2*l.size {
		return d, notOne(head, Data)
	}
	w := &dataWalk{d: d, l: l, bad: damage{blockSize: int64(l.size)}, listed: opt.Findings}
	if w.listed <= 0 {
		w.listed = maxListed
	}
	d.BlockSizeBytes, d.BigEndian = l.size, l.order == binary.BigEndian
	d.header(l.fields(head[l.size : 2*l.size]))
	w.hot = opt.Hot && d.InBackup()
	w.base(head)
	rest, err := c.each(head, l.size, w.block)
	if err != nil {
		return d, err
	}
	d.SizeBytes = c.at
	w.length(rest)
	if err := w.bad.err(); err != nil {
		return d, err
	}
	d.Depth = Walked
	if d.Unsummed == 0 && d.Fractured == 0 {
		d.Depth = Summed
	}
	return d, nil
}

// dataWalk goes through the blocks of one data file.
type dataWalk struct {
	d      *DataFile
	l      layout
	hot    bool
	listed int
	file   uint32 // the upper bits of every address
	bad    damage
}

// base judges what all blocks are compared with, and block 0, of which nothing is demanded: for data files its layout is inferred.
func (w *dataWalk) base(head []byte) {
	d, zero, one := w.d, w.l.fields(head), w.l.fields(head[w.l.size:])
	w.file = one.u32(blockAddress) &^ blockMask
	if !d.Bigfile && w.file>>22 != d.RelativeFile {
		w.bad.block(1, fmt.Sprintf("its address says relative file %d, its content %d", w.file>>22, d.RelativeFile))
	}
	if n := one.u16(fileNameLength); n > maxName {
		w.warn("the header gives the name of the tablespace %d bytes; the first %d were read", n, maxName)
	}
	format, _ := formatOf(Data, w.l.size)
	switch {
	case !w.l.magic:
		w.warn("block 0 does not have the magic number of files of Oracle Database")
	case head[osFormat] != format:
		w.warn("block 0 has the format byte 0x%02x, blocks of %d bytes have 0x%02x", head[osFormat], w.l.size, format)
	case zero.u32(osBlocks) != d.Blocks:
		w.warn("block 0 says %d blocks, the file header %d", zero.u32(osBlocks), d.Blocks)
	}
}

func (w *dataWalk) warn(format string, args ...any) {
	w.d.Warnings = append(w.d.Warnings, fmt.Sprintf(format, args...))
}

// block judges one block.
func (w *dataWalk) block(n int64, b []byte) {
	if n == 0 {
		return
	}
	if b[0] == 0 && blank(b) {
		w.d.Zero++
		return
	}
	f := w.l.fields(b)
	what, torn := w.wrong(n, f)
	switch {
	case what == "":
		w.count(f)
	case torn && w.hot && n > 1:
		w.d.Fractured++
		if len(w.d.Findings) < w.listed {
			w.d.Findings = append(w.d.Findings, Finding{Block: n, What: what})
		}
	default:
		w.bad.block(n, what)
	}
}

// wrong says what is wrong with a block, and whether a copy taken during a write may explain it.
func (w *dataWalk) wrong(n int64, f fields) (what string, torn bool) {
	b := f.b
	got, want := f.u32(blockAddress), uint32(n)
	if !w.d.Bigfile {
		want |= w.file
	}
	if got != want {
		if [blockHeader]byte(b) == ([blockHeader]byte{}) {
			return "fractured: it begins as a block that was never written, and is not empty", true
		}
		if w.d.Bigfile {
			return fmt.Sprintf("its address says block %d", got), false
		}
		return fmt.Sprintf("its address says block %d of file %d, not of file %d", got&blockMask, got>>22, w.file>>22), false
	}
	// The tail (5.3): the start of a block and its end were written at the same time.
	if got, want := f.u32(len(b)-4), f.u32(blockBase)<<16|uint32(b[0])<<8|uint32(b[blockSequence]); got != want {
		return fmt.Sprintf("fractured: its end is 0x%08x, its start goes with 0x%08x", got, want), true
	}
	if x := fold(b); b[blockFlags]&summed != 0 && x != 0 {
		return fmt.Sprintf("its checksum is 0x%04x, its content gives 0x%04x", f.u16(16), f.u16(16)^f.order.Uint16([]byte{byte(x), byte(x >> 8)})), true
	}
	return "", false
}

func (w *dataWalk) count(f fields) {
	if f.b[blockFlags]&summed != 0 {
		w.d.Summed++
	} else {
		w.d.Unsummed++
	}
	if wrap := uint64(f.u16(blockWrap)); wrap&0x8000 == 0 {
		w.d.HighestSCN = max(w.d.HighestSCN, wrap<<32|uint64(f.u32(blockBase)))
	}
}

// length compares the file with its header.
func (w *dataWalk) length(rest int) {
	size := w.d.SizeBytes
	want := (int64(w.d.Blocks) + 1) * int64(w.l.size)
	switch {
	case rest != 0:
		w.bad.file(size, "the file ends here, inside block %d; its header gives it %d blocks", size/int64(w.l.size), w.d.Blocks)
	case size < want:
		w.bad.file(size, "the file ends here, behind block %d; its header gives it %d blocks", size/int64(w.l.size)-1, w.d.Blocks)
	case size > want && w.hot:
		w.warn("the file has grown by %d blocks since its header was copied", (size-want)/int64(w.l.size))
	case size > want:
		w.bad.file(want, "the file goes on for %d bytes; its header gives it %d blocks", size-want, w.d.Blocks)
	}
}
