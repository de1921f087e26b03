package backup

import "time"

// Target says what to restore and to when. The zero Target is everything, to the latest state.
type Target struct {
	// Time to return to, by the application's clock. Zero means the latest.
	Time time.Time `json:"time,omitzero"`
	// ID, when set, returns to the end of exactly this backup instead.
	ID ID `json:"id,omitempty"`
	// Position, when set, returns the one item selected to the state just before what stands there in its log, or with After just behind it. Neither Time
	// nor ID may be set then. What people write for a place in the log becomes a position by Pipeline.Locate.
	Position Position `json:"position,omitempty"`
	// Stream is the one Position is in; empty means the newest that covers it.
	Stream string `json:"stream,omitempty"`
	After  bool   `json:"after,omitempty"`
	// Select limits the restore to some items, or objects inside items. Empty means all items.
	Select []Selection `json:"select,omitempty"`
	// MinProof refuses steps from backups proven less than this.
	MinProof Proof `json:"min_proof,omitempty"`
}

// Selection names an item, or one of an item's Objects, to restore.
type Selection struct {
	Name string `json:"name"`
	// As is the name to restore it under; empty means its own.
	As string `json:"as,omitempty"`
}

// RestorePlan is what a restore would do. It is computed from headers alone and touches nothing.
type RestorePlan struct {
	Job    string     `json:"job"`
	Target Target     `json:"target"`
	Steps  []PlanStep `json:"steps"`
	// Refused says what cannot be restored and why. A plan with refusals is not executed; see Err.
	Refused []Refusal `json:"refused,omitempty"`
	// Skipped are items that a restore of everything leaves out, because they did not exist at the target, with how that is known, or because of Item.ByName.
	// They are no refusals. A plan with a selection skips nothing.
	Skipped []Refusal `json:"skipped,omitempty"`
	// Notes are sentences about choices that were made, for people.
	Notes []string `json:"notes,omitempty"`
}

// PlanStep applies one item of one backup. Steps of an item stand in the order they are applied.
type PlanStep struct {
	ID ID `json:"id"`
	// Item is the record as it stands in the manifest.
	Item Item `json:"item"`
	// For are the selected items or objects this step serves; for a shared log that is not only Item.Name.
	For []string `json:"for"`
	// Until is the time this step stops at; zero means at its end. Only log links have it.
	Until time.Time `json:"until,omitzero"`
	// UntilPosition is the position this step stops at, before or after what stands there as Target.After says; empty means at its end. Only log links have it.
	UntilPosition Position `json:"until_position,omitempty"`
	Proof         Proof    `json:"proof"`
}

// Refusal is one thing that cannot be restored.
type Refusal struct {
	Name  string `json:"name"` // item or object; empty for the whole job
	Cause Cause  `json:"cause"`
	Why   string `json:"why"` // for people: with the ids, times and positions concerned
}

// Cause says for programs why something cannot be restored.
type Cause string

const (
	// CauseUnknown: no item, object or backup of that name.
	CauseUnknown Cause = "unknown"
	// CauseAmbiguous: an object of that name is in several items, or the target as a whole names no single state.
	CauseAmbiguous Cause = "ambiguous"
	// CauseAbsent: it did not exist at the target, or not in the backup asked for.
	CauseAbsent Cause = "absent"
	// CauseByName: a restore of everything leaves it out.
	CauseByName Cause = "by name"
	// CauseFailed: the item failed in the backup asked for, or in all of them.
	CauseFailed Cause = "failed"
	// CauseNoFull: nothing is left to start from.
	CauseNoFull Cause = "no full"
	// CauseTooOld: the target lies before the oldest restorable time.
	CauseTooOld Cause = "too old"
	// CauseTooNew: the target lies after the newest restorable time.
	CauseTooNew Cause = "too new"
	// CauseBetween: the target lies between two moments that are restorable, without a log of the time between them.
	CauseBetween Cause = "between"
	// CauseGap: a part of the log is missing.
	CauseGap Cause = "gap"
	// CauseDamaged: every chain to the target needs a damaged backup.
	CauseDamaged Cause = "damaged"
	// CauseUnproven: every chain to the target needs a backup proven less than Target.MinProof.
	CauseUnproven Cause = "unproven"
)
