package blockfile

import "fmt"

// Depth is how far a file was checked, from weak to strong.
type Depth int

const (
	// Recognised: the file begins as one of its kind. No more is said, which is so for every file with damage.
	Recognised Depth = iota
	// Measured: the header is whole and the file has the length that its header gives it. Control files are checked no further.
	Measured
	// Walked: every block stands in its place, and those that have a checksum have the right one. Some have none, or are fractured, as in a hot copy.
	Walked
	// Summed: every block that was ever written has a checksum, and it is right.
	Summed
)

// String is one word.
func (d Depth) String() string {
	switch d {
	case Recognised:
		return "recognised"
	case Measured:
		return "measured"
	case Walked:
		return "walked"
	case Summed:
		return "summed"
	}
	return fmt.Sprintf("Depth(%d)", int(d))
}
