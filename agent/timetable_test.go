package agent

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func berlin(t *testing.T) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	return loc
}

// times lists when spec comes between two moments.
func times(t *testing.T, spec string, loc *time.Location, from, to time.Time) (at []string) {
	t.Helper()
	tt, err := parseTimetable(spec, loc)
	require.NoError(t, err)
	for n := tt.next(from, from); !n.After(to); n = tt.next(n, n) {
		at = append(at, n.In(loc).Format("02T15:04:05Z07:00"))
	}
	return at
}

func TestTimetableOverClockChanges(t *testing.T) {
	loc := berlin(t)
	spring := time.Date(2026, 3, 28, 12, 0, 0, 0, loc)  // the clocks go forward on the 29th at 2
	autumn := time.Date(2026, 10, 24, 12, 0, 0, 0, loc) // and back on the 25th at 3
	day := 36 * time.Hour
	assert.Equal(t, []string{"29T01:30:00+01:00", "30T01:30:00+02:00"}, times(t, "30 1 * * *", loc, spring, spring.Add(day+2*time.Hour)))
	assert.Len(t, times(t, "30 2 * * *", loc, spring, spring.Add(24*time.Hour)), 1, "what falls into the skipped hour is made up for")
	assert.Equal(t, []string{"25T02:30:00+02:00"}, times(t, "30 2 * * *", loc, autumn, autumn.Add(day)), "once, though 2:30 comes twice")
	assert.Len(t, times(t, "0 * * * *", loc, autumn, autumn.Add(24*time.Hour)), 24, "every hour that passes")
	assert.Len(t, times(t, "0 * * * *", loc, spring, spring.Add(24*time.Hour)), 24, "every hour that passes")
	assert.Equal(t, []string{"25T00:00:00+02:00", "25T02:00:00+02:00", "25T04:00:00+01:00"},
		times(t, "0 0-4/2 * * *", loc, autumn, autumn.Add(18*time.Hour)))
}

func TestTimetableForms(t *testing.T) {
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for spec, want := range map[string]string{
		"15 2 * * *":    "01T02:15:00Z",
		"30 15 2 * * *": "01T02:15:30Z",
		"@hourly":       "01T01:00:00Z",
		"@daily":        "02T00:00:00Z",
		"@weekly":       "04T00:00:00Z",
		"@every 90m":    "01T01:30:00Z",
		"0 0 5 * SUN":   "04T00:00:00Z", // the Sunday before the 5th: either suffices
	} {
		tt, err := parseTimetable(spec, time.UTC)
		require.NoError(t, err, spec)
		assert.Equal(t, want, tt.next(from, from).Format("02T15:04:05Z07:00"), spec)
	}
	for _, spec := range []string{"x", "* * *", "61 * * * *", "@never", "@every 10ms", "@every soon", "TZ=UTC 0 0 * * *", "@reboot"} {
		_, err := parseTimetable(spec, time.UTC)
		assert.Error(t, err, spec)
	}
}

func TestTimetableMissed(t *testing.T) {
	now := time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		spec    string
		anchor  time.Duration // before now
		catchUp time.Duration
		want    time.Duration // before now; negative for none
	}{
		{"0 2 * * *", 34 * time.Hour, 24 * time.Hour, 10 * time.Hour},
		{"0 2 * * *", 10 * time.Hour, 24 * time.Hour, -1},     // that one was made
		{"0 2 * * *", 34 * time.Hour, 9 * time.Hour, -1},      // too long ago
		{"0 12 * * *", 34 * time.Hour, 24 * time.Hour, 0},     // this very moment
		{"*/15 * * * *", 1000 * time.Hour, 24 * time.Hour, 0}, // the last of many
		{"*/15 * * * *", 14 * time.Minute, 24 * time.Hour, 0}, //
		{"7 * * * *", 1000 * time.Hour, 24 * time.Hour, 53 * time.Minute},
		{"@every 7h", 24 * time.Hour, 24 * time.Hour, 3 * time.Hour}, // counted from the anchor
		{"@every 7h", 6 * time.Hour, 24 * time.Hour, -1},
		{"0 2 * * *", 34 * time.Hour, 0, -1}, // never
	} {
		tt, err := parseTimetable(c.spec, time.UTC)
		require.NoError(t, err)
		got := tt.missed(now.Add(-c.anchor), now, c.catchUp)
		if c.want < 0 {
			assert.Zero(t, got, "%+v", c)
			continue
		}
		assert.Equal(t, c.want, now.Sub(got), "%+v", c)
	}
}

func TestEveryCountsFromTheTimeBefore(t *testing.T) {
	tt, err := parseTimetable("@every 90m", time.UTC)
	require.NoError(t, err)
	anchor := time.Date(2026, 1, 1, 0, 0, 10, 0, time.UTC)
	assert.Equal(t, anchor.Add(90*time.Minute), tt.next(anchor, anchor))
	assert.Equal(t, anchor.Add(90*time.Minute), tt.next(anchor, anchor.Add(89*time.Minute)), "late knowledge does not shift it")
	assert.Equal(t, anchor.Add(180*time.Minute), tt.next(anchor, anchor.Add(90*time.Minute)))
}
