package backup

import (
	"cmp"
	"slices"
	"sort"
	"time"
)

// chainIndex is a history arranged for questions about chains. Only backups that serve give states and links; the others are
// remembered to explain what is missing. Everything here is computed from headers.
//
// The rules, in the terms of Item: a base is a full, or a differential with its own full. A base stands at a position of a stream, and a log link
// of that stream continues a state at position p when Begin <= p < End. From a state dated t such a link reaches every time
// in (t, Window.To] when it is PointInTime, else Window.To alone. When p equals End the link brings nothing new, but when it is
// no older than the state it proves that nothing happened until Window.To.
type chainIndex struct {
	backups []*Backup // oldest first
	items   map[string]*chainItem
	names   []string // of items, sorted
	streams map[string]*logStream
}

// chainItem is what the history holds of one item.
type chainItem struct {
	name  string
	seen  []int        // backups that list it, failed or not, ascending
	fulls []*chainBase // those that serve, oldest first
	bases []*chainBase // fulls and differentials that serve, oldest first
	moves []streamMove // every full, damaged or not, and every failed item that names its stream
	// stateful is set when the item was ever asked to hold more than log.
	stateful bool
	// shared is set for an item that only holds the log of other items.
	shared bool
	// byName is what its newest record says: see Item.ByName.
	byName bool
}

// streamMove is a full as a witness of the stream its item stood in, and of its incarnation there.
type streamMove struct {
	backup              int
	stream, incarnation string
	// left is the backup of the next full in another stream or incarnation.
	left int
}

// same reports whether log goes on from one to the other.
func (m streamMove) same(other streamMove) bool {
	return m.stream == other.stream && m.incarnation == other.incarnation
}

// chainRecord is an item of a backup.
type chainRecord struct {
	backup int
	item   *Item
}

// chainBase is a state that needs no log: a full, or a differential on its full.
type chainBase struct {
	full   chainRecord
	last   chainRecord  // the differential, or the full again
	diffs  []*chainBase // of a full: the differentials on it
	stream *logStream   // nil when no log continues it
	// left is the first backup that saw the item in another stream, or as another incarnation. Links from there on are another life of the log and do
	// not serve this base: a database may leave a shared log that goes on without it.
	left int
}

func (b *chainBase) at() Position    { return b.last.item.End }
func (b *chainBase) time() time.Time { return b.last.item.Window.To }

// logStream is the log of one stream, whichever items hold it.
type logStream struct {
	name     string
	links    []*chainLink // those that serve, by End, age and Begin
	unserved []*chainLink // the others, in the same order
}

// chainLink is one log link.
type chainLink struct {
	chainRecord
	stream *logStream
	// Copies of what every search reads, so that it need not touch the manifests.
	begin, end Position
	to         time.Time
}

// chain is one way to a state.
type chain struct {
	base  *chainBase
	links []*chainLink
	until chainStop
}

// chainStop is where the last link of a chain stops; zero at its end.
type chainStop struct {
	time     time.Time
	position Position
}

func (h History) sorted() []*Backup {
	bs := make([]*Backup, len(h))
	for i := range h {
		bs[i] = &h[i]
	}
	byID := func(a, b *Backup) int { return cmp.Compare(a.ID, b.ID) }
	if !slices.IsSortedFunc(bs, byID) {
		slices.SortStableFunc(bs, byID)
	}
	return bs
}

// undamaged is the plainest choice of backups that serve.
func undamaged(b *Backup) bool { return b.Damaged == "" }

// newChainIndex arranges h; backups for which serves is false give nothing.
func newChainIndex(h History, serves func(*Backup) bool) *chainIndex {
	ix := &chainIndex{backups: h.sorted(), items: map[string]*chainItem{}, streams: map[string]*logStream{}}
	for i, b := range ix.backups {
		ok := serves(b)
		for k := range b.Items {
			ix.add(chainRecord{i, &b.Items[k]}, ok)
		}
	}
	for _, s := range ix.streams {
		sortLinks(s.links)
		sortLinks(s.unserved)
	}
	for name, ci := range ix.items {
		ix.names = append(ix.names, name)
		ci.settle(len(ix.backups))
	}
	slices.Sort(ix.names)
	ix.findShared()
	return ix
}

func (ix *chainIndex) add(r chainRecord, serves bool) {
	ci := ix.items[r.item.Name]
	if ci == nil {
		ci = &chainItem{name: r.item.Name}
		ix.items[r.item.Name] = ci
	}
	if n := len(ci.seen); n == 0 || ci.seen[n-1] != r.backup {
		ci.seen = append(ci.seen, r.backup)
	}
	ci.stateful = ci.stateful || r.item.Kind != Log
	if r.item.Failed() {
		if r.item.Stream != "" {
			ci.moves = append(ci.moves, moveOf(r))
		}
		return
	}
	ci.byName = r.item.ByName
	switch r.item.Kind {
	case Full:
		ci.moves = append(ci.moves, moveOf(r))
		if serves {
			b := &chainBase{full: r, last: r, stream: ix.positioned(r.item)}
			ci.fulls, ci.bases = append(ci.fulls, b), append(ci.bases, b)
		}
	case Differential:
		if f := ix.parent(ci, r.item); f != nil && serves {
			b := &chainBase{full: f.full, last: r, stream: ix.positioned(r.item)}
			f.diffs, ci.bases = append(f.diffs, b), append(ci.bases, b)
		}
	case Log:
		s := ix.stream(r.item.Stream)
		l := &chainLink{r, s, r.item.Begin, r.item.End, r.item.Window.To}
		if serves {
			s.links = append(s.links, l)
		} else {
			s.unserved = append(s.unserved, l)
		}
	}
}

