package mssqlsim

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// What a set holds lies in pages of 8 KiB, whether they are pages of a data file or blocks of log. The pages go round the families of a media set: with three of them, the
// second family has the pages 1, 4, 7. A page has a header, and records or filler:
//
//	 0 "PAGE"
//	 4 u32 number of the page in the set
//	 8 u32 CRC-32C of the page with these four bytes zero; 0 for filler
//	12 u16 number of records, 0 for filler
//	16 GUID of the set
//	32 records: u64 LSN, i64 time in nanoseconds since 1970, u16 length of the text, u16 length of what else there is, text, else as JSON
const (
	pageBytes     = 8192
	pageHeader    = 32
	recordHeader  = 20
	maxRecord     = 7500 // bytes of text
	recordsOnPage = 4    // few, so that small databases have some on each stripe
	blockPages    = 8    // log is written in blocks of 64 KiB
)

// groups are the records of each page that has some.
func (s Set) groups() (all [][]Record) {
	from, room := 0, 0
	for i, r := range s.Records {
		size := recordHeader + len(r.Text) + len(r.rest())
		if i == 0 || i-from == recordsOnPage || room < size {
			from, room = i, pageBytes-pageHeader
			all = append(all, nil)
		}
		room -= size
		all[len(all)-1] = s.Records[from : i+1]
	}
	return all
}

// rest is what a record has beside LSN, time and text; nothing for most.
func (r Record) rest() []byte {
	r.LSN, r.At, r.Text = 0, time.Time{}, ""
	if r == (Record{}) {
		return nil
	}
	b, _ := json.Marshal(r) // of plain values, which cannot fail
	return b
}

// pages is how many pages the set has on all its families. An empty log has none; each family of a data backup has at least one.
func (s Set) pages(families int) (n int64) {
	for k := 1; k <= families; k++ {
		n += s.pagesOf(k, families)
	}
	return n
}

// pagesOf is how many of them lie on the family with that number, from 1.
func (s Set) pagesOf(family, families int) int64 {
	if s.Type == LogSet && s.First == s.Last {
		return 0
	}
	total := max(1, int64(len(s.groups()))+s.Ballast/pageBytes)
	if s.Type == LogSet {
		n := (total - int64(family) + int64(families)) / int64(families)
		return (n + blockPages - 1) / blockPages * blockPages
	}
	total = max(total, int64(families))
	return (total - int64(family) + int64(families)) / int64(families)
}

// page writes page number n into b, which has its size.
func page(b []byte, n int64, id tds.GUID, groups [][]Record) {
	clear(b)
	copy(b, "PAGE")
	binary.LittleEndian.PutUint32(b[4:], uint32(n))
	copy(b[16:], id[:])
	if n >= int64(len(groups)) {
		filler := rand.NewPCG(uint64(n), 0)
		for i := pageHeader; i < pageBytes/2; i += 8 { // the rest stays free, as in pages that are not full
			binary.LittleEndian.PutUint64(b[i:], filler.Uint64())
		}
		return
	}
	binary.LittleEndian.PutUint16(b[12:], uint16(len(groups[n])))
	at := pageHeader
	for _, r := range groups[n] {
		binary.LittleEndian.PutUint64(b[at:], uint64(r.LSN))
		binary.LittleEndian.PutUint64(b[at+8:], uint64(r.At.UnixNano()))
		binary.LittleEndian.PutUint16(b[at+16:], uint16(len(r.Text)))
		rest := r.rest()
		binary.LittleEndian.PutUint16(b[at+18:], uint16(len(rest)))
		at += recordHeader + copy(b[at+recordHeader:], r.Text)
		at += copy(b[at:], rest)
	}
	binary.LittleEndian.PutUint32(b[8:], pageSum(b))
}

// pageSum is the checksum of a page with records.
func pageSum(b []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(crc32.Checksum(b[:8], table), table, make([]byte, 4))
	return crc32.Update(sum, table, b[12:])
}

var errPage = errors.New("a page is damaged")

// readPage returns the records on page number n. Without sums, damage is seen only where it makes the page unreadable.
func readPage(b []byte, n int64, id tds.GUID, zone *time.Location, sums bool) (records []Record, err error) {
	count := int(binary.LittleEndian.Uint16(b[12:]))
	if string(b[:4]) != "PAGE" || binary.LittleEndian.Uint32(b[4:]) != uint32(n) || tds.GUID(b[16:32]) != id {
		return nil, errPage
	}
	if sums && count > 0 && pageSum(b) != binary.LittleEndian.Uint32(b[8:]) {
		return nil, errPage
	}
	b = b[pageHeader:]
	for range count {
		if len(b) < recordHeader {
			return nil, errPage
		}
		text, rest := int(binary.LittleEndian.Uint16(b[16:])), int(binary.LittleEndian.Uint16(b[18:]))
		if len(b) < recordHeader+text+rest {
			return nil, errPage
		}
		var r Record
		if rest > 0 && json.Unmarshal(b[recordHeader+text:][:rest], &r) != nil {
			return nil, errPage
		}
		r.LSN, r.At = LSN(binary.LittleEndian.Uint64(b)), time.Unix(0, int64(binary.LittleEndian.Uint64(b[8:]))).In(zone)
		r.Text = string(b[recordHeader:][:text])
		records = append(records, r)
		b = b[recordHeader+text+rest:]
	}
	return records, nil
}
