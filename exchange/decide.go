package exchange

import (
	"fmt"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// task is what a run takes of a group.
type task struct {
	*target
	kind backup.Kind
	// reason is why the kind is not what was asked for, refusal why nothing can be taken.
	reason, refusal string
	// anchor is what is at the target, last the checkpoint of its last link; that is zero in a full.
	anchor backup.Anchor
	last   checkpoint
}

// decide says what a run takes of a group, as far as that can be told before its logs are looked at. It looks at nothing but its arguments.
func decide(kind backup.Kind, way Way, t *target, a backup.Anchor) *task {
	k := &task{target: t, kind: kind, anchor: a}
	if kind == backup.Full {
		return k
	}
	if t.Circular {
		k.refuse()
		return k
	}
	if why := k.continued(way); why != "" {
		k.promote(why)
	}
	return k
}

// decide says what a run takes of a group, whose restores are noted on this machine.
func (s *Source) decide(req backup.Request, way Way, t *target) *task {
	k := decide(req.Kind, way, t, req.Anchors[t.Name])
	if k.kind == backup.Full || k.refusal != "" {
		return k
	}
	at, restored, err := restoredSince(s.opt.StateDir, s.opt.Instance, t.Name)
	switch {
	case err != nil:
		k.promote(fmt.Sprintf("the note of its last restore cannot be read: %v", err))
	case restored:
		k.promote(fmt.Sprintf("it was restored at %s: its logs since continue another history", at.UTC().Format(time.RFC3339)))
	}
	return k
}

// promote makes the task a full.
func (k *task) promote(why string) { k.kind, k.reason, k.last = backup.Full, why, checkpoint{} }

// refuse is what circular logging makes of a log run.
func (k *task) refuse() {
	k.refusal = "circular logging is on, and there are no log backups of it"
}

// continued says why log cannot continue what is at the target; empty: it can, as far as is known.
func (k *task) continued(way Way) string {
	a := k.anchor
	if a.Full == nil || a.Last == nil {
		return "no full backup of it is at the target"
	}
	full, err := checkpointOf(a.Full.Item)
	if err != nil {
		return fmt.Sprintf("its full %s does not say where log continues it: %v", a.Full.ID, err)
	}
	last, err := checkpointOf(a.Last.Item)
	if err != nil {
		return fmt.Sprintf("backup %s does not say where log continues it: %v", a.Last.ID, err)
	}
	for _, l := range []struct {
		id  backup.ID
		way Way
	}{{a.Full.ID, full.Way}, {a.Last.ID, last.Way}} {
		if l.way != way {
			return fmt.Sprintf("backup %s was made by way %s, which the server does not let way %s continue", l.id, l.way, way)
		}
	}
	held := map[string]bool{}
	for _, d := range full.Databases {
		held[d] = true
	}
	for _, d := range k.Databases {
		if !held[d.identity()] {
			return fmt.Sprintf("database %q is not in its full %s", d.Name, a.Full.ID)
		}
	}
	k.last = last
	return ""
}
