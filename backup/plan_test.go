package backup

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update-plans", false, "write the golden plans anew")

// at is a time of the day the scenarios play on.
func at(clock string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", "2026-03-01 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

func fullOf(name, stream, end, clock string) Item {
	return Item{Name: name, Kind: Full, Stream: stream, End: Position(end), Window: Window{at(clock), at(clock)}, Bytes: 100}
}

func diffOf(name, stream, end, clock string, parent ID) Item {
	it := fullOf(name, stream, end, clock)
	it.Kind, it.Parent = Differential, parent
	return it
}

func logOf(name, stream, begin, end, from, to string) Item {
	return Item{Name: name, Kind: Log, Stream: stream, Begin: Position(begin), End: Position(end),
		Window: Window{at(from), at(to)}, PointInTime: true, Bytes: 10}
}

func taken(id ID, kind Kind, items ...Item) Backup {
	return Backup{Manifest: Manifest{ID: id, Job: "shop", Kind: kind, Items: items}, Proof: ProofBytes}
}

func damaged(b Backup, why string) Backup { b.Damaged = why; return b }
func failed(name, why string) Item        { return Item{Name: name, Kind: Full, Error: why} }

func copyOnly(it Item) Item { it.CopyOnly = true; return it }

// stepsOf prints a plan's steps as "id/item" with "@15:04" or "<position" where one stops early.
func stepsOf(p RestorePlan) string {
	var out []string
	for _, s := range p.Steps {
		step := string(s.ID) + "/" + s.Item.Name
		if !s.Until.IsZero() {
			step += "@" + s.Until.Format("15:04")
		}
		if s.UntilPosition != "" {
			step += "<" + string(s.UntilPosition)
		}
		out = append(out, step)
	}
	return strings.Join(out, " ")
}

// oneDay is two fulls of db with log around them: F1 at 01:00, F4 at 04:00.
func oneDay() History {
	return History{
		taken("1", Full, fullOf("db", "s", "10", "01:00")),
		taken("2", Log, logOf("db", "s", "10", "20", "01:00", "02:00")),
		taken("3", Log, logOf("db", "s", "20", "30", "02:00", "03:00")),
		taken("4", Full, fullOf("db", "s", "35", "04:00")),
		taken("5", Log, logOf("db", "s", "30", "50", "03:00", "05:00")),
		taken("6", Log, logOf("db", "s", "50", "60", "05:00", "06:00")),
	}
}

func with(h History, change func(h History)) History { change(h); return h }

func without(h History, ids ...ID) History { return h.without(ids) }

// sharedLog is two databases in one log that is an item of its own; b has a newer full.
func sharedLog() History {
	return History{
		taken("1", Full, fullOf("a", "s", "10", "01:00"), fullOf("b", "s", "12", "01:10"), logOf("txn", "s", "05", "15", "00:30", "01:20")),
		taken("2", Log, logOf("txn", "s", "15", "20", "01:20", "02:00")),
		taken("3", Log, fullOf("b", "s", "25", "02:30"), logOf("txn", "s", "20", "30", "02:00", "03:00")),
	}
}

func plainFulls() History {
	return History{taken("1", Full, fullOf("db", "", "", "01:00")), taken("2", Full, fullOf("db", "", "", "02:00")), taken("3", Full, fullOf("db", "", "", "03:00"))}
}

func objectsIn(objects ...string) func(Item) Item {
	return func(it Item) Item { it.Objects = objects; return it }
}

func TestPlanScenarios(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		h      History
		target Target
		steps  string
		cause  Cause  // of the first refusal
		why    string // part of it
	}{
		{"latest", oneDay(), Target{}, "4/db 5/db 6/db", "", ""},
		{"at a full", oneDay(), Target{Time: at("04:00")}, "4/db", "", ""},
		{"inside a link", oneDay(), Target{Time: at("02:30")}, "1/db 2/db 3/db@02:30", "", ""},
		{"at the end of a link", oneDay(), Target{Time: at("05:00")}, "4/db 5/db", "", ""},
		{"a link that began before its full", oneDay(), Target{Time: at("04:30")}, "4/db 5/db@04:30", "", ""},
		{"rolls past a damaged full", with(oneDay(), func(h History) { h[3].Damaged = "x" }), Target{Time: at("05:30")}, "1/db 2/db 3/db 5/db 6/db@05:30", "", ""},
		{"before the first full", oneDay(), Target{Time: at("00:30")}, "", CauseTooOld, "oldest restorable time is 2026-03-01T01:00:00Z"},
		{"after the last log", oneDay(), Target{Time: at("07:00")}, "", CauseTooNew, "newest restorable time is 2026-03-01T06:00:00Z"},
		{"a lost link", without(oneDay(), "3"), Target{Time: at("02:30")}, "", CauseGap, "missing positions 20..30 in stream s"},
		{"a lost link, later full", without(oneDay(), "3"), Target{Time: at("04:30")}, "4/db 5/db@04:30", "", ""},
		{"a damaged link", with(oneDay(), func(h History) { h[2].Damaged = "part 3 is gone" }), Target{Time: at("02:30")}, "", CauseDamaged, "log link 3 is damaged: part 3 is gone"},
		{"latest stops before a damaged link", with(oneDay(), func(h History) { h[5].Damaged = "x" }), Target{}, "4/db 5/db", "", ""},
		{"after it, the link is named", with(oneDay(), func(h History) { h[5].Damaged = "x" }), Target{Time: at("05:30")}, "", CauseDamaged, "log link 6 is damaged"},
		{"unproven full falls back", with(oneDay(), func(h History) { h[3].Proof = ProofSealed }), Target{Time: at("05:30"), MinProof: ProofBytes}, "1/db 2/db 3/db 5/db 6/db@05:30", "", ""},
		{"unproven link", with(oneDay(), func(h History) { h[4].Proof = ProofSealed }), Target{Time: at("05:30"), MinProof: ProofBytes}, "", CauseUnproven, "log link 5 is proven sealed only; bytes is asked for"},
		{"log alone", without(oneDay(), "1", "4"), Target{}, "", CauseNoFull, "no full of it is left"},
		{"nothing", nil, Target{}, "", CauseUnknown, "no backup"},
		{"order does not matter", History{oneDay()[5], oneDay()[0], oneDay()[4], oneDay()[3]}, Target{}, "4/db 5/db 6/db", "", ""},

		{"fulls only, at one", plainFulls(), Target{Time: at("02:00")}, "2/db", "", ""},
		{"fulls only, between", plainFulls(), Target{Time: at("02:30")}, "", CauseBetween, "nearest restorable times are 2026-03-01T02:00:00Z and 2026-03-01T03:00:00Z"},
		{"fulls only, after", plainFulls(), Target{Time: at("03:30")}, "", CauseTooNew, "newest restorable time is 2026-03-01T03:00:00Z"},
		{"fulls only, damaged one asked for", with(plainFulls(), func(h History) { h[1].Damaged = "x" }), Target{Time: at("02:00")}, "", CauseDamaged, "full 2 is damaged: x"},

		{"differential shortens the log", append(oneDay(), taken("7", Differential, diffOf("db", "s", "55", "05:30", "4"))), Target{}, "4/db 7/db 6/db", "", ""},
		{"differential of a lost full", append(without(oneDay(), "4"), taken("7", Differential, diffOf("db", "s", "55", "05:30", "4"))), Target{Time: at("05:30")}, "1/db 2/db 3/db 5/db 6/db@05:30", "", ""},
		{"differential of a copy-only full", History{taken("1", Full, copyOnly(fullOf("db", "s", "10", "01:00"))), taken("2", Differential, diffOf("db", "s", "20", "02:00", "1"))},
			Target{ID: "2"}, "", CauseGap, "copy-only"},

		{"by id, full", oneDay(), Target{ID: "4"}, "4/db", "", ""},
		{"by id, log", oneDay(), Target{ID: "3"}, "1/db 2/db 3/db", "", ""},
		{"by id, unknown", oneDay(), Target{ID: "9"}, "", CauseUnknown, "no backup 9; the newest is 6"},
		{"by id, damaged", with(oneDay(), func(h History) { h[3].Damaged = "x" }), Target{ID: "4"}, "", CauseDamaged, "full 4 is damaged: x"},
		{"by id, gap", without(oneDay(), "2"), Target{ID: "3"}, "", CauseGap, "missing positions 10..20 in stream s"},
		{"by id, failed", History{taken("1", Full, failed("db", "disk full"), fullOf("x", "", "", "01:00"))}, Target{ID: "1", Select: only("db")}, "", CauseFailed, "disk full"},
		{"by id, not in it", append(oneDay(), taken("7", Full, fullOf("x", "", "", "07:00"))), Target{ID: "7", Select: only("db")}, "", CauseAbsent, "backup 7 does not hold it; 6 does"},

		{"shared log, each link once", sharedLog(), Target{Time: at("02:15")}, "1/a 1/b 1/txn 2/txn 3/txn@02:15", "", ""},
		{"shared log, one item", sharedLog(), Target{Select: only("b")}, "3/b 3/txn", "", ""},
		{"shared log, latest", sharedLog(), Target{}, "1/a 3/b 1/txn 2/txn 3/txn", "", ""},
		{"shared log, by id", sharedLog(), Target{ID: "2"}, "1/a 1/b 1/txn 2/txn", "", ""},
		{"shared log by name", sharedLog(), Target{Select: only("txn")}, "", CauseAbsent, "log of other items"},
		{"an item that left the shared log", append(sharedLog(), taken("4", Full, fullOf("a", "", "", "04:00")), taken("5", Log, logOf("txn", "s", "30", "40", "03:00", "05:00"))),
			Target{Time: at("04:30"), Select: only("a")}, "", CauseTooNew, "2026-03-01T04:00:00Z"},

		{"failed in every run", History{taken("1", Full, failed("db", "no rights"), fullOf("x", "", "", "01:00"))}, Target{}, "1/x", CauseFailed, "failed in every run, last in 1: no rights"},
		{"unknown name", oneDay(), Target{Select: only("dv")}, "", CauseUnknown, `known are "db"`},
		{"reset log", History{taken("1", Full, fullOf("db", "s", "10", "01:00")), taken("2", Log, logOf("db", "s", "10", "20", "01:00", "02:00")), taken("3", Full, fullOf("db", "r", "01", "03:00"))},
			Target{Time: at("02:30")}, "", CauseGap, "log of another stream"},
		{"quiet link brings time only", History{taken("1", Full, fullOf("db", "s", "10", "01:00")), taken("2", Log, logOf("db", "s", "10", "10", "01:00", "02:00"))},
			Target{Time: at("01:30")}, "1/db 2/db@01:30", "", ""},
		{"link without point in time", History{taken("1", Full, fullOf("db", "s", "10", "01:00")), taken("2", Log, func() Item {
			it := logOf("db", "s", "10", "20", "01:00", "02:00")
			it.PointInTime = false
			return it
		}())}, Target{Time: at("01:30")}, "", CauseBetween, "log link 2 can be restored to its end only"},
		{"clock set back: the first window with the time", History{
			taken("1", Full, fullOf("db", "s", "10", "01:00")),
			taken("2", Log, logOf("db", "s", "10", "20", "01:00", "03:00")),
			taken("3", Log, logOf("db", "s", "20", "30", "02:00", "02:30")),
			taken("4", Log, logOf("db", "s", "30", "40", "02:30", "04:00")),
		}, Target{Time: at("02:45")}, "1/db 2/db@02:45", "", ""},
		{"clock set back: beyond it", History{
			taken("1", Full, fullOf("db", "s", "10", "01:00")),
			taken("2", Log, logOf("db", "s", "10", "20", "01:00", "03:00")),
			taken("3", Log, logOf("db", "s", "20", "30", "02:00", "02:30")),
			taken("4", Log, logOf("db", "s", "30", "40", "02:30", "04:00")),
		}, Target{Time: at("03:30")}, "1/db 2/db 3/db 4/db@03:30", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := tt.h.Plan(tt.target)
			assert.Equal(t, tt.steps, stepsOf(p), p.Text())
			if tt.cause == "" {
				require.NoError(t, p.Err())
				return
			}
			require.NotEmpty(t, p.Refused, p.Text())
			assert.Equal(t, tt.cause, p.Refused[0].Cause, p.Text())
			assert.Contains(t, p.Refused[0].Why, tt.why)
			require.ErrorIs(t, p.Err(), ErrRefused)
			assert.NotEmpty(t, Hint(p.Err()))
		})
	}
}

