package chain_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/mssql/chain"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// FuzzPlan plans over what is left of random histories and compares with what a server would do.
func FuzzPlan(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, uint8(8+seed), uint8(seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, steps, drop uint8) { tryHistory(t, seed, steps, drop) })
}

func TestRandomHistories(t *testing.T) {
	t.Parallel()
	var c counts
	for seed := range uint64(150) {
		c.add(tryHistory(t, seed, uint8(4+seed%24), uint8(seed/3)))
	}
	// The histories do what they are for: plans of all kinds, and refusals for many causes.
	t.Logf("%+v", c)
	require.Positive(t, min(c.plans, c.differentials, c.crossings, c.reached, c.refusals[chain.Gap], c.refusals[chain.Ambiguous], c.refusals[chain.BulkLogged],
		c.refusals[chain.WrongBase], c.refusals[chain.TooLate], c.refusals[chain.TooEarly], c.refusals[chain.Incomplete], c.refusals[chain.NoFull]))
}

type counts struct {
	plans, differentials, crossings, reached, windows int
	refusals                                          map[chain.Cause]int
}

func (c *counts) add(o counts) {
	c.plans, c.differentials, c.crossings, c.reached, c.windows = c.plans+o.plans, c.differentials+o.differentials, c.crossings+o.crossings, c.reached+o.reached, c.windows+o.windows
	if c.refusals == nil {
		c.refusals = map[chain.Cause]int{}
	}
	for cause, n := range o.refusals {
		c.refusals[cause] += n
	}
}

// A trial is one history of which some files are gone.
type trial struct {
	*testing.T
	*world
	whole   []chain.Set // what is left, each with all stripes
	removed []chain.Set
	given   []chain.Set // what the planner sees
	counts
}

func tryHistory(t *testing.T, seed uint64, steps, drop uint8) counts {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, uint64(drop)))
	x := &trial{T: t, world: newWorld(rng, "shop", 1000), counts: counts{refusals: map[chain.Cause]int{}}}
	x.live(int(steps % 28))
	other := newWorld(rng, "shop", 1_000_000) // another database of that name, with the same LSNs
	other.live(4)
	for _, s := range x.sets {
		switch {
		case rng.IntN(100) < int(drop%30):
			x.removed = append(x.removed, s)
		case rng.IntN(6) == 0: // striped, and now and then not all there
			a, b := s, s
			a.Stripes, b.Stripes = 2, 2
			a.Devices, b.Devices = []string{"a", ""}, []string{"", "b"}
			x.given = append(x.given, a)
			if rng.IntN(5) == 0 {
				x.removed = append(x.removed, s)
				continue
			}
			x.given = append(x.given, b)
			x.whole = append(x.whole, s)
		default:
			x.given, x.whole = append(x.given, s), append(x.whole, s)
			if rng.IntN(10) == 0 {
				x.given = append(x.given, s)
			}
		}
	}
	if len(x.given) == 0 {
		return x.counts
	}
	x.given = append(x.given, other.sets...)
	rng.Shuffle(len(x.given), func(i, j int) { x.given[i], x.given[j] = x.given[j], x.given[i] })

	var forks []mtf.GUID
	for _, s := range x.given {
		if s.FamilyGUID == x.family && !slices.Contains(forks, s.Fork) {
			forks = append(forks, s.Fork)
		}
	}
	for range 6 {
		fork := mtf.GUID{}
		if rng.IntN(3) == 0 {
			fork = forks[rng.IntN(len(forks))]
		}
		path := x.paths[x.alive[rng.IntN(len(x.alive))].fork]
		r := path[rng.IntN(len(path))]
		at := r.at.Add(time.Duration(rng.IntN(3)-1) * time.Duration(rng.IntN(5)) * time.Second / 2)
		if rng.IntN(4) == 0 {
			at = x.sets[rng.IntN(len(x.sets))].Finished
		}
		x.toTime(chain.Target{Family: x.family, Fork: fork, Time: at})
		x.toRecord(chain.Target{Family: x.family, Fork: fork, BeforeLSN: lsn(r.n)}, r.n, false)
		x.toRecord(chain.Target{Family: x.family, Fork: fork, AtLSN: lsn(r.n)}, r.n, true)
	}
	for _, s := range x.sets {
		x.toBackup(s)
	}
	for _, fork := range append(forks, mtf.GUID{}) {
		x.toNewest(chain.Target{Family: x.family, Fork: fork})
		x.toMark(chain.Target{Family: x.family, Fork: fork, AtMark: "deploy"})
	}
	x.inWindows()
	return x.counts
}

