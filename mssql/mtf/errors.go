package mtf

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

// Error reads "byte 7680: the header of the block MSDA has checksum 0x1234, want 0x4321".
func (e *CorruptError) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.What) }

// Unwrap returns backup.ErrCorrupt.
func (e *CorruptError) Unwrap() error { return backup.ErrCorrupt }

// Hint says what an operator can do.
func (e *CorruptError) Hint() string {
	return "copy the file again from where the server wrote it; if that is damaged too, take a full backup now"
}

func corrupt(offset int64, format string, args ...any) error {
	return &CorruptError{Offset: offset, What: fmt.Sprintf(format, args...)}
}
