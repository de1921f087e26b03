package esefile

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// States of a database that the model has.
const (
	JustCreated uint32 = 1
	Dirty       uint32 = 2
	Clean       uint32 = 3
)

// How a backup was made, in the fields beside its mark.
const (
	ByStreaming  uint32 = 0
	ByOSSnapshot uint32 = 1
)

const (
	smallPage     = 8 << 10
	magic         = 0x89ABCDEF
	structVersion = 0x620
	newChecksum   = 0x2000
	attribStream  = 1
	typeDatabase  = 1
	typeStream    = 2
)

// Header is the header of a database (4.2), as far as the model has it.
type Header struct {
	PageBytes, Attrib, State, ID           uint32
	DBTime                                 uint64
	Signature, LogSignature                Signature
	Consistent, Attach, Detach             Position
	ConsistentTime, AttachTime, DetachTime Stamp
	FullPrev, IncPrev, FullCur             Mark
	SnapshotCur, CopyPrev                  Mark
	FullPrevBy, IncPrevBy, CopyPrevBy      uint32
	MinRequired, MaxRequired, MaxCommitted uint32
	MaxRequiredTime                        Stamp
	Revision                               uint32
}

// Stream returns the header of the .stm file beside this database.
func (h Header) Stream() Header {
	h.Attrib = attribStream
	return h
}

func (h *Header) fields(c coder) {
	kind := uint32(typeDatabase)
	if h.Attrib == attribStream {
		kind = typeStream
	}
	c.u32(12, &h.Attrib)
	c.u64(16, &h.DBTime)
	c.bytes(24, h.Signature[:])
	c.u32(52, &h.State)
	c.position(56, &h.Consistent)
	c.bytes(64, h.ConsistentTime[:])
	c.bytes(72, h.AttachTime[:])
	c.position(80, &h.Attach)
	c.bytes(88, h.DetachTime[:])
	c.position(96, &h.Detach)
	c.u32(104, &h.ID)
	c.bytes(108, h.LogSignature[:])
	c.mark(136, &h.FullPrev)
	c.mark(160, &h.IncPrev)
	c.mark(184, &h.FullCur)
	c.u32(232, &h.Revision)
	c.u32(236, &h.PageBytes)
	c.u32(296, &h.MinRequired)
	c.u32(300, &h.MaxRequired)
	c.mark(316, &h.SnapshotCur)
	c.bytes(348, h.MaxRequiredTime[:])
	c.u32(356, &h.FullPrevBy)
	c.u32(360, &h.IncPrevBy)
	c.u32(416, &h.MaxCommitted)
	c.mark(420, &h.CopyPrev)
	c.u32(468, &h.CopyPrevBy)
	c.u32(667, &kind)
}

// Encode returns both copies of the header: the first two pages of the file.
func (h Header) Encode() []byte {
	b := make([]byte, 2*h.PageBytes)
	page := b[:h.PageBytes]
	h.fields(coder{page, true})
	le.PutUint32(page[4:], magic)
	le.PutUint32(page[8:], structVersion)
	sealXor(page)
	copy(b[h.PageBytes:], page)
	return b
}

// ErrHeader is returned for a file that does not begin with a whole header.
var ErrHeader = errors.New("no whole header of a database")

// DecodeHeader reads the first whole copy of the header at the start of a file.
func DecodeHeader(b []byte) (h Header, err error) {
	for size := 4096; size <= 32<<10; size *= 2 {
		for at := 0; at <= size && at+size <= len(b); at += size {
			page := b[at : at+size]
			if le.Uint32(page[4:]) == magic && le.Uint32(page[236:]) == uint32(size) && xorGood(page) {
				h.fields(coder{page, false})
				return h, nil
			}
		}
	}
	return h, ErrHeader
}

// ReadHeader reads the header of the file at path.
func ReadHeader(path string) (Header, error) {
	f, err := os.Open(path)
	if err != nil {
		return Header{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return Header{}, err
	}
	h, err := DecodeHeader(b)
	if err != nil {
		return h, fmt.Errorf("%s: %w", path, err)
	}
	return h, nil
}

// WriteHeader replaces both copies of the header of the file at path, which exists.
func WriteHeader(path string, h Header) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(h.Encode(), 0)
	return errors.Join(err, f.Close())
}

// Page is a page with one key.
type Page struct {
	Number     uint32
	DBTime     uint64
	Key, Value string
}

// pageHead is the length of the header of a page.
func pageHead(pageBytes int) int {
	if pageBytes > smallPage {
		return 80
	}
	return 40
}

// Encode returns the page with its checksums.
func (p Page) Encode(pageBytes int) []byte {
	b := make([]byte, pageBytes)
	le.PutUint64(b[8:], p.DBTime)
	le.PutUint32(b[24:], 1) // an object
	le.PutUint32(b[36:], newChecksum)
	body := b[pageHead(pageBytes):]
	copy(body, "QSIM")
	le.PutUint16(body[4:], uint16(len(p.Key)))
	le.PutUint16(body[6:], uint16(len(p.Value)))
	copy(body[8:], p.Key)
	copy(body[8+len(p.Key):], p.Value)
	sealPage(b, p.Number)
	return b
}

// ErrPage is returned for a page with a wrong checksum or no content of ours.
var ErrPage = errors.New("damaged page")

// DecodePage reads a page. One that was never used has no key.
func DecodePage(b []byte, number uint32) (Page, error) {
	p := Page{Number: number, DBTime: le.Uint64(b[8:])}
	if blank(b) {
		return p, nil
	}
	body := b[pageHead(len(b)):]
	k, v := int(le.Uint16(body[4:])), int(le.Uint16(body[6:]))
	if !pageGood(b, number) || string(body[:4]) != "QSIM" || 8+k+v > len(body) {
		return p, fmt.Errorf("page %d: %w", number, ErrPage)
	}
	p.Key, p.Value = string(body[8:8+k]), string(body[8+k:8+k+v])
	return p, nil
}

func blank(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}

// Trailer is the page behind the last one in a copy by the streaming API (4.2, PATCHHDR).
type Trailer struct {
	Full                                   Mark
	Signature, LogSignature                Signature
	MinRequired, MaxRequired, MaxCommitted uint32
}

func (t *Trailer) fields(c coder) {
	c.mark(40, &t.Full)
	c.bytes(64, t.Signature[:])
	c.bytes(92, t.LogSignature[:])
	c.u32(120, &t.MinRequired)
	c.u32(124, &t.MaxRequired)
	c.u32(128, &t.MaxCommitted)
}

// Encode returns the page.
func (t Trailer) Encode(pageBytes int) []byte {
	b := make([]byte, pageBytes)
	t.fields(coder{b, true})
	sealXor(b)
	return b
}

// DecodeTrailer reads the last page of a file. It reports whether it is a trailer.
func DecodeTrailer(b []byte) (t Trailer, ok bool) {
	if blank(b) || le.Uint32(b[4:]) != 0 || le.Uint32(b[8:]) != 0 || le.Uint32(b[12:]) != 0 || le.Uint32(b[24:]) != 0 || !xorGood(b) {
		return t, false
	}
	t.fields(coder{b, false})
	return t, true
}
