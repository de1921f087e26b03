package backup

import (
	"fmt"
	"strings"
)

// explain says why the item has no chain to the target: it asks less and less of the backups until there is one, and
// names what it then needs; when there is none even so, it names what is missing.
func (p *planner) explain(ci *chainItem) (Cause, string) {
	if p.proofless == nil {
		p.proofless = newChainIndex(p.h, undamaged)
		p.complete = newChainIndex(p.h, func(*Backup) bool { return true })
	}
	if c, ok := p.chainOf(p.proofless, ci.name); ok {
		return CauseUnproven, p.faults(c) + fmt.Sprintf("; %s is asked for", p.target.MinProof)
	}
	if c, ok := p.chainOf(p.complete, ci.name); ok {
		return CauseDamaged, p.faults(c)
	}
	if p.backup >= 0 {
		return p.explainBackup(ci)
	}
	if p.target.Position != "" {
		return p.explainPosition(ci)
	}
	return p.explainTime(ci)
}

// faults lists why the backups of a chain do not serve.
func (p *planner) faults(c chain) string {
	records := []chainRecord{c.base.full}
	if c.base.last != c.base.full {
		records = append(records, c.base.last)
	}
	for _, l := range c.links {
		records = append(records, l.chainRecord)
	}
	const most = 3
	var out []string
	n := 0
	for _, r := range records {
		if b := p.ix.backups[r.backup]; b.Damaged == "" && b.Proof >= p.target.MinProof {
			continue
		}
		if n++; n <= most {
			out = append(out, p.ix.whyNot(r))
		}
	}
	if n > most {
		out = append(out, fmt.Sprintf("and %d more", n-most))
	}
	return strings.Join(out, "; ")
}

// explainTime says what is missing for a time, or for the latest state.
func (p *planner) explainTime(ci *chainItem) (Cause, string) {
	rs := mergeReaches(ci.reaches())
	if len(rs) == 0 {
		return p.explainNone(ci)
	}
	t, first, last := p.target.Time, rs[0], rs[len(rs)-1]
	if t.Before(first.From) {
		return CauseTooOld, "nothing that old: the oldest restorable time is " + stamp(first.From)
	}
	if t.After(last.To) || len(rs) == 1 {
		why := "beyond the newest log: the newest restorable time is " + stamp(last.To)
		cause, more := p.ix.missing(last.last, nil)
		if more == "" {
			return CauseTooNew, why
		}
		return cause, why + "; " + more
	}
	i := 1
	for rs[i].To.Before(t) {
		i++
	}
	a, b := rs[i-1], rs[i] // t lies between them: a time that is covered has a chain
	cause, why := p.ix.missing(a.last, b.first)
	return cause, fmt.Sprintf("%s; the nearest restorable times are %s and %s", why, stamp(a.To), stamp(b.From))
}

// explainNone says why nothing of the item can be restored at all.
func (p *planner) explainNone(ci *chainItem) (Cause, string) {
	if _, _, ok := p.ix.lastListed(ci, func(it Item) bool { return !it.Failed() }); !ok {
		b, it, _ := p.ix.lastListed(ci, Item.Failed)
		return CauseFailed, fmt.Sprintf("it failed in every run, last in %s: %s", b.ID, it.Error)
	}
	b, it, ok := p.ix.lastListed(ci, func(it Item) bool { return !it.Failed() && it.Kind == Full })
	if !ok {
		return CauseNoFull, "no full of it is left"
	}
	if b.Damaged != "" {
		return CauseDamaged, notServed(b, it.Kind)
	}
	return CauseUnproven, notServed(b, it.Kind) + fmt.Sprintf("; %s is asked for", p.target.MinProof)
}

// explainBackup says what is missing for the end of the backup asked for.
func (p *planner) explainBackup(ci *chainItem) (Cause, string) {
	b := p.ix.backups[p.backup]
	it, own := b.Item(ci.name)
	switch {
	case own && it.Failed():
		return CauseFailed, "it failed in that backup: " + it.Error
	case own && it.Kind == Differential:
		return p.explainParent(ci, it)
	}
	for i := range b.Items {
		it := &b.Items[i]
		if it.Kind != Log || it.Failed() || it.Name != ci.name && !p.ix.items[it.Name].shared {
			continue
		}
		if p.ix.items[it.Name] == ci || len(ci.bases) > 0 {
			return p.explainLink(ci, it)
		}
	}
	return p.explainNone(ci)
}

func (p *planner) explainParent(ci *chainItem, it Item) (Cause, string) {
	for _, i := range ci.seen {
		b := p.ix.backups[i]
		if b.ID != it.Parent {
			continue
		}
		if full, _ := b.Item(ci.name); full.CopyOnly {
			return CauseGap, fmt.Sprintf("its full %s is copy-only and no base of a differential", it.Parent)
		}
	}
	return CauseGap, fmt.Sprintf("its full %s is missing", it.Parent)
}

// explainLink says which log is missing before a link.
func (p *planner) explainLink(ci *chainItem, it *Item) (Cause, string) {
	var bases []*chainBase
	for _, b := range ci.bases {
		if b.stream != nil && b.stream.name == it.Stream && b.at() <= it.End && p.backup < b.left {
			bases = append(bases, b)
		}
	}
	if len(bases) == 0 {
		return CauseNoFull, fmt.Sprintf("no full of it in stream %s is left from before the log link", it.Stream)
	}
	c := furthest(bases, func(r *rolled) bool { return r.at() < it.Begin })
	if c.base == nil {
		return CauseGap, "its chain is broken"
	}
	return CauseGap, fmt.Sprintf("missing positions %s..%s in stream %s", c.record().item.End, it.Begin, it.Stream)
}
