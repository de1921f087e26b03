package backup

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// model is a small application whose every state is known: streams that grow by writes, items that stand in them, and
// a clock that may jump back. Backups of it are taken at random, and plans are applied to it.
type model struct {
	rng     *rand.Rand
	ticks   []modelTick
	history History
	// witnesses are backups that alone know that an item changed its stream; without them nobody could tell.
	witnesses map[ID]bool
	stream    map[string]string // of each item, now; with its incarnation in it, as by lifeOf
	ends      map[string]int    // the position up to which each stream's log is backed up
	bases     map[string]ID     // the newest full a differential can build on
}

// modelTick is the application at one moment.
type modelTick struct {
	clock  time.Time
	pos    map[string]int    // of each stream, after this tick's writes
	stream map[string]string // of each item, as by lifeOf
}

// modelState is an item brought back.
type modelState struct {
	stream string // as by lifeOf
	pos    int
	full   ID // the full alone, to apply a differential to
}

// lifeOf is a stream with the incarnation of an item in it.
func lifeOf(it Item) string {
	if it.Incarnation == "" {
		return it.Stream
	}
	return it.Stream + "#" + it.Incarnation
}

// streamOf is the stream of a life.
func streamOf(life string) string {
	s, _, _ := strings.Cut(life, "#")
	return s
}

var modelEpoch = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

const modelLog = "txn" // the shared log, an item of its own

// newModel lives n ticks. "own" has a log of its own, "a" and "b" share one, "plain" has none.
func newModel(seed uint64, n int, jumps bool) *model {
	m := &model{
		rng:       rand.New(rand.NewPCG(seed, 7)),
		witnesses: map[ID]bool{},
		stream:    map[string]string{"own": "s1", "a": "log1", "b": "log1", "plain": ""},
		ends:      map[string]int{},
		bases:     map[string]ID{},
	}
	clock, pos := modelEpoch, map[string]int{}
	for range n {
		clock = clock.Add(time.Duration(1+m.rng.IntN(600)) * time.Second)
		if jumps && m.rng.IntN(12) == 0 {
			clock = clock.Add(-time.Duration(m.rng.IntN(3000)) * time.Second)
		}
		next := map[string]int{}
		for _, s := range []string{"s1", "s2", "log1", "log2", ""} {
			next[s] = pos[s]
			seldom := 0
			if strings.HasSuffix(s, "2") {
				seldom = 1 // so it comes to positions where the other has been
			}
			if m.rng.IntN(3) > seldom {
				next[s]++
			}
		}
		pos = next
		m.ticks = append(m.ticks, modelTick{clock: clock, pos: pos})
		if m.rng.IntN(3) > 0 {
			m.run()
		}
		last := &m.ticks[len(m.ticks)-1]
		last.stream = map[string]string{}
		for k, v := range m.stream {
			last.stream[k] = v
		}
	}
	return m
}

func modelPos(p int) Position { return Position(fmt.Sprintf("%06d", p)) }

// run takes one backup at the newest tick.
func (m *model) run() {
	i := len(m.ticks) - 1
	b := Backup{Proof: Proof(m.rng.IntN(3))}
	b.ID = ID(fmt.Sprintf("b%04d", i))
	b.Job, b.Format = "model", FormatVersion
	b.Kind = []Kind{Full, Log, Log, Differential}[m.rng.IntN(4)]
	for _, name := range []string{"own", "a", "b", "plain"} {
		if it, ok := m.item(name, b.Kind, b.ID); ok {
			b.Items = append(b.Items, it)
		}
	}
	if m.rng.IntN(4) > 0 {
		b.Items = append(b.Items, m.logLink(modelLog, streamOf(m.stream["a"])))
	}
	m.history = append(m.history, b)
}

