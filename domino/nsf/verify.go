package nsf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// File is what was found out about a file.
type File struct {
	Header
	// Depth says how much the absence of an error is worth.
	Depth Depth
	// FileBytes is the file as it was read.
	FileBytes int64
	// Notes are what is unusual and no damage, a sentence each.
	Notes []string
}

// Verify reads a database to its end and checks what its header says. size is how many bytes the file should have, from wherever that is known; negative: unknown.
// Damage is a *CorruptError, or several joined; the File then has what was understood. Other errors are those of r and ctx.
func Verify(ctx context.Context, r io.Reader, size int64) (*File, error) {
	var c Checker
	buf := make([]byte, 64<<10)
	for {
		if ctx.Err() != nil {
			return c.file(), context.Cause(ctx)
		}
		n, err := r.Read(buf)
		_, _ = c.Write(buf[:n]) // never fails
		if errors.Is(err, io.EOF) {
			return c.Finish(size)
		}
		if err != nil {
			return c.file(), err
		}
	}
}

// Checker is an io.Writer that looks at a database while it passes through. Its zero value is ready. It keeps 2 KiB.
type Checker struct {
	at     int64
	head   [leastHeader]byte
	header Header
	starts [2][2]byte // of the superblocks
}

// Write implements io.Writer. It never fails.
func (c *Checker) Write(p []byte) (int, error) {
	if c.at < leastHeader {
		copy(c.head[c.at:], p)
		if c.at+int64(len(p)) >= leastHeader {
			c.header = parse(c.head[:])
		}
	}
	for i, s := range c.header.Superblocks {
		for j := range c.starts[i] {
			if at := s.Offset + int64(j) - c.at; at >= 0 && at < int64(len(p)) {
				c.starts[i][j] = p[at]
			}
		}
	}
	c.at += int64(len(p))
	return len(p), nil
}

// file is what is known before the end.
func (c *Checker) file() *File { return &File{Header: c.header, FileBytes: c.at} }

// Finish judges what was written, which is all of the file. size is as for Verify, and so are the results.
func (c *Checker) Finish(size int64) (*File, error) {
	j := &judgement{f: c.file()}
	switch {
	case c.at >= 2 && [2]byte(c.head[:2]) != signature || c.at < 2:
		j.bad(0, "this is not a database of Notes, it begins with % x", c.head[:min(8, c.at)])
	case c.at < leastHeader:
		j.bad(c.at, "the file ends here, inside the header of a database")
	default:
		j.identity()
		j.length()
		j.superblocks(c.starts)
	}
	if size >= 0 && size != c.at {
		j.bad(min(size, c.at), "the file has %d bytes, and should have %d", c.at, size)
	}
	if len(j.damage) == 0 && j.known {
		j.f.Depth = Measured
	}
	return j.f, errors.Join(j.damage...)
}

// judgement gathers what is wrong with a file.
type judgement struct {
	f *File
	// known says that the layout behind the ODS is: only then is something out of place damage.
	known  bool
	damage []error
}

func (j *judgement) bad(at int64, format string, args ...any) {
	j.damage = append(j.damage, &CorruptError{Offset: at, What: fmt.Sprintf(format, args...)})
}

// odd is damage in a structure that is known.
func (j *judgement) odd(at int64, format string, args ...any) {
	if j.known {
		j.bad(at, format, args...)
		return
	}
	j.note("byte %d: "+format, append([]any{at}, args...)...)
}

func (j *judgement) note(format string, args ...any) {
	j.f.Notes = append(j.f.Notes, fmt.Sprintf(format, args...))
}

// identity judges ODS, size of the header and class.
func (j *judgement) identity() {
	s := structures(j.f.ODS)
	j.known = len(s.headers) > 0
	switch {
	case !j.known:
		j.note("the on-disk structure %d is not known here; what was read was read as that of release 5 and later", j.f.ODS)
	case !slices.Contains(s.headers, j.f.HeaderBytes):
		j.bad(atHeaderSize, "the header says that it has %d bytes; with on-disk structure %d it has %d", j.f.HeaderBytes, j.f.ODS, s.headers[0])
	}
	if !j.f.Class.plausible() {
		j.odd(atClass, "0x%04X is no class of a file of Notes", uint16(j.f.Class))
	} else if j.f.Class != Database && j.f.Class != Template {
		j.note("0x%04X is neither the class of databases nor that of templates", uint16(j.f.Class))
	}
}

// length compares the file with its header.
func (j *judgement) length() {
	switch size := j.f.FileBytes; {
	case j.f.SizeBytes < int64(j.f.HeaderBytes):
		j.odd(atSize, "the header gives the file %d bytes, which is less than the header", j.f.SizeBytes)
	case size < j.f.SizeBytes:
		j.odd(size, "the file ends here; its header gives it %d bytes", j.f.SizeBytes)
	case size > j.f.SizeBytes:
		j.note("the file has %d bytes, and its header gives it only %d", size, j.f.SizeBytes)
	}
	if j.f.FileBytes%unit != 0 {
		j.odd(j.f.FileBytes, "the file ends here, and its length is not a multiple of %d", unit)
	}
}

// superblocks judges where they are and how they begin.
func (j *judgement) superblocks(starts [2][2]byte) {
	blocks := j.f.Superblocks
	for i, s := range blocks {
		at, name := int64(atSuperblocks+8*i), fmt.Sprintf("superblock %d", i+1)
		switch {
		case s.Offset < int64(j.f.HeaderBytes):
			j.odd(at, "%s begins at byte %d, inside the header", name, s.Offset)
		case s.SizeBytes == 0:
			j.odd(at, "%s is empty", name)
		case s.Offset+s.SizeBytes > j.f.FileBytes:
			j.odd(at, "%s is bytes %d to %d; the file has %d", name, s.Offset, s.Offset+s.SizeBytes-1, j.f.FileBytes)
		case starts[i] != superblockStart:
			j.odd(s.Offset, "%s begins with % x, not with % x", name, starts[i], superblockStart)
		}
	}
	if a, b := blocks[0], blocks[1]; a.Offset < b.Offset+b.SizeBytes && b.Offset < a.Offset+a.SizeBytes {
		j.odd(atSuperblocks, "the superblocks lie one over the other, at byte %d and at byte %d", a.Offset, b.Offset)
	}
}

var superblockStart = [2]byte{0x0E, 0x00}

var _ io.Writer = (*Checker)(nil)
