package cli

import (
	"time"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
)

// The types here are what --json prints, one for each command; README.md shows an example of each. They are stable: fields may
// be added, none changes its meaning. Lists are never null. The commands backup, restore and rehearse print an agent.Record.

// CheckLine is one line of the command check.
type CheckLine struct {
	Job  string `json:"job"`
	What string `json:"what"`
	OK   bool   `json:"ok"`
	// Error is what was found instead; empty when OK.
	Error string `json:"error,omitempty"`
	// Hint is what to do; empty when OK.
	Hint string `json:"hint"`
}

// ListedBackup is one backup in the command list.
type ListedBackup struct {
	ID          backup.ID    `json:"id"`
	Job         string       `json:"job"`
	Application string       `json:"application"`
	Instance    string       `json:"instance"`
	Kind        backup.Kind  `json:"kind"`
	Started     time.Time    `json:"started"`
	Finished    time.Time    `json:"finished"`
	Proof       backup.Proof `json:"proof"`
	Bytes       int64        `json:"bytes"`
	StoredBytes int64        `json:"stored_bytes"`
	Parts       int          `json:"parts"`
	Items       []ListedItem `json:"items"`
	// Damaged is why a verification failed, Held the reason of a legal hold; both are left out when there is none.
	Damaged string `json:"damaged,omitempty"`
	Held    string `json:"held,omitempty"`
}

// ListedItem is one item of a backup in the command list.
type ListedItem struct {
	Name   string      `json:"name"`
	Kind   backup.Kind `json:"kind"`
	Parent backup.ID   `json:"parent"`
	// Window is left out for an item that failed.
	Window backup.Window `json:"window,omitzero"`
	Reason string        `json:"reason"`
	Error  string        `json:"error"`
}

// ItemWindow is what can be restored of one item: every restorable time lies between From and To and in no gap. An item that cannot be restored at all
// has neither.
type ItemWindow struct {
	Item string       `json:"item"`
	From time.Time    `json:"from,omitzero"`
	To   time.Time    `json:"to,omitzero"`
	Gaps []backup.Gap `json:"gaps"`
}

// PrintedPlan is what the command plan prints. A plan with refusals is not carried out.
type PrintedPlan struct {
	Target  backup.Target    `json:"target"`
	Steps   []PlannedStep    `json:"steps"`
	Refused []backup.Refusal `json:"refused"`
	// Skipped are items that did not exist at the target, or are restored by name only; left out when there are none.
	Skipped []backup.Refusal `json:"skipped,omitempty"`
	// Notes are sentences about choices that were made; left out when there are none.
	Notes []string `json:"notes,omitempty"`
	// Script is what --script asked for; else left out.
	Script string `json:"script,omitempty"`
}

// PlannedStep is one step of a PrintedPlan.
type PlannedStep struct {
	ID        backup.ID   `json:"id"`
	Item      string      `json:"item"`
	Kind      backup.Kind `json:"kind"`
	Artifacts int         `json:"artifacts"`
	Bytes     int64       `json:"bytes"`
	// Until or UntilPosition is where the step stops before its end.
	Until         time.Time       `json:"until,omitzero"`
	UntilPosition backup.Position `json:"until_position,omitempty"`
}

// Verified is what the command verify found.
type Verified struct {
	CheckedParts int          `json:"checked_parts"`
	Bytes        int64        `json:"bytes"` // as stored
	Bad          []DamagedBit `json:"bad"`
}

// DamagedBit is one thing that is damaged. Part is empty when it is not one object.
type DamagedBit struct {
	ID       backup.ID `json:"id"`
	Artifact string    `json:"artifact"`
	Part     string    `json:"part"`
	Reason   string    `json:"reason"`
}

// Pruned is what the command prune removed, or would remove.
type Pruned struct {
	Remove []backup.ID   `json:"remove"`
	Keep   []backup.Kept `json:"keep"`
}

// Fetched is what restore --files wrote.
type Fetched struct {
	Dir   string        `json:"dir"`
	Steps []PlannedStep `json:"steps"`
}

// Held is what the commands hold and unhold did. Reason is empty when the backup is no longer held.
type Held struct {
	Job    string    `json:"job"`
	ID     backup.ID `json:"id"`
	Reason string    `json:"reason"`
}

// Health is what a running agent answers at /healthz, and the command status prints. Running is false when no agent answered; the jobs are then
// described from the target.
type Health struct {
	Running bool              `json:"running"`
	Version string            `json:"version"`
	Since   time.Time         `json:"since,omitzero"`
	Jobs    []agent.JobStatus `json:"jobs"`
}

// NewKey is what the command keygen made. Identity is the secret half, and left out when it was written to File.
type NewKey struct {
	Recipient string `json:"recipient"`
	File      string `json:"file,omitempty"`
	Identity  string `json:"identity,omitempty"`
}

// Inspected is one file in the command inspect.
type Inspected struct {
	Path     string   `json:"path"`
	Type     string   `json:"type"`
	OK       bool     `json:"ok"`
	Problems []string `json:"problems"`
	Details  any      `json:"details"`
}

// ServiceState is what the command service found or did.
type ServiceState struct {
	Name  string `json:"name"`
	State string `json:"state"` // running, stopped, installed, uninstalled, started
}

// Built is what the command version prints.
type Built struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Go      string `json:"go"`
	System  string `json:"system"`
	// Applications are those linked into the program.
	Applications []string `json:"applications"`
}
