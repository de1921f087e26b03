package backup

import (
	"encoding/json"
	"fmt"
	"time"
)

// Position is a point in an application's history, in a form that orders bytewise within one Item.Stream: a zero-padded LSN,
// SCN, log generation, extent number or file and offset. Agents choose the form; the core only compares. A state at a position holds all that stands before it in
// the stream, and nothing that stands there or later.
type Position string

// Window is a span of the application's own time. Only the server's clock dates it, never ours.
type Window struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Contains reports whether t lies in the window, both ends included.
func (w Window) Contains(t time.Time) bool { return !t.Before(w.From) && !t.After(w.To) }

// Item is the record of one item in one backup: what it became there, from which other backup it continues,
// and which times it gives.
//
// Positions and Stream decide about chains. A full ends at End, the point where it is consistent. A log link covers Begin to
// End; it continues any backup of the same stream whose End lies in [Begin, End], so overlaps are harmless, a log outlives
// the full it was taken after, and a damaged full is bridged by the logs around it. A differential applies to its Parent only.
type Item struct {
	Name string `json:"name"`
	// Kind is what the item became, which may be more than the run asked for; Reason then says why.
	Kind   Kind   `json:"kind"`
	Reason string `json:"reason,omitempty"`
	// Parent is the full a differential builds on, or the link a log was taken after. Empty for a full.
	Parent ID `json:"parent,omitempty"`
	// Stream is the identity of the history in which positions compare: a recovery fork, a database id with its incarnation, a
	// log's signature, a server's uuid. A log link serves every item with its stream, so one shared log (as
	// in Domino) may be an item of its own. Empty for items without a log.
	Stream string   `json:"stream,omitempty"`
	Begin  Position `json:"begin,omitempty"`
	End    Position `json:"end,omitempty"`
	// Incarnation is the item's own identity within a stream that it shares with others, where it may begin anew while the log goes on, such as a database instance
	// id in Domino. Links of the backup that first saw it with another, and later ones, do not serve what was taken before. Empty where the stream says it all. A
	// failed item may name its Stream and Incarnation, which tells that it has moved though nothing of it was taken.
	Incarnation string `json:"incarnation,omitempty"`
	// Window holds the times a restore can stop at. For a full or differential both ends are the moment of End. For a log, From belongs to Begin and To to End.
	Window Window `json:"window"`
	// PointInTime says that a restore may stop anywhere inside the window of this log link, not only at its end.
	PointInTime bool `json:"point_in_time,omitempty"`
	// Checkpoint is the agent's own note from which the next link starts. The core carries it unread.
	Checkpoint json.RawMessage `json:"checkpoint,omitempty"`
	// Objects are the names a user may restore singly out of this item, such as schemas of an instance.
	Objects []string `json:"objects,omitempty"`
	// CopyOnly marks a full that is no base: it can be restored, but no differential may name it as its parent.
	CopyOnly bool `json:"copy_only,omitempty"`
	// ByName marks an item that a restore of everything leaves out, with a note: what every instance has of its own, such as a system database. It is
	// restored when it is selected by its name.
	ByName bool `json:"by_name,omitempty"`
	// Error is set when this item failed; it then holds nothing that can be restored, and its artifacts are discarded.
	Error string `json:"error,omitempty"`

	// Counts of the item's artifacts, set by the pipeline.
	Artifacts int   `json:"artifacts"`
	Parts     int   `json:"parts"`
	Bytes     int64 `json:"bytes"`
}

// Failed reports whether the item failed in its run.
func (it Item) Failed() bool { return it.Error != "" }

// validate reports what a source got wrong in an item it returns.
func (it Item) validate() error {
	if it.Name == "" {
		return fmt.Errorf("item without a name")
	}
	if it.Failed() {
		return nil
	}
	if _, err := ParseKind(string(it.Kind)); err != nil {
		return fmt.Errorf("item %q: %w", it.Name, err)
	}
	switch {
	case it.Kind == Full && it.Parent != "":
		return fmt.Errorf("item %q: a full has no parent, got %s", it.Name, it.Parent)
	case it.Kind == Differential && it.Parent == "":
		return fmt.Errorf("item %q: a differential names the full it builds on as its parent", it.Name)
	case it.Kind == Log && (it.Stream == "" || it.Begin == "" || it.End == ""):
		return fmt.Errorf("item %q: a log link needs stream, begin and end", it.Name)
	case it.Begin > it.End && it.Begin != "" && it.End != "":
		return fmt.Errorf("item %q: begin %q lies after end %q", it.Name, it.Begin, it.End)
	case it.Window.From.IsZero() || it.Window.To.IsZero():
		return fmt.Errorf("item %q: window not set", it.Name)
	case it.Window.From.After(it.Window.To):
		return fmt.Errorf("item %q: window ends before it begins", it.Name)
	case it.Kind != Log && !it.Window.From.Equal(it.Window.To):
		return fmt.Errorf("item %q: the window of a %s is one moment", it.Name, it.Kind)
	}
	return nil
}
