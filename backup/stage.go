package backup

import (
	"context"
	"errors"
)

// Stage takes the artifacts of one run from its Source. It cuts them into parts and hands these on, to a directory
// when the job has a Stager or straight to the part workers when it streams; shipping goes on while the Source still writes.
// Its methods may be called from many goroutines. When the target or the stage fails for good, or ctx ends, they return that error;
// the Source then undoes its work and returns.
type Stage struct {
	_ struct{}
}

// Streaming reports whether artifacts pass through without a file. Reserve then fails with ErrNoPath.
func (st *Stage) Streaming() bool { return false }

// Dir is the staging directory, for sources that ask a server to write there; zero while streaming.
func (st *Stage) Dir() StageDir { return StageDir{} }

// Create begins an artifact whose bytes pass through this process. Writes block while the stage is full or, when streaming, while
// the workers are busy. A Create in flight holds up to one part in memory when streaming.
func (st *Stage) Create(ctx context.Context, a Artifact) (*Writer, error) {
	return nil, errors.ErrUnsupported
}

// Reserve begins an artifact that the server, or a tool, writes itself as one file. size is the space it will need, as well as the Source knows; the
// call waits until the quota has that much room and fails with ErrStageFull when it never can. The file does not exist yet.
func (st *Stage) Reserve(ctx context.Context, a Artifact, size int64) (*Slot, error) {
	return nil, errors.ErrUnsupported
}

// Import takes a file that exists and belongs to the application. When it returns, the file has been copied (as a reflink
// where the file system can) or sent, and may change or go.
func (st *Stage) Import(ctx context.Context, a Artifact, path string) error {
	return errors.ErrUnsupported
}

// Writer is an artifact being written. Not for concurrent use.
type Writer struct{ _ struct{} }

// Write adds to the artifact.
func (w *Writer) Write(p []byte) (int, error) { return 0, errors.ErrUnsupported }

// Annotate adds to the artifact's Meta, for facts known only once it was written, such as a row count. Call it before Commit.
func (w *Writer) Annotate(key, value string) {}

// Commit keeps the artifact. After an error it is discarded.
func (w *Writer) Commit() error { return errors.ErrUnsupported }

// Close discards the artifact unless it was committed. It is idempotent, so `defer w.Close()` is always right.
func (w *Writer) Close() error { return nil }

// Slot is an artifact that somebody else writes as a file.
type Slot struct {
	// Path is the file as this process sees it, ServerPath as the server does.
	Path, ServerPath string
}

// Annotate adds to the artifact's Meta. Call it before Commit.
func (s *Slot) Annotate(key, value string) {}

// Commit keeps the file, which must now be complete.
func (s *Slot) Commit() error { return errors.ErrUnsupported }

// Close discards the file unless it was committed. It is idempotent.
func (s *Slot) Close() error { return nil }
