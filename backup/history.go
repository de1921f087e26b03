package backup

import "time"

// Backup is a manifest with what was learned about it since.
type Backup struct {
	Manifest
	// Proof is the highest level earned, in the manifest or since.
	Proof Proof `json:"proof"`
	// Damaged is why a verification failed; empty when none did. A damaged backup serves no window and no plan.
	Damaged string `json:"damaged,omitempty"`
	// Held is the reason of a legal hold; empty when there is none. A held backup is never pruned.
	Held string `json:"held,omitempty"`
}

// History is what is known of a job's backups, oldest first. It comes from headers only.
type History []Backup

// Find returns the backup of that id.
func (h History) Find(id ID) (Backup, bool) {
	for _, b := range h {
		if b.ID == id {
			return b, true
		}
	}
	return Backup{}, false
}

// Span is a stretch of time an item can be restored to: every moment of it where PointInTime holds, else From and To alone, which are then equal.
type Span struct {
	Window
	PointInTime bool `json:"point_in_time,omitempty"`
}

// Gap is a stretch between spans, with the reason.
type Gap struct {
	Window
	Why string `json:"why"`
}

// Coverage is what can be restored of one item.
type Coverage struct {
	Item  string `json:"item"`
	Spans []Span `json:"spans"` // ascending, disjoint
	Gaps  []Gap  `json:"gaps"`  // what lies between neighbouring spans
}

// Policy says which backups to keep. The zero Policy keeps everything. A backup stays when any rule wants it, or when a backup
// that stays needs it for its chain.
type Policy struct {
	// Window keeps every time within it restorable, as far as it is now.
	Window time.Duration `json:"window,omitempty"`
	// Last keeps the newest n fulls of every item with their chains.
	Last int `json:"last,omitempty"`
	// Hourly to Yearly keep the newest restorable full of so many past periods that have one, in Location.
	Hourly  int `json:"hourly,omitempty"`
	Daily   int `json:"daily,omitempty"`
	Weekly  int `json:"weekly,omitempty"`
	Monthly int `json:"monthly,omitempty"`
	Yearly  int `json:"yearly,omitempty"`
	// Location is the time zone of days, weeks (ISO) and so on; nil means UTC.
	Location *time.Location `json:"-"`
	// MinProof is what a backup must have earned to fill a rule; nil means ProofBytes. What is proven less
	// is kept beside it, and never the reason why something older goes.
	MinProof *Proof `json:"min_proof,omitempty"`
}

// PrunePlan is what a prune would do.
type PrunePlan struct {
	Remove []ID   `json:"remove"`
	Keep   []Kept `json:"keep"`
}

// Kept is a backup that stays, with the reasons.
type Kept struct {
	ID      ID       `json:"id"`
	Because []string `json:"because"`
}
