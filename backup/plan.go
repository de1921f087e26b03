package backup

import (
	"fmt"
	"slices"
)

// Plan says what a restore to t would do, from headers alone. It always returns a plan; what cannot be restored stands in its
// Refused, and Err turns that into an error.
//
// For a time, an item's chain starts with the newest full at or before it that reaches it, shortened by the newest differential, continued by the fewest
// log links. When backups are damaged, missing or proven too little, an older full whose log reaches the time is taken instead. A
// state before or after the time is never given in its place. Without a time it is the newest state that any chain gives.
// For a position an item's chain starts with the newest full at or before it that reaches it, shortened by the newest differential at or before it, continued by the fewest log links up to the one
// that holds it. In which stream that is stands in the plan's Target, with a note when another stream has the position too.
//
// For an ID it is the end of that backup: of its fulls and differentials themselves, of its log links with the chain up to
// them; when the backup holds a log shared by several items, all of them are brought to that log's end.
//
// A name in the selection is an item or, when there is none of that name, one of an item's Objects. Without a selection the
// restore is of all items that existed at the target. An item did not exist yet when no backup at or before the target
// lists it, not even as failed. It no longer existed when the newest full run at or before the target and all runs from
// there to the target neither list it nor name it as untaken; a run is dated by the first of its states. Such items are skipped, with a note, unless nothing remains
// to be restored, and so are those with Item.ByName.
func (h History) Plan(t Target) RestorePlan {
	p := newPlanner(h, t)
	if len(p.ix.backups) == 0 {
		p.refuse("", CauseUnknown, "the history holds no backup")
		return p.plan
	}
	p.plan.Job = p.ix.backups[len(p.ix.backups)-1].Job
	if why := t.contradiction(); why != "" {
		p.refuse("", CauseAmbiguous, why)
		return p.plan
	}
	if t.ID != "" && p.backup < 0 {
		p.refuse("", CauseUnknown, fmt.Sprintf("no backup %s; the newest is %s", t.ID, p.ix.backups[len(p.ix.backups)-1].ID))
		return p.plan
	}
	if len(t.Select) == 0 {
		p.planAll()
	} else {
		p.planSelected()
	}
	p.plan.Steps = p.steps()
	return p.plan
}

// planner holds one call of Plan.
type planner struct {
	plan      RestorePlan
	h         History
	target    Target
	ix        *chainIndex // of the backups the target allows
	proofless *chainIndex // of all that are not damaged; made when something must be explained
	complete  *chainIndex // of all; likewise
	backup    int         // of Target.ID; -1 without
	chains    []namedChain
}

// namedChain is the chain of one item with the name it was asked for by.
type namedChain struct {
	name string
	chain
}

func newPlanner(h History, t Target) *planner {
	p := &planner{h: h, target: t, plan: RestorePlan{Target: t}, backup: -1}
	p.ix = newChainIndex(h, func(b *Backup) bool { return b.Damaged == "" && b.Proof >= t.MinProof })
	for i, b := range p.ix.backups {
		if b.ID == t.ID {
			p.backup = i
		}
	}
	return p
}

func (p *planner) refuse(name string, c Cause, why string) {
	p.plan.Refused = append(p.plan.Refused, Refusal{name, c, why})
}

func (p *planner) planAll() {
	listed := p.listed()
	for _, name := range p.ix.names {
		ci := p.ix.items[name]
		if ci.shared {
			continue
		}
		if p.backup >= 0 && !p.concerns(ci) {
			continue
		}
		if ci.byName {
			p.plan.Skipped = append(p.plan.Skipped, Refusal{name, CauseByName, "it is restored only when it is selected by its name"})
			continue
		}
		if why := listed.absent(p.ix, ci); why != "" {
			p.plan.Skipped = append(p.plan.Skipped, Refusal{name, CauseAbsent, why})
			continue
		}
		p.planItem(name, ci)
	}
	if len(p.plan.Refused) == 0 && len(p.chains) == 0 {
		p.refuseSkipped()
	}
}

// refuseSkipped says why nothing is left of a restore of everything.
func (p *planner) refuseSkipped() {
	for _, s := range p.plan.Skipped {
		if !p.target.Time.IsZero() && s.Cause == CauseAbsent {
			s.Cause, s.Why = p.explain(p.ix.items[s.Name])
		}
		p.plan.Refused = append(p.plan.Refused, s)
	}
	p.plan.Skipped = nil
	if len(p.plan.Refused) == 0 {
		p.refuse("", CauseNoFull, "the backups hold no item that can be restored")
	}
}

func (p *planner) planItem(name string, ci *chainItem) {
	if c, ok := p.chainOf(p.ix, ci.name); ok {
		p.chains = append(p.chains, namedChain{name, c})
		p.noteStream(name, ci, c)
		return
	}
	cause, why := p.explain(ci)
	p.refuse(name, cause, why)
}

