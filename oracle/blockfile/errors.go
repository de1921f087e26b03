package blockfile

import (
	"errors"
	"fmt"

	"github.com/quiesce-go/quiesce/backup"
)

// CorruptError is one thing that is wrong with a file. It wraps backup.ErrCorrupt.
type CorruptError struct {
	// Block is the block concerned, counted from 0, or -1 when it is the file.
	Block int64
	// Offset is where, in bytes from the start of the file.
	Offset int64
	// What is wrong there, in words.
	What string
}

// Error reads "block 17 (byte 139264): its address says block 18 of file 4".
func (e *CorruptError) Error() string {
	if e.Block < 0 {
		return fmt.Sprintf("byte %d: %s", e.Offset, e.What)
	}
	return fmt.Sprintf("block %d (byte %d): %s", e.Block, e.Offset, e.What)
}

// Unwrap returns backup.ErrCorrupt.
func (e *CorruptError) Unwrap() error { return backup.ErrCorrupt }

// Hint says what an operator can do.
func (e *CorruptError) Hint() string {
	return "copy the file again from the server; if that is damaged too, run dbv or RMAN VALIDATE there and take a full backup now"
}

// maxListed is how many things wrong with a file are told one by one.
const maxListed = 20

// damage gathers what is wrong with a file: the first maxListed, and the number of the others.
type damage struct {
	blockSize int64
	listed    []error
	more      int64
	last      *CorruptError // of the others
}

// block records damage of a block.
func (d *damage) block(n int64, what string) {
	d.add(&CorruptError{Block: n, Offset: n * d.blockSize, What: what})
}

// file records damage of the file as a whole, at a byte of it.
func (d *damage) file(offset int64, format string, args ...any) {
	d.add(&CorruptError{Block: -1, Offset: offset, What: fmt.Sprintf(format, args...)})
}

func (d *damage) add(e *CorruptError) {
	if len(d.listed) < maxListed {
		d.listed = append(d.listed, e)
		return
	}
	d.more++
	d.last = e
}

// err is all of it, or nil.
func (d *damage) err() error {
	if d.more > 0 {
		d.listed = append(d.listed, &CorruptError{Block: d.last.Block, Offset: d.last.Offset, What: fmt.Sprintf("the last of %d more problems: %s", d.more, d.last.What)})
		d.more = 0
	}
	return errors.Join(d.listed...)
}

// notOne is the error of a file that begins with head and is not of the wanted kind, or ends inside its header.
func notOne(head []byte, want Kind) error {
	whole, ok := recognise(head)
	start, plain := fromBlock0(head)
	switch {
	case ok && whole.kind != want:
		return &CorruptError{Block: -1, What: fmt.Sprintf("this is %s of Oracle Database, not %s", whole.kind.phrase(), want.phrase())}
	case ok || plain && len(head) < 2*start.size:
		return &CorruptError{Block: -1, Offset: int64(len(head)), What: fmt.Sprintf("the file ends here, inside the header of %s", want.phrase())}
	case plain:
		return &CorruptError{Block: 1, Offset: int64(start.size), What: fmt.Sprintf("it begins with % x, not as the header of %s with blocks of %d bytes", head[start.size:start.size+4], want.phrase(), start.size)}
	}
	return &CorruptError{Block: -1, What: fmt.Sprintf("this is not %s of Oracle Database, or it ends before its header; it begins with % x", want.phrase(), head[:min(8, len(head))])}
}
