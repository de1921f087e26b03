package agent

import (
	"context"
	"time"
)

// forever is how long the watch sleeps when no objective can be missed; a signal wakes it.
const forever = 365 * 24 * time.Hour

// watch looks at the objectives whenever one could have been missed, and whenever something changed, until ctx ends.
func (o *observer) watch(ctx context.Context) {
	for ctx.Err() == nil {
		o.recallAll()
		next := o.checkAbsence()
		timer := o.clock.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-o.changed:
		case <-timer.C():
		}
		timer.Stop()
	}
}

// absence is one job's standing against its objective.
type absence struct {
	job, application string
	objective        time.Duration
	oldest           itemPoints // the item whose point is the oldest
	items            int        // how many miss the objective
	unproven         int        // how many have no proven point at all
	read             bool
}

// since is what the objective counts from: the oldest of the items' newest proven points.
func (a absence) since() time.Time { return a.oldest.from() }

func (it itemPoints) from() time.Time {
	if t := it.point(); !t.IsZero() {
		return t
	}
	return it.since
}

// checkAbsence judges every job against its objective and returns how long the judgement holds if nothing else happens.
func (o *observer) checkAbsence() time.Duration {
	o.mu.Lock()
	now, holds := o.clock.Now(), forever
	var all []absence
	for _, v := range o.jobs {
		if v.started.IsZero() {
			continue
		}
		a := v.absence(now)
		all = append(all, a)
		if left := a.objective - now.Sub(a.since()); a.objective > 0 && left >= 0 {
			holds = min(holds, left+time.Nanosecond) // the objective is missed when it is exceeded
		}
	}
	o.mu.Unlock()
	for _, a := range all {
		switch {
		case a.objective <= 0:
			o.board.forget(a.job, subjectAbsent)
		case a.items > 0:
			o.board.absent(a, now)
		case a.read && a.unproven == 0: // an item that still has time to be proven is not present yet
			o.board.present(a, now)
		}
	}
	return holds
}

func (v *jobView) absence(now time.Time) absence {
	a := absence{job: v.name, application: v.application, objective: v.objective, read: v.read}
	for i, it := range v.items() {
		if i == 0 || it.from().Before(a.since()) {
			a.oldest = it
		}
		if v.objective > 0 && now.Sub(it.from()) > v.objective {
			a.items++
		}
		if !it.proven() {
			a.unproven++
		}
	}
	return a
}
