package backup

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// planSelected plans each name of the selection.
func (p *planner) planSelected() {
	objects := map[string][]*chainItem{}
	for _, s := range p.target.Select {
		if ci := p.ix.items[s.Name]; ci != nil {
			p.planNamed(s.Name, ci)
			continue
		}
		if len(objects) == 0 {
			objects = p.ix.objects()
		}
		switch holders := objects[s.Name]; len(holders) {
		case 0:
			p.refuse(s.Name, CauseUnknown, "no item or object of that name; known are "+listNames(p.known(objects)))
		case 1:
			p.planObject(s.Name, holders[0])
		default:
			p.planAmbiguous(s.Name, holders)
		}
	}
}

func (p *planner) planNamed(name string, ci *chainItem) {
	if ci.shared {
		p.refuse(name, CauseAbsent, "it is the log of other items and is restored with them; select those")
		return
	}
	if p.backup >= 0 && !p.concerns(ci) {
		p.refuse(name, CauseAbsent, fmt.Sprintf("backup %s does not hold it; %s does",
			p.target.ID, p.ix.backups[ci.seen[len(ci.seen)-1]].ID))
		return
	}
	p.planItem(name, ci)
}

// planObject plans the item that holds an object, unless its chain is sure not to hold it.
func (p *planner) planObject(name string, ci *chainItem) {
	if c, ok := p.chainOf(p.ix, ci.name); ok && c.lists(name) == listsNot {
		first := ""
		for _, i := range ci.seen {
			if it, _ := p.ix.backups[i].Item(ci.name); slices.Contains(it.Objects, name) {
				first = fmt.Sprintf("; backup %s is the first that lists it", p.ix.backups[i].ID)
				break
			}
		}
		p.refuse(name, CauseAbsent, fmt.Sprintf("it is not in %s at the target%s", ci.name, first))
		return
	}
	p.planNamed(name, ci)
}

// planAmbiguous plans the one holder whose chain to the target lists the object: an object may have moved from item to item.
func (p *planner) planAmbiguous(name string, holders []*chainItem) {
	var names []string
	var at []*chainItem
	for _, ci := range holders {
		names = append(names, ci.name)
		if c, ok := p.chainOf(p.ix, ci.name); ok && c.lists(name) == listsIt {
			at = append(at, ci)
		}
	}
	if len(at) == 1 {
		p.planNamed(name, at[0])
		return
	}
	p.refuse(name, CauseAmbiguous, "it is in "+listNames(names)+"; select the item")
}

// listing says whether a chain holds an object.
type listing int

const (
	listsMaybe listing = iota // created in log, which need not list it
	listsIt
	listsNot
)

// lists asks the last record of the chain that lists objects at all. A log that lists none may have created the object.
func (c chain) lists(object string) listing {
	for i := len(c.links) - 1; i >= 0; i-- {
		if objects := c.links[i].item.Objects; len(objects) > 0 {
			return listed(objects, object)
		}
	}
	l := listed(c.base.last.item.Objects, object)
	if l == listsNot && len(c.links) > 0 {
		return listsMaybe
	}
	return l
}

func listed(objects []string, object string) listing {
	if slices.Contains(objects, object) {
		return listsIt
	}
	return listsNot
}

// objects maps every object ever listed to the items that list it.
func (ix *chainIndex) objects() map[string][]*chainItem {
	out := map[string][]*chainItem{}
	for _, b := range ix.backups {
		for i := range b.Items {
			ci := ix.items[b.Items[i].Name]
			for _, o := range b.Items[i].Objects {
				if !ci.shared && !slices.Contains(out[o], ci) {
					out[o] = append(out[o], ci)
				}
			}
		}
	}
	return out
}

// known lists what can be selected.
func (p *planner) known(objects map[string][]*chainItem) []string {
	var names []string
	for _, n := range p.ix.names {
		if !p.ix.items[n].shared {
			names = append(names, n)
		}
	}
	for o := range objects {
		names = append(names, o)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// listNames quotes names for a sentence, not too many of them.
func listNames(names []string) string {
	const most = 20
	slices.Sort(names)
	more := ""
	if len(names) > most {
		more = fmt.Sprintf(" and %d more", len(names)-most)
		names = names[:most]
	}
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(quoted, ", ") + more
}

// listedRuns are the runs that tell which items existed at the target.
type listedRuns struct {
	full int            // the newest full run among them; -1 without
	in   func(int) bool // whether a run is among them
}

// listed finds the runs at or before the target.
func (p *planner) listed() listedRuns {
	l := listedRuns{full: -1}
	switch {
	case p.backup >= 0:
		l.in = func(i int) bool { return i <= p.backup }
	case !p.target.Time.IsZero():
		l.in = func(i int) bool { return !dated(p.ix.backups[i]).After(p.target.Time) }
	default:
		l.in = func(int) bool { return true }
	}
	for i := len(p.ix.backups) - 1; i >= 0 && l.full < 0; i-- {
		if p.ix.backups[i].Kind == Full && l.in(i) {
			l.full = i
		}
	}
	return l
}

// absent says how it is known that the item did not exist at the target, or nothing when it may have existed.
func (l listedRuns) absent(ix *chainIndex, ci *chainItem) string {
	last := len(ci.seen) - 1
	for last >= 0 && !l.in(ci.seen[last]) {
		last--
	}
	switch {
	case last < 0:
		return fmt.Sprintf("backup %s is the first that lists it", ix.backups[ci.seen[0]].ID)
	case ci.seen[last] < l.full && !l.untaken(ix, ci.name):
		return fmt.Sprintf("full run %s no longer lists it; backup %s was the last", ix.backups[l.full].ID, ix.backups[ci.seen[last]].ID)
	}
	return ""
}

// untaken reports whether a run from the newest full run on knew the item without taking it.
func (l listedRuns) untaken(ix *chainIndex, name string) bool {
	for i, b := range ix.backups[l.full:] {
		if l.in(l.full+i) && slices.Contains(b.Untaken, name) {
			return true
		}
	}
	return false
}

// dated is when a run knew what exists: the earliest of its states by the application's clock, else its start by ours.
func dated(b *Backup) time.Time {
	var t time.Time
	for i := range b.Items {
		if it := &b.Items[i]; !it.Failed() && (t.IsZero() || it.Window.To.Before(t)) {
			t = it.Window.To
		}
	}
	if t.IsZero() {
		return b.Started
	}
	return t
}

// lastListed is the newest backup that lists the item and meets the condition.
func (ix *chainIndex) lastListed(ci *chainItem, want func(Item) bool) (*Backup, Item, bool) {
	for i := len(ci.seen) - 1; i >= 0; i-- {
		b := ix.backups[ci.seen[i]]
		if it, ok := b.Item(ci.name); ok && want(it) {
			return b, it, true
		}
	}
	return nil, Item{}, false
}
