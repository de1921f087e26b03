package chain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// Make finds how to restore t from sets, which may be of many databases, in any order, with stripes apart and copies among them. The error is a *Refusal.
func Make(sets []Set, t Target) (Plan, error) {
	p, r := plan(sets, t)
	if r != nil {
		return Plan{}, r
	}
	return p, nil
}

func plan(sets []Set, t Target) (Plan, *Refusal) {
	if r := t.check(); r != nil {
		return Plan{}, r
	}
	family, r := t.family(sets)
	if r != nil {
		return Plan{}, r
	}
	var own []Set
	for _, s := range sets {
		if s.FamilyGUID == family {
			own = append(own, s)
		}
	}
	g := &goal{Target: t, history: recall(Merge(own), t.Server, t.UseDamaged)}
	var e end
	switch {
	case !t.GUID.IsZero():
		e, r = g.backup()
	case !t.BeforeLSN.IsZero() || !t.AtLSN.IsZero():
		e, r = g.record()
	case t.AtMark != "" || t.BeforeMark != "":
		e, r = g.mark()
	case !t.Time.IsZero():
		e, r = g.moment()
	default:
		e, r = g.newest()
	}
	var p Plan
	if r == nil {
		p, r = g.steps(e)
	}
	if r != nil {
		if r.Family.IsZero() {
			r.Family = family
		}
		if name := nameOf(own); name != "" {
			r.Database = name
		}
		return Plan{}, r
	}
	p.Family = family
	return p, nil
}

func (t Target) check() *Refusal {
	n := 0
	for _, set := range []bool{!t.Time.IsZero() && t.AtMark == "" && t.BeforeMark == "", !t.BeforeLSN.IsZero(), !t.AtLSN.IsZero(), t.AtMark != "", t.BeforeMark != "", !t.GUID.IsZero()} {
		if set {
			n++
		}
	}
	if n > 1 {
		return refuse(BadTarget, "give one of a time, an LSN, a mark or a backup", "the target names %d places to stop at", n)
	}
	return nil
}

// family is the database that t means. Names lead to it and have no other part in a plan.
func (t Target) family(sets []Set) (mtf.GUID, *Refusal) {
	newest := map[mtf.GUID]Set{}
	add := func(match func(Set) bool) {
		for _, s := range sets {
			if f, ok := newest[s.FamilyGUID]; match(s) && (!ok || s.Finished.After(f.Finished)) {
				newest[s.FamilyGUID] = s
			}
		}
	}
	what := "any database"
	switch {
	case !t.Family.IsZero():
		what = "the database family " + t.Family.String()
		add(func(s Set) bool { return s.FamilyGUID == t.Family })
	case t.Database != "":
		what = "the database " + t.Database
		if add(func(s Set) bool { return s.Database == t.Database }); len(newest) == 0 {
			add(func(s Set) bool { return strings.EqualFold(s.Database, t.Database) })
		}
	case !t.GUID.IsZero():
		what = "the backup " + t.GUID.String()
		add(func(s Set) bool { return s.GUID == t.GUID })
	default:
		add(func(Set) bool { return true })
	}
	if len(newest) == 1 {
		for family := range newest {
			return family, nil
		}
	}
	r := refuse(NothingHere, "look at what databases the backups are of", "there is no backup of %s", what)
	if len(newest) > 1 {
		found := make([]Set, 0, len(newest))
		for _, s := range newest {
			found = append(found, s)
		}
		slices.SortFunc(found, func(a, b Set) int {
			return cmp.Or(b.Finished.Compare(a.Finished), cmp.Compare(a.FamilyGUID.String(), b.FamilyGUID.String()))
		})
		var names []string
		for _, s := range found {
			names = append(names, fmt.Sprintf("%s (%s, newest backup %s)", s.FamilyGUID, s.Database, clock(s.Finished)))
		}
		r = refuse(Ambiguous, "name the family", "backups of %s are of %d database families: %s", what, len(found), strings.Join(names, ", ")).about(found...)
	}
	r.Database, r.Family = t.Database, t.Family
	return mtf.GUID{}, r
}

// nameOf is what the newest of the sets calls the database.
func nameOf(sets []Set) string {
	if len(sets) == 0 {
		return ""
	}
	return slices.MaxFunc(sets, func(a, b Set) int { return a.Finished.Compare(b.Finished) }).Database
}

// A goal is a target among the backups of its database.
type goal struct {
	Target
	*history
	notes []string
}

// An end is what a plan leads to: all of node, and then, unless it is nil, a part of stop.
type end struct {
	node *node
	stop *Set
}

func (e end) last() *Set {
	if e.stop != nil {
		return e.stop
	}
	return e.node.set
}