// chainOf finds the item's chain to the target among the backups that serve in ix.
func (p *planner) chainOf(ix *chainIndex, name string) (chain, bool) {
	ci := ix.items[name]
	switch {
	case p.backup >= 0:
		return ix.endOf(p.backup, ci)
	case p.target.Position != "":
		return ci.atTarget(p.target)
	case !p.target.Time.IsZero():
		return ci.at(p.target.Time)
	}
	return ci.latest()
}

// concerns reports whether the backup asked for holds the item, or log that serves it.
func (p *planner) concerns(ci *chainItem) bool {
	if _, ok := slices.BinarySearch(ci.seen, p.backup); ok {
		return true
	}
	b := p.ix.backups[p.backup]
	for i := range b.Items {
		it := &b.Items[i]
		if it.Kind != Log || it.Failed() || !p.ix.items[it.Name].shared {
			continue
		}
		for _, m := range ci.moves {
			if m.stream == it.Stream && m.backup <= p.backup && p.backup < m.left {
				return true
			}
		}
	}
	return false
}

// endOf is the chain to the item's state at the end of a backup.
func (ix *chainIndex) endOf(backup int, ci *chainItem) (chain, bool) {
	var own chain
	for _, b := range ci.bases {
		if b.last.backup == backup {
			own.base = b
		}
	}
	var last *chainLink // of the logs in the backup that serve the item, the one that ends furthest
	for i := range ix.backups[backup].Items {
		it := &ix.backups[backup].Items[i]
		if it.Kind != Log || it.Failed() || it.Name != ci.name && !ix.items[it.Name].shared {
			continue
		}
		l := ix.streams[it.Stream].find(it)
		if l != nil && ci.uses(l) && (last == nil || l.item.End > last.item.End) {
			last = l
		}
	}
	switch {
	case last == nil:
		return own, own.base != nil
	case own.base == nil:
		return to(last, ci.bases)
	}
	if c, ok := to(last, []*chainBase{own.base}); ok {
		return c, true
	}
	return own, true
}

// find returns the link of that record, if its backup serves.
func (s *logStream) find(it *Item) *chainLink {
	for _, l := range s.links[linksFrom(s.links, it.End):] {
		if l.item == it {
			return l
		}
		if l.item.End > it.End {
			break
		}
	}
	return nil
}

// uses reports whether a base of the item stands in the life of the log that l belongs to.
func (ci *chainItem) uses(l *chainLink) bool {
	for _, b := range ci.bases {
		if b.stream == l.stream && l.backup < b.left {
			return true
		}
	}
	return false
}

// steps puts the chains in the order they are applied: item by item, but the items of one log first all get their
// bases and then the log, each link of it once.
func (p *planner) steps() []PlanStep {
	groups := map[*logStream][]namedChain{}
	var steps []PlanStep
	index := map[*Item]int{}
	add := func(r chainRecord, name string, until chainStop) {
		i, ok := index[r.item]
		if !ok {
			b := p.ix.backups[r.backup]
			i, index[r.item] = len(steps), len(steps)
			steps = append(steps, PlanStep{ID: b.ID, Item: *r.item, Until: until.time, UntilPosition: until.position, Proof: b.Proof})
		}
		if !slices.Contains(steps[i].For, name) {
			steps[i].For = append(steps[i].For, name)
		}
	}
	for _, c := range p.chains {
		if len(c.links) > 0 {
			groups[c.links[0].stream] = append(groups[c.links[0].stream], c)
		}
	}
	for _, c := range p.chains {
		group := []namedChain{c}
		if len(c.links) > 0 {
			group = groups[c.links[0].stream]
			delete(groups, c.links[0].stream)
		}
		for _, c := range group {
			add(c.base.full, c.name, chainStop{})
			if c.base.last != c.base.full {
				add(c.base.last, c.name, chainStop{})
			}
		}
		for _, l := range linksOf(group) {
			add(l.chainRecord, l.name, l.until)
		}
	}
	return steps
}

// namedLink is a link of a chain with the name it serves.
type namedLink struct {
	*chainLink
	name  string
	until chainStop
}

// linksOf merges the links of chains in one stream, in the order of their ends.
func linksOf(chains []namedChain) []namedLink {
	var out []namedLink
	for _, c := range chains {
		for i, l := range c.links {
			n := namedLink{chainLink: l, name: c.name}
			if i == len(c.links)-1 {
				n.until = c.until
			}
			out = append(out, n)
		}
	}
	slices.SortStableFunc(out, func(a, b namedLink) int { return compareLinks(a.chainLink, b.chainLink) })
	return out
}
