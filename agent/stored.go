package agent

import (
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// provenAt is the proof from which a backup counts for objectives, ages and notices.
const provenAt = backup.ProofBytes

// stored sums up a history for metrics and objectives.
type stored struct {
	items   []itemPoints // sorted by name; without those that no longer exist in the application
	whole   map[backup.Kind]time.Time
	counts  map[backup.Kind]int
	damaged int
	held    int
	gaps    int // between the spans of items that can be restored to any moment
}

// itemPoints are the newest proven recovery points of one item.
type itemPoints struct {
	name  string
	since time.Time // start of the first backup that names the item: what an item without a proven point counts from
	// newest is, per kind, the start of the newest backup that gives a point, by our clock. The point itself is dated by the application, whose
	// clock may differ and which, idle for a day, has no newer moment to offer although nothing would be lost.
	newest map[backup.Kind]time.Time
}

// point dates the newest proven recovery point by any kind; zero when there is none.
func (it itemPoints) point() (newest time.Time) {
	for _, t := range it.newest {
		if t.After(newest) {
			newest = t
		}
	}
	return newest
}

func (it itemPoints) proven() bool { return len(it.newest) > 0 }

// lookAt computes stored. Nothing that is damaged or unproven gives a point, nor does what can only be reached through it.
func lookAt(h backup.History) stored {
	s := stored{whole: map[backup.Kind]time.Time{}, counts: map[backup.Kind]int{}}
	for _, b := range h {
		s.count(b)
	}
	for _, c := range h.Coverages() {
		if slices.ContainsFunc(c.Spans, func(sp backup.Span) bool { return sp.PointInTime }) {
			s.gaps += len(c.Gaps)
		}
	}
	proven := slices.DeleteFunc(slices.Clone(h), func(b backup.Backup) bool { return b.Damaged != "" || b.Proof < provenAt })
	covered := map[string]backup.Coverage{}
	for _, c := range proven.Coverages() {
		covered[c.Item] = c
	}
	for _, it := range existing(h) {
		it.newest = points(proven, covered[it.name], it.name)
		s.items = append(s.items, it)
	}
	return s
}

func (s *stored) count(b backup.Backup) {
	s.counts[b.Kind]++
	if b.Damaged != "" {
		s.damaged++
	}
	if b.Held != "" {
		s.held++
	}
	if len(b.Items) > 0 && !b.Partial() && b.Finished.After(s.whole[b.Kind]) {
		s.whole[b.Kind] = b.Finished
	}
}

// existing lists the items that exist, those that are restored by name only included. A log that is an item of its own is not
// one of them: it serves the others.
func existing(h backup.History) (items []itemPoints) {
	gone := map[string]bool{}
	for _, r := range h.Plan(backup.Target{}).Skipped {
		gone[r.Name] = r.Cause == backup.CauseAbsent
	}
	since, whole, logOnly := map[string]time.Time{}, map[string]bool{}, map[string]bool{}
	for _, b := range h {
		for _, it := range b.Items {
			if _, known := since[it.Name]; !known {
				since[it.Name] = b.Started
			}
			switch {
			case it.Kind != backup.Log:
				whole[it.Name] = true
			case !it.Failed():
				logOnly[it.Name] = true
			}
		}
	}
	for name, t := range since {
		if !gone[name] && (whole[name] || !logOnly[name]) {
			items = append(items, itemPoints{name: name, since: t})
		}
	}
	slices.SortFunc(items, func(a, b itemPoints) int { return strings.Compare(a.name, b.name) })
	return items
}

// points finds, per kind, the newest backup in a history of proven ones that a restore of the item can reach.
func points(proven backup.History, c backup.Coverage, item string) map[backup.Kind]time.Time {
	if len(c.Spans) == 0 {
		return nil
	}
	streams := map[string]bool{}
	for _, b := range proven {
		for _, it := range b.Items {
			if it.Name == item && !it.Failed() && it.Stream != "" {
				streams[it.Stream] = true
			}
		}
	}
	newest := map[backup.Kind]time.Time{}
	for _, b := range proven {
		for _, it := range b.Items {
			serves := it.Name == item || it.Kind == backup.Log && streams[it.Stream]
			if serves && !it.Failed() && c.Contains(it.Window.To) && b.Started.After(newest[it.Kind]) {
				newest[it.Kind] = b.Started
			}
		}
	}
	return newest
}