func TestPlanObjects(t *testing.T) {
	t.Parallel()
	h := History{
		taken("1", Full, objectsIn("orders", "old")(fullOf("x", "s", "10", "01:00")), objectsIn("crm")(fullOf("y", "t", "10", "01:00"))),
		taken("2", Full, objectsIn("orders")(fullOf("x", "s", "20", "02:00")), objectsIn("crm", "old", "new")(fullOf("y", "t", "20", "02:00"))),
		taken("3", Log, logOf("y", "t", "20", "30", "02:00", "03:00")),
	}
	one := h.Plan(Target{Select: []Selection{{Name: "orders", As: "orders_old"}}})
	require.NoError(t, one.Err())
	assert.Equal(t, "2/x", stepsOf(one))
	assert.Equal(t, []string{"orders"}, one.Steps[0].For)

	moved := h.Plan(Target{Select: only("old"), Time: at("01:00")})
	require.NoError(t, moved.Err())
	assert.Equal(t, "1/x", stepsOf(moved), "the item that held it then")

	two := h.Plan(Target{Select: []Selection{{Name: "crm"}, {Name: "y"}}})
	require.NoError(t, two.Err())
	assert.Equal(t, "2/y 3/y", stepsOf(two))
	assert.Equal(t, []string{"crm", "y"}, two.Steps[1].For)

	absent := h.Plan(Target{Select: only("new"), Time: at("01:00")})
	require.Len(t, absent.Refused, 1)
	assert.Equal(t, Refusal{"new", CauseAbsent, "it is not in y at the target; backup 2 is the first that lists it"}, absent.Refused[0])

	h[1].Items[0].Objects = append(h[1].Items[0].Objects, "old")
	both := h.Plan(Target{Select: only("old")})
	require.Len(t, both.Refused, 1)
	assert.Equal(t, Refusal{"old", CauseAmbiguous, `it is in "x", "y"; select the item`}, both.Refused[0])
}

