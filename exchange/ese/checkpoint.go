package ese

import (
	"bytes"
	"context"
	"errors"
	"io"
)

const typeCheckpoint = 4

// Checkpoint is what a checkpoint file says.
type Checkpoint struct {
	// At is where recovery begins: logs of older generations are in all databases.
	At Position
	// LastFullBackup is where it was at the last full backup.
	LastFullBackup Position
	// Signature is that of the logs.
	Signature Signature
	// FullBackup and IncrementalBackup are the last backups, and when they were.
	FullBackup, IncrementalBackup         Position
	FullBackupTime, IncrementalBackupTime Stamp
}

// MatchCheckpoint reports whether a file that begins with head, at least 4096 bytes, is a checkpoint whose first copy is whole.
func MatchCheckpoint(head []byte) bool {
	return len(head) >= headBytes && fields(head).u32(0) == xor32(head[:headBytes]) && fields(head).u32(atFileType) == typeCheckpoint
}

// VerifyCheckpoint reads a checkpoint file, which is 8192 bytes, and checks both copies of what it holds. Damage is a *CorruptError; the Checkpoint then has the copy that is whole, if one is. Other errors are those of r and ctx.
func VerifyCheckpoint(ctx context.Context, r io.Reader) (*Checkpoint, error) {
	b, err := readHead(ctx, r, 2*headBytes+1)
	if err != nil {
		return &Checkpoint{}, err
	}
	if len(b) != 2*headBytes {
		return &Checkpoint{}, &CorruptError{Offset: int64(min(len(b), 2*headBytes)), Bit: -1, What: "a checkpoint file has 8192 bytes, this one has not"}
	}
	first, second := MatchCheckpoint(b[:headBytes]), MatchCheckpoint(b[headBytes:])
	c := &Checkpoint{}
	var wrong []error
	if !first {
		wrong = append(wrong, &CorruptError{Bit: -1, What: "the first copy of the checkpoint is not one, or damaged"})
	}
	if !second {
		wrong = append(wrong, &CorruptError{Offset: headBytes, Bit: -1, What: "the second copy of the checkpoint is not one, or damaged"})
	}
	switch {
	case first:
		c.read(b)
	case second:
		c.read(b[headBytes:])
	}
	if first && second && !bytes.Equal(b[:headBytes], b[headBytes:]) && c.Signature != fields(b[headBytes:]).signature(20) {
		wrong = append(wrong, &CorruptError{Offset: headBytes, Bit: -1, What: "the second copy of the checkpoint is of other logs than the first"})
	}
	return c, errors.Join(wrong...)
}

// read reads a copy that is whole (4.3).
func (c *Checkpoint) read(f fields) {
	*c = Checkpoint{
		LastFullBackup: f.position(4), At: f.position(12), Signature: f.signature(20),
		FullBackup: f.position(615), FullBackupTime: f.stamp(623), IncrementalBackup: f.position(631), IncrementalBackupTime: f.stamp(639),
	}
}
