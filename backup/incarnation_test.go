package backup

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func incarnation(of string, it Item) Item { it.Incarnation = of; return it }

// renewed is two databases in one log, of which mail began anew before the third backup.
func renewed(then Item) History {
	then.Stream, then.Incarnation = "log", "new"
	return History{
		taken("1", Full, incarnation("old", fullOf("mail", "log", "10", "01:00")), incarnation("x", fullOf("names", "log", "10", "01:00"))),
		taken("2", Log, logOf("txn", "log", "10", "20", "01:00", "02:00")),
		taken("3", Log, logOf("txn", "log", "20", "30", "02:00", "03:00"), then),
		taken("4", Log, logOf("txn", "log", "30", "40", "03:00", "04:00")),
	}
}

func TestPlanAcrossIncarnations(t *testing.T) {
	t.Parallel()
	plan := func(h History, item, clock string) RestorePlan {
		tg := Target{Select: only(item)}
		if clock != "" {
			tg.Time = at(clock)
		}
		return h.Plan(tg)
	}
	h := renewed(fullOf("mail", "", "30", "03:00"))
	for name, c := range map[string]struct{ item, clock, steps string }{
		"the log goes on for a neighbour":        {"names", "", "1/names 2/txn 3/txn 4/txn"},
		"from the new full":                      {"mail", "", "3/mail 4/txn"},
		"before, from the old one":               {"mail", "01:30", "1/mail 2/txn@01:30"},
		"to the last link of the old one":        {"mail", "02:00", "1/mail 2/txn"},
		"the moment of the new full":             {"mail", "03:00", "3/mail"},
		"the neighbour at a time of the renewal": {"names", "02:30", "1/names 2/txn 3/txn@02:30"},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan(h, c.item, c.clock)
			require.NoError(t, p.Err())
			assert.Equal(t, c.steps, stepsOf(p))
		})
	}

	p := plan(h, "mail", "02:30")
	require.ErrorIs(t, p.Err(), ErrRefused, "the log between says nothing of either")
	assert.Equal(t, CauseGap, p.Refused[0].Cause)
	assert.Contains(t, p.Refused[0].Why, "began anew as another incarnation")

	p = plan(renewed(failed("mail", "in use")), "mail", "")
	require.NoError(t, p.Err())
	assert.Equal(t, "1/mail 2/txn", stepsOf(p), "a failed item that tells it has moved ends what older fulls reach")
}
