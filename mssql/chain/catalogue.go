package chain

import (
	"cmp"
	"slices"
	"time"

	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// Database is what backups tell of one database, whatever its name was.
type Database struct {
	Family mtf.GUID
	// Name is that in the newest set, Names all that it bore, in the order in which they are met in time. Servers likewise.
	Name           string
	Names, Servers []string
	// Sets are the backups, merged, by their end in the log.
	Sets []Set
	// Forks are its recovery forks, oldest first.
	Forks []Fork
	// Windows are the moments that Make finds a plan for, by fork and time.
	Windows []Window
	// Gaps is the log that is missing between backups.
	Gaps []Hole
	// Lost are sets that cannot be restored, each with why.
	Lost []Lost
}

// Fork is a path of recovery: the database from one restore to the next.
type Fork struct {
	ID mtf.GUID
	// Parent and Point are where it began; zero when no log tells.
	Parent mtf.GUID
	Point  mtf.LSN
	// From and To are when its first backup was begun and its last ended; LastLSN is how far they go.
	From, To time.Time
	LastLSN  mtf.LSN
}

// Window is a stretch of time to any moment of which a fork can be restored. The end of a full or differential is a moment of its own, From and To, where no log goes on
// from that very moment; with headers that tell times to the second there is none for a second after it.
type Window struct {
	Fork     mtf.GUID
	From, To time.Time
	// FromLSN and ToLSN are the ends of the first and the last set of the window.
	FromLSN, ToLSN mtf.LSN
}

// Hole is log that no backup holds, from From up to, and without, To.
type Hole struct {
	Fork     mtf.GUID
	From, To mtf.LSN
}

// Lost is a set that cannot be restored. Why is a *Refusal.
type Lost struct {
	Set Set
	Why error
}

// Catalogue tells from backups alone what databases there are and where each can be restored to. Databases are in the order of their names.
func Catalogue(sets []Set) []Database {
	byFamily := map[mtf.GUID][]Set{}
	for _, s := range Merge(sets) {
		byFamily[s.FamilyGUID] = append(byFamily[s.FamilyGUID], s)
	}
	all := make([]Database, 0, len(byFamily))
	for family, own := range byFamily {
		all = append(all, describe(family, own))
	}
	slices.SortFunc(all, func(a, b Database) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Family.String(), b.Family.String()))
	})
	return all
}

func describe(family mtf.GUID, own []Set) Database {
	h := recall(own, Server{}, false)
	d := Database{Family: family, Name: nameOf(own), Windows: h.windows(), Gaps: h.gaps()}
	byTime := slices.SortedStableFunc(slices.Values(own), func(a, b Set) int { return a.Finished.Compare(b.Finished) })
	for _, s := range byTime {
		if !slices.Contains(d.Names, s.Database) {
			d.Names = append(d.Names, s.Database)
		}
		if s.Server != "" && !slices.Contains(d.Servers, s.Server) {
			d.Servers = append(d.Servers, s.Server)
		}
	}
	d.Sets = slices.SortedStableFunc(slices.Values(own), func(a, b Set) int { return inLog(&a, &b) })
	for _, l := range h.lost {
		d.Lost = append(d.Lost, Lost{*l.set, l.why})
	}
	parent := map[mtf.GUID]*Set{}
	for s := range h.all() {
		if p := parent[s.Fork]; s.crosses() && (p == nil || s.forkPoint().Compare(p.forkPoint()) < 0) {
			parent[s.Fork] = s
		}
	}
	for _, l := range h.lives() {
		f := Fork{ID: l.fork, From: l.from, To: l.to, LastLSN: l.last}
		if p := parent[l.fork]; p != nil {
			f.Parent, f.Point = p.firstFork(), p.forkPoint()
		}
		d.Forks = append(d.Forks, f)
	}
	slices.SortStableFunc(d.Forks, func(a, b Fork) int { return a.From.Compare(b.From) })
	return d
}

// windows are the moments that can be restored to. A log adds those up to its start: what was committed while it was taken may or may not be in it.
func (h *history) windows() []Window {
	var all []Window
	r := h.search(every, every)
	for _, l := range h.lives() {
		var points []Window // ends of fulls and differentials
		var cur *Window     // the one that logs are adding to
		for _, n := range r[l.fork] {
			s := n.set
			if !s.isLog() {
				points = append(points, Window{l.fork, s.Finished, s.Finished, s.LastLSN, s.LastLSN})
				continue
			}
			if cur == nil || s.FirstLSN.Compare(cur.ToLSN) > 0 {
				all = keep(all, cur)
				cur = &Window{Fork: l.fork, From: n.from.set.ended(), FromLSN: n.from.set.LastLSN}
			}
			if s.BulkLogged {
				// No moment in it: the window ends before, and a new one begins when it is surely over.
				all = keep(all, cur)
				over := s.ended()
				cur = &Window{Fork: l.fork, From: over, FromLSN: s.LastLSN}
			} else if s.Started.After(cur.To) {
				cur.To = s.Started
			}
			cur.ToLSN = s.LastLSN
		}
		all = keep(all, cur)
		all = append(all, points...)
	}
	slices.SortStableFunc(all, func(a, b Window) int {
		return cmp.Or(cmp.Compare(a.Fork.String(), b.Fork.String()), a.From.Compare(b.From), b.To.Compare(a.To))
	})
	// A window, or the end of a backup, that lies in another says nothing new.
	var last Window
	return slices.DeleteFunc(all, func(w Window) bool {
		if w.Fork == last.Fork && !last.To.IsZero() && !w.To.After(last.To) {
			return true
		}
		last = w
		return false
	})
}

// keep adds a window that has a moment.
func keep(all []Window, w *Window) []Window {
	if w == nil || w.To.Before(w.From) {
		return all
	}
	return append(all, *w)
}

// A stretch is log on one fork.
type stretch struct{ from, to mtf.LSN }

// gaps is the log that is missing on each fork between what backups hold.
func (h *history) gaps() []Hole {
	held := map[mtf.GUID][]stretch{}
	add := func(fork mtf.GUID, from, to mtf.LSN) { held[fork] = append(held[fork], stretch{from, to}) }
	for _, s := range h.sets {
		switch {
		case s.isLog() && s.crosses():
			add(s.firstFork(), s.FirstLSN, sooner(s.forkPoint(), s.LastLSN))
			add(s.Fork, later(s.forkPoint(), s.FirstLSN), s.LastLSN)
		case s.isLog():
			add(s.Fork, s.FirstLSN, s.LastLSN)
		case len(held[s.Fork]) == 0:
			add(s.Fork, s.LastLSN, s.LastLSN) // only of the first: log is needed from there on, and no later full holds it
		}
	}
	var all []Hole
	for _, l := range h.lives() {
		log := held[l.fork]
		slices.SortFunc(log, func(a, b stretch) int { return cmp.Or(a.from.Compare(b.from), a.to.Compare(b.to)) })
		var end mtf.LSN
		for i, s := range log {
			if i > 0 && s.from.Compare(end) > 0 {
				all = append(all, Hole{l.fork, end, s.from})
			}
			end = later(end, s.to)
		}
	}
	return all
}
