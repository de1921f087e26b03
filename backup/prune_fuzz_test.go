package backup

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzPrune prunes random histories of the model by random policies and checks what PlanPrune promises.
func FuzzPrune(f *testing.F) {
	for seed := range uint64(30) {
		f.Add(seed, uint8(6+seed%40), seed%3 == 0)
	}
	f.Fuzz(func(t *testing.T, seed uint64, ticks uint8, jumps bool) {
		m := newModel(seed, 3+int(ticks)%60, jumps)
		m.lose()
		p, now := randomPolicy(m), m.ticks[len(m.ticks)-1].clock
		checkPrune(t, m, p, now)
	})
}

func randomPolicy(m *model) Policy {
	some := func() int { return max(0, m.rng.IntN(6)-2) }
	p := Policy{Last: some(), Hourly: some(), Daily: some(), Weekly: some(), Monthly: some(), Yearly: some()}
	if m.rng.IntN(2) == 0 {
		p = Policy{}
	}
	if m.rng.IntN(3) > 0 {
		p.Window = time.Duration(1+m.rng.IntN(300)) * time.Minute
	}
	if m.rng.IntN(2) == 0 {
		proof := Proof(m.rng.IntN(3))
		p.MinProof = &proof
	}
	return p
}

func checkPrune(t *testing.T, m *model, p Policy, now time.Time) {
	before := m.history
	plan := before.PlanPrune(p, now)
	require.Len(t, before, len(plan.Remove)+len(plan.Keep))
	after := before.without(plan.Remove)
	for _, k := range plan.Keep {
		require.NotEmpty(t, k.Because)
	}
	if p.keepsAll() {
		require.Empty(t, plan.Remove)
	}
	require.Empty(t, after.PlanPrune(p, now).Remove, "a second prune removes more")
	require.Equal(t, before.Anchors(), after.Anchors(), "the next link would build on something else")

	for _, b := range before {
		if b.Held != "" {
			_, ok := after.Find(b.ID)
			require.True(t, ok, "held %s is removed", b.ID)
			checkHeldChains(t, before, after, b)
		}
	}
	for _, item := range modelItems() {
		checkLasts(t, before, after, item, p)
		for _, proof := range []Proof{ProofSealed, p.minProof()} {
			latest := Target{Select: only(item), MinProof: proof}
			if b := before.Plan(latest); b.Err() == nil {
				require.Equal(t, b.Steps, after.Plan(latest).Steps, "the newest chain of %s changed", item)
			}
		}
		was, is := before.Coverage(item), after.Coverage(item)
		for _, at := range m.times() {
			require.False(t, is.Contains(at) && !was.Contains(at), "%s is restorable at %s only after the prune", item, at)
			target := Target{Time: at, Select: only(item)}
			if is.Contains(at) {
				require.NoError(t, after.Plan(target).Err())
			}
			if p.Window == 0 || at.Before(now.Add(-p.Window)) || at.After(now) {
				continue
			}
			require.Equal(t, was.Contains(at), is.Contains(at), "%s at %s, in the window", item, at)
			target.MinProof = p.minProof()
			require.Equal(t, before.Plan(target).Err() == nil, after.Plan(target).Err() == nil, "%s at %s from proven backups", item, at)
		}
	}
}

// checkHeldChains asks for each item of a held backup: what was restorable by its ID still is.
func checkHeldChains(t *testing.T, before, after History, b Backup) {
	for _, it := range b.Items {
		target := Target{ID: b.ID, Select: only(it.Name)}
		if before.Plan(target).Err() == nil {
			require.NoError(t, after.Plan(target).Err(), "held %s lost its chain", b.ID)
		}
	}
}

// checkLasts counts the proven fulls that stay.
func checkLasts(t *testing.T, before, after History, item string, p Policy) {
	count := func(h History) (n int) {
		for _, b := range h {
			if it, ok := b.Item(item); ok && !it.Failed() && it.Kind == Full && b.Damaged == "" && b.Proof >= p.minProof() {
				n++
			}
		}
		return n
	}
	require.GreaterOrEqual(t, count(after), min(p.Last, count(before)), "proven fulls of %s", item)
}

func (h History) without(ids []ID) History {
	return slices.DeleteFunc(slices.Clone(h), func(b Backup) bool { return slices.Contains(ids, b.ID) })
}
