package exchange

import (
	"context"
	"time"
)

// Shadows makes snapshots with the writer of Exchange taking part. The agent's own is Diskshadow; one that speaks to VSS itself can stand in its place.
type Shadows interface {
	// Create makes a snapshot. When it returns an error nothing is left behind.
	Create(ctx context.Context, r ShadowRequest) (Shadow, error)
	// Remove ends what a dead run left, by its ShadowRequest.Note. What is gone already is no error.
	Remove(ctx context.Context, note []byte) error
}

// ShadowRequest is what a snapshot is to hold.
type ShadowRequest struct {
	// Files are paths on the server, of files and folders, whose volumes must be in the snapshot.
	Files []string
	// Include are the groups that are backed up, Exclude those of the same server that are not: their logs must stay.
	Include, Exclude []Group
	// Major is the version of the server, as in Layout.
	Major int
	// Copy asks for a snapshot after which no log is ever truncated.
	Copy bool
	// WorkDir is a directory of the run for scripts and metadata, which exists.
	WorkDir string
	// Note is called, before anything is made that outlives the process, with what Remove needs to end it, and again when more is known. The snapshot is given up when it fails.
	Note func(note []byte) error
}

// Shadow is a snapshot of a server. Exactly one of Complete and Abort ends it; both are idempotent and leave no snapshot behind.
type Shadow interface {
	// Time is when the snapshot was made, by the clock of the server.
	Time() time.Time
	// Path is where a file of the server, by its path, is in the snapshot.
	Path(live string) (string, error)
	// Complete tells the writer that the backup is safe, after which Exchange truncates logs.
	Complete(ctx context.Context) error
	// Abort tells it that it is not.
	Abort(ctx context.Context) error
}
