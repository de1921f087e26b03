package binlog

import (
	"fmt"

	"github.com/quiesce-go/quiesce/backup"
)

// CorruptError is damage in a binary log. It wraps backup.ErrCorrupt.
type CorruptError struct {
	// Offset is where the event with the damage begins, in bytes from the start of the file or piece.
	Offset int64
	// What is wrong there, in words.
	What string
}

// Error reads "byte 4711: the checksum of the event is wrong".
func (e *CorruptError) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.What) }

// Hint says what an operator can do.
func (e *CorruptError) Hint() string {
	return "restore to a time before it; or fetch the file again while the server still has it"
}

// Unwrap returns backup.ErrCorrupt.
func (e *CorruptError) Unwrap() error { return backup.ErrCorrupt }
