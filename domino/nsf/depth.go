package nsf

import "fmt"

// Depth is how far a file was checked, from weak to strong.
type Depth int

const (
	// Recognised: the file begins as a database. No more is said, which is so for every file with damage, and for structures that are not known here.
	Recognised Depth = iota
	// Measured: the header fits its structure, both superblocks are in place, and the file is as long as the header says. Only Notes itself reads further.
	Measured
)

// String is one word.
func (d Depth) String() string {
	switch d {
	case Recognised:
		return "recognised"
	case Measured:
		return "measured"
	}
	return fmt.Sprintf("Depth(%d)", int(d))
}
