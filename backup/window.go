package backup

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"time"
)

// Coverage returns the times the item can be restored to. For an item that is not known it has no spans.
//
// A time is covered exactly when Plan finds a chain to it.
func (h History) Coverage(item string) Coverage {
	ix := newChainIndex(h, undamaged)
	if ci := ix.items[item]; ci != nil && !ci.shared {
		return ix.coverage(ci)
	}
	return Coverage{Item: item}
}

// Coverages returns the coverage of every item, sorted by name. A log that is an item of its own has none; it serves the items of its stream.
func (h History) Coverages() []Coverage {
	ix := newChainIndex(h, undamaged)
	var out []Coverage
	for _, name := range ix.names {
		if ci := ix.items[name]; !ci.shared {
			out = append(out, ix.coverage(ci))
		}
	}
	return out
}

// Contains reports whether the item can be restored to t.
func (c Coverage) Contains(t time.Time) bool {
	_, ok := c.find(t)
	return ok
}

// find returns the index of the span with t, or of the first span after it.
func (c Coverage) find(t time.Time) (int, bool) {
	i := sort.Search(len(c.Spans), func(i int) bool { return !c.Spans[i].To.Before(t) })
	return i, i < len(c.Spans) && c.Spans[i].Contains(t)
}

// reach is a span with the states at its ends.
type reach struct {
	Span
	first, last *rolled
}

func (ix *chainIndex) coverage(ci *chainItem) Coverage {
	c := Coverage{Item: ci.name}
	var before *reach
	for _, r := range mergeReaches(ci.reaches()) {
		if before != nil {
			_, why := ix.missing(before.last, r.first)
			c.Gaps = append(c.Gaps, Gap{Window{before.To, r.From}, why})
		}
		c.Spans = append(c.Spans, r.Span)
		before = r
	}
	return c
}

// reaches lists what each base and each reachable link gives by itself.
func (ci *chainItem) reaches() []*reach {
	var out []*reach
	for _, b := range ci.bases {
		r := &rolled{base: b}
		out = append(out, &reach{Span{Window{b.time(), b.time()}, false}, r, r})
	}
	groups, _ := lives(ci.bases)
	for _, g := range groups {
		// The way whose clock is earliest gives the earliest times, and every time another way gives.
		g[0].stream.roll(g, earlier, func(r *rolled) (pass, stop bool) {
			from, to := r.prev.clock, r.link.to
			switch {
			case !from.Before(to): // the clock ran backwards, or nothing new
			case r.link.item.PointInTime && out[len(out)-1].extend(from, to, r):
			case r.link.item.PointInTime:
				out = append(out, &reach{Span{Window{from, to}, true}, r, r})
			default:
				out = append(out, &reach{Span{Window{to, to}, false}, r, r})
			}
			return true, false
		})
	}
	return out
}

// extend lets a span that a link began also hold what the next one gives. Nearly all links only do that.
func (s *reach) extend(from, to time.Time, r *rolled) bool {
	if !s.PointInTime || from.Before(s.From) || from.After(s.To) || !to.After(s.To) {
		return false
	}
	s.To, s.last = to, r
	return true
}

// mergeReaches makes rs ascending and disjoint.
func mergeReaches(rs []*reach) []*reach {
	slices.SortStableFunc(rs, func(a, b *reach) int {
		return cmp.Or(a.From.Compare(b.From), b.To.Compare(a.To))
	})
	var out []*reach
	for _, r := range rs {
		if len(out) == 0 || r.From.After(out[len(out)-1].To) {
			out = append(out, r)
			continue
		}
		// r begins inside the span before: it is a moment of it, or both hold every moment.
		cur := out[len(out)-1]
		switch c := r.To.Compare(cur.To); {
		case c > 0:
			cur.To, cur.last = r.To, r.last
		case c == 0 && further(r.last, cur.last):
			cur.last = r.last
		}
	}
	return out
}

// further reports whether a stands further on than b: by position in one stream, else by age of the record.
func further(a, b *rolled) bool {
	if a.base.stream != nil && a.base.stream == b.base.stream && a.at() != b.at() {
		return a.at() > b.at()
	}
	return a.record().backup > b.record().backup
}

// missing says why nothing is covered between the states before and next. When next is nil it says why nothing
// is covered after before, and nothing where the log simply ends.
func (ix *chainIndex) missing(before, next *rolled) (Cause, string) {
	s := before.base.stream
	if s == nil || len(s.links)+len(s.unserved) == 0 {
		if l := ix.unservedBetween(before, next); l != nil {
			return CauseDamaged, ix.whyNot(*l)
		}
		if next == nil {
			return CauseTooNew, ""
		}
		return CauseBetween, "only fulls: nothing in between"
	}
	p := before.at()
	if l := firstAfter(s.unserved, p, before.base.left); l != nil && l.item.Begin <= p {
		return CauseDamaged, ix.whyNot(l.chainRecord)
	}
	moved := next != nil && next.base.stream != s
	switch l := firstAfter(s.links, p, before.base.left); {
	case l != nil && l.item.Begin > p:
		return CauseGap, fmt.Sprintf("missing positions %s..%s in stream %s", p, l.item.Begin, s.name)
	case l != nil && !l.item.PointInTime:
		return CauseBetween, fmt.Sprintf("log link %s can be restored to its end only", ix.backups[l.backup].ID)
	case moved:
		return CauseGap, "log of another stream (the server was replaced or its log was reset)"
	case next != nil && next.base.left != before.base.left:
		return CauseGap, "it began anew as another incarnation, which the log of the one before does not tell of"
	}
	if l := ix.unservedBetween(before, next); l != nil {
		return CauseDamaged, ix.whyNot(*l)
	}
	if next != nil {
		return CauseGap, fmt.Sprintf("no log between %s and %s", stamp(before.time()), stamp(next.time()))
	}
	return CauseTooNew, ""
}

// firstAfter is the link that ends soonest after p, of those taken before the stream was left.
func firstAfter(links []*chainLink, p Position, left int) *chainLink {
	for _, l := range links[linksFrom(links, p):] {
		if l.item.End > p && l.backup < left {
			return l
		}
	}
	return nil
}

// unservedBetween is a full or differential of the item between two states whose backup does not serve.
func (ix *chainIndex) unservedBetween(before, next *rolled) *chainRecord {
	ci := ix.items[before.base.full.item.Name]
	i := sort.SearchInts(ci.seen, before.record().backup+1)
	for ; i < len(ci.seen) && (next == nil || ci.seen[i] < next.record().backup); i++ {
		b := ix.backups[ci.seen[i]]
		if b.Damaged == "" {
			continue
		}
		if it, _ := b.Item(ci.name); !it.Failed() && it.Kind != Log {
			return &chainRecord{ci.seen[i], &it}
		}
	}
	return nil
}

// whyNot says why a record does not serve.
func (ix *chainIndex) whyNot(r chainRecord) string {
	return notServed(ix.backups[r.backup], r.item.Kind)
}

func notServed(b *Backup, k Kind) string {
	if b.Damaged != "" {
		return fmt.Sprintf("%s %s is damaged: %s", wordFor(k), b.ID, b.Damaged)
	}
	return fmt.Sprintf("%s %s is proven %s only", wordFor(k), b.ID, b.Proof)
}

func wordFor(k Kind) string {
	if k == Log {
		return "log link"
	}
	return string(k)
}

// stamp prints a time the way it can be given back as a target.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
