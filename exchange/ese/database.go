package ese

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
)

// Database is what was found out about a database file.
type Database struct {
	Header
	// Depth says how much the absence of an error is worth.
	Depth Depth
	// SizeBytes is the file as it was read.
	SizeBytes int64
	// Good, Unused and Bad are how many pages have the right checksum, are zero, and are damaged. Old of the good ones have the checksum of engines before Exchange 2003 SP1, which is XOR only.
	Good, Unused, Bad, Old int64
	// Trailer is the last page of a copy by the streaming API; nil: there is none.
	Trailer *Trailer
	// Notes are what is unusual and no damage, a sentence each.
	Notes []string
}

// Clean reports whether the database needs no log.
func (d *Database) Clean() bool { return d.State == CleanShutdown && d.FullCurrent.IsZero() }

// bufferBytes is the memory of one verification: whole pages of any size.
const bufferBytes = 512 << 10

// VerifyDatabase reads a database to its end and checks header, length and every page. size is how many bytes the file should have, from wherever that is known; negative: unknown.
// It needs 512 KiB of memory. Damage is a *CorruptError, or several joined, at most 21; the Database then has what was understood. Other errors are those of r and ctx.
func VerifyDatabase(ctx context.Context, r io.Reader, size int64) (*Database, error) {
	w := &walk{d: &Database{}}
	buf := make([]byte, bufferBytes)
	for end, known := false, false; !end; {
		if ctx.Err() != nil {
			return w.d, context.Cause(ctx)
		}
		n, err := io.ReadFull(r, buf)
		w.d.SizeBytes += int64(n)
		end = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !end {
			return w.d, fmt.Errorf("read at byte %d: %w", w.d.SizeBytes, err)
		}
		if !known {
			if !w.header(buf[:min(n, MatchBytes)]) {
				return w.d, w.bad.err()
			}
			known = true
		}
		w.pages(buf[:n])
	}
	w.length(size)
	w.trailer()
	if err := w.bad.err(); err != nil {
		return w.d, err
	}
	w.d.Depth = Summed
	if w.d.Streaming {
		w.d.Depth = Measured
	}
	return w.d, nil
}

// walk goes through the pages of one database.
type walk struct {
	d    *Database
	bad  damage
	next int64 // the page to come, counted from the start of the file
	last *held // a page that is the trailer if no other follows
}

// held is a page that is damaged if it is not the trailer.
type held struct {
	trailer Trailer
	damage  *CorruptError
}

// pages judges the whole pages of b.
func (w *walk) pages(b []byte) {
	size := w.d.PageSizeBytes
	for ; len(b) >= size; b = b[size:] {
		if w.next >= 2 && !w.d.Streaming {
			w.page(w.next-1, b[:size])
		}
		w.next++
	}
}

// page judges page n.
func (w *walk) page(n int64, b []byte) {
	w.release()
	if n > math.MaxUint32 {
		w.bad.add(&CorruptError{Page: n, Offset: w.next * int64(len(b)), Bit: -1, What: "no database has so many pages"})
		w.d.Bad++
		return
	}
	kind, bit, what := judge(uint32(n), b)
	switch kind {
	case pageOld:
		w.d.Old++
		w.d.Good++
	case pageNew:
		w.d.Good++
	case pageUnused:
		w.d.Unused++
	case pageBad:
		e := &CorruptError{Page: n, Offset: w.next * int64(len(b)), Bit: bit, What: what}
		if t, ok := parseTrailer(b); ok {
			w.last = &held{trailer: t, damage: e}
			return
		}
		w.d.Bad++
		w.bad.add(e)
	}
}

// release calls the page held damaged: it is not the last.
func (w *walk) release() {
	if w.last != nil {
		w.d.Bad++
		w.bad.add(w.last.damage)
		w.last = nil
	}
}

// length compares the file with what is known of its length.
func (w *walk) length(size int64) {
	page, have := int64(w.d.PageSizeBytes), w.d.SizeBytes
	switch {
	case have < 2*page:
		w.bad.file(have, "the file ends here, inside the second copy of its header")
	case have%page != 0:
		w.bad.file(have, "the file ends here, inside page %d", have/page-1)
	}
	if size >= 0 && size != have {
		w.bad.file(min(size, have), "the file has %d bytes, and should have %d", have, size)
	}
}
