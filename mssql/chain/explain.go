package chain

import (
	"iter"
	"math"
	"slices"

	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// all is every set, usable or not.
func (h *history) all() iter.Seq[*Set] {
	return func(yield func(*Set) bool) {
		for _, s := range h.sets {
			if !yield(s) {
				return
			}
		}
		for _, l := range h.lost {
			if !yield(l.set) {
				return
			}
		}
	}
}

// A route is the forks that lead to a place, each with how far along it goes.
type route map[mtf.GUID]mtf.LSN

func (w route) holds(s *Set) bool { return s.LastLSN.Compare(w[s.Fork]) <= 0 }

// explain says why nothing in r leads to lsn on fork, and names the log that is missing.
func (h *history) explain(r reach, fork mtf.GUID, lsn mtf.LSN) *Refusal {
	way := route{}
	n := h.nearest(r, fork, lsn, way)
	way[fork] = mtf.LSN{VLF: math.MaxUint32} // what goes on behind lsn is of interest too
	if n == nil {
		return h.startless(fork, lsn, way)
	}
	from := n.set.LastLSN
	for _, s := range h.sets {
		if s.isLog() && way.holds(s) && s.LastLSN.Compare(from) > 0 && n.set.end().enters(*s) == nil {
			// It could be applied, and was not, since the target lies in it or before its end.
			if s.BulkLogged {
				return unstoppable(s)
			}
			return refuse(WrongFork, "name the fork "+s.Fork.String(), "the target lies before the recovery fork %s began, on %s", fork, s.Fork).about(*s)
		}
	}
	next := h.next(way, from)
	for _, l := range h.lost {
		s := l.set
		if s.isLog() && way.holds(s) && s.FirstLSN.Compare(from) <= 0 && from.Compare(s.LastLSN) < 0 {
			why := *l.why
			why.From, why.To = from, s.LastLSN
			return &why
		}
	}
	if next != nil {
		why := missing(from, next.FirstLSN).about(*n.set, *next)
		for _, l := range h.lost { // what would have helped
			if s := l.set; !s.isLog() && way.holds(s) && s.LastLSN.Compare(next.FirstLSN) >= 0 && s.LastLSN.Compare(next.LastLSN) <= 0 {
				why.Detail += "; " + l.why.Detail
			}
		}
		return why
	}
	for _, l := range h.lost {
		if s := l.set; way.holds(s) && s.LastLSN.Compare(from) > 0 {
			why := *l.why
			why.From, why.To = from, s.LastLSN
			return &why
		}
	}
	if last := n.set.LastLSN; last.Compare(lsn) > 0 {
		return refuse(TooEarly, "restore from an older backup", "no backup ends before %s", lsn).about(*n.set)
	}
	late := refuse(TooLate, "take the newest log backup, or restore to where the backups end", "the backups end at %s, before %s", from, lsn).about(*n.set)
	late.From = from
	return late
}

// nearest is the last node on the way to lsn on fork; way collects the forks that lead there.
func (h *history) nearest(r reach, fork mtf.GUID, lsn mtf.LSN, way route) *node {
	if lsn.Compare(way[fork]) <= 0 {
		return nil // been there
	}
	way[fork] = lsn
	if n := r.within(fork, mtf.LSN{}, lsn); n != nil {
		return n
	}
	var best *node
	for _, s := range h.entries[fork] {
		if n := h.nearest(r, s.firstFork(), s.forkPoint(), way); n != nil && (best == nil || n.set.LastLSN.Compare(best.set.LastLSN) > 0) {
			best = n
		}
	}
	return best
}

// next is the usable log on the way that begins first after from.
func (h *history) next(way route, from mtf.LSN) (next *Set) {
	for _, s := range h.sets {
		if s.isLog() && way.holds(s) && s.FirstLSN.Compare(from) > 0 && (next == nil || s.FirstLSN.Compare(next.FirstLSN) < 0) {
			next = s
		}
	}
	return next
}

// startless says why no full leads to lsn on fork; way are the forks that lead there, as far as logs tell.
func (h *history) startless(fork mtf.GUID, lsn mtf.LSN, way route) *Refusal {
	var early, late *Set // the data backup on the fork that ends first, and the log on the way that begins first
	for _, s := range h.sets {
		switch {
		case s.isLog() && way.holds(s) && (late == nil || s.FirstLSN.Compare(late.FirstLSN) < 0):
			late = s
		case !s.isLog() && s.Fork == fork && early == nil:
			early = s
		}
	}
	for _, l := range h.lost {
		if !l.set.isLog() && way.holds(l.set) && l.set.LastLSN.Compare(lsn) <= 0 {
			return l.why
		}
	}
	switch {
	case early != nil && early.LastLSN.Compare(lsn) > 0:
		return refuse(TooEarly, "restore from an older backup", "the oldest full or differential that can be used ends at %s, beyond %s", early.LastLSN, lsn).about(*early)
	case late == nil:
		return refuse(NothingHere, "look at what backups there are", "no full that can be used is of the recovery fork %s", fork)
	}
	if !late.crosses() && h.startsElsewhere(way, late.FirstLSN) {
		r := refuse(Gap, "find the log backup in which the database was restored, or restore from a full of the new fork",
			"log is missing up to %s, and in it how the recovery fork %s began", late.FirstLSN, late.Fork).about(*late)
		r.To = late.FirstLSN
		return r
	}
	none := refuse(NoFull, "bring the full before that log; without one nothing can be restored", "no full is there for the logs from %s on", late.FirstLSN).about(*late)
	none.To = late.FirstLSN
	return none
}

// startsElsewhere reports whether a full before lsn is on a fork that is not on the way, but may be: no log says where the way begins.
func (h *history) startsElsewhere(way route, lsn mtf.LSN) bool {
	return slices.ContainsFunc(h.sets, func(s *Set) bool { return !s.isLog() && way[s.Fork].IsZero() && s.LastLSN.Compare(lsn) < 0 })
}

// explainMoment says why nothing in r leads to Time, and which moments near it can be restored.
func (g *goal) explainMoment(r reach) *Refusal {
	why := g.whyNot(r)
	for _, w := range g.windows() {
		if !g.Fork.IsZero() && w.Fork != g.Fork {
			continue
		}
		if w.To.Before(g.Time) && (why.Before.IsZero() || w.To.After(why.Before)) {
			why.Before = w.To
		}
		if w.From.After(g.Time) && (why.After.IsZero() || w.From.Before(why.After)) {
			why.After = w.From
		}
	}
	return why
}

func (g *goal) whyNot(r reach) *Refusal {
	mine := func(s *Set) bool { return g.Fork.IsZero() || s.Fork == g.Fork }
	if !g.Fork.IsZero() {
		if _, why := g.newestFork(); why != nil {
			return why
		}
	}
	// The log that would hold the moment: the first that was begun at it or later.
	var holds, early *Set
	for s := range g.all() {
		if s.isLog() && mine(s) && !s.Started.Before(g.Time) && (holds == nil || s.Started.Before(holds.Started)) {
			holds = s
		}
	}
	for _, s := range g.sets {
		if s.BulkLogged && s.isLog() && mine(s) && !s.before(g.Time) && r.entry(s) != nil {
			return unstoppable(s)
		}
		if !s.isLog() && (early == nil || s.Finished.Before(early.Finished)) {
			early = s
		}
	}
	if len(r) == 0 && early != nil {
		return refuse(TooEarly, "restore to a moment after a full, or bring an older one", "the oldest full that can be used ended at %s, after %s", clock(early.Finished), clock(g.Time)).about(*early)
	}
	if holds != nil {
		if why := g.explain(r, holds.Fork, holds.FirstLSN); why.Cause != TooLate {
			return why
		}
	}
	last := g.newestBy(mine)
	if last == nil {
		return refuse(NothingHere, "look at what backups there are", "no full is there that can be used")
	}
	if last.RecoveryModel == "SIMPLE" && !last.isLog() {
		return refuse(Simple, "restore to the end of a full or differential", "the database was in the SIMPLE recovery model, which has no log to stop in").about(*last)
	}
	for _, l := range g.lost {
		if mine(l.set) && l.set.Finished.After(g.Time) || l.set == holds {
			return l.why
		}
	}
	late := refuse(TooLate, "take a log backup, or restore to where the backups end", "no log backup was begun at %s or later, so what was committed by then may not be in any", clock(g.Time)).about(*last)
	late.From = last.LastLSN
	return late
}

// newestBy is the set that ended last among those that match.
func (h *history) newestBy(match func(*Set) bool) (last *Set) {
	for _, s := range h.sets {
		if match(s) && (last == nil || s.Finished.After(last.Finished)) {
			last = s
		}
	}
	return last
}

// unstoppable is the refusal to stop in a log with bulk-logged changes.
func unstoppable(s *Set) *Refusal {
	return refuse(BulkLogged, "restore to the end of this log, to a moment before it, or to one in a later log without such changes",
		"the %s holds bulk-logged changes and can only be restored whole", s).about(*s)
}
