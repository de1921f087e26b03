package agent

import (
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// Action is something a job does.
type Action string

const (
	ActionBackup   Action = "backup"
	ActionVerify   Action = "verify"
	ActionRehearse Action = "rehearse"
	ActionPrune    Action = "prune"
	ActionRestore  Action = "restore"
)

// Outcome is how an action ended.
type Outcome string

const (
	OutcomeOK        Outcome = "ok"
	OutcomePartial   Outcome = "partial"   // a backup exists, some items failed
	OutcomeFailed    Outcome = "failed"    // nothing was gained; in a verify: damage was found
	OutcomeRefused   Outcome = "refused"   // no plan for that time, or a person said no; nothing was touched
	OutcomeBusy      Outcome = "busy"      // another run holds the job
	OutcomeCancelled Outcome = "cancelled" // the context ended
)

// Record is what happened in one action, as state, log, hooks, notifiers and `--json` show it.
type Record struct {
	Job         string      `json:"job"`
	Action      Action      `json:"action"`
	Outcome     Outcome     `json:"outcome"`
	Application string      `json:"application,omitempty"`
	Instance    string      `json:"instance,omitempty"`
	Asked       backup.Kind `json:"asked,omitempty"`     // the kind the schedule or the caller asked for
	Kind        backup.Kind `json:"kind,omitempty"`      // the kind that was run
	Reason      string      `json:"reason,omitempty"`    // why Kind is not Asked
	ID          backup.ID   `json:"id,omitempty"`        // the backup made
	Scheduled   time.Time   `json:"scheduled,omitzero"`  // when the schedule wanted it; zero when asked for by hand
	CaughtUp    bool        `json:"caught_up,omitempty"` // the schedule's time had passed while no agent ran
	Started     time.Time   `json:"started"`
	Finished    time.Time   `json:"finished"`
	Error       string      `json:"error,omitempty"`
	Hint        string      `json:"hint,omitempty"`
	Warnings    []string    `json:"warnings,omitempty"`

	// Of a backup.
	Proof       *backup.Proof `json:"proof,omitempty"`
	Bytes       int64         `json:"bytes,omitempty"`
	StoredBytes int64         `json:"stored_bytes,omitempty"`
	Parts       int           `json:"parts,omitempty"`
	Items       []backup.Item `json:"items,omitempty"`
	// Of a backup that was followed by retention, or a prune.
	Pruned *backup.PrunePlan `json:"pruned,omitempty"`
	// Of a verify.
	Verified *backup.VerifyReport `json:"verified,omitempty"`
	// Of a restore or rehearsal: what was done.
	Plan *backup.RestorePlan `json:"plan,omitempty"`

	err error
}

// Err is the error behind Error, with its types; nil for a record that was read from the state.
func (r Record) Err() error { return r.err }
