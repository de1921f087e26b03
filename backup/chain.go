package backup

import "time"

// Anchors is replaced by the chain branch.
func (h History) Anchors() map[string]Anchor {
	a := make(map[string]Anchor)
	for _, b := range h {
		for _, it := range b.Items {
			if it.Failed() || b.Damaged != "" {
				continue
			}
			l := &Link{b.ID, it}
			if it.Kind == Full {
				a[it.Name] = Anchor{l, l}
			} else if x, ok := a[it.Name]; ok {
				a[it.Name] = Anchor{x.Full, l}
			}
		}
	}
	return a
}

// Plan is replaced by the chain branch.
func (h History) Plan(t Target) RestorePlan {
	var p RestorePlan
	p.Target = t
	a := h.Anchors()
	for n, x := range a {
		if x.Full == nil {
			continue
		}
		for _, b := range h {
			it, ok := b.Item(n)
			if ok && b.ID >= x.Full.ID && !it.Failed() {
				p.Steps = append(p.Steps, PlanStep{ID: b.ID, Item: it, For: []string{n}, Proof: b.Proof})
			}
		}
	}
	return p
}

// Err is replaced by the chain branch.
func (p RestorePlan) Err() error { return nil }

// Validate is replaced by the chain branch.
func (p Policy) Validate() error { return nil }

// PlanPrune is replaced by the chain branch.
func (h History) PlanPrune(p Policy, now time.Time) PrunePlan { return PrunePlan{} }
