package backup

import (
	"context"
	"fmt"
)

// PlanPrune says what the policy would remove now. It touches nothing.
func (p *Pipeline) PlanPrune(ctx context.Context, policy Policy) (*PrunePlan, error) {
	if err := policy.Validate(); err != nil {
		return nil, p.fail("plan prune", "", err)
	}
	h, err := p.History(ctx)
	if err != nil {
		return nil, err
	}
	plan := h.PlanPrune(policy, p.cfg.Now())
	return &plan, nil
}

// Prune removes what the policy does not keep, under the job's lease, and returns what it did. The plan is made afresh under the lease. Manifests go first, so that a
// prune that dies leaves no backup without its parts; the next run clears away the rest.
func (p *Pipeline) Prune(ctx context.Context, policy Policy) (*PrunePlan, error) {
	if err := policy.Validate(); err != nil {
		return nil, p.fail("prune", "", err)
	}
	var plan PrunePlan
	err := p.hold(ctx, nil, nil, func(ctx context.Context, s *session, orphans []ID) error {
		h, _, err := p.readHistory(ctx)
		if err != nil {
			return fmt.Errorf("read history: %w", err)
		}
		plan = h.PlanPrune(policy, p.cfg.Now())
		// On record before the first manifest goes: the next holder clears away what we leave.
		s.remains = append(s.remains, plan.Remove...)
		if err := s.lease.write(ctx, s.remains, false); err != nil {
			return err
		}
		for _, id := range plan.Remove {
			if err := s.remove(ctx, id); err != nil {
				return fmt.Errorf("remove %s: %w", id, err)
			}
			s.forget(id)
		}
		return nil
	})
	return &plan, p.fail("prune", "", err)
}

// remove deletes one backup: the manifest, then its parts and marks.
func (s *session) remove(ctx context.Context, id ID) error {
	if err := s.lease.check(ctx); err != nil {
		return err
	}
	if err := s.p.vault.delete(ctx, s.p.keys.manifest(id)); err != nil {
		return err
	}
	if err := s.deleteRun(ctx, id); err != nil {
		return err
	}
	for o, err := range s.p.vault.list(ctx, s.p.keys.proofs()+string(id)+"/") {
		if err != nil {
			return err
		}
		if err := s.p.vault.delete(ctx, o.Key); err != nil {
			return err
		}
	}
	return nil
}
