package backup

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// kept prints a prune plan as the ids that stay.
func keptIDs(p PrunePlan) string {
	var out []string
	for _, k := range p.Keep {
		out = append(out, string(k.ID))
	}
	return strings.Join(out, " ")
}

func because(t *testing.T, p PrunePlan, id ID) []string {
	t.Helper()
	for _, k := range p.Keep {
		if k.ID == id {
			return k.Because
		}
	}
	t.Fatalf("%s is removed: %+v", id, p)
	return nil
}

// daily is a full every day at noon UTC from March 1st, named by its day.
func daily(days int) History {
	h := make(History, days)
	for i := range h {
		it := fullOf("db", "", "", "12:00")
		it.Window = Window{it.Window.From.AddDate(0, 0, i), it.Window.To.AddDate(0, 0, i)}
		h[i] = taken(ID(fmt.Sprintf("%02d", i+1)), Full, it)
	}
	return h
}

func TestPlanPruneScenarios(t *testing.T) {
	t.Parallel()
	ny, err := time.LoadLocation("America/New_York")
	require.NoError(t, err)
	sealed := ProofSealed
	moved := append(sharedLog(), taken("4", Full, fullOf("a", "", "", "04:00")), taken("5", Log, logOf("txn", "s", "30", "40", "03:00", "05:00")),
		taken("6", Full, fullOf("a", "", "", "06:00")), taken("7", Full, fullOf("a", "", "", "07:00")))
	tests := []struct {
		name string
		h    History
		p    Policy
		now  time.Time
		keep string
	}{
		{"zero keeps all", oneDay(), Policy{}, at("07:00"), "1 2 3 4 5 6"},
		{"zero with details keeps all", oneDay(), Policy{MinProof: &sealed, Location: ny}, at("07:00"), "1 2 3 4 5 6"},
		{"not valid keeps all", oneDay(), Policy{Last: -1, Daily: 1}, at("07:00"), "1 2 3 4 5 6"},
		{"last full with what continues it", oneDay(), Policy{Last: 1}, at("07:00"), "4 5 6"},
		{"last two", oneDay(), Policy{Last: 2}, at("07:00"), "1 2 3 4 5 6"},
		{"window inside the newest chain", oneDay(), Policy{Window: 90 * time.Minute}, at("06:00"), "4 5 6"},
		{"window needs the full before it", oneDay(), Policy{Window: 210 * time.Minute}, at("06:00"), "1 2 3 4 5 6"},
		{"window that begins where nothing is restorable", without(oneDay(), "3"), Policy{Window: 210 * time.Minute}, at("06:00"), "4 5 6"},
		{"unproven full does not count", with(oneDay(), func(h History) { h[3].Proof = ProofSealed }), Policy{Last: 1}, at("07:00"), "1 2 3 4 5 6"},
		{"unless it need not be proven", with(oneDay(), func(h History) { h[3].Proof = ProofSealed }), Policy{Last: 1, MinProof: &sealed}, at("07:00"), "4 5 6"},
		{"hold keeps the chain", with(oneDay(), func(h History) { h[1].Held = "case 7" }), Policy{Last: 1}, at("07:00"), "1 2 4 5 6"},
		{"damaged goes", with(oneDay(), func(h History) { h[0].Damaged = "x" }), Policy{Last: 1}, at("07:00"), "4 5 6"},
		{"damaged newest stays as evidence", with(oneDay(), func(h History) { h[4].Damaged, h[5].Damaged = "x", "y" }), Policy{Last: 1}, at("07:00"), "4 5 6"},
		{"daily", daily(20), Policy{Daily: 3}, at("07:00"), "18 19 20"},
		{"weekly, ISO weeks end on Sundays", daily(20), Policy{Weekly: 3}, at("07:00"), "08 15 20"},
		{"monthly", daily(70), Policy{Monthly: 2}, at("07:00"), "61 70"},
		{"yearly counts periods that have one", daily(20), Policy{Yearly: 5}, at("07:00"), "20"},
		{"day with an unproven newest", with(daily(4), func(h History) { h[2].Proof = ProofSealed }), Policy{Daily: 2}, at("07:00"), "02 03 04"},
		{"two days in UTC are one in New York", History{taken("1", Full, fullOf("db", "", "", "01:00")), taken("2", Full, func() Item {
			it := fullOf("db", "", "", "23:00")
			it.Window = Window{at("23:00").AddDate(0, 0, -1), at("23:00").AddDate(0, 0, -1)}
			return it
		}()), taken("3", Full, fullOf("db", "", "", "03:00"))}, Policy{Daily: 5, Location: ny}, at("07:00"), "3"},
		{"copy-only newest keeps the base of the next differential", with(oneDay(), func(h History) { h[3].Items[0].CopyOnly = true }), Policy{Last: 1}, at("07:00"), "1 2 3 4 5 6"},
		{"an item that is gone keeps its newest chain", append(oneDay(), taken("7", Full, fullOf("x", "", "", "07:00")), taken("8", Full, fullOf("x", "", "", "08:00"))), Policy{Last: 1}, at("09:00"), "4 5 6 8"},
		{"a full that ends an older one's log stays", with(moved, func(h History) { h[0].Held = "case" }), Policy{Last: 1}, at("07:00"), "1 3 4 5 7"},
		{"empty", nil, Policy{Last: 1}, at("07:00"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			plan := tt.h.PlanPrune(tt.p, tt.now)
			assert.Equal(t, tt.keep, keptIDs(plan), "%+v", plan)
			assert.Empty(t, tt.h.without(plan.Remove).PlanPrune(tt.p, tt.now).Remove, "a second prune removes more")
		})
	}
}

func TestPlanPruneReasons(t *testing.T) {
	t.Parallel()
	h := with(oneDay(), func(h History) { h[1].Held = "case 7" })
	plan := h.PlanPrune(Policy{Window: 30 * time.Minute, Daily: 1}, at("06:00"))
	assert.Equal(t, []ID{"3"}, plan.Remove)
	assert.Equal(t, []string{"a backup under legal hold needs it"}, because(t, plan, "1"))
	assert.Equal(t, []string{"it is under legal hold", "a backup under legal hold needs it"}, because(t, plan, "2"))
	assert.Contains(t, because(t, plan, "4"), "it is the newest full of a day")
	assert.Contains(t, because(t, plan, "6"), "it lies in the recovery window")
	assert.Contains(t, because(t, plan, "6"), "it is the newest backup")

	wide := oneDay().PlanPrune(Policy{Window: 210 * time.Minute}, at("06:00"))
	assert.Equal(t, []string{"a time in the recovery window needs it"}, because(t, wide, "1"))
	assert.Contains(t, because(t, wide, "3"), "it lies in the recovery window")
}

func TestPolicyValidate(t *testing.T) {
	t.Parallel()
	assert.NoError(t, Policy{}.Validate())
	assert.NoError(t, Policy{Window: time.Hour, Last: 1, Yearly: 3}.Validate())
	none := Proof(9)
	err := Policy{Window: -time.Hour, Last: -1, Hourly: -2, Daily: -3, Weekly: -4, Monthly: -5, Yearly: -6, MinProof: &none}.Validate()
	for _, part := range []string{"window -1h0m0s", "last -1", "hourly -2", "daily -3", "weekly -4", "monthly -5", "yearly -6", "proof(9)"} {
		assert.ErrorContains(t, err, part)
	}
}
