package backup

import "time"

// Target says what to restore and to when. The zero Target is everything, to the latest state.
type Target struct {
	// Time to return to, by the application's clock. Zero means the latest.
	Time time.Time `json:"time,omitzero"`
	// ID, when set, returns to the end of exactly this backup instead.
	ID ID `json:"id,omitempty"`
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
	// Refused says what cannot be restored and why. A plan with refusals is not executed.
	Refused []Refusal `json:"refused,omitempty"`
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
	Proof Proof     `json:"proof"`
}

// Refusal is one thing that cannot be restored.
type Refusal struct {
	Name string `json:"name"` // item or object
	Why  string `json:"why"`
}