// landing is the fork on which the stop in e is at lsn.
func (e end) landing(lsn mtf.LSN) mtf.GUID {
	if e.stop != nil && e.stop.crosses() && lsn.Compare(e.stop.forkPoint()) <= 0 {
		return e.stop.firstFork()
	}
	return e.last().Fork
}

// steps writes the plan that leads to e.
func (g *goal) steps(e end) (Plan, *Refusal) {
	sets := g.path(e.node)
	if e.stop != nil {
		sets = append(sets, *e.stop)
	}
	p := Plan{Fork: e.last().Fork, Database: sets[len(sets)-1].Database, Notes: g.notes}
	marked := g.AtMark != "" || g.BeforeMark != ""
	timed := !g.Time.IsZero() && !marked && e.stop != nil
	logs := 0
	for i, s := range sets {
		step := Step{Set: s}
		if s.isLog() {
			logs++
			var r *Refusal
			switch {
			case timed:
				step.Stop.At, r = stopAt(g.Time, sets[i-1], s, g.Zone)
				step.Reached = sets[i-1].isLog() && !sets[i-1].before(g.Time)
			case marked:
				step.Stop = Stop{AtMark: g.AtMark, BeforeMark: g.BeforeMark}
				step.Reached = logs > 1
				if !g.Time.IsZero() {
					step.Stop.After, r = stopAt(g.Time, sets[i-1], s, g.Zone)
				}
			case !g.BeforeLSN.IsZero():
				step.Stop.BeforeMark = "lsn:" + g.BeforeLSN.String()
			case !g.AtLSN.IsZero():
				step.Stop.AtMark = "lsn:" + g.AtLSN.String()
			}
			if r != nil {
				return Plan{}, r
			}
			if s.Damaged || s.IncompleteMetadata {
				p.Notes = append(p.Notes, fmt.Sprintf("the %s was taken of a damaged database; its log is applied all the same", s))
			}
		}
		if i > 0 && s.BindingID != sets[i-1].BindingID {
			p.Notes = append(p.Notes, fmt.Sprintf("the database had been restored before the %s was taken", s))
		}
		p.Steps = append(p.Steps, step)
	}
	return p, nil
}

// backup leads to the end of the backup that GUID names. Where that one cannot be used, or is a log, other backups may lead to the very same place in the log.
func (g *goal) backup() (end, *Refusal) {
	var s *Set
	var why *Refusal
	for _, l := range g.lost {
		if l.set.GUID == g.GUID {
			s, why = l.set, l.why
		}
	}
	if i := slices.IndexFunc(g.sets, func(s *Set) bool { return s.GUID == g.GUID }); i >= 0 {
		s, why = g.sets[i], nil
	}
	switch {
	case s == nil:
		return end{}, refuse(NothingHere, "look at what backups there are", "there is no backup %s of this database", g.GUID)
	case why == nil && !s.isLog():
		return end{node: &node{set: s}}, nil
	case why != nil && why.Cause == Conflicting:
		return end{}, why
	}
	r := g.search(every, every)
	n := r.within(s.Fork, s.LastLSN, s.LastLSN)
	switch {
	case n == nil && why == nil:
		return end{}, g.explain(r, s.Fork, s.LastLSN)
	case n == nil:
		return end{}, why
	case why != nil:
		g.notes = append(g.notes, "other backups lead to the same state: "+why.Detail)
	}
	return end{node: n}, nil
}

// newest leads to the newest state that the backups speak of. What lies behind a gap is spoken of, so a restore that would end at the gap is refused.
func (g *goal) newest() (end, *Refusal) {
	fork, r := g.newestFork()
	if r != nil {
		return end{}, r
	}
	last := g.lastOf(fork)
	found := g.search(every, every)
	if n := found.within(fork, last, last); n != nil {
		return end{node: n}, nil
	}
	return end{}, g.explain(found, fork, last)
}

// lastOf is how far any set goes on a fork, usable or not.
func (g *goal) lastOf(fork mtf.GUID) (last mtf.LSN) {
	for s := range g.all() {
		if s.Fork == fork {
			last = later(last, s.LastLSN)
		}
	}
	return last
}