func TestPlanSkipsWhatDidNotExist(t *testing.T) {
	t.Parallel()
	h := History{
		taken("1", Full, fullOf("db", "", "", "01:00"), fullOf("dropped", "", "", "01:00")),
		taken("2", Full, fullOf("db", "", "", "02:00")),
		taken("3", Full, fullOf("db", "", "", "03:00"), fullOf("created", "", "", "03:00")),
	}
	skipped := func(p RestorePlan) (names []string) {
		require.NoError(t, p.Err())
		for _, s := range p.Skipped {
			require.Equal(t, CauseAbsent, s.Cause)
			names = append(names, s.Name)
		}
		return names
	}
	assert.Equal(t, []string{"created"}, skipped(h.Plan(Target{Time: at("01:00")})))
	assert.Equal(t, []string{"created", "dropped"}, skipped(h.Plan(Target{Time: at("02:00")})))
	assert.Equal(t, []string{"dropped"}, skipped(h.Plan(Target{})))
	assert.Equal(t, "1/dropped", stepsOf(h.Plan(Target{Select: only("dropped")})), "asked for by name it is restored")

	old := h.Plan(Target{Time: at("00:10")})
	require.Len(t, old.Refused, 3, "a time before everything is refused, not skipped")
	assert.Equal(t, CauseTooOld, old.Refused[0].Cause)

	h[0].Items = append(h[0].Items, failed("created", "locked"))
	assert.Error(t, h.Plan(Target{Time: at("01:00")}).Err(), "an item that failed existed")
}

