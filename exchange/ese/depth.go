package ese

import "fmt"

// Depth is how far a file was checked, from weak to strong.
type Depth int

const (
	// Recognised: the file begins as one of the engine's. No more is said, which is so for every file with damage.
	Recognised Depth = iota
	// HeaderRead: the header is whole; nothing behind it was read, not even for its length.
	HeaderRead
	// Measured: the header is whole and the file has the length it should have. That is all that is known of streaming files (.stm) and of logs up to Exchange 2010.
	Measured
	// Summed: besides, every page or segment that was ever written has a checksum, which is right and is that of its place.
	Summed
)

// String is one word.
func (d Depth) String() string {
	switch d {
	case Recognised:
		return "recognised"
	case HeaderRead:
		return "header"
	case Measured:
		return "measured"
	case Summed:
		return "summed"
	}
	return fmt.Sprintf("Depth(%d)", int(d))
}

// MarshalText is [Depth.String].
func (d Depth) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
