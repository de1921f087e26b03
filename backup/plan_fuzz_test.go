package backup

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzPlan lives random lives of the model, loses manifests, and holds every plan against the true states and against an
// exhaustive search for a chain.
func FuzzPlan(f *testing.F) {
	for seed := range uint64(30) {
		f.Add(seed, uint8(6+seed%40), seed%3 == 0)
	}
	f.Fuzz(func(t *testing.T, seed uint64, ticks uint8, jumps bool) {
		m := newModel(seed, 3+int(ticks)%60, jumps)
		m.lose()
		checkTimes(t, m)
		checkLatest(t, m)
		checkPositions(t, m)
		checkIDs(t, m)
		checkWhole(t, m)
	})
}

func checkTimes(t *testing.T, m *model) {
	cover := map[string]Coverage{}
	for _, c := range m.history.Coverages() {
		require.False(t, c.Item == modelLog && len(c.Spans) > 0, "a shared log has a coverage")
		cover[c.Item] = c
		checkCoverage(t, c)
	}
	for _, at := range m.times() {
		for _, item := range modelItems() {
			proof := Proof(m.rng.IntN(2))
			p := m.history.Plan(Target{Time: at, Select: only(item), MinProof: proof})
			_, want := m.search(item, at, provenTo(proof))
			require.Equal(t, want, p.Err() == nil, "%s at %s: search %v, plan:\n%s", item, at, want, p.Text())
			if proof == ProofSealed {
				require.Equal(t, want, cover[item].Contains(at), "%s at %s: search %v, coverage %v", item, at, want, cover[item])
			}
			if want {
				s := m.apply(t, p, item)
				require.True(t, m.was(item, s, at), "%s was never %+v at %s:\n%s", item, s, at, p.Text())
			}
		}
	}
}

func checkCoverage(t *testing.T, c Coverage) {
	require.Len(t, c.Gaps, max(0, len(c.Spans)-1))
	for i, s := range c.Spans {
		require.Equal(t, s.PointInTime, s.From.Before(s.To))
		if i > 0 {
			require.True(t, c.Spans[i-1].To.Before(s.From), "spans %d and %d of %s touch", i-1, i, c.Item)
			require.Equal(t, Window{c.Spans[i-1].To, s.From}, c.Gaps[i-1].Window)
			require.NotEmpty(t, c.Gaps[i-1].Why)
		}
	}
}

func checkLatest(t *testing.T, m *model) {
	for _, item := range modelItems() {
		p := m.history.Plan(Target{Select: only(item)})
		var zero Target
		ends, _ := m.search(item, zero.Time, provenTo(ProofSealed))
		require.Equal(t, len(ends) > 0, p.Err() == nil, p.Text())
		if len(ends) == 0 {
			continue
		}
		if s := m.apply(t, p, item); s.stream != "" {
			require.Equal(t, ends[s.stream], s.pos, "latest of %s is not the newest that some chain gives:\n%s", item, p.Text())
		}
	}
}

// checkPositions holds the plan to every position against the best way that an exhaustive search finds.
func checkPositions(t *testing.T, m *model) {
	last := 0
	for _, n := range m.ticks[len(m.ticks)-1].pos {
		last = max(last, n)
	}
	for n := range last + 2 {
		for _, item := range []string{"own", "b", "plain"} {
			want := Target{Position: modelPos(n), After: m.rng.IntN(2) == 0, Select: only(item), MinProof: Proof(m.rng.IntN(2))}
			ways := m.searchPosition(item, want.Position, want.After, provenTo(want.MinProof))
			streams := slices.DeleteFunc(m.newestStreams(item, provenTo(want.MinProof)), func(s string) bool { _, ok := ways[s]; return !ok })
			require.Len(t, streams, len(ways))
			if m.rng.IntN(2) == 0 {
				want.Stream = []string{"s1", "s2", "log1", "log2"}[m.rng.IntN(4)]
				streams = slices.DeleteFunc(streams, func(s string) bool { return s != want.Stream })
			}
			checkPosition(t, m, want, streams, ways)
		}
	}
}

func checkPosition(t *testing.T, m *model, want Target, streams []string, ways map[string]modelWay) {
	t.Helper()
	p := m.history.Plan(want)
	if len(streams) == 0 {
		require.ErrorIs(t, p.Err(), ErrRefused, p.Text())
		require.NotEmpty(t, p.Refused[0].Why)
		return
	}
	require.NoError(t, p.Err(), "search: %v", ways)
	require.Equal(t, streams[0], p.Target.Stream)
	require.Equal(t, len(streams) > 1, len(p.Notes) > 0)
	item := want.Select[0].Name
	s := m.apply(t, p, item)
	require.Equal(t, streams[0], streamOf(s.stream))
	if want.After {
		s.pos--
	}
	require.Equal(t, want.Position, modelPos(s.pos), p.Text())
	got := modelWay{links: len(p.Steps) - 1}
	h := slices.SortedFunc(slices.Values(m.history), func(a, b Backup) int { return compareIDs(a.ID, b.ID) })
	for i, b := range h {
		if b.ID == p.Steps[0].ID {
			got.full, got.base = -i, -i
		}
	}
	if len(p.Steps) > 1 && p.Steps[1].Item.Kind == Differential {
		got.base = -slices.IndexFunc(h, func(b Backup) bool { return b.ID == p.Steps[1].ID })
		got.links--
	}
	require.Equal(t, ways[streams[0]], got, p.Text())
}

func checkIDs(t *testing.T, m *model) {
	for _, b := range m.history {
		for _, it := range b.Items {
			if it.Name == modelLog || it.Failed() {
				continue
			}
			p := m.history.Plan(Target{ID: b.ID, Select: only(it.Name)})
			if err := p.Err(); err != nil {
				require.ErrorIs(t, err, ErrRefused)
				require.False(t, it.Kind == Full && b.Damaged == "", "full refused:\n%s", p.Text())
				continue
			}
			s := m.apply(t, p, it.Name)
			require.Equal(t, it.Stream, streamOf(s.stream))
			if it.Stream != "" {
				require.Equal(t, it.End, modelPos(s.pos), "%s of %s:\n%s", it.Name, b.ID, p.Text())
			}
		}
	}
}

// checkWhole plans everything: each item is planned, refused or skipped, never forgotten.
func checkWhole(t *testing.T, m *model) {
	for _, at := range m.times() {
		p := m.history.Plan(Target{Time: at})
		told := map[string]bool{}
		for _, s := range p.Steps {
			for _, n := range s.For {
				told[n] = true
			}
		}
		for _, r := range append(p.Refused, p.Skipped...) {
			require.False(t, told[r.Name] && r.Name != "", "%q is both planned and not", r.Name)
			require.NotEmpty(t, r.Why)
			require.NotEmpty(t, r.Cause)
			told[r.Name] = true
		}
		if len(m.history) > 0 && !told[""] {
			for _, c := range m.history.Coverages() {
				require.True(t, told[c.Item], "%s is forgotten at %s:\n%s", c.Item, at, p.Text())
			}
		}
		for _, item := range modelItems() {
			if told[item] && p.Err() == nil {
				m.apply(t, p, item)
			}
		}
		assert.Equal(t, p.Err() == nil, len(p.Refused) == 0)
		assert.True(t, p.Err() == nil || errors.Is(p.Err(), ErrRefused))
	}
}
