package chain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// A span is from when to when sets of a fork were taken.
type span struct {
	fork     mtf.GUID
	from, to time.Time
	last     mtf.LSN
	newest   *Set
}

// lives are the spans of the forks, by their ends.
func (h *history) lives() []span {
	at := map[mtf.GUID]*span{}
	for s := range h.all() {
		l := at[s.Fork]
		if l == nil {
			l = &span{s.Fork, s.Started, s.Finished, s.LastLSN, s}
			at[s.Fork] = l
		}
		if s.Started.Before(l.from) {
			l.from = s.Started
		}
		if s.Finished.After(l.to) {
			l.to, l.newest = s.Finished, s
		}
		l.last = later(l.last, s.LastLSN)
	}
	all := make([]span, 0, len(at))
	for _, l := range at {
		all = append(all, *l)
	}
	slices.SortFunc(all, func(a, b span) int {
		return cmp.Or(a.to.Compare(b.to), a.from.Compare(b.from), cmp.Compare(a.fork.String(), b.fork.String()))
	})
	return all
}

// newestFork is the fork on which the newest state is: that of the newest backup, if all others had ended when it began. Copies of a database that live side by side,
// as after a restore onto another server, have no common order, and are refused.
func (g *goal) newestFork() (mtf.GUID, *Refusal) {
	lives := g.lives()
	if !g.Fork.IsZero() {
		if !slices.ContainsFunc(lives, func(l span) bool { return l.fork == g.Fork }) {
			return g.Fork, refuse(NothingHere, "look at what forks there are", "no backup is of the recovery fork %s", g.Fork)
		}
		return g.Fork, nil
	}
	top := lives[len(lives)-1]
	rivals := slices.DeleteFunc(slices.Clone(lives), func(l span) bool { return !l.to.After(top.from) })
	if len(rivals) > 1 {
		return top.fork, ambiguous(rivals)
	}
	if len(lives) > 1 {
		g.notes = append(g.notes, fmt.Sprintf("the database was restored before: of %d recovery forks this is the newest, %s", len(lives), top.fork))
	}
	return top.fork, nil
}

// choose picks among ends on different forks: the one that Fork names, the only one, or the only one that was alive.
func (g *goal) choose(found map[mtf.GUID]end, alive func(span) bool) (end, *Refusal) {
	if !g.Fork.IsZero() {
		return found[g.Fork], nil
	}
	var open, living []span
	for _, l := range g.lives() {
		if found[l.fork].node == nil {
			continue
		}
		open = append(open, l)
		if alive(l) {
			living = append(living, l)
		}
	}
	if len(found) == 1 {
		for _, e := range found {
			return e, nil
		}
	}
	if len(living) != 1 {
		return end{}, ambiguous(open)
	}
	g.notes = append(g.notes, fmt.Sprintf("the database was restored later: of %d recovery forks that lead here the plan is for the one that lived then, %s", len(open), living[0].fork))
	return found[living[0].fork], nil
}

func ambiguous(forks []span) *Refusal {
	var names []string
	for _, l := range forks {
		names = append(names, fmt.Sprintf("%s (%s to %s)", l.fork, clock(l.from), clock(l.to)))
	}
	r := refuse(Ambiguous, "name the recovery fork", "the database was restored and lived on in several recovery forks: %s", strings.Join(names, ", "))
	for _, l := range forks {
		r = r.about(*l.newest)
	}
	return r
}