// moment leads to Time: from a backup that was surely over by then, through logs that were begun before it, into the first that was begun at it or later, and so holds all
// that was committed until then.
func (g *goal) moment() (end, *Refusal) {
	t := g.Time
	r := g.search(func(s *Set) bool { return s.before(t) }, func(s *Set) bool { return s.Started.Before(t) && (!s.BulkLogged || s.before(t)) })
	found := map[mtf.GUID]end{}
	for _, s := range g.sets {
		if !s.isLog() && s.Finished.Equal(t) {
			found[s.Fork] = end{node: &node{set: s}} // the newest of them on its fork
		}
	}
	for _, s := range g.sets {
		if _, ok := found[s.Fork]; ok || !s.isLog() || s.BulkLogged || s.Started.Before(t) {
			continue
		}
		if n := r.entry(s); n != nil {
			found[s.Fork] = end{n, s}
		}
	}
	if len(found) == 0 || !g.Fork.IsZero() && found[g.Fork].node == nil {
		return end{}, g.explainMoment(r)
	}
	e, why := g.choose(found, func(life span) bool { return !life.from.After(t) })
	if why == nil && e.stop != nil && e.stop.crosses() {
		g.notes = append(g.notes, fmt.Sprintf("the database was restored while the %s was filled: what it had held until then, beyond %s, is not on this fork", e.stop, e.stop.forkPoint()))
	}
	return e, why
}

// record leads to a log record, with it or without it.
func (g *goal) record() (end, *Refusal) {
	lsn, with := g.AtLSN, true
	if lsn.IsZero() {
		lsn, with = g.BeforeLSN, false
	}
	whole := func(s *Set) bool { return s.LastLSN.Compare(lsn) <= 0 }
	r := g.search(whole, whole)
	found := map[mtf.GUID]end{}
	for fork := range r {
		if n := r.within(fork, lsn, lsn); n != nil && !with {
			found[fork] = end{node: n}
		}
	}
	var bulk *Set
	for _, s := range g.sets {
		if !s.isLog() || s.FirstLSN.Compare(lsn) > 0 || s.LastLSN.Compare(lsn) <= 0 {
			continue
		}
		n := r.entry(s)
		if n == nil {
			continue
		}
		if s.BulkLogged {
			bulk = s
			continue
		}
		e := end{n, s}
		fork := e.landing(lsn)
		if s.Fork == g.Fork {
			fork = g.Fork // the record is on the way to the fork that was asked for
		}
		if found[fork].node == nil {
			found[fork] = e
		}
	}
	switch {
	case len(found) > 0 && (g.Fork.IsZero() || found[g.Fork].node != nil):
		return g.choose(found, func(span) bool { return false })
	case bulk != nil && (g.Fork.IsZero() || bulk.Fork == g.Fork):
		return end{}, unstoppable(bulk)
	}
	fork := g.Fork
	if fork.IsZero() {
		for s := range g.all() { // the fork that a set around the record is of, else the newest
			if s.isLog() && s.FirstLSN.Compare(lsn) <= 0 && lsn.Compare(s.LastLSN) < 0 {
				fork = s.Fork
			}
		}
	}
	if fork.IsZero() {
		var why *Refusal
		if fork, why = g.newestFork(); why != nil {
			return end{}, why
		}
	}
	return end{}, g.explain(r, fork, lsn)
}

// mark leads through all logs that may hold a mark. With a time, from the newest backup before it; else from the oldest from which the logs are unbroken.
func (g *goal) mark() (end, *Refusal) {
	fork, why := g.newestFork()
	if why != nil {
		return end{}, why
	}
	starts := slices.DeleteFunc(slices.Clone(g.sets), func(s *Set) bool { return s.isLog() })
	if !g.Time.IsZero() {
		starts = slices.DeleteFunc(starts, func(s *Set) bool { return !s.before(g.Time) })
	}
	from := func(usable []*Set) *node {
		ok := make(map[*Set]bool, len(usable))
		for _, s := range usable {
			ok[s] = true
		}
		r := g.search(func(s *Set) bool { return ok[s] }, every)
		if nodes := r[fork]; len(nodes) > 0 {
			return nodes[len(nodes)-1]
		}
		return nil
	}
	n := from(starts)
	if n == nil {
		return end{}, g.explain(g.search(every, every), fork, g.lastOf(fork))
	}
	if g.Time.IsZero() {
		// What is in reach from one backup is in reach from any later one, so the oldest is found by halving.
		far := n.set.LastLSN
		i, _ := slices.BinarySearchFunc(starts, true, func(s *Set, _ bool) int {
			if m := from([]*Set{s}); m != nil && m.set.LastLSN == far {
				return 1
			}
			return -1
		})
		if i < len(starts) {
			n = from(starts[i : i+1])
		}
	}
	if !n.set.isLog() {
		r := refuse(TooLate, "marks are found in logs only", "no log follows the %s, so no mark can be found", n.set).about(*n.set)
		r.From = n.set.LastLSN
		return end{}, r
	}
	if last := g.lastOf(fork); n.set.LastLSN != last {
		g.notes = append(g.notes, fmt.Sprintf("log is missing after %s: a mark behind it is not found", n.set.LastLSN))
	}
	return end{node: n}, nil
}