func TestPlanLeavesOutWhatIsRestoredByName(t *testing.T) {
	t.Parallel()
	system := fullOf("master", "", "", "01:00")
	system.ByName = true
	h := History{taken("1", Full, fullOf("db", "", "", "01:00"), system), taken("2", Full, fullOf("db", "", "", "02:00"))}
	for _, target := range []Target{{}, {Time: at("01:00")}, {ID: "1"}} {
		p := h.Plan(target)
		require.NoError(t, p.Err())
		require.Len(t, p.Steps, 1)
		assert.Equal(t, "db", p.Steps[0].Item.Name)
		require.Len(t, p.Skipped, 1)
		assert.Equal(t, Refusal{"master", CauseByName, "it is restored only when it is selected by its name"}, p.Skipped[0])
	}
	assert.Equal(t, "1/master", stepsOf(h.Plan(Target{Select: only("master")})))
	alone := History{taken("1", Full, system)}.Plan(Target{})
	require.ErrorIs(t, alone.Err(), ErrRefused, "nothing remains")
	assert.Equal(t, CauseByName, alone.Refused[0].Cause)
	assert.NotEmpty(t, h.Coverage("master").Spans, "its times are told all the same")
}

func TestCoverageNamesGaps(t *testing.T) {
	t.Parallel()
	h := with(without(oneDay(), "3"), func(h History) { h[4].Damaged = "torn" })
	h = append(h, taken("7", Full, fullOf("db", "s", "70", "07:00")), taken("8", Full, fullOf("db", "r", "01", "08:00")))
	want := Coverage{
		Item: "db",
		Spans: []Span{
			{Window{at("01:00"), at("02:00")}, true}, {Window{at("04:00"), at("05:00")}, true},
			{Window{at("07:00"), at("07:00")}, false}, {Window{at("08:00"), at("08:00")}, false},
		},
		Gaps: []Gap{
			{Window{at("02:00"), at("04:00")}, "missing positions 20..30 in stream s"},
			{Window{at("05:00"), at("07:00")}, "log link 6 is damaged: torn"},
			{Window{at("07:00"), at("08:00")}, "log of another stream (the server was replaced or its log was reset)"},
		},
	}
	assert.Equal(t, want, h.Coverage("db"))
	assert.Equal(t, []Coverage{want}, h.Coverages())
	assert.Equal(t, Coverage{Item: "none"}, h.Coverage("none"))
	assert.Equal(t, "only fulls: nothing in between", plainFulls().Coverage("db").Gaps[0].Why)
	lost := History{h[0], taken("9", Full, fullOf("db", "s", "90", "09:00")), taken("2", Log, logOf("db", "s", "10", "20", "01:00", "02:00"))}
	assert.Equal(t, "no log between 2026-03-01T02:00:00Z and 2026-03-01T09:00:00Z", lost.Coverage("db").Gaps[0].Why)
}