// plan makes a plan, checks its shape and runs it; state is what it restored.
func (x *trial) plan(t chain.Target, beyond func(record) bool) (p chain.Plan, state []record, refusal *chain.Refusal) {
	x.Helper()
	p, err := chain.Make(x.given, t)
	if err != nil {
		require.ErrorAs(x, err, &refusal)
		require.NotEmpty(x, refusal.Detail)
		x.refusals[refusal.Cause]++
		if refusal.Cause == chain.Gap {
			x.gap(t, refusal)
		}
		return p, nil, refusal
	}
	x.plans++
	require.NoError(x, chain.Check(p.Sets()))
	e := &engine{truths: x.truths}
	for i, s := range p.Steps {
		require.Empty(x, s.Set.Missing())
		if s.Set.Type == mtf.Differential {
			x.differentials++
		}
		if s.Set.FirstFork != s.Set.Fork {
			x.crossings++
		}
		require.Equal(x, s.Set.Type == mtf.Log && beyond != nil, !s.Stop.IsZero())
		err := e.restore(s.Set, beyond)
		if s.Reached && errors.Is(err, errReached) {
			x.reached++
			break
		}
		require.NoErrorf(x, err, "step %d of %s: %v", i+1, describe(p), t)
	}
	return p, e.records, nil
}

func describe(p chain.Plan) (text string) {
	for _, s := range p.Steps {
		text += fmt.Sprintf("[%s %s %s] ", s.Set, s.Set.Fork, s.Stop.At+s.Stop.AtMark+s.Stop.BeforeMark)
	}
	return text
}

// upTo is what a fork is before the first record that is beyond.
func (x *trial) upTo(fork mtf.GUID, beyond func(record) bool) []record {
	path := x.paths[fork]
	if i := slices.IndexFunc(path, beyond); i >= 0 {
		path = path[:i]
	}
	return path
}

func (x *trial) toTime(t chain.Target) {
	x.Helper()
	beyond := func(r record) bool { return r.at.After(t.Time) }
	over := func(s chain.Set) bool { return !s.Finished.Add(time.Second).After(t.Time) }
	p, state, refusal := x.plan(t, beyond)
	// What a search over all orders finds, by the fork on which it ends.
	ways := map[mtf.GUID]bool{}
	for _, s := range x.whole {
		if s.Type != mtf.Log && s.Finished.Equal(t.Time) && x.based(s) {
			ways[s.Fork] = true
		}
	}
	x.search(over, func(s chain.Set) bool { return s.Started.Before(t.Time) && (!s.BulkLogged || over(s)) }, func(_ *engine, s chain.Set) {
		if s.Type == mtf.Log && !s.Started.Before(t.Time) && !s.BulkLogged {
			ways[s.Fork] = true
		}
	})
	if x.judge(t, refusal, ways) {
		return
	}
	last := p.Steps[len(p.Steps)-1].Set
	if last.Type != mtf.Log {
		require.True(x, last.Finished.Equal(t.Time))
		require.Equal(x, x.truths[last.GUID].path, state)
		return
	}
	require.Equalf(x, x.upTo(p.Fork, beyond), state, "%v: %s", t, describe(p))
}

// judge compares a refusal, or none, with the forks on which a search found a way. It reports whether it was a refusal.
func (x *trial) judge(t chain.Target, refusal *chain.Refusal, ways map[mtf.GUID]bool) bool {
	x.Helper()
	n := len(ways)
	if !t.Fork.IsZero() {
		n = 0
		if ways[t.Fork] {
			n = 1
		}
	}
	switch {
	case refusal == nil:
		require.Positivef(x, n, "a plan for %v that no search found", t)
	case refusal.Cause == chain.Ambiguous && n > 0:
		require.Greaterf(x, n, 1, "%v for %v", refusal, t)
	case refusal.Cause != chain.Ambiguous:
		require.Zerof(x, n, "%v: %v, but there is a way%s", refusal, t, x.dump())
	}
	return refusal != nil
}

