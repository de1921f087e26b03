package mtf

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// MediaSet is the files that belong together: one, or the stripes that one backup was spread over.
type MediaSet struct {
	// ID is common to all members. It is zero for a single Wrapped file.
	ID GUID
	// Members are the files by stripe: Members[0] is stripe 1. A missing one is nil.
	Members []*Media
	// Surplus are files that claim a place that another took: mirrors, copies, or a stripe in the place of another.
	Surplus []*Media
}

// Group sorts files into media sets, in the order in which each set is met first. Members stay the pointers that were given, so a caller can tell which file is
// which. A Wrapped file is a set of its own, since it does not show where it belongs.
func Group(files ...*Media) []*MediaSet {
	var sets []*MediaSet
	byID := map[GUID]*MediaSet{}
	for _, m := range files {
		set := byID[m.SetID]
		if set == nil || m.Container == Wrapped || m.SetID.IsZero() {
			set = &MediaSet{ID: m.SetID, Members: make([]*Media, max(1, m.Families))}
			sets = append(sets, set)
			byID[m.SetID] = set
		}
		if place := max(1, m.Family) - 1; place < len(set.Members) && set.Members[place] == nil {
			set.Members[place] = m
		} else {
			set.Surplus = append(set.Surplus, m)
		}
	}
	return sets
}

// Missing are the stripes that are not there, from 1.
func (s *MediaSet) Missing() []int {
	var missing []int
	for i, m := range s.Members {
		if m == nil {
			missing = append(missing, i+1)
		}
	}
	return missing
}

// Check reports whether the members are all there and hold the same backups. Its error is a *StripeError.
func (s *MediaSet) Check() error {
	e := &StripeError{ID: s.ID, Stripes: len(s.Members), Missing: s.Missing()}
	var first *Media
	for i, m := range slices.Concat(s.Members, s.Surplus) {
		if m == nil {
			continue
		}
		if i >= len(s.Members) {
			e.Conflicts = append(e.Conflicts, fmt.Sprintf("another file is stripe %d of %d too", m.Family, m.Families))
		}
		if first == nil {
			first = m
			continue
		}
		e.Conflicts = append(e.Conflicts, conflicts(first, m)...)
	}
	if len(e.Missing)+len(e.Conflicts) > 0 {
		return e
	}
	return nil
}

// conflicts are the ways in which two stripes are not of one backup.
func conflicts(a, b *Media) (bad []string) {
	if a.Families != b.Families {
		bad = append(bad, fmt.Sprintf("stripe %d is one of %d, stripe %d one of %d", a.Family, a.Families, b.Family, b.Families))
	}
	if len(a.Sets) != len(b.Sets) {
		return append(bad, fmt.Sprintf("stripe %d has %d sets, stripe %d has %d", a.Family, len(a.Sets), b.Family, len(b.Sets)))
	}
	for i, x := range a.Sets {
		if y := b.Sets[i]; x.GUID != y.GUID || x.Database != y.Database || x.LastLSN != y.LastLSN {
			bad = append(bad, fmt.Sprintf("position %d is %s (%s) in stripe %d and %s (%s) in stripe %d", x.Position, x.Database, x.GUID, a.Family, y.Database, y.GUID, b.Family))
		}
	}
	return bad
}

// StripeError says why files do not make up a media set. It wraps backup.ErrCorrupt.
type StripeError struct {
	ID GUID
	// Stripes is how many files there should be.
	Stripes int
	// Missing are those that are not there, from 1.
	Missing []int
	// Conflicts are what does not fit together, a sentence each.
	Conflicts []string
}

// Error reads "media set 54A4E82D-...: stripe 2 of 2 is missing".
func (e *StripeError) Error() string {
	var all []string
	for _, n := range e.Missing {
		all = append(all, fmt.Sprintf("stripe %d of %d is missing", n, e.Stripes))
	}
	return fmt.Sprintf("media set %s: %s", e.ID, strings.Join(append(all, e.Conflicts...), "; "))
}

// Unwrap returns backup.ErrCorrupt.
func (e *StripeError) Unwrap() error { return backup.ErrCorrupt }

// Hint says what an operator can do.
func (e *StripeError) Hint() string {
	return "give all files of the backup, each once; nothing can be restored without every stripe"
}
