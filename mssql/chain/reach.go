package chain

import (
	"cmp"
	"slices"
	"sort"

	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// A history is what backups tell of one family.
type history struct {
	// sets can be restored, as far as each alone tells; in order of their end in the log.
	sets []*Set
	// lost are those that cannot, each with why.
	lost  []lost
	bases map[mtf.GUID]*Set
	// entries are the logs, usable or not, in which a fork begins.
	entries map[mtf.GUID][]*Set
}

type lost struct {
	set *Set
	why *Refusal
}

// recall sorts the sets of a family. sets are merged, and of this family only.
func recall(sets []Set, server Server, useDamaged bool) *history {
	h := &history{bases: map[mtf.GUID]*Set{}, entries: map[mtf.GUID][]*Set{}}
	contradicted := contradictions(sets)
	taken := map[mtf.GUID]bool{}
	var differentials []*Set
	for i := range sets {
		s := &sets[i]
		why := unusable(*s)
		switch {
		case contradicted[s.GUID]:
			why = refuse(Conflicting, "read the headers of these files again, and remove what is not the backup", "two headers with the GUID %s say different things", s.GUID).about(*s)
		case why != nil:
		case server.older(*s):
			why = refuse(TooNew, "restore to a server of that version or a later one", "the server is older than the one that took the %s, version %d.%d", s, s.VersionMajor,
				s.VersionMinor).about(*s)
		case s.Damaged && !s.isLog() && !useDamaged:
			why = refuse(Damaged, "use another backup, or allow damaged ones", "the database was damaged when the %s was taken", s).about(*s)
		}
		switch {
		case why == nil && taken[s.GUID]:
			continue // a whole copy of it is used already
		case why != nil:
			h.lost = append(h.lost, lost{s, why})
			continue
		case s.Type == mtf.Differential:
			differentials = append(differentials, s)
			continue
		case s.Type == mtf.Database:
			h.bases[s.GUID] = s
		}
		taken[s.GUID] = !s.GUID.IsZero()
		h.sets = append(h.sets, s)
	}
	gone := map[mtf.GUID]*Refusal{}
	for _, l := range h.lost {
		gone[l.set.GUID] = l.why
	}
	for _, d := range differentials {
		if taken[d.GUID] {
			continue
		}
		if why := h.baseless(d, gone[d.DifferentialBaseGUID]); why != nil {
			h.lost = append(h.lost, lost{d, why})
			continue
		}
		taken[d.GUID] = !d.GUID.IsZero()
		h.sets = append(h.sets, d)
	}
	h.lost = slices.DeleteFunc(h.lost, func(l lost) bool { return taken[l.set.GUID] })
	slices.SortStableFunc(h.sets, inLog)
	for s := range h.all() {
		if s.isLog() && s.crosses() {
			h.entries[s.Fork] = append(h.entries[s.Fork], s)
		}
	}
	return h
}

// contradictions are the GUIDs that sets with different content claim.
func contradictions(sets []Set) map[mtf.GUID]bool {
	bad := map[mtf.GUID]bool{}
	first := make(map[mtf.GUID]*Set, len(sets))
	for i := range sets {
		s := &sets[i]
		if f := first[s.GUID]; f == nil && !s.GUID.IsZero() {
			first[s.GUID] = s
		} else if f != nil && !same(*f, *s) {
			bad[s.GUID] = true
		}
	}
	return bad
}

// baseless says why there is nothing to restore the differential d on, or nothing. lost is why its base cannot be used, if it is there.
func (h *history) baseless(d *Set, lost *Refusal) *Refusal {
	switch base := h.bases[d.DifferentialBaseGUID]; {
	case base != nil:
		return basedOn(*base, *d)
	case lost != nil && !d.DifferentialBaseGUID.IsZero():
		r := *lost
		r.Detail = "the base of a differential cannot be used: " + r.Detail
		r.Sets = append([]Set{*d}, r.Sets...)
		return &r
	}
	return refuse(WrongBase, "bring the full that the differential names, or restore from an earlier full and its logs",
		"the base of the %s, the full %s, is not there", d, d.DifferentialBaseGUID).about(*d)
}

// inLog orders sets by their end. Among those with the same, data backups are first, since they need nothing, and logs that are empty last, since they need another.
func inLog(a, b *Set) int {
	rank := func(s *Set) int {
		switch {
		case s.Type == mtf.Database:
			return 0
		case s.Type == mtf.Differential:
			return 1
		case !s.Empty():
			return 2
		}
		return 3
	}
	return cmp.Or(a.LastLSN.Compare(b.LastLSN), cmp.Compare(rank(a), rank(b)), a.FirstLSN.Compare(b.FirstLSN), a.Started.Compare(b.Started))
}

// A node is a position that restoring set brings a database to: after the node from, or, for a full or differential, from nothing.
type node struct {
	set  *Set
	from *node
}

// A reach is the positions that can be restored to, by fork, in the order of the log.
//
// On one fork the node that ends later is always as good as one that ends before: any chain of logs from the earlier covers the later, so it can be joined there. The
// newest data backup in reach of a log is therefore found by looking at the latest position the log can be entered at, and one pass in the order of the log is enough.
type reach map[mtf.GUID][]*node

// search finds what is in reach. start tells which fulls and differentials may be used, through which logs may be applied whole.
func (h *history) search(start, through func(*Set) bool) reach {
	r := reach{}
	for _, s := range h.sets {
		n := &node{set: s}
		if s.isLog() {
			if !through(s) {
				continue
			}
			if n.from = r.entry(s); n.from == nil {
				continue
			}
		} else if !start(s) {
			continue
		}
		nodes := r[s.Fork]
		if len(nodes) == 0 || nodes[len(nodes)-1].set.LastLSN.Compare(s.LastLSN) < 0 {
			r[s.Fork] = append(nodes, n)
		}
	}
	return r
}

// entry is the best node to apply the log l on, nil when there is none.
func (r reach) entry(l *Set) *node {
	if !l.crosses() {
		return r.within(l.Fork, l.FirstLSN, l.LastLSN)
	}
	point := l.forkPoint()
	if n := r.within(l.Fork, later(point, l.FirstLSN), l.LastLSN); n != nil {
		return n
	}
	return r.within(l.firstFork(), l.FirstLSN, sooner(point, l.LastLSN))
}

// within is the last node of a fork from lo up to and with hi.
func (r reach) within(fork mtf.GUID, lo, hi mtf.LSN) *node {
	nodes := r[fork]
	i := sort.Search(len(nodes), func(i int) bool { return nodes[i].set.LastLSN.Compare(hi) > 0 })
	if i == 0 || nodes[i-1].set.LastLSN.Compare(lo) < 0 {
		return nil
	}
	return nodes[i-1]
}

// path is the sets that lead to n, in order.
func (h *history) path(n *node) []Set {
	var sets []Set
	for ; n != nil; n = n.from {
		sets = append(sets, *n.set)
		if n.set.Type == mtf.Differential {
			sets = append(sets, *h.bases[n.set.DifferentialBaseGUID])
		}
	}
	slices.Reverse(sets)
	return sets
}

func later(a, b mtf.LSN) mtf.LSN {
	if a.Compare(b) > 0 {
		return a
	}
	return b
}

func sooner(a, b mtf.LSN) mtf.LSN {
	if a.Compare(b) < 0 {
		return a
	}
	return b
}

func every(*Set) bool { return true }
