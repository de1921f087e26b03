package backup

import (
	"context"
	"errors"
	"io"
	"iter"
)

// RestoreSet is the material of a restore: the steps of a plan with their artifacts, read back and verified.
// Its methods may be called from many goroutines.
type RestoreSet struct{ _ struct{} }

// RestoreStep is one step of a plan with the manifest it comes from.
type RestoreStep struct {
	PlanStep
	Manifest *Manifest
	// Entries are the artifacts of the step's item, in the order they were committed.
	Entries []Entry
}

// Steps yields the steps in the order they must be applied.
func (set *RestoreSet) Steps() iter.Seq2[int, *RestoreStep] { return nil }

// Len is the number of steps.
func (set *RestoreSet) Len() int { return 0 }

// Find returns the artifact of that name in the step.
func (s *RestoreStep) Find(name string) (Entry, bool) {
	for _, e := range s.Entries {
		if e.Name == name {
			return e, true
		}
	}
	return Entry{}, false
}

// Open streams an artifact. Every part is checked against its digest before a byte of it is handed out, and the whole against the artifact's digest before io.EOF. Parts ahead are fetched in parallel.
// Damage is an error that wraps ErrCorrupt. The caller closes the reader.
func (set *RestoreSet) Open(ctx context.Context, s *RestoreStep, e Entry) (io.ReadCloser, error) {
	return nil, errors.ErrUnsupported
}

// Fetch brings an artifact to a file that a server can read, under its name in the set's staging directory, and returns where. It fails with ErrNoPath when the set has no directory.
func (set *RestoreSet) Fetch(ctx context.Context, s *RestoreStep, e Entry) (FetchedFile, error) {
	return FetchedFile{}, errors.ErrUnsupported
}

// FetchedFile is an artifact as a file: Path for us, ServerPath for the server. Release removes it.
type FetchedFile struct {
	Path, ServerPath string
}
