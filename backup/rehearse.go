package backup

import (
	"context"
	"errors"
	"fmt"
)

// Rehearse carries a plan out in a harmless place and records ProofRestored for every backup it used. scratch is what the source's
// Rehearser documents: a server to restore into, a directory.
func (p *Pipeline) Rehearse(ctx context.Context, plan *RestorePlan, scratch string, o RestoreOptions) error {
	r, ok := p.cfg.Source.(Rehearser)
	if !ok {
		return p.fail("rehearse", "", fmt.Errorf("this source cannot rehearse: %w", errors.ErrUnsupported))
	}
	if err := p.obeys(plan); err != nil {
		return p.fail("rehearse", "", err)
	}
	err := p.withSet(ctx, plan, PhaseRehearse, func(ctx context.Context, set *RestoreSet) error {
		return r.Rehearse(ctx, p.restoreRequest(plan, o), set, scratch)
	})
	if err != nil {
		return p.fail("rehearse", "", err)
	}
	done := make(map[ID]bool)
	for _, s := range plan.Steps {
		if done[s.ID] {
			continue
		}
		done[s.ID] = true
		if err := p.writeMark(ctx, p.keys.proof(s.ID, ProofRestored.String()), mark{ID: s.ID, Reason: "rehearsed"}); err != nil {
			return p.fail("record the rehearsal of", s.ID, err)
		}
	}
	return nil
}
