package agent

import (
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// itemRecovery is how far one item can be brought back from proven backups.
type itemRecovery struct {
	// Point is the newest time it can be restored to, by the application's clock.
	Point time.Time
	// Begun is when the backup that gives it was begun, by our clock.
	Begun time.Time
}

// recovery returns that for every item which still exists; the zero value for one without a proven backup.
func recovery(h backup.History) map[string]itemRecovery {
	good := proven(h, backup.ProofBytes)
	all := make(map[string]itemRecovery)
	for _, c := range h.Coverages() {
		all[c.Item] = itemRecovery{}
	}
	anchors := good.Anchors()
	for _, c := range good.Coverages() {
		if len(c.Spans) == 0 {
			continue
		}
		r := itemRecovery{Point: c.Spans[len(c.Spans)-1].To}
		if a, ok := anchors[c.Item]; ok {
			if b, ok := good.Find(a.Last.ID); ok {
				r.Begun = b.Started
			}
		}
		all[c.Item] = r
	}
	for _, gone := range h.Plan(backup.Target{}).Skipped {
		if gone.Cause == backup.CauseAbsent {
			delete(all, gone.Name)
		}
	}
	return all
}

// recoveryPoint is the least of all items: the newest time that every one can be brought back to, and when the backup that gives it was begun.
func recoveryPoint(h backup.History) (point, begun time.Time) {
	first := true
	for _, r := range recovery(h) {
		if first || r.Point.Before(point) {
			point = r.Point
		}
		if first || r.Begun.Before(begun) {
			begun = r.Begun
		}
		first = false
	}
	return point, begun
}