func (m *model) item(name string, k Kind, id ID) (Item, bool) {
	now := m.ticks[len(m.ticks)-1]
	it := Item{Name: name, Kind: k, Window: Window{now.clock, now.clock}}
	it.Stream, it.Incarnation, _ = strings.Cut(m.stream[name], "#")
	switch {
	case m.rng.IntN(12) == 0:
		it.Error = "scripted"
		before := m.stream[name]
		switch m.maybeMove(&it, id); {
		case it.Stream == "": // a failed item cannot tell that it left all streams
			m.stream[name] = before
		case m.stream[name] != before:
			delete(m.bases, name)
		case m.rng.IntN(2) == 0:
			it.Stream, it.Incarnation = "", ""
		}
		return it, true
	case k == Log && name == "own":
		return m.logLink(name, streamOf(m.stream[name])), true
	case k == Log && m.rng.IntN(6) > 0:
		return it, false
	case k == Differential && m.bases[name] != "":
		it.Parent = m.bases[name]
	default:
		it.Kind = Full
		it.CopyOnly = m.rng.IntN(5) == 0
		m.maybeMove(&it, id)
		if !it.CopyOnly {
			m.bases[name] = id
		}
	}
	if it.Stream != "" {
		it.End = modelPos(now.pos[it.Stream])
	} else {
		it.Objects = []string{fmt.Sprint("v", now.pos[""])} // its content, as there is no position
	}
	return it, true
}

// maybeMove lets an item change its stream, or its incarnation in it, at this very moment.
func (m *model) maybeMove(it *Item, id ID) {
	moves := map[string][]string{"own": {"s1", "s2"}, "a": {"log1#1", "log1#2"}, "b": {"log1", "log1#1", "log2", "log2#1", ""}}[it.Name]
	if moves == nil || m.rng.IntN(5) > 0 {
		return
	}
	it.Stream, it.Incarnation, _ = strings.Cut(moves[m.rng.IntN(len(moves))], "#")
	if lifeOf(*it) != m.stream[it.Name] {
		it.CopyOnly = false
		m.witnesses[id] = true
	}
	m.stream[it.Name] = lifeOf(*it)
}

func (m *model) logLink(name, stream string) Item {
	now := m.ticks[len(m.ticks)-1]
	begin := max(0, m.ends[stream]-m.rng.IntN(3)*m.rng.IntN(3)) // some overlap
	it := Item{Name: name, Kind: Log, Stream: stream, Begin: modelPos(begin), End: modelPos(now.pos[stream]), PointInTime: m.rng.IntN(5) > 0}
	it.Window = Window{now.clock, now.clock}
	m.ends[stream] = now.pos[stream]
	return it
}

// lose removes, damages and disorders manifests.
func (m *model) lose() {
	m.history = slices.DeleteFunc(m.history, func(b Backup) bool { return !m.witnesses[b.ID] && m.rng.IntN(8) == 0 })
	for i := range m.history {
		if m.rng.IntN(10) == 0 {
			m.history[i].Damaged = "scripted"
		}
		if m.rng.IntN(15) == 0 {
			m.history[i].Held = "scripted"
		}
	}
	m.rng.Shuffle(len(m.history), func(i, j int) { m.history[i], m.history[j] = m.history[j], m.history[i] })
}

// times are moments worth asking for: each tick, just before and after it, and some between.
func (m *model) times() []time.Time {
	var out []time.Time
	for _, k := range m.ticks {
		out = append(out, k.clock, k.clock.Add(-1), k.clock.Add(time.Duration(m.rng.IntN(300))*time.Second))
	}
	return out
}

