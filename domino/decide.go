package domino

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/notes"
)

// position is a place in the log: an extent, and a time within it. Without a time it is the begin of the extent.
func position(extent uint32, at time.Time) backup.Position {
	if at.IsZero() {
		return backup.Position(fmt.Sprintf("%010d", extent))
	}
	return backup.Position(fmt.Sprintf("%010d.%020d", extent, at.UnixNano()))
}

// logCheckpoint is the note of a log link.
type logCheckpoint struct {
	LogID notes.UNID `json:"log_id"`
	// Since is the first extent of the series from which on the job has all, Next the first that is not stored in full.
	Since uint32 `json:"since"`
	Next  uint32 `json:"next"`
	// At is up to when the log was taken.
	At time.Time `json:"at"`
}

// databaseCheckpoint is the note of a full of a database.
type databaseCheckpoint struct {
	// Stamp is how its file looked right after the backup. It is nil when it changed while it was copied.
	Stamp *stamp `json:"stamp,omitempty"`
}

// last returns the checkpoint of the log link that this run continues, in that series.
func lastLog(anchors map[string]backup.Anchor, id notes.UNID) (*logCheckpoint, *backup.Link) {
	a, ok := anchors[itemLog]
	if !ok || a.Last == nil || a.Last.Stream != id.String() {
		return nil, nil
	}
	var c logCheckpoint
	if json.Unmarshal(a.Last.Checkpoint, &c) != nil || c.LogID != id {
		return nil, nil
	}
	return &c, a.Last
}

// offer is what Domino has of its log: the full extents that wait to be archived, in order, and the current one.
type offer struct {
	at      time.Time // before it was asked
	full    []notes.Extent
	current *notes.Extent
}

func (o *offer) id() notes.UNID {
	switch {
	case len(o.full) > 0:
		return o.full[0].LogID
	case o.current != nil:
		return o.current.LogID
	}
	return notes.UNID{}
}

// first is the first extent there is.
func (o *offer) first() (uint32, bool) {
	switch {
	case len(o.full) > 0:
		return o.full[0].Number, true
	case o.current != nil:
		return o.current.Number, true
	}
	return 0, false
}

// last is the extent that was written then.
func (o *offer) last() (uint32, bool) {
	switch {
	case o == nil:
		return 0, false
	case o.current != nil:
		return o.current.Number, true
	case len(o.full) > 0:
		return o.full[len(o.full)-1].Number + 1, true
	}
	return 0, false
}

// whole reports whether the extents follow each other in one series.
func (o *offer) whole() error {
	all := slices.Clone(o.full)
	if o.current != nil {
		all = append(all, *o.current)
	}
	for i, e := range all[min(1, len(all)):] {
		if e.LogID != all[i].LogID || e.Number != all[i].Number+1 {
			return fmt.Errorf("Domino offers extent %d of log %s after %d of %s", e.Number, e.LogID, all[i].Number, all[i].LogID) //nolint:staticcheck // a name
		}
	}
	return nil
}

// logChoice is what a run takes of the log.
type logChoice struct {
	begin uint32
	since uint32
	store []notes.Extent // full ones
	// gap says which extents are in no backup and gone.
	gap string
}

// chooseLog says which extents of an offer are new. Those that are offered again, after an unclean end, are stored already and have not changed [UG].
func chooseLog(o *offer, last *logCheckpoint) logChoice {
	first, ok := o.first()
	switch {
	case !ok:
		return logChoice{}
	case last == nil:
		return logChoice{begin: first, since: first, store: o.full}
	case first > last.Next:
		return logChoice{begin: first, since: first, store: o.full, gap: fmt.Sprintf("extents %d to %d of the log were given up and are in no backup of this job", last.Next, first-1)}
	case first < last.Since:
		return logChoice{begin: first, since: first, store: o.full}
	}
	at := slices.IndexFunc(o.full, func(e notes.Extent) bool { return e.Number >= last.Next })
	if at < 0 {
		return logChoice{begin: last.Next, since: last.Since}
	}
	return logChoice{begin: last.Next, since: last.Since, store: o.full[at:]}
}

// unchanged reports whether a file tells, without being opened, that its database is the one in its full.
func unchanged(f file, a backup.Anchor, was seen, log notes.UNID) bool {
	if a.Full == nil {
		return false
	}
	if a.Full.Stream == "" {
		c := checkpointOf(a.Full)
		return c.Stamp != nil && *c.Stamp == f.stamp()
	}
	if a.Full.Stream != log.String() {
		return false
	}
	if c := checkpointOf(a.Full); c.Stamp != nil && *c.Stamp == f.stamp() {
		return true
	}
	v, ok := was[f.name]
	return ok && v.stamp == f.stamp() && v.Logged && v.LogID == log && v.DBIID.String() == a.Full.Incarnation
}

func checkpointOf(l *backup.Link) databaseCheckpoint {
	var c databaseCheckpoint
	if json.Unmarshal(l.Checkpoint, &c) != nil {
		return databaseCheckpoint{}
	}
	return c
}

// detached says why log no longer reaches from the full of a database to now; empty when it does.
func detached(a backup.Anchor, log *backup.Link) string {
	if a.Full == nil || a.Full.Stream == "" || log == nil || a.Full.Stream != log.Stream {
		return ""
	}
	if a.Last.End < log.End {
		return fmt.Sprintf("the log is not whole from its full %s to now", a.Full.ID)
	}
	return ""
}

// promoted says why a database that was opened needs a full; empty when log or the full that is there serve it.
func promoted(a backup.Anchor, info notes.LogInfo) string {
	switch {
	case a.Full == nil:
		return "no full backup of it is at the target"
	case wayOfLink(a.Full) != CAPI:
		return fmt.Sprintf("its full %s was made by way %s, which log of way %s does not continue", a.Full.ID, wayOfLink(a.Full), CAPI)
	case !info.Logged && a.Full.Stream != "":
		return "its changes are no longer logged"
	case !info.Logged:
		return "its changes are not logged, and its file has changed since the full " + string(a.Full.ID)
	case a.Full.Stream == "":
		return "its changes are logged now, and were not at the full " + string(a.Full.ID)
	case a.Full.Stream != info.LogID.String():
		return "the transaction log was begun anew since the full " + string(a.Full.ID)
	case a.Full.Incarnation != info.DBIID.String():
		return "its instance id (DBIID) has changed since the full " + string(a.Full.ID) + ": it was compacted, repaired, restored or moved"
	}
	return ""
}