func TestAnchors(t *testing.T) {
	t.Parallel()
	ids := func(a Anchor) [2]ID {
		var out [2]ID
		for i, l := range []*Link{a.Full, a.Last} {
			if l != nil {
				out[i] = l.ID
			}
		}
		return out
	}
	assert.Equal(t, [2]ID{"4", "6"}, ids(oneDay().Anchors()["db"]))
	assert.Equal(t, [2]ID{"4", "5"}, ids(with(oneDay(), func(h History) { h[5].Damaged = "x" }).Anchors()["db"]), "a damaged link is no anchor")
	assert.Equal(t, [2]ID{"4", "4"}, ids(without(oneDay(), "5", "6").Anchors()["db"]))
	assert.Equal(t, [2]ID{"4", "7"}, ids(append(without(oneDay(), "5", "6"), taken("7", Differential, diffOf("db", "s", "55", "05:30", "4"))).Anchors()["db"]))
	assert.Equal(t, [2]ID{"1", "6"}, ids(with(oneDay(), func(h History) { h[3].Items[0].CopyOnly = true }).Anchors()["db"]))
	assert.Equal(t, [2]ID{"4", "7"}, ids(append(oneDay(), taken("7", Log, logOf("db", "s", "60", "60", "06:00", "07:00"))).Anchors()["db"]), "of two that reach equally far the newest")
	assert.Empty(t, without(oneDay(), "1", "4").Anchors(), "log without a full")

	shared := sharedLog().Anchors()
	assert.Equal(t, [2]ID{"1", "3"}, ids(shared["a"]))
	assert.Equal(t, [2]ID{"3", "3"}, ids(shared["b"]))
	assert.Equal(t, [2]ID{"", "3"}, ids(shared["txn"]))
	assert.Equal(t, "txn", shared["txn"].Last.Name)
	assert.Equal(t, [2]ID{"", "1"}, ids(without(sharedLog(), "2", "3").Anchors()["txn"]))
}

