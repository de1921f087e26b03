package backuptest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

func TestLedgerKeepsEveryRule(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]NewApplication{
		"log of each database": NewLedgerApplication(&LedgerOptions{Ballast: 300 << 10}, nil),
		"shared log":           NewLedgerApplication(&LedgerOptions{Ballast: 70 << 10, SharedLog: true}, nil),
		"server writes":        NewLedgerApplication(&LedgerOptions{Ballast: 300 << 10}, &LedgerSourceOptions{ServerFiles: true}),
		"truncates itself":     NewLedgerApplication(&LedgerOptions{Ballast: 70 << 10, TruncatesItself: true}, nil),
		"truncates itself, server writes": NewLedgerApplication(&LedgerOptions{Ballast: 70 << 10, TruncatesItself: true},
			&LedgerSourceOptions{ServerFiles: true}),
		"truncates itself, shared log": NewLedgerApplication(&LedgerOptions{SharedLog: true, TruncatesItself: true},
			&LedgerSourceOptions{ServerFiles: true}),
		"odd names": NewLedgerApplication(&LedgerOptions{Databases: []string{"Mail/jones.nsf", "a b%20c", "ÄÖ", "_log "}}, nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			TestSource(t, fresh)
		})
	}
}

func TestEveryRuleIsAskedOfTheLedger(t *testing.T) {
	t.Parallel()
	asked := map[string]bool{}
	for _, o := range []*LedgerOptions{nil, {TruncatesItself: true}} {
		for _, r := range CheckSource(t.Context(), NewLedgerApplication(o, nil)) {
			assert.NotEmpty(t, r.Why, "rule %s", r.Rule)
			asked[r.Rule] = asked[r.Rule] || r.Skip == ""
		}
	}
	for rule, ok := range asked {
		assert.True(t, ok, "rule %s", rule)
	}
}

func TestEverySourceRuleRejectsAWrongSource(t *testing.T) {
	t.Parallel()
	rules := map[string]rule[NewApplication]{}
	for _, r := range sourceRules() {
		rules[r.name] = r
	}
	wrong := wrongApplications()
	require.Equal(t, slices.Sorted(maps.Keys(rules)), slices.Sorted(maps.Keys(wrong)), "a rule without a Source that breaks it proves nothing")
	for name, fresh := range wrong {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := rules[name].run(t.Context(), fresh)
			require.True(t, got.Broken(), "the rule %s accepts a Source that breaks it", name)
			t.Log(got.Err)
			require.NotContains(t, got.Err.Error(), "panic")
		})
	}
}

// bareSource is an agent that can do nothing but take fulls.
type bareSource struct{ s *LedgerSource }

func (b bareSource) Describe() backup.Description {
	d := b.s.Describe()
	d.Kinds, d.PointInTime = []backup.Kind{backup.Full}, false
	return d
}

func (b bareSource) Backup(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
	res, err := b.s.Backup(ctx, r, st)
	if err == nil {
		err = res.Pending.Abort(context.WithoutCancel(ctx))
		res.Pending = nil
	}
	return res, err
}

// bareApplication shows only what every harness must.
type bareApplication struct{ a *ledgerApp }

func (b bareApplication) Source() backup.Source                   { return bareSource{b.a.l.Source(nil)} }
func (b bareApplication) Mutate(ctx context.Context, n int) error { return b.a.Mutate(ctx, n) }
func (b bareApplication) Lose(ctx context.Context) error          { return b.a.Lose(ctx) }
func (b bareApplication) Quiesced(ctx context.Context) error      { return b.a.Quiesced(ctx) }
func (b bareApplication) Close() error                            { return b.a.Close() }
func (b bareApplication) Fingerprint(ctx context.Context) (string, error) {
	return b.a.Fingerprint(ctx)
}

func TestAnAgentWithoutAbilitiesPassesWhatItCanBeAsked(t *testing.T) {
	t.Parallel()
	asked := 0
	for _, r := range CheckSource(t.Context(), func() (Application, error) {
		app, err := NewLedgerApplication(nil, nil)()
		if err != nil {
			return nil, err
		}
		return bareApplication{app.(*ledgerApp)}, nil
	}) {
		assert.NoError(t, r.Err, r.Rule)
		if r.Skip == "" {
			asked++
		}
	}
	assert.GreaterOrEqual(t, asked, 8, "rules that every agent is asked")
}

func TestAnApplicationThatCannotBeMadeBreaksEveryRule(t *testing.T) {
	t.Parallel()
	for _, r := range CheckSource(t.Context(), func() (Application, error) { return nil, errors.New("no licence") }) {
		assert.ErrorContains(t, r.Err, "no licence", r.Rule)
	}
}
