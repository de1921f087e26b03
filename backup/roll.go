package backup

import (
	"cmp"
	"slices"
	"sort"
	"time"
)

// rolled is a state that a restore of one item can be brought to, with the best way there.
type rolled struct {
	base  *chainBase
	link  *chainLink // the last link; nil when the base is the state
	prev  *rolled    // the state before the last link
	links int        // on the way
	// clock is the latest time any state on the way was dated. When the server's clock jumped back it lies after the state's own
	// time, and only a restore to a later time comes by here.
	clock time.Time
}

func (r *rolled) at() Position {
	if r.link != nil {
		return r.link.end
	}
	return r.base.at()
}

func (r *rolled) time() time.Time {
	if r.link != nil {
		return r.link.to
	}
	return r.base.time()
}

// record is the item record that brings the state.
func (r *rolled) record() *chainRecord {
	if r.link != nil {
		return &r.link.chainRecord
	}
	return &r.base.last
}

// chain lists the way to r, which stops at until in the last link when until is set and lies before its end.
func (r *rolled) chain(until time.Time) chain {
	c := chain{base: r.base, links: make([]*chainLink, r.links)}
	if r.link != nil && until.Before(r.link.to) {
		c.until.time = until
	}
	for ; r.link != nil; r = r.prev {
		c.links[r.links-1] = r.link
	}
	return c
}

// shorter prefers the newest full, then its newest differential, then the fewest links.
func shorter(a, b *rolled) int {
	return cmp.Or(compareBases(a.base, b.base), cmp.Compare(a.links, b.links))
}

// compareBases puts the newest full first, then the newest differential.
func compareBases(a, b *chainBase) int {
	return cmp.Or(cmp.Compare(b.full.backup, a.full.backup), cmp.Compare(b.last.backup, a.last.backup))
}

// earlier prefers the way that gives the earliest times.
func earlier(a, b *rolled) int { return a.clock.Compare(b.clock) }

// visit decides about a state that was reached by a link: whether others continue it, and whether the search is over.
type visit func(*rolled) (pass, stop bool)

// roll visits every link of s that continues one of the bases or a state reached before, in the order of their ends, each by
// the way that prefer puts first. All bases stand in s and were left at the same backup.
//
// A state serves a link when Begin <= its position < End, or when it stands at End and is no newer than the link. Links are visited
// by End and age, so all states that can serve are known by then. Of two states the one further on serves every link the other one would, so the other is only remembered while it
// is preferred: ways is ascending in position and descending in preference, and a binary search finds the best way.
func (s *logStream) roll(bases []*chainBase, prefer func(a, b *rolled) int, v visit) {
	bases = slices.Clone(bases)
	slices.SortStableFunc(bases, func(a, b *chainBase) int {
		return cmp.Or(cmp.Compare(a.at(), b.at()), cmp.Compare(a.last.backup, b.last.backup))
	})
	var ways []*rolled
	push := func(r *rolled) {
		for len(ways) > 0 && prefer(ways[len(ways)-1], r) >= 0 {
			ways = ways[:len(ways)-1]
		}
		ways = append(ways, r)
	}
	next := 0
	for _, l := range s.links[linksFrom(s.links, bases[0].at()):] {
		if l.backup >= bases[0].left {
			continue
		}
		for ; next < len(bases) && bases[next].serves(l); next++ {
			push(&rolled{base: bases[next], clock: bases[next].time()})
		}
		i := firstAt(ways, l.begin)
		if i == len(ways) {
			continue
		}
		r := &rolled{base: ways[i].base, link: l, prev: ways[i], links: ways[i].links + 1, clock: ways[i].clock}
		if t := l.to; t.After(r.clock) {
			r.clock = t
		}
		pass, stop := v(r)
		if stop {
			return
		}
		if pass {
			push(r)
		}
	}
}

// firstAt is the index of the first way at p or further. It is nearly always among the last, so the search widens from there.
func firstAt(ways []*rolled, p Position) int {
	high, step := len(ways), 1
	for high-step >= 0 && ways[high-step].at() >= p {
		high, step = high-step, step*2
	}
	low := max(0, high-step)
	return low + sort.Search(high-low, func(i int) bool { return ways[low+i].at() >= p })
}

// serves reports whether l can follow the base, as far as the end of l goes.
func (b *chainBase) serves(l *chainLink) bool {
	return b.at() < l.end || b.at() == l.end && b.last.backup <= l.backup
}

// life is a set of bases between which the log runs on: one stream, left at one moment.
type life struct {
	stream *logStream
	left   int
}

// lives groups the bases that log may continue; alone are those it cannot.
func lives(bases []*chainBase) (groups [][]*chainBase, alone []*chainBase) {
	index := map[life]int{}
	for _, b := range bases {
		if b.stream == nil {
			alone = append(alone, b)
			continue
		}
		k := life{b.stream, b.left}
		i, ok := index[k]
		if !ok {
			i = len(groups)
			index[k] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], b)
	}
	return groups, alone
}

