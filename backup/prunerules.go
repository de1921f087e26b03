package backup

import (
	"fmt"
	"time"
)

// keepCounted applies the rules that count fulls: Last, and Hourly to Yearly.
func (k *keeper) keepCounted() {
	loc := k.policy.Location
	if loc == nil {
		loc = time.UTC
	}
	periods := []struct {
		n      int
		reason reason
		of     func(t time.Time) string
	}{
		{k.policy.Hourly, keepHour, func(t time.Time) string {
			// The offset tells the two hours apart that a clock shows when summer time ends.
			return t.Format("2006-01-02T15 -0700")
		}},
		{k.policy.Daily, keepDay, func(t time.Time) string { return t.Format("2006-01-02") }},
		{k.policy.Weekly, keepWeek, func(t time.Time) string {
			y, w := t.ISOWeek()
			return fmt.Sprintf("%d-%d", y, w)
		}},
		{k.policy.Monthly, keepMonth, func(t time.Time) string { return t.Format("2006-01") }},
		{k.policy.Yearly, keepYear, func(t time.Time) string { return t.Format("2006") }},
	}
	for _, name := range k.all.names {
		ci := k.all.items[name]
		k.keepLast(ci)
		for _, p := range periods {
			k.keepPeriods(ci, p.n, p.reason, func(f *chainBase) string { return p.of(f.time().In(loc)) })
		}
	}
}

func (k *keeper) counts(f *chainBase) bool {
	return k.all.backups[f.full.backup].Proof >= k.policy.minProof()
}

// keepLast keeps the newest fulls down to the Last-th proven one, and all that continues them.
func (k *keeper) keepLast(ci *chainItem) {
	left := k.policy.Last
	var bases []*chainBase
	for i := len(ci.fulls) - 1; i >= 0 && left > 0; i-- {
		f := ci.fulls[i]
		bases = append(append(bases, f), f.diffs...)
		if k.counts(f) {
			k.keep(f.full.backup, keepLast)
			left--
		} else {
			k.keep(f.full.backup, keepUnproven)
		}
		for _, d := range f.diffs {
			k.keep(d.last.backup, keepLastChain)
		}
	}
	groups, _ := lives(bases)
	for _, g := range groups {
		g[0].stream.roll(g, shorter, func(r *rolled) (pass, stop bool) {
			k.keep(r.link.backup, keepLastChain)
			return true, false
		})
	}
}

// keepPeriods keeps the newest proven full of each of the n newest periods that have one, and beside it the fulls that
// are newer than the one kept for their period, or the oldest period counted, but not proven.
func (k *keeper) keepPeriods(ci *chainItem, n int, r reason, period func(*chainBase) string) {
	filled := map[string]bool{}
	for i := len(ci.fulls) - 1; i >= 0 && n > 0; i-- {
		f := ci.fulls[i]
		p := period(f)
		switch {
		case filled[p]:
		case k.counts(f):
			k.keep(f.full.backup, r)
			filled[p] = true
			n--
		default:
			k.keep(f.full.backup, keepUnproven)
		}
	}
}

// keepWindow keeps every record dated in the recovery window, and then adds chains from before it until every time of the window
// that was restorable still is. It looks at the outcome instead of trusting a rule, so it also holds when clocks jumped.
func (k *keeper) keepWindow() {
	if k.policy.Window == 0 {
		return
	}
	from := k.now.Add(-k.policy.Window)
	for i, b := range k.all.backups {
		for n := range b.Items {
			if it := &b.Items[n]; b.Damaged == "" && !it.Failed() && !it.Window.To.Before(from) {
				k.keep(i, keepWindow)
			}
		}
	}
	for _, ix := range k.both() {
		k.keepCovered(ix, from)
	}
}

// keepCovered adds chains of ix until what is kept covers all that ix covers from that time on.
func (k *keeper) keepCovered(ix *chainIndex, from time.Time) {
	want := map[string]Coverage{}
	for _, name := range ix.names {
		if ci := ix.items[name]; !ci.shared {
			want[name] = spans(ci)
		}
	}
	// One round finds the chain that leads into the window. More are needed only where chains in it overlap oddly.
	const rounds = 8
	for round := 0; len(want) > 0; round++ {
		rest := k.rest(ix)
		for name, w := range want {
			t, missing := firstMissing(w, spans(rest.items[name]), from)
			switch {
			case !missing:
				delete(want, name)
			case round < rounds:
				c, _ := ix.items[name].at(t)
				k.keepChain(c, keepWindowChain)
			default:
				k.keepItem(ix, name)
			}
		}
	}
}

// rest is ix without what is not kept so far. It still knows all moves, so it claims no time that ix does not.
func (k *keeper) rest(ix *chainIndex) *chainIndex {
	least := ProofSealed
	if ix == k.proven {
		least = k.policy.minProof()
	}
	index := make(map[*Backup]int, len(ix.backups))
	for i, b := range ix.backups {
		index[b] = i
	}
	return newChainIndex(k.history, func(b *Backup) bool {
		return undamaged(b) && b.Proof >= least && k.kept[index[b]] != 0
	})
}

// keepItem keeps all that serves an item.
func (k *keeper) keepItem(ix *chainIndex, name string) {
	for _, b := range ix.items[name].bases {
		k.keep(b.last.backup, keepWindowChain)
		if b.stream == nil {
			continue
		}
		for _, l := range b.stream.links {
			k.keep(l.backup, keepWindowChain)
		}
	}
}

func spans(ci *chainItem) Coverage {
	var c Coverage
	for _, r := range mergeReaches(ci.reaches()) {
		c.Spans = append(c.Spans, r.Span)
	}
	return c
}

// firstMissing finds the first time at or after from that want covers and have does not.
func firstMissing(want, have Coverage, from time.Time) (time.Time, bool) {
	for _, w := range want.Spans {
		t := w.From
		if t.Before(from) {
			t = from
		}
		for !t.After(w.To) && w.Contains(t) {
			i, ok := have.find(t)
			if !ok {
				return t, true
			}
			t = have.Spans[i].To.Add(1) // the next time there is
		}
	}
	return time.Time{}, false
}

// keepMoves keeps the fulls that tell that an item left a shared log, where an older full and a later link of that log stay:
// without them the link would seem to serve the old full.
func (k *keeper) keepMoves() {
	for changed := true; changed; {
		changed = false
		for _, ci := range k.all.items {
			for _, b := range ci.bases {
				if b.stream == nil || b.left == len(k.kept) || k.kept[b.full.backup] == 0 || k.kept[b.left] != 0 {
					continue
				}
				if k.newestKept(b.stream) >= b.left {
					k.keep(b.left, keepMoved)
					changed = true
				}
			}
		}
	}
}

// newestKept is the newest backup with a link of s that stays, or -1.
func (k *keeper) newestKept(s *logStream) int {
	newest := -1
	for _, l := range s.links {
		if k.kept[l.backup] != 0 {
			newest = max(newest, l.backup)
		}
	}
	return newest
}