func TestPlanErr(t *testing.T) {
	t.Parallel()
	assert.NoError(t, oneDay().Plan(Target{}).Err())
	gap := without(oneDay(), "3").Plan(Target{Time: at("02:30")}).Err()
	assert.ErrorIs(t, gap, ErrChainBroken)
	assert.NotErrorIs(t, gap, ErrNoBackup)
	old := oneDay().Plan(Target{Time: at("00:30")}).Err()
	assert.ErrorIs(t, old, ErrNoBackup)
	assert.NotErrorIs(t, old, ErrChainBroken)
	assert.EqualError(t, old, `restore of shop refused: "db": nothing that old: the oldest restorable time is 2026-03-01T01:00:00Z`)
	var refused *RefusedError
	require.True(t, errors.As(old, &refused))
	assert.Len(t, refused.Refused, 1)
}

func TestPlanTextGolden(t *testing.T) {
	t.Parallel()
	missing := append(oneDay(), taken("7", Full, fullOf("db", "s", "70", "07:00"), failed("hr", "locked"), fullOf("new", "", "", "07:00")))
	for name, p := range map[string]RestorePlan{
		"time":     oneDay().Plan(Target{Time: at("02:30"), MinProof: ProofBytes}),
		"shared":   sharedLog().Plan(Target{}),
		"id":       sharedLog().Plan(Target{ID: "2"}),
		"refused":  missing.Plan(Target{}),
		"skipped":  missing.Plan(Target{Time: at("05:30")}),
		"selected": oneDay().Plan(Target{Select: []Selection{{Name: "db", As: "db_old"}}}),
	} {
		file := filepath.Join("testdata", "plan-"+name+".txt")
		if *update {
			require.NoError(t, os.WriteFile(file, []byte(p.Text()), 0o644))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, string(want), p.Text(), "%s; -update-plans writes it anew", file)
		var b strings.Builder
		n, err := p.WriteTo(&b)
		require.NoError(t, err)
		assert.Equal(t, int64(len(want)), n)
		assert.Equal(t, string(want), b.String())
	}
}

func TestPlanningTypesRoundTripJSON(t *testing.T) {
	t.Parallel()
	proof := ProofFormat
	h := append(sharedLog(), damaged(taken("9", Full, failed("a", "x")), "y"))
	for _, v := range []any{
		h, h.Plan(Target{Time: at("02:15"), MinProof: ProofBytes, Select: []Selection{{"a", "z"}}}), h.Plan(Target{}), h.Coverages(), h.Anchors()["a"],
		h.PlanPrune(Policy{Last: 1}, at("05:00")), Policy{time.Hour, 1, 2, 3, 4, 5, 6, nil, &proof}, Target{ID: "1"},
	} {
		roundTrip(t, v)
	}
}

func roundTrip(t *testing.T, v any) {
	t.Helper()
	first, err := json.Marshal(v)
	require.NoError(t, err)
	check := func(out any) {
		require.NoError(t, json.Unmarshal(first, out))
		again, err := json.Marshal(out)
		require.NoError(t, err)
		assert.JSONEq(t, string(first), string(again))
	}
	switch want := v.(type) {
	case History:
		var got History
		check(&got)
		assert.Equal(t, want, got)
	case RestorePlan:
		var got RestorePlan
		check(&got)
		assert.Equal(t, want, got)
	case []Coverage:
		var got []Coverage
		check(&got)
		assert.Equal(t, want, got)
	case Anchor:
		var got Anchor
		check(&got)
		assert.Equal(t, want, got)
	case PrunePlan:
		var got PrunePlan
		check(&got)
		assert.Equal(t, want, got)
	case Policy:
		var got Policy
		check(&got)
		assert.Equal(t, want, got)
	case Target:
		var got Target
		check(&got)
		assert.Equal(t, want, got)
	default:
		t.Fatalf("no round trip for %T", v)
	}
}

func TestPlanKnowsWhatARunLeftOut(t *testing.T) {
	t.Parallel()
	h := History{
		taken("1", Full, fullOf("db", "", "", "01:00"), fullOf("other", "", "", "01:00"), fullOf("dropped", "", "", "01:00")),
		taken("2", Full, fullOf("db", "", "", "02:00")), // of this item only
	}
	h[1].Untaken = []string{"other"}
	p := h.Plan(Target{})
	require.NoError(t, p.Err())
	assert.Equal(t, "2/db 1/other", stepsOf(p), "what was left out exists all the same")
	require.Len(t, p.Skipped, 1)
	assert.Equal(t, "dropped", p.Skipped[0].Name)
	assert.Equal(t, []string{"other"}, h.others([]Item{{Name: "db"}}))
}
