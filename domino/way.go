package domino

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// Way is how a server is reached. Backups note it, in their meta under "way"; one without the note was made by CAPI.
type Way string

const (
	// CAPI has the server's own backup functions do the work while it runs: the Notes C API, in a child process.
	CAPI Way = "capi"
	// Hook has Domino's own backup task do the work, of release 12 and later, which calls us for each file.
	Hook Way = "hook"
	// Offline copies the files of a server that is stopped, or of a snapshot.
	Offline Way = "offline"
)

const (
	metaWay = "way"
	// hookEpoch begins the stream of a chain of the way hook.
	hookEpoch = "hook-"
)

// wayOf is how the backup of a step was made.
func wayOf(step *backup.RestoreStep) Way {
	if way := step.Manifest.Meta[metaWay]; way != "" {
		return Way(way)
	}
	return wayOfLink(&backup.Link{Item: step.Item})
}

// wayOfLink is how the backup of an anchor was made, of which no more than the item is known.
func wayOfLink(l *backup.Link) Way {
	var note struct {
		Way Way `json:"way"`
	}
	switch {
	case json.Unmarshal(l.Checkpoint, &note) == nil && note.Way != "":
		return note.Way
	case strings.HasPrefix(l.Stream, hookEpoch):
		return Hook
	}
	return CAPI
}

// wayNote is the checkpoint of an item that was copied without the C API.
func wayNote(way Way) json.RawMessage { return json.RawMessage(`{"way":"` + way + `"}`) }

// shared reports whether a step needs nothing that the ways store differently: plain files and attachments, and log that only says of which time files are.
func shared(step *backup.RestoreStep) bool {
	switch step.Item.Name {
	case itemFiles, itemAttachments:
		return true
	case itemLog:
		return !slices.ContainsFunc(step.For, func(name string) bool { return name != itemFiles })
	}
	return false
}

// byOther refuses what this way cannot restore, with the way that can.
func (s *capiSource) byOther(step *backup.RestoreStep, why, instead string) error {
	way := wayOf(step)
	hint := fmt.Sprintf("restore with a job of the same name and target that has way: %s, or fetch the files (obm restore --files DIR) and restore them by hand", way)
	if instead != "" {
		hint = instead + "; or " + hint
	}
	return s.refuse("restore", step.Item.Name, hint, "backup %s was made by way %s: %s", step.ID, way, why)
}

// only refuses, before anything is touched, what was made by another way than this one, but for what all ways store alike.
func (s *capiSource) only(way Way, why string, set *backup.RestoreSet) error {
	for _, step := range set.Steps() {
		if !shared(step) && wayOf(step) != way {
			return s.byOther(step, why, "")
		}
	}
	return nil
}

// foreign says what the C API makes of a backup of another way. A database that Domino's own backup copied is a copy with its change information, as a job that streams stores them, but its log has no numbers by
// which Domino asks for extents. A plain copy goes back as it is.
func (s *capiSource) foreign(step *backup.RestoreStep, set *backup.RestoreSet, o restoreOptions) error {
	way := wayOf(step)
	switch {
	case way == CAPI || shared(step) && !o.server:
		return nil
	case o.server:
		return s.byOther(step, "a whole server is brought back by the way that copied it", "restore databases and files without mode=server")
	case way == Hook && step.Item.Name == itemLog && !o.noLog:
		return s.byOther(step, "Domino did not tell the numbers of its extents then, and asks for them by number now", "restore option log=none puts databases back as they were when their full began")
	case way == Offline && step.Item.Name == itemLogFiles:
		set.Warn(fmt.Sprintf("%s of backup %s belong to a whole data directory that does not run, and were left out: way: %s restores them", itemLogFiles, step.ID, Offline))
	}
	return nil
}

// verify proves each step by the rules of the way that made it.
func (s *capiSource) verify(ctx context.Context, set *backup.RestoreSet) error {
	for _, step := range set.Steps() {
		v := &verifying{src: s, set: set, step: step}
		prove := v.all
		switch wayOf(step) {
		case Hook:
			prove = v.hooked
		case Offline:
			prove = v.plain
		}
		if err := prove(ctx); err != nil {
			return err
		}
	}
	return nil
}
