package mtf

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
)

// LSN is a log sequence number: a place in a database's transaction log. The zero value means none.
type LSN struct {
	VLF   uint32 // virtual log file
	Block uint32 // log block in it
	Slot  uint16 // record in the block
}

// lsnSize is how many bytes an LSN takes in a file (7.9 SCIN, observed).
const lsnSize = 10

func decodeLSN(b []byte) LSN {
	return LSN{VLF: binary.LittleEndian.Uint32(b), Block: binary.LittleEndian.Uint32(b[4:]), Slot: binary.LittleEndian.Uint16(b[8:])}
}

// String is the decimal number that RESTORE HEADERONLY and msdb show, such as 25000000011600037; "0" is none.
func (l LSN) String() string {
	if l.VLF == 0 {
		return fmt.Sprint(uint64(l.Block)*slots + uint64(l.Slot))
	}
	return fmt.Sprintf("%d%010d%05d", l.VLF, l.Block, l.Slot)
}

// slots and blocks are the decimal places of an LSN's parts: slot below 10^5, block below 10^10 (section 4, observed).
const (
	slots  = 100_000
	blocks = 10_000_000_000
)

// ParseLSN reads the decimal form. It is an error when the number is not one that String makes.
func ParseLSN(s string) (LSN, error) {
	n, ok := new(big.Int).SetString(s, 10)
	if !ok || n.Sign() < 0 {
		return LSN{}, fmt.Errorf("LSN %q is not a decimal number", s)
	}
	var slot, block big.Int
	n.DivMod(n, big.NewInt(slots), &slot)
	n.DivMod(n, big.NewInt(blocks), &block)
	if !n.IsUint64() || n.Uint64() > math.MaxUint32 || block.Uint64() > math.MaxUint32 || slot.Uint64() > math.MaxUint16 {
		return LSN{}, fmt.Errorf("LSN %q is out of range", s)
	}
	return LSN{VLF: uint32(n.Uint64()), Block: uint32(block.Uint64()), Slot: uint16(slot.Uint64())}, nil
}

// Compare is negative when l lies before o in the log, positive when after.
func (l LSN) Compare(o LSN) int {
	return cmp.Or(cmp.Compare(l.VLF, o.VLF), cmp.Compare(l.Block, o.Block), cmp.Compare(l.Slot, o.Slot))
}

// IsZero reports whether l is none.
func (l LSN) IsZero() bool { return l == LSN{} }

// MarshalText gives the decimal form.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads the decimal form.
func (l *LSN) UnmarshalText(b []byte) error {
	v, err := ParseLSN(string(b))
	if err == nil {
		*l = v
	}
	return err
}
