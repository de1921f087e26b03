package nsf

import (
	"fmt"

	"github.com/quiesce-go/quiesce/backup"
)

// CorruptError is one thing that is wrong with a file. It wraps backup.ErrCorrupt.
type CorruptError struct {
	// Offset is where, in bytes from the start of the file.
	Offset int64
	// What is wrong there, in words.
	What string
}

// Error reads "byte 560: superblock 1 begins at byte 0, inside the header".
func (e *CorruptError) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.What) }

// Unwrap returns backup.ErrCorrupt.
func (e *CorruptError) Unwrap() error { return backup.ErrCorrupt }

// Hint says what an operator can do.
func (e *CorruptError) Hint() string {
	return "back the database up again; if that is damaged too, run fixup on it at the server, and take a full backup of it afterwards, since fixup gives it a new DBIID"
}