// furthest is the chain to the state furthest on among the bases and what their logs reach, of those that want accepts. Among states equally
// far it is the newest record. Positions compare within a stream only: between streams the newest record decides.
func furthest(bases []*chainBase, want func(*rolled) bool) chain {
	if best := furthestState(bases, want); best != nil {
		return best.chain(time.Time{})
	}
	return chain{}
}

func furthestState(bases []*chainBase, want func(*rolled) bool) *rolled {
	var best *rolled
	consider := func(r *rolled) {
		switch {
		case !want(r):
		case best == nil:
			best = r
		case best.base.stream != nil && best.base.stream == r.base.stream:
			if cmp.Or(cmp.Compare(r.at(), best.at()), cmp.Compare(r.record().backup, best.record().backup)) > 0 {
				best = r
			}
		case r.record().backup > best.record().backup:
			best = r
		}
	}
	for _, b := range bases {
		consider(&rolled{base: b})
	}
	groups, _ := lives(bases)
	for _, g := range groups {
		g[0].stream.roll(g, shorter, func(r *rolled) (bool, bool) {
			consider(r)
			return true, false
		})
	}
	return best
}

// latest is the newest state of the item: in the stream of its newest base, the furthest a log reaches from there.
func (ci *chainItem) latest() (chain, bool) {
	if len(ci.bases) == 0 {
		return chain{}, false
	}
	newest, full := ci.bases[len(ci.bases)-1], ci.fulls[len(ci.fulls)-1]
	if newest.stream == nil {
		return chain{base: newest}, true
	}
	// A state further on continues by every link that one before it continues by, so bases before these reach no further.
	from := newest.at()
	if full.stream == newest.stream && full.left == newest.left {
		from = min(from, full.at())
	}
	var starts []*chainBase
	for _, b := range ci.bases {
		if b.stream == newest.stream && b.left == newest.left && b.at() >= from {
			starts = append(starts, b)
		}
	}
	var best *rolled
	consider := func(r *rolled) (pass, stop bool) {
		if best == nil || r.at() > best.at() || r.at() == best.at() && shorter(r, best) < 0 {
			best = r
		}
		return true, false
	}
	for _, b := range starts {
		consider(&rolled{base: b})
	}
	newest.stream.roll(starts, shorter, consider)
	return best.chain(time.Time{}), true
}

// at is the chain to the state at t: of the newest full at or before t that reaches it, by its newest differential, in the fewest links.
//
// Times along a chain may run backwards when the server's clock was set back. A way to t then uses only states dated before t, and
// ends at the first link, by position, whose window holds t; a base dated t is the state itself.
func (ci *chainItem) at(t time.Time) (chain, bool) {
	for i := len(ci.fulls) - 1; i >= 0; i-- {
		f := ci.fulls[i]
		if f.time().After(t) {
			continue
		}
		// The newest full nearly always answers; all others are only asked, together, when it does not.
		if c, ok := stateAt(append([]*chainBase{f}, f.diffs...), t); ok {
			return c, true
		}
		break
	}
	return stateAt(ci.bases, t)
}

func stateAt(bases []*chainBase, t time.Time) (chain, bool) {
	var best *rolled
	consider := func(r *rolled) {
		if best == nil || r.base.full.backup > best.base.full.backup || r.link == nil && best.link == nil && shorter(r, best) < 0 {
			best = r
		}
	}
	var starts []*chainBase
	newest := -1
	for _, b := range bases {
		if b.time().After(t) {
			continue
		}
		starts, newest = append(starts, b), max(newest, b.full.backup)
		if b.time().Equal(t) {
			consider(&rolled{base: b})
		}
	}
	groups, _ := lives(starts)
	for _, g := range groups {
		g[0].stream.roll(g, shorter, func(r *rolled) (pass, stop bool) {
			to := r.link.to
			if to.Equal(t) || r.link.item.PointInTime && to.After(t) {
				consider(r)
				return false, best.base.full.backup == newest
			}
			return to.Before(t), false
		})
	}
	if best == nil {
		return chain{}, false
	}
	return best.chain(t), true
}

// to is the chain to the end of l from some of the bases: with l as its last link, unless a newer base stands at its end.
func to(l *chainLink, bases []*chainBase) (chain, bool) {
	var starts []*chainBase
	for _, b := range bases {
		if b.stream == l.stream && b.at() <= l.end && l.backup < b.left {
			starts = append(starts, b)
		}
	}
	var best *rolled
	for _, b := range starts {
		if r := (&rolled{base: b}); !b.serves(l) && (best == nil || shorter(r, best) < 0) {
			best = r
		}
	}
	groups, _ := lives(starts)
	for _, g := range groups {
		l.stream.roll(g, shorter, func(r *rolled) (pass, stop bool) {
			if r.link == l && (best == nil || best.link == nil || shorter(r, best) < 0) {
				best = r
			}
			return true, r.link == l || r.link.end > l.end
		})
	}
	if best == nil {
		return chain{}, false
	}
	return best.chain(time.Time{}), true
}
