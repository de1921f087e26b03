package dominosim

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"time"

	"github.com/quiesce-go/quiesce/domino/notes"
)

const (
	pageSize   = 4096
	pageHeader = 24
	// maxEntry is the room for keys and values on one page.
	maxEntry = pageSize - pageHeader
)

// image is a whole database file in memory.
type image struct {
	header
	body []byte // superblocks and pages
}

func newImage(h header, pages int) *image {
	m := &image{header: h, body: make([]byte, 2*superblockSize)}
	for i := range 2 {
		m.body[i*superblockSize] = 0x0E
	}
	for range pages {
		m.grow()
	}
	return m
}

// loadImage reads a file. Its header is sound, nothing else is promised.
func loadImage(path string) (*image, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notes.StatusNoExist
	}
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(b, int64(len(b)))
	if err != nil {
		return nil, err
	}
	return &image{header: h, body: b[len(h):]}, nil
}

func (m *image) clone() *image { return &image{bytes.Clone(m.header), bytes.Clone(m.body)} }

func (m *image) bytes() []byte { return append(bytes.Clone(m.header), m.body...) }

func (m *image) size() int64 { return int64(len(m.header) + len(m.body)) }

func (m *image) page(n int) []byte {
	at := 2*superblockSize + n*pageSize
	return m.body[at : at+pageSize : at+pageSize]
}

// grow adds an empty page.
func (m *image) grow() {
	n := m.header.pages()
	m.body = append(m.body[:2*superblockSize+n*pageSize], make([]byte, pageSize)...)
	p := m.page(n)
	copy(p, "QPG1")
	le.PutUint32(p[4:], uint32(n))
	sealPage(p)
	le.PutUint32(m.header[atPages:], uint32(n+1))
	le.PutUint64(m.header[atSum:], m.sum()+pageSum(p))
	le.PutUint32(m.header[atSize:], uint32(m.size()/256))
}

// change gives page n a new payload, written by the transaction lsn.
func (m *image) change(n int, payload []byte, lsn uint64) {
	p := m.page(n)
	sum := m.sum() - pageSum(p)
	clear(p[pageHeader:])
	copy(p[pageHeader:], payload)
	le.PutUint64(p[8:], lsn)
	le.PutUint32(p[20:], uint32(len(payload)))
	sealPage(p)
	le.PutUint64(m.header[atSum:], sum+pageSum(p))
}

func (m *image) payload(n int) []byte {
	p := m.page(n)
	return p[pageHeader : pageHeader+int(le.Uint32(p[20:]))]
}

func sealPage(p []byte) {
	clear(p[16:20])
	le.PutUint32(p[16:], crc32.ChecksumIEEE(p))
}

// pageSum is what a page adds to the sum over all pages in the header, by which a mixture of old and new pages is told from a state.
func pageSum(p []byte) uint64 { return uint64(crc32.ChecksumIEEE(p)) * 0x9E3779B97F4A7C15 }

// apply does a transaction to the image.
func (m *image) apply(ops []Op, lsn uint64, at time.Time) {
	for _, op := range ops {
		m.remove(op.Key, lsn)
		if !op.Delete {
			m.put(op.Key, op.Value, lsn)
		}
	}
	le.PutUint64(m.header[atLSN:], lsn)
	date := timedate(at)
	copy(m.header[atModified:], date[:])
	copy(m.header[atBucket:], date[:])
	m.seal()
}

func (m *image) remove(key string, lsn uint64) {
	for n := range m.header.pages() {
		payload := m.payload(n)
		for at := 0; at < len(payload); {
			k, end := entry(payload, at)
			if k == key {
				m.change(n, append(bytes.Clone(payload[:at]), payload[end:]...), lsn)
				return
			}
			at = end
		}
	}
}

// put adds the entry to the first page that has room for it.
func (m *image) put(key, value string, lsn uint64) {
	e := make([]byte, 4, 4+len(key)+len(value))
	le.PutUint16(e, uint16(len(key)))
	le.PutUint16(e[2:], uint16(len(value)))
	e = append(append(e, key...), value...)
	for n := 0; ; n++ {
		if n == m.header.pages() {
			m.grow()
		}
		if payload := m.payload(n); len(payload)+len(e) <= maxEntry {
			m.change(n, append(bytes.Clone(payload), e...), lsn)
			return
		}
	}
}

// entry returns the key at an offset of a payload and where the next entry begins.
func entry(payload []byte, at int) (key string, end int) {
	klen, vlen := int(le.Uint16(payload[at:])), int(le.Uint16(payload[at+2:]))
	return string(payload[at+4 : at+4+klen]), at + 4 + klen + vlen
}

// contents are all keys and values.
func (m *image) contents() map[string]string {
	all := map[string]string{}
	for n := range m.header.pages() {
		payload := m.payload(n)
		for at := 0; at < len(payload); {
			k, end := entry(payload, at)
			all[k] = string(payload[at+4+len(k) : end])
			at = end
		}
	}
	return all
}

// check proves that the file is one state of its database.
func (m *image) check() error {
	if want := 2*superblockSize + m.header.pages()*pageSize; len(m.body) < want {
		return inconsistent("%d pages announced, room for fewer", m.header.pages())
	}
	var sum uint64
	for n := range m.header.pages() {
		p := m.page(n)
		crc := le.Uint32(p[16:])
		copied := bytes.Clone(p)
		sealPage(copied)
		if string(p[:4]) != "QPG1" || int(le.Uint32(p[4:])) != n || crc != le.Uint32(copied[16:]) {
			return inconsistent("page %d is damaged", n)
		}
		if !soundPayload(p) {
			return inconsistent("page %d has entries that lead outside of it", n)
		}
		sum += pageSum(p)
	}
	if sum != m.sum() {
		return inconsistent("its pages are of different moments")
	}
	if m.backup() && m.lsn() != m.backupLSN() {
		return inconsistent("it is a backup that lacks its change information")
	}
	return nil
}

func soundPayload(p []byte) bool {
	n := le.Uint32(p[20:])
	if n > maxEntry {
		return false
	}
	payload := p[pageHeader : pageHeader+n]
	at := 0
	for at < len(payload) {
		if at+4 > len(payload) {
			return false
		}
		at += 4 + int(le.Uint16(payload[at:])) + int(le.Uint16(payload[at+2:]))
	}
	return at == len(payload)
}

// File is what ReadFile found in a database file.
type File struct {
	Title       string
	Contents    map[string]string
	Logged      bool
	Backup      bool // a recoverable backup, as NSFBackupStart made it
	LogID       notes.UNID
	DBIID       notes.UNID
	Replica     [8]byte
	FirstExtent uint32    // of a backup: the extent that its recovery begins with
	BackupTime  time.Time // of a backup: when it began
}

// ReadFile reads a database file, wherever it is, and proves that it is one state of its database. It changes nothing and does not ask whether a server uses the file.
func ReadFile(path string) (File, error) {
	m, err := loadImage(path)
	if err != nil {
		return File{}, fmt.Errorf("%s: %w", path, err)
	}
	if err := m.check(); err != nil {
		return File{}, fmt.Errorf("%s: %w", path, err)
	}
	title, _, _ := bytes.Cut(m.header[atTitle:atTitle+titleSize], []byte{0})
	f := File{Title: string(title), Contents: maps.Clone(m.contents()), Logged: m.logged(), Backup: m.backup(), LogID: m.logID(), DBIID: m.dbiid(), Replica: [8]byte(m.header[atReplica : atReplica+8])}
	if f.Backup {
		f.FirstExtent, f.BackupTime = uint32(m.backupPos()>>32), m.backupTime()
	}
	return f, nil
}