// apply does what a restore of the item would do by the steps, and fails the test where an application would refuse.
func (m *model) apply(t *testing.T, p RestorePlan, item string) modelState {
	t.Helper()
	var s modelState
	for n, st := range p.Steps {
		if !slices.Contains(st.For, item) {
			continue
		}
		it := st.Item
		require.False(t, it.Failed(), "step %d applies a failed item", n)
		if b, ok := m.history.Find(st.ID); ok {
			require.Empty(t, b.Damaged, "step %d applies a damaged backup", n)
			require.GreaterOrEqual(t, b.Proof, p.Target.MinProof)
		}
		switch it.Kind {
		case Full:
			s = modelState{lifeOf(it), contentOf(it), st.ID}
		case Differential:
			require.Equal(t, it.Parent, s.full, "step %d: differential on another full", n)
			s = modelState{lifeOf(it), contentOf(it), ""}
		case Log:
			require.Equal(t, it.Stream, streamOf(s.stream), "step %d: log of another stream", n)
			require.LessOrEqual(t, it.Begin, modelPos(s.pos), "step %d: gap", n)
			require.GreaterOrEqual(t, it.End, modelPos(s.pos), "step %d: link ends before the state", n)
			require.True(t, st.Until.IsZero() || it.PointInTime, "step %d: stops inside a link that cannot", n)
			s = modelState{s.stream, m.replay(s, it, st.Until), ""}
			if at := st.UntilPosition; at != "" {
				require.True(t, it.PointInTime, "step %d: stops inside a link that cannot", n)
				require.Less(t, at, it.End, "step %d: stops where the link does not reach", n)
				require.GreaterOrEqual(t, at, it.Begin)
				s.pos = positionOf(at)
				if p.Target.After {
					s.pos++
				}
			}
		}
	}
	return s
}

func contentOf(it Item) int {
	var n int
	if it.Stream == "" {
		fmt.Sscanf(it.Objects[0], "v%d", &n)
	} else {
		fmt.Sscanf(string(it.End), "%d", &n)
	}
	return n
}

// replay applies the writes of a link in their order, up to the first one dated after until.
func (m *model) replay(s modelState, it Item, until time.Time) int {
	var end int
	fmt.Sscanf(string(it.End), "%d", &end)
	if until.IsZero() {
		return end
	}
	pos := s.pos
	for _, k := range m.ticks {
		p := k.pos[it.Stream]
		if p <= pos || p > end {
			continue
		}
		if k.clock.After(until) {
			break
		}
		pos = p
	}
	return pos
}

// was reports whether the item truly was in that state when its clock showed t.
func (m *model) was(item string, s modelState, t time.Time) bool {
	for i, k := range m.ticks {
		if k.stream[item] != s.stream || k.pos[streamOf(s.stream)] != s.pos || k.clock.After(t) {
			continue
		}
		if i+1 == len(m.ticks) || m.ticks[i+1].clock.After(t) || m.ticks[i+1].clock.Before(k.clock) {
			return true
		}
	}
	return false
}

// search finds by exhaustion which positions the item can be brought to, coming only by states dated before t, and whether
// t itself can be reached. It knows nothing of the index. A zero t allows every state.
func (m *model) search(item string, t time.Time, serves func(Backup) bool) (ends map[string]int, found bool) {
	h := slices.Clone(m.history)
	slices.SortFunc(h, func(a, b Backup) int { return strings.Compare(string(a.ID), string(b.ID)) })
	ends = map[string]int{}
	for bi, b := range h {
		it, ok := b.Item(item)
		if !ok || it.Failed() || it.Kind == Log || !serves(b) || it.Kind == Differential && !parentServes(h, item, it.Parent, serves) {
			continue
		}
		if !t.IsZero() && it.Window.To.After(t) {
			continue
		}
		found = found || it.Window.To.Equal(t)
		reached := map[Position]int{it.End: bi} // with the oldest backup that brings it
		for grown := it.Stream != ""; grown; {
			grown = false
			for li, lb := range h {
				for _, l := range lb.Items {
					if l.Kind != Log || l.Failed() || l.Stream != it.Stream || !serves(lb) || movedBetween(h, item, lifeOf(it), bi, li) || !continues(reached, l, li) {
						continue
					}
					if !t.IsZero() && !l.Window.To.Before(t) {
						found = found || l.PointInTime || l.Window.To.Equal(t)
						continue
					}
					if old, ok := reached[l.End]; !ok || li < old {
						reached[l.End], grown = li, true
					}
				}
			}
		}
		for p := range reached {
			var n int
			fmt.Sscanf(string(p), "%d", &n)
			ends[lifeOf(it)] = max(ends[lifeOf(it)], n)
		}
	}
	return ends, found
}

