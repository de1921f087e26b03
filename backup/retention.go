package backup

import "time"

// Validate is replaced by the chain branch.
func (p Policy) Validate() error { return nil }

// PlanPrune is replaced by the chain branch.
func (h History) PlanPrune(p Policy, now time.Time) PrunePlan { return PrunePlan{} }