func (x *trial) toRecord(t chain.Target, n uint32, with bool) {
	x.Helper()
	beyond := func(r record) bool { return r.n > n || r.n == n && !with }
	whole := func(s chain.Set) bool { return s.LastLSN.Compare(lsn(n)) <= 0 }
	p, state, refusal := x.plan(t, beyond)
	ways := map[mtf.GUID]bool{}
	x.search(whole, whole, func(_ *engine, s chain.Set) {
		in := s.Type == mtf.Log && s.FirstLSN.Compare(lsn(n)) <= 0 && lsn(n).Compare(s.LastLSN) < 0 && !s.BulkLogged
		if in || !with && s.LastLSN == lsn(n) {
			fork := s.Fork
			if in && s.FirstFork != s.Fork && lsn(n).Compare(s.ForkPointLSN) <= 0 && s.Fork != t.Fork {
				fork = s.FirstFork
			}
			ways[fork] = true
		}
	})
	if x.judge(t, refusal, ways) {
		return
	}
	require.Equalf(x, x.upTo(p.Fork, beyond), state, "%v: %s", t, describe(p))
}

func (x *trial) toBackup(s chain.Set) {
	x.Helper()
	t := chain.Target{GUID: s.GUID, Family: x.family}
	_, state, refusal := x.plan(t, nil)
	ways := map[mtf.GUID]bool{}
	if slices.ContainsFunc(x.given, func(g chain.Set) bool { return g.GUID == s.GUID }) {
		x.search(x.based, every, func(e *engine, _ chain.Set) {
			if e.next == s.LastLSN && slices.Equal(e.records, x.truths[s.GUID].path) {
				ways[s.Fork] = true
			}
		})
	}
	if !x.judge(t, refusal, ways) {
		require.Equal(x, x.truths[s.GUID].path, state)
	}
}

// toNewest: the end of the fork's last set, or nothing.
func (x *trial) toNewest(t chain.Target) {
	x.Helper()
	p, state, refusal := x.plan(t, nil)
	if refusal != nil && refusal.Cause == chain.Ambiguous {
		require.True(x, t.Fork.IsZero())
		return
	}
	if refusal == nil {
		t.Fork = p.Fork
	}
	if t.Fork.IsZero() {
		return
	}
	var last mtf.LSN
	for _, s := range x.given {
		if s.FamilyGUID == x.family && s.Fork == t.Fork && s.LastLSN.Compare(last) > 0 {
			last = s.LastLSN
		}
	}
	ways := map[mtf.GUID]bool{}
	x.search(x.based, every, func(e *engine, s chain.Set) {
		if s.Fork == t.Fork && s.LastLSN == last {
			ways[t.Fork] = true
		}
	})
	if !x.judge(t, refusal, ways) {
		require.Equal(x, x.upTo(p.Fork, func(r record) bool { return lsn(r.n).Compare(last) >= 0 }), state)
	}
}

// toMark: a plan that has a stop in every log, and can be run to its end when the mark is never met.
func (x *trial) toMark(t chain.Target) {
	x.Helper()
	p, refusal := chain.Make(x.given, t)
	if refusal != nil {
		return
	}
	e := &engine{truths: x.truths}
	for _, s := range p.Steps {
		require.NoError(x, e.restore(s.Set, nil))
		require.Equal(x, s.Set.Type == mtf.Log, s.Stop.AtMark == t.AtMark)
	}
}

// inWindows: what the catalogue promises, a plan keeps.
func (x *trial) inWindows() {
	x.Helper()
	for _, d := range chain.Catalogue(x.given) {
		if d.Family != x.family {
			continue
		}
		for _, w := range d.Windows {
			x.windows++
			require.False(x, w.To.Before(w.From))
			for _, at := range []time.Time{w.From, w.From.Add(w.To.Sub(w.From) / 2), w.To} {
				_, err := chain.Make(x.given, chain.Target{Family: x.family, Fork: w.Fork, Time: at})
				require.NoErrorf(x, err, "%s in %+v", at, w)
			}
		}
	}
}

