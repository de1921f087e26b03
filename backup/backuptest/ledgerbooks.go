package backuptest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Books is a state of a Ledger: its databases by name.
type Books map[string]Book

// Book is the content of one database.
type Book struct {
	Balances map[string]int64 `json:"balances"`
	// Seed and Ballast name the deterministic content: so many bytes grown from that seed.
	Seed    uint64 `json:"seed"`
	Ballast int64  `json:"ballast"`
	// File is the SHA-256 of the file attached to the database, in hex; empty when there is none.
	File string `json:"file,omitempty"`
}

// Names are the databases, sorted.
func (b Books) Names() []string { return slices.Sorted(maps.Keys(b)) }

// Only is b limited to some databases.
func (b Books) Only(names ...string) Books {
	c := Books{}
	for _, n := range names {
		if book, ok := b[n]; ok {
			c[n] = book
		}
	}
	return c
}

// Sum is the total of all balances. Transfers leave it alone.
func (b Books) Sum() int64 {
	var sum int64
	for _, book := range b {
		for _, v := range book.Balances {
			sum += v
		}
	}
	return sum
}

// Fingerprint is equal for equal states.
func (b Books) Fingerprint() string {
	text, err := json.Marshal(b) // maps are written with sorted keys
	if err != nil {
		panic(fmt.Sprintf("ledger: %v", err)) // strings and integers always encode
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))
}

// Equal reports whether both are the same state.
func (b Books) Equal(c Books) bool { return b.Fingerprint() == c.Fingerprint() }

// Diff describes the first difference, or is empty.
func (b Books) Diff(c Books) string {
	for _, n := range slices.Sorted(maps.Keys(b)) {
		other, ok := c[n]
		if !ok {
			return fmt.Sprintf("database %s is missing", n)
		}
		if d := b[n].diff(other); d != "" {
			return fmt.Sprintf("database %s: %s", n, d)
		}
	}
	for _, n := range c.Names() {
		if _, ok := b[n]; !ok {
			return fmt.Sprintf("database %s is too many", n)
		}
	}
	return ""
}

func (b Book) diff(c Book) string {
	if b.Seed != c.Seed || b.Ballast != c.Ballast {
		return fmt.Sprintf("ballast %x/%d, got %x/%d", b.Seed, b.Ballast, c.Seed, c.Ballast)
	}
	if b.File != c.File {
		return fmt.Sprintf("attached file %.12s, got %.12s", b.File, c.File)
	}
	for a, v := range b.Balances {
		if w, ok := c.Balances[a]; !ok || v != w {
			return fmt.Sprintf("account %s holds %d, got %d", a, v, w)
		}
	}
	if len(b.Balances) != len(c.Balances) {
		return fmt.Sprintf("%d accounts, got %d", len(b.Balances), len(c.Balances))
	}
	return ""
}

func accountName(n int) string { return fmt.Sprintf("acc%05d", n) }

// mix is the finalizer of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014): a cheap hash of small numbers.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// ballastBlock is the unit the deterministic content repeats its character in.
const ballastBlock = 64 << 10

// fillBallast writes the content from off on into p. Half of every block is text-like and compresses, half is noise.
func fillBallast(p []byte, seed uint64, off int64) {
	for off%8 != 0 && len(p) > 0 {
		p[0] = byte(ballastWord(seed, off) >> (off % 8 * 8))
		p, off = p[1:], off+1
	}
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, ballastWord(seed, off))
		p, off = p[8:], off+8
	}
	for i := range p {
		p[i] = byte(ballastWord(seed, off) >> (i * 8))
	}
}

// ballastWord is the content at off, rounded down to eight bytes.
func ballastWord(seed uint64, off int64) uint64 {
	word := mix(seed ^ uint64(off)>>3)
	if off%ballastBlock < ballastBlock/2 {
		word = word&0x0303030303030303 | 0x6060606060606060
	}
	return word
}
