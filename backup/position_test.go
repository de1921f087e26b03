package backup

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func endOnly(it Item) Item { it.PointInTime = false; return it }

// forked is a database that was restored to position 25 and went on from there in a stream of its own.
func forked() History {
	return History{
		taken("1", Full, fullOf("db", "old", "10", "01:00")),
		taken("2", Log, logOf("db", "old", "10", "40", "01:00", "02:00")),
		taken("3", Full, fullOf("db", "new", "25", "03:00")),
		taken("4", Log, logOf("db", "new", "25", "60", "03:00", "04:00")),
	}
}

func TestPlanToAPosition(t *testing.T) {
	t.Parallel()
	db := only("db")
	before := func(p Position) Target { return Target{Position: p, Select: db} }
	after := func(p Position) Target { return Target{Position: p, Select: db, After: true} }
	for name, c := range map[string]struct {
		h      History
		target Target
		steps  string
		cause  Cause
		why    string
	}{
		"inside a link":              {oneDay(), before("25"), "1/db 2/db 3/db<25", "", ""},
		"inside a link, after":       {oneDay(), after("25"), "1/db 2/db 3/db<25", "", ""},
		"between links":              {oneDay(), before("20"), "1/db 2/db", "", ""},
		"between links, after":       {oneDay(), after("20"), "1/db 2/db 3/db<20", "", ""},
		"at a full":                  {oneDay(), before("35"), "4/db", "", ""},
		"at a full, after":           {oneDay(), after("35"), "4/db 5/db<35", "", ""},
		"just before a full":         {oneDay(), before("34"), "1/db 2/db 3/db 5/db<34", "", ""},
		"the end":                    {oneDay(), before("60"), "4/db 5/db 6/db", "", ""},
		"the end, after":             {oneDay(), after("60"), "", CauseTooNew, "the newest restorable position in stream s is 60"},
		"beyond the end":             {oneDay(), before("61"), "", CauseTooNew, "the newest restorable position in stream s is 60"},
		"before all":                 {oneDay(), before("09"), "", CauseTooOld, "the oldest restorable position in stream s is 10"},
		"a lost link":                {without(oneDay(), "2", "4"), before("25"), "", CauseGap, "missing positions 10..20 in stream s"},
		"a lost link, full later":    {without(oneDay(), "3"), before("25"), "", CauseGap, "missing positions 20..30 in stream s; the nearest restorable positions in stream s are 20 and 35"},
		"a damaged full is bridged":  {with(oneDay(), func(h History) { h[3].Damaged = "x" }), before("55"), "1/db 2/db 3/db 5/db 6/db<55", "", ""},
		"a damaged link":             {with(oneDay(), func(h History) { h[2].Damaged = "x" }), before("25"), "", CauseDamaged, "log link 3 is damaged: x"},
		"an unproven link":           {with(oneDay(), func(h History) { h[2].Proof = ProofSealed }), Target{Position: "25", Select: db, MinProof: ProofBytes}, "", CauseUnproven, "log link 3 is proven sealed only"},
		"a differential":             {append(oneDay(), taken("7", Differential, diffOf("db", "s", "55", "05:30", "4"))), before("58"), "4/db 7/db 6/db<58", "", ""},
		"a differential beyond":      {append(oneDay(), taken("7", Differential, diffOf("db", "s", "55", "05:30", "4"))), before("54"), "4/db 5/db 6/db<54", "", ""},
		"the fewest links":           {append(oneDay(), taken("7", Log, logOf("db", "s", "30", "70", "03:00", "07:00"))), before("55"), "4/db 7/db<55", "", ""},
		"a link to its end only":     {with(oneDay(), func(h History) { h[2].Items[0] = endOnly(h[2].Items[0]) }), before("25"), "", CauseBetween, "log link 3 can be restored to its end only"},
		"the end of such a link":     {with(oneDay(), func(h History) { h[2].Items[0] = endOnly(h[2].Items[0]) }), before("30"), "1/db 2/db 3/db", "", ""},
		"only fulls":                 {History{oneDay()[0], oneDay()[3]}, before("20"), "", CauseBetween, "only fulls: nothing in between; the nearest restorable positions in stream s are 10 and 35"},
		"log without a full":         {without(oneDay(), "1", "4"), before("25"), "", CauseNoFull, "no full of it is left"},
		"no positions":               {plainFulls(), before("25"), "", CauseUnknown, "its backups have no positions"},
		"a fork, the newest":         {forked(), before("30"), "3/db 4/db<30", "", ""},
		"a fork, the other":          {forked(), Target{Position: "30", Stream: "old", Select: db}, "1/db 2/db<30", "", ""},
		"a fork, only there":         {forked(), before("15"), "1/db 2/db<15", "", ""},
		"a fork, nowhere":            {forked(), before("65"), "", CauseTooNew, "the newest restorable position in stream new is 60"},
		"a fork, not in that one":    {forked(), Target{Position: "50", Stream: "old", Select: db}, "", CauseTooNew, "in stream old is 40"},
		"no such stream":             {forked(), Target{Position: "50", Stream: "odl", Select: db}, "", CauseUnknown, `no full of it in stream odl is left; there are some in "new", "old"`},
		"a shared log":               {sharedLog(), Target{Position: "22", Select: only("a")}, "1/a 1/txn 2/txn 3/txn<22", "", ""},
		"a shared log, one after it": {sharedLog(), Target{Position: "27", Select: only("b")}, "3/b 3/txn<27", "", ""},
		"the log itself":             {sharedLog(), Target{Position: "22", Select: only("txn")}, "", CauseAbsent, "it is the log of other items"},
		"no item":                    {oneDay(), Target{Position: "25"}, "", CauseAmbiguous, "select exactly one item"},
		"two items":                  {sharedLog(), Target{Position: "22", Select: []Selection{{Name: "a"}, {Name: "b"}}}, "", CauseAmbiguous, "select exactly one item"},
		"an item that is none":       {oneDay(), Target{Position: "25", Select: only("x")}, "", CauseUnknown, `known are "db"`},
		"with a time":                {oneDay(), Target{Position: "25", Time: at("02:00"), Select: db}, "", CauseAmbiguous, "beside a time or a backup"},
		"with a backup":              {oneDay(), Target{Position: "25", ID: "3", Select: db}, "", CauseAmbiguous, "beside a time or a backup"},
		"a side of nothing":          {oneDay(), Target{After: true, Select: db}, "", CauseAmbiguous, "and no position"},
		"a stream of nothing":        {oneDay(), Target{Stream: "s", Select: db}, "", CauseAmbiguous, "and no position"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := c.h.Plan(c.target)
			assert.Equal(t, c.steps, stepsOf(p), p.Text())
			if c.cause == "" {
				require.NoError(t, p.Err())
				require.NotEmpty(t, p.Target.Stream, "the plan says in which stream the position is")
				return
			}
			require.Len(t, p.Refused, 1, p.Text())
			assert.Equal(t, c.cause, p.Refused[0].Cause, p.Text())
			assert.Contains(t, p.Refused[0].Why, c.why)
			require.ErrorIs(t, p.Err(), ErrRefused)
			assert.NotEmpty(t, Hint(p.Err()))
		})
	}
}

func TestPlanToAPositionSaysSo(t *testing.T) {
	t.Parallel()
	p := forked().Plan(Target{Position: "30", After: true, Select: only("db")})
	require.NoError(t, p.Err())
	assert.Equal(t, `Restore of db from shop to just after position 30 of stream new
  1.  full  db  3  bytes  2026-03-01T03:00:00Z
  2.  log   db  4  bytes  stop just after position 30
2 steps, 110 bytes.
Note: "db" was at position 30 more than once: this is stream new, the newest; also in "old"
`, p.Text())
	text, err := json.Marshal(p)
	require.NoError(t, err)
	var again RestorePlan
	require.NoError(t, json.Unmarshal(text, &again))
	assert.Equal(t, p, again)
	assert.Contains(t, string(text), `"target":{"position":"30","stream":"new","after":true,"select":[{"name":"db"}]}`)
	assert.Contains(t, string(text), `"until_position":"30"`)

	p = forked().Plan(Target{Position: "30", Stream: "old", Select: only("db")})
	assert.Empty(t, p.Notes, "who names the stream has chosen")
	assert.Contains(t, p.Text(), "to just before position 30 of stream old")
}