// gap: the log that is named as missing is in no file that is left, and with what was removed of it the same is not missing again.
func (x *trial) gap(t chain.Target, r *chain.Refusal) {
	x.Helper()
	require.Negative(x, r.From.Compare(r.To), r.Error())
	next := r.Sets[len(r.Sets)-1] // goes on behind the gap
	inside := func(path []record, first mtf.LSN) (ids []int) {
		for _, e := range path {
			if at := lsn(e.n); at.Compare(r.From) >= 0 && at.Compare(r.To) < 0 && at.Compare(first) >= 0 {
				ids = append(ids, e.id)
			}
		}
		return ids
	}
	lacking := inside(x.truths[next.GUID].path, mtf.LSN{})
	require.NotEmpty(x, lacking, r.Error())
	if r.From.IsZero() {
		lacking = lacking[len(lacking)-1:] // it is not known how far back, so no more than the last of it is said to be missing
	}
	for _, s := range x.whole {
		path := x.truths[s.GUID].path
		if s.Type == mtf.Log && slices.Contains(x.truths[next.GUID].path, path[len(path)-1]) { // else it ends on another fork
			for _, id := range inside(path, s.FirstLSN) {
				require.NotContainsf(x, lacking, id, "%v for %v, but %v holds it%s", r, t, s, x.dump())
			}
		}
	}
	back := slices.Concat(x.given, x.removed)
	if !slices.ContainsFunc(x.removed, func(s chain.Set) bool {
		path := x.truths[s.GUID].path
		return s.Type == mtf.Log && slices.Contains(x.truths[next.GUID].path, path[len(path)-1]) && slices.ContainsFunc(inside(x.truths[s.GUID].path, s.FirstLSN), func(id int) bool { return slices.Contains(lacking, id) })
	}) {
		return // no backup was ever taken of it
	}
	_, err := chain.Make(back, t)
	var again *chain.Refusal
	if errors.As(err, &again) && again.Cause == chain.Gap {
		require.NotEqualf(x, []mtf.LSN{r.From, r.To}, []mtf.LSN{again.From, again.To}, "%v for %v, %s", r, t, x.dump())
	}
}

func (x *trial) dump() (text string) {
	for _, s := range x.sets {
		mark := " "
		if !slices.ContainsFunc(x.whole, func(w chain.Set) bool { return w.GUID == s.GUID }) {
			mark = "-"
		}
		text += fmt.Sprintf("\n%s%s %s fork %x from %x at %s co %v bulk %v started %s", mark, s.GUID, s, s.Fork[12:], s.FirstFork[12:], s.ForkPointLSN, s.CopyOnly, s.BulkLogged, s.Started)
	}
	return text
}

// based reports whether a set is a full, or a differential whose base is there.
func (x *trial) based(s chain.Set) bool {
	return s.Type == mtf.Database || s.Type == mtf.Differential && slices.ContainsFunc(x.whole, func(f chain.Set) bool { return f.GUID == s.DifferentialBaseGUID })
}

func every(chain.Set) bool { return true }

// search restores the sets that are left in every order that the server takes, and shows each state, and the set that led to it, to visit. It begins with what start lets
// it, and goes on after logs that through lets it apply whole.
func (x *trial) search(start, through func(chain.Set) bool, visit func(*engine, chain.Set)) {
	type place struct {
		set     mtf.GUID
		records int
		last    int
		base    mtf.GUID
	}
	seen := map[place]bool{}
	var from func(e engine)
	from = func(e engine) {
		for _, s := range x.whole {
			switch {
			case !e.online && s.Type != mtf.Database, e.online && s.Type == mtf.Database:
				continue
			case s.Type != mtf.Log && !start(s):
				continue
			}
			at := e
			if at.restore(s, nil) != nil {
				continue
			}
			key := place{s.GUID, len(at.records), at.records[len(at.records)-1].id, at.base}
			if seen[key] {
				continue
			}
			seen[key] = true
			visit(&at, s)
			if s.Type != mtf.Log || through(s) {
				from(at)
			}
		}
	}
	from(engine{truths: x.truths})
}
