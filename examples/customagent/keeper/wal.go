package keeper

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"os"
)

// mark is a place in a write-ahead log: the end of a commit. Its seal, the salts and the running checksum of the frame there, tells whether
// it is still the same log. The zero mark is the beginning of an empty one.
type mark struct {
	frame int64
	seal  string
}

// salt counts the times a log was begun anew.
func (m mark) salt() uint32 { return binary.BigEndian.Uint32([]byte(m.seal + "\x00\x00\x00\x00")) }

// wal is what was committed to a write-ahead log. "WAL-mode File Format" in the documentation of SQLite describes the file.
type wal struct {
	mark                    // the end of the last commit
	found bool              // whether the log holds the mark that was looked for
	pages map[uint32][]byte // the newest image of each page committed after that mark
	size  uint32            // pages of the database at the last commit
}

// readWAL reads the log at path and looks for a mark in it. Frames after the last commit, or with a wrong salt or checksum, are what a
// transaction in progress, an earlier log or a crash left there: they do not count.
func readWAL(path string, from mark) (wal, error) {
	w := wal{pages: make(map[uint32][]byte)}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return w, nil
	}
	if err != nil || len(b) < 32 {
		return w, err
	}
	word := binary.BigEndian.Uint32
	head, frame := b[:32], 24+int(word(b[8:]))
	sum := checksum{order: binary.ByteOrder(binary.LittleEndian)}
	if word(head)&1 == 1 {
		sum.order = binary.BigEndian
	}
	if sum.add(head[:24]); word(head)&^1 != 0x377f0682 || sum.text() != string(head[24:]) {
		return w, nil
	}
	pending := make(map[uint32][]byte)
	frames := int64(0)
	for b = b[32:]; len(b) >= frame; b = b[frame:] {
		sum.add(b[:8])
		sum.add(b[24:frame])
		frames++
		seal := string(head[16:24]) + sum.text()
		if string(b[8:24]) != seal {
			break
		}
		pending[word(b)] = b[24:frame]
		if size := word(b[4:]); size > 0 { // a commit
			maps.Copy(w.pages, pending)
			clear(pending)
			w.mark, w.size = mark{frames, seal}, size
			if w.mark == from {
				w.found = true
				clear(w.pages)
			}
		}
	}
	return w, nil
}

// checksum is that of the format: two sums over pairs of words, in the byte order that the log's first word names.
type checksum struct {
	order  binary.ByteOrder
	s1, s2 uint32
}

func (c *checksum) add(b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		c.s1 += c.order.Uint32(b) + c.s2
		c.s2 += c.order.Uint32(b[4:]) + c.s1
	}
}

func (c *checksum) text() string {
	return string(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, c.s1), c.s2))
}