func positionOf(p Position) (n int) {
	fmt.Sscanf(string(p), "%d", &n)
	return n
}

// modelWay is a way to a position: which full, which differential, how many links. The least is the best.
type modelWay struct{ full, base, links int }

// searchPosition finds by exhaustion the best way to a position of each stream. It knows nothing of the index.
func (m *model) searchPosition(item string, at Position, after bool, serves func(Backup) bool) map[string]modelWay {
	h := slices.Clone(m.history)
	slices.SortFunc(h, func(a, b Backup) int { return strings.Compare(string(a.ID), string(b.ID)) })
	best := map[string]modelWay{}
	for bi, b := range h {
		it, ok := b.Item(item)
		if !ok || it.Failed() || it.Kind == Log || it.Stream == "" || it.End > at || !serves(b) || it.Kind == Differential && !parentServes(h, item, it.Parent, serves) {
			continue
		}
		full := bi
		if it.Kind == Differential {
			full = slices.IndexFunc(h, func(b Backup) bool { return b.ID == it.Parent })
		}
		fewest := map[Position]int{it.End: 0}
		found := -1
		offer := func(n int) {
			if found < 0 || n < found {
				found = n
			}
		}
		for grown := true; grown; {
			grown = false
			for li, lb := range h {
				for _, l := range lb.Items {
					if l.Kind != Log || l.Failed() || l.Stream != it.Stream || !serves(lb) || movedBetween(h, item, lifeOf(it), bi, li) {
						continue
					}
					for p, n := range fewest {
						if l.Begin > p || p >= l.End {
							continue
						}
						if l.End > at {
							if l.PointInTime {
								offer(n + 1)
							}
						} else if old, ok := fewest[l.End]; !ok || n+1 < old {
							fewest[l.End], grown = n+1, true
						}
					}
				}
			}
		}
		if n, ok := fewest[at]; ok && !after {
			offer(n)
		}
		if found < 0 {
			continue
		}
		way := modelWay{-full, -bi, found}
		if old, ok := best[it.Stream]; !ok || way.better(old) {
			best[it.Stream] = way
		}
	}
	return best
}

func (w modelWay) better(than modelWay) bool {
	return cmp.Or(cmp.Compare(w.full, than.full), cmp.Compare(w.base, than.base), cmp.Compare(w.links, than.links)) < 0
}

// newestStreams are the streams of an item's bases, that of the newest base first.
func (m *model) newestStreams(item string, serves func(Backup) bool) []string {
	h := slices.Clone(m.history)
	slices.SortFunc(h, func(a, b Backup) int { return strings.Compare(string(b.ID), string(a.ID)) })
	var out []string
	for _, b := range h {
		it, ok := b.Item(item)
		if ok && !it.Failed() && it.Kind != Log && it.Stream != "" && serves(b) && !slices.Contains(out, it.Stream) &&
			(it.Kind == Full || parentServes(h, item, it.Parent, serves)) {
			out = append(out, it.Stream)
		}
	}
	return out
}

func continues(reached map[Position]int, l Item, backup int) bool {
	for p, oldest := range reached {
		if l.Begin <= p && (p < l.End || p == l.End && oldest <= backup) {
			return true
		}
	}
	return false
}

func parentServes(h History, item string, id ID, serves func(Backup) bool) bool {
	b, ok := h.Find(id)
	if !ok || !serves(b) {
		return false
	}
	it, ok := b.Item(item)
	return ok && !it.Failed() && it.Kind == Full && !it.CopyOnly
}

func movedBetween(h History, item, life string, from, to int) bool {
	for i := from + 1; i <= to; i++ {
		if it, ok := h[i].Item(item); ok && (it.Failed() && it.Stream != "" || !it.Failed() && it.Kind == Full) && lifeOf(it) != life {
			return true
		}
	}
	return false
}

func modelItems() []string { return []string{"own", "a", "b", "plain"} }

func only(item string) []Selection { return []Selection{{Name: item}} }

func provenTo(p Proof) func(Backup) bool {
	return func(b Backup) bool { return b.Damaged == "" && b.Proof >= p }
}
