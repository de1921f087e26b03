package ese

import (
	"errors"
	"fmt"

	"github.com/quiesce-go/quiesce/backup"
)

// CorruptError is one thing that is wrong with a file. It wraps backup.ErrCorrupt.
type CorruptError struct {
	// Page is the number of the page concerned, counted from 1 behind the two headers, or 0 when it is a header or the file.
	Page int64
	// Offset is where, in bytes from the start of the file; of a page it is the start.
	Offset int64
	// Bit is the one bit that has changed, counted from Offset, the lowest of a byte first; -1: more than one has, or which it is cannot be told.
	Bit int64
	// What is wrong there, in words.
	What string
}

// Error reads "page 17 (byte 73728): its checksum is wrong in one bit: bit 3 of byte 74000".
func (e *CorruptError) Error() string {
	text := fmt.Sprintf("byte %d: %s", e.Offset, e.What)
	if e.Page > 0 {
		text = fmt.Sprintf("page %d (byte %d): %s", e.Page, e.Offset, e.What)
	}
	if e.Bit >= 0 {
		text += fmt.Sprintf(": bit %d of byte %d has changed", e.Bit%8, e.Offset+e.Bit/8)
	}
	return text
}

// Unwrap returns backup.ErrCorrupt.
func (e *CorruptError) Unwrap() error { return backup.ErrCorrupt }

// Hint says what an operator can do.
func (e *CorruptError) Hint() string {
	return "copy the file again from the server; if that is damaged too, see the server's event log, restore the last backup that is whole and replay its logs, and take a full backup now"
}

// maxListed is how many things wrong with a file are told one by one.
const maxListed = 20

// damage gathers what is wrong with a file: the first maxListed, and the number of the others.
type damage struct {
	listed []error
	more   int64
	last   *CorruptError // of the others
}

// file records damage that is not of one page.
func (d *damage) file(offset int64, format string, args ...any) {
	d.add(&CorruptError{Offset: offset, Bit: -1, What: fmt.Sprintf(format, args...)})
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
	all := d.listed
	if d.more > 0 {
		last := *d.last
		last.What = fmt.Sprintf("the last of %d more problems: %s", d.more, last.What)
		all = append(all[:len(all):len(all)], &last)
	}
	return errors.Join(all...)
}