func moveOf(r chainRecord) streamMove {
	return streamMove{backup: r.backup, stream: r.item.Stream, incarnation: r.item.Incarnation}
}

// parent finds the full a differential applies to. It must serve and be a base; it is older, so it is indexed already.
func (ix *chainIndex) parent(ci *chainItem, it *Item) *chainBase {
	i, ok := slices.BinarySearchFunc(ci.fulls, it.Parent, func(f *chainBase, id ID) int {
		return cmp.Compare(ix.backups[f.full.backup].ID, id)
	})
	if !ok || ci.fulls[i].full.item.CopyOnly {
		return nil
	}
	return ci.fulls[i]
}

func (ix *chainIndex) stream(name string) *logStream {
	s := ix.streams[name]
	if s == nil {
		s = &logStream{name: name}
		ix.streams[name] = s
	}
	return s
}

func (ix *chainIndex) positioned(it *Item) *logStream {
	if it.Stream == "" || it.End == "" {
		return nil
	}
	return ix.stream(it.Stream)
}

// settle finds where each base's stream was left.
func (ci *chainItem) settle(end int) {
	for i := len(ci.moves) - 1; i >= 0; i-- {
		m := &ci.moves[i]
		switch {
		case i == len(ci.moves)-1:
			m.left = end
		case !ci.moves[i+1].same(*m):
			m.left = ci.moves[i+1].backup
		default:
			m.left = ci.moves[i+1].left
		}
	}
	for _, b := range ci.bases {
		k := sort.Search(len(ci.moves), func(k int) bool { return ci.moves[k].backup > b.last.backup }) - 1
		if b.left = ci.moves[k].left; !ci.moves[k].same(moveOf(b.last)) {
			b.left = end // a differential in another stream than the newest full before it: no full tells when it was left
		}
	}
}

// findShared tells the logs of other items from items that lost their fulls.
func (ix *chainIndex) findShared() {
	states := map[string]bool{}
	for _, ci := range ix.items {
		for _, m := range ci.moves {
			states[m.stream] = true
		}
	}
	for _, s := range ix.streams {
		for _, links := range [][]*chainLink{s.links, s.unserved} {
			for _, l := range links {
				ci := ix.items[l.item.Name]
				ci.shared = ci.shared || !ci.stateful && states[s.name]
			}
		}
	}
}

func sortLinks(links []*chainLink) {
	if !slices.IsSortedFunc(links, compareLinks) {
		slices.SortStableFunc(links, compareLinks)
	}
}

// compareLinks puts links in the order they are applied.
func compareLinks(a, b *chainLink) int {
	return cmp.Or(cmp.Compare(a.end, b.end), cmp.Compare(a.backup, b.backup), cmp.Compare(a.begin, b.begin))
}

// linksFrom is the index of the first link that ends at p or later.
func linksFrom(links []*chainLink, p Position) int {
	return sort.Search(len(links), func(i int) bool { return links[i].end >= p })
}

// Anchors returns, per item, what a new link can build on. See Anchor.
func (h History) Anchors() map[string]Anchor {
	ix := newChainIndex(h, undamaged)
	out := map[string]Anchor{}
	for name, ci := range ix.items {
		var full, last *chainRecord
		if ci.shared {
			last = ix.lastShared(ci).record()
		} else if c, ok := ci.anchor(); ok {
			full, last = &c.base.full, c.record()
		}
		if last != nil {
			out[name] = Anchor{Full: ix.link(full), Last: ix.link(last)}
		}
	}
	return out
}

func (ix *chainIndex) link(r *chainRecord) *Link {
	if r == nil {
		return nil
	}
	return &Link{ID: ix.backups[r.backup].ID, Item: *r.item}
}

// record is the last step of the chain; nil when there is none.
func (c chain) record() *chainRecord {
	switch {
	case c.base == nil:
		return nil
	case len(c.links) > 0:
		return &c.links[len(c.links)-1].chainRecord
	}
	return &c.base.last
}

// anchor is the chain of the newest full that is a base, as far as it reaches. Of records that reach equally far
// the newest is the last: its checkpoint knows most.
func (ci *chainItem) anchor() (chain, bool) {
	for i := len(ci.fulls) - 1; i >= 0; i-- {
		f := ci.fulls[i]
		if f.full.item.CopyOnly {
			continue
		}
		return furthest(append([]*chainBase{f}, f.diffs...), func(*rolled) bool { return true }), true
	}
	return chain{}, false
}

// lastShared is the furthest link of a shared log that some full of its stream reaches, in the stream used last.
func (ix *chainIndex) lastShared(log *chainItem) chain {
	tried := map[string]bool{}
	for i := len(log.seen) - 1; i >= 0; i-- {
		it, _ := ix.backups[log.seen[i]].Item(log.name)
		if it.Failed() || tried[it.Stream] {
			continue
		}
		tried[it.Stream] = true
		if c := ix.lastOf(log.name, ix.stream(it.Stream)); c.base != nil {
			return c
		}
	}
	return chain{}
}

// lastOf is the chain to the furthest link of that name in s; it has no base when no full reaches one.
func (ix *chainIndex) lastOf(name string, s *logStream) chain {
	var bases []*chainBase
	for _, n := range ix.names {
		for _, b := range ix.items[n].bases {
			if b.stream == s {
				bases = append(bases, b)
			}
		}
	}
	return furthest(bases, func(r *rolled) bool { return r.link != nil && r.link.item.Name == name })
}
