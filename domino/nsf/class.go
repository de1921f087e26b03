package nsf

import "fmt"

// Class is the kind of a file of Notes.
type Class uint16

const (
	// Database is a database, whatever its name ends in.
	Database Class = 0xFF01
	// Template is a database that others take their design from.
	Template Class = 0xFF04
)

// String is a word, or the number of a class that is not known here.
func (c Class) String() string {
	switch c {
	case Database:
		return "database"
	case Template:
		return "template"
	}
	return fmt.Sprintf("class 0x%04X", uint16(c))
}

// plausible reports whether it is a class at all: all that are known begin with FF.
func (c Class) plausible() bool { return c>>8 == 0xFF }
