package backup

import (
	"fmt"
	"slices"
	"time"
)

// contradiction says why t names no single state, or nothing.
func (t Target) contradiction() string {
	switch {
	case t.Position == "" && (t.Stream != "" || t.After):
		return "the target has a stream or a side of a position, and no position"
	case t.Position == "":
		return ""
	case t.ID != "" || !t.Time.IsZero():
		return "the target has a position beside a time or a backup"
	case len(t.Select) != 1:
		return "a position is one of a single item's log: select exactly one item"
	}
	return ""
}

// streams are those the item's bases stand in, that of the newest base first.
func (ci *chainItem) streams() []*logStream {
	var out []*logStream
	for _, b := range slices.Backward(ci.bases) {
		if b.stream != nil && !slices.Contains(out, b.stream) {
			out = append(out, b.stream)
		}
	}
	return out
}

// covering are the streams in which a chain reaches the position of t, the newest first.
func (ci *chainItem) covering(t Target) (streams []*logStream, chains []chain) {
	for _, s := range ci.streams() {
		if t.Stream != "" && t.Stream != s.name {
			continue
		}
		if c, ok := ci.atPosition(s, t.Position, t.After); ok {
			streams, chains = append(streams, s), append(chains, c)
		}
	}
	return streams, chains
}

// atTarget is the chain to the position of t.
func (ci *chainItem) atTarget(t Target) (chain, bool) {
	if _, chains := ci.covering(t); len(chains) > 0 {
		return chains[0], true
	}
	return chain{}, false
}

// atPosition is the chain in s to the state just before what stands at p, or just after it: of the newest full and its newest differential at or before p
// that lead there, in the fewest links.
func (ci *chainItem) atPosition(s *logStream, p Position, after bool) (chain, bool) {
	var best *rolled
	consider := func(r *rolled) {
		if best == nil || shorter(r, best) < 0 {
			best = r
		}
	}
	starts := ci.before(s, p)
	for _, b := range starts {
		if b.at() == p && !after {
			consider(&rolled{base: b})
		}
	}
	groups, _ := lives(starts)
	for _, g := range groups {
		s.roll(g, shorter, func(r *rolled) (pass, stop bool) {
			if at := r.at(); at == p && !after || at > p && r.link.item.PointInTime {
				consider(r)
			}
			return r.at() <= p, false
		})
	}
	if best == nil {
		return chain{}, false
	}
	c := best.chain(time.Time{})
	if best.at() > p {
		c.until.position = p
	}
	return c, true
}

// before are the item's bases in s at or before p.
func (ci *chainItem) before(s *logStream, p Position) []*chainBase {
	var out []*chainBase
	for _, b := range ci.bases {
		if b.stream == s && b.at() <= p {
			out = append(out, b)
		}
	}
	return out
}

// noteStream puts into the plan in which stream the position is, and tells when others have it too.
func (p *planner) noteStream(name string, ci *chainItem, c chain) {
	if p.target.Position == "" {
		return
	}
	p.plan.Target.Stream = c.base.stream.name
	streams, _ := ci.covering(p.target)
	if len(streams) < 2 {
		return
	}
	var others []string
	for _, s := range streams[1:] {
		others = append(others, s.name)
	}
	p.plan.Notes = append(p.plan.Notes, fmt.Sprintf("%q was at position %s more than once: this is stream %s, the newest; also in %s",
		name, p.target.Position, c.base.stream.name, listNames(others)))
}

// explainPosition says what is missing for a position.
func (p *planner) explainPosition(ci *chainItem) (Cause, string) {
	streams := ci.streams()
	switch {
	case len(ci.bases) == 0:
		return p.explainNone(ci)
	case len(streams) == 0:
		return CauseUnknown, "its backups have no positions; choose a time or a backup"
	}
	s := streams[0]
	if p.target.Stream != "" {
		i := slices.IndexFunc(streams, func(s *logStream) bool { return s.name == p.target.Stream })
		if i < 0 {
			return CauseUnknown, fmt.Sprintf("no full of it in stream %s is left; there are some in %s", p.target.Stream, listNames(streamNames(streams)))
		}
		s = streams[i]
	} else if i := slices.IndexFunc(streams, func(s *logStream) bool { return len(ci.before(s, p.target.Position)) > 0 }); i >= 0 {
		s = streams[i]
	}
	return p.explainIn(ci, s)
}

func streamNames(streams []*logStream) []string {
	names := make([]string, len(streams))
	for i, s := range streams {
		names[i] = s.name
	}
	return names
}

// explainIn says what is missing for a position in one stream.
func (p *planner) explainIn(ci *chainItem, s *logStream) (Cause, string) {
	at := p.target.Position
	var next *rolled // the nearest base beyond
	for _, b := range ci.bases {
		if b.stream == s && b.at() > at && (next == nil || b.at() < next.at()) {
			next = &rolled{base: b}
		}
	}
	last := furthestState(ci.before(s, at), func(r *rolled) bool { return r.at() <= at })
	if last == nil {
		return CauseTooOld, fmt.Sprintf("nothing that old: the oldest restorable position in stream %s is %s", s.name, next.at())
	}
	cause, why := p.ix.missing(last, next)
	switch {
	case why == "":
		return CauseTooNew, fmt.Sprintf("beyond the newest log: the newest restorable position in stream %s is %s", s.name, last.at())
	case next == nil:
		return cause, fmt.Sprintf("%s; the nearest restorable position before it is %s", why, last.at())
	}
	return cause, fmt.Sprintf("%s; the nearest restorable positions in stream %s are %s and %s", why, s.name, last.at(), next.at())
}
