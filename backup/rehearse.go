package backup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"
)

// Rehearse carries a plan out in a harmless place and records ProofRestored for every backup it used. scratch is what the source's
// Rehearser documents: a server to restore into, a directory.
func (p *Pipeline) Rehearse(ctx context.Context, plan *RestorePlan, scratch string, o RestoreOptions) error {
	r, ok := p.cfg.Source.(Rehearser)
	if !ok {
		return p.fail("rehearse", "", &Error{Op: "rehearse", Err: fmt.Errorf("this source cannot rehearse: %w", errors.ErrUnsupported),
			Advice: "verify the backups by format, and restore one by hand to where it does no harm"})
	}
	if err := p.obeys(plan); err != nil {
		return p.fail("rehearse", "", err)
	}
	began := p.cfg.Now()
	notes := make(map[string]string)
	err := p.withSet(ctx, plan, PhaseRehearse, func(ctx context.Context, set *RestoreSet) error {
		err := r.Rehearse(ctx, p.restoreRequest(plan, o), set, scratch)
		maps.Copy(notes, set.notes)
		return err
	})
	if err != nil {
		return p.fail("rehearse", "", err)
	}
	notes["duration"] = p.cfg.Now().Sub(began).Round(time.Millisecond).String()
	done := make(map[ID]bool)
	for _, s := range plan.Steps {
		if done[s.ID] {
			continue
		}
		done[s.ID] = true
		if err := p.writeMark(ctx, p.keys.proof(s.ID, ProofRestored.String()), mark{ID: s.ID, Reason: "rehearsed", Notes: notes}); err != nil {
			return p.fail("record the rehearsal of", s.ID, err)
		}
	}
	return nil
}

// ProofNotes returns what stands in the proof of a level that a backup earned after it was sealed: of a rehearsal what the agent noted, and its duration. It
// is empty for proofs that were written without notes, and for those that do not exist.
func (p *Pipeline) ProofNotes(ctx context.Context, id ID, level Proof) (map[string]string, error) {
	m, err := p.readMark(ctx, p.keys.proof(id, level.String()))
	return m.Notes, p.fail("read the proof of", id, err)
}
