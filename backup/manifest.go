package backup

import "time"

// FormatVersion is the version of the layout and manifest this package writes. It reads all versions up to it.
const FormatVersion = 1

// Manifest is the header of one backup, written last. No manifest, no backup. It is small plain JSON; the artifacts are listed
// in a separate entries object. doc/format.md describes both.
type Manifest struct {
	Format      int    `json:"format"`
	ID          ID     `json:"id"`
	Job         string `json:"job"`
	Application string `json:"application"`
	Instance    string `json:"instance"`
	// Kind is the kind the run was asked for; what each item became stands in Items.
	Kind Kind `json:"kind"`
	// Options are those the run was asked with, as the agent documents them.
	Options  map[string]string `json:"options,omitempty"`
	Started  time.Time         `json:"started"`  // our clock, for display only
	Finished time.Time         `json:"finished"` // our clock, for display only
	Items    []Item            `json:"items"`

	Artifacts   int   `json:"artifacts"`
	Parts       int   `json:"parts"`
	PartSize    int64 `json:"part_size"`    // bytes of an artifact in a part; the last part of an artifact is shorter
	Bytes       int64 `json:"bytes"`        // content of all artifacts
	StoredBytes int64 `json:"stored_bytes"` // the same as parts at the target

	// Suffix is what the sealers appended to the keys of parts and entries, such as ".zst.age".
	Suffix string `json:"suffix,omitempty"`
	// Entries and Sums are the digests of the two listing objects as stored.
	Entries ObjectRef `json:"entries"`
	Sums    ObjectRef `json:"sums"`

	// Proof is how far the backup was checked before the manifest was written; later proofs are objects of their own.
	Proof Proof `json:"proof"`
	// Fence is the number of the lease under which this was written; it only grows within a job.
	Fence uint64 `json:"fence"`
	// Previous links the headers of a job into a chain.
	Previous *PreviousRef `json:"previous,omitempty"`
	// Untaken names items that existed and are not in Items.
	Untaken []string `json:"untaken,omitempty"`
	// Resumed says that the run was interrupted and completed from its stage.
	Resumed bool `json:"resumed,omitempty"`

	Meta     map[string]string `json:"meta,omitempty"`
	Warnings []string          `json:"warnings,omitempty"`

	// Self is the SHA-256 of this object with these 64 digits as zeros. Positions, times and digests decide what a restore does, so a header that changed
	// by one bit is damaged.
	Self Digest `json:"self"`

	// Abandoned, when set, makes this a tombstone: the run died and must never be published. Readers skip it.
	Abandoned string `json:"abandoned,omitempty"`
}

// ObjectRef names an object by its digest as stored.
type ObjectRef struct {
	Size   int64  `json:"size"`
	SHA256 Digest `json:"sha256"`
}

// PreviousRef is the header before this one in the job.
type PreviousRef struct {
	ID     ID     `json:"id"`
	SHA256 Digest `json:"sha256"`
}

// Item returns the item of that name.
func (m *Manifest) Item(name string) (Item, bool) {
	for _, it := range m.Items {
		if it.Name == name {
			return it, true
		}
	}
	return Item{}, false
}

// Partial reports whether some items failed.
func (m *Manifest) Partial() bool {
	for _, it := range m.Items {
		if it.Failed() {
			return true
		}
	}
	return false
}

// Err returns an *ItemErrors when the backup is partial, else nil.
func (m *Manifest) Err() error {
	e := &ItemErrors{Total: len(m.Items)}
	for _, it := range m.Items {
		if it.Failed() {
			e.Failed = append(e.Failed, ItemError{it.Name, textError(it.Error)})
		}
	}
	if len(e.Failed) == 0 {
		return nil
	}
	return e
}

type textError string

func (e textError) Error() string { return string(e) }

// Entry describes one artifact in the entries object.
type Entry struct {
	Artifact
	Size   int64  `json:"size"`
	SHA256 Digest `json:"sha256"` // of the content
	// Key is the directory of the parts below the run: a cleaned form of the name, unique in the run without regard to case.
	Key   string      `json:"key"`
	Parts []EntryPart `json:"parts"`
}

// EntryPart describes one part of an artifact.
type EntryPart struct {
	Size   int64  `json:"size"`   // content
	Stored int64  `json:"stored"` // as it lies at the target
	SHA256 Digest `json:"sha256"` // as it lies at the target
}
