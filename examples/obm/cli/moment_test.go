package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

func TestMoments(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	now := time.Date(2026, 11, 22, 16, 0, 0, 0, berlin)
	for in, want := range map[string]string{
		"2026-11-22T14:05:00.25+01:00":          "2026-11-22T13:05:00.25Z",
		"2026-11-22T14:05:00Z":                  "2026-11-22T14:05:00Z",
		"2026-11-22 14:05:00.25 Europe/Berlin":  "2026-11-22T13:05:00.25Z",
		"2026-11-22 14:05 America/New_York":     "2026-11-22T19:05:00Z",
		"2026-11-22 14:05 +05:30":               "2026-11-22T08:35:00Z",
		"2026-11-22T14:05":                      "2026-11-22T13:05:00Z",
		"2026-07-01 14:05":                      "2026-07-01T12:05:00Z",
		"2h ago":                                "2026-11-22T13:00:00Z",
		"1d 30m ago":                            "2026-11-21T14:30:00Z",
		"3d ago":                                "2026-11-19T15:00:00Z",
		"yesterday 14:00":                       "2026-11-21T13:00:00Z",
		"today 9:30 UTC":                        "2026-11-22T09:30:00Z",
		"2026-10-25 02:30 +02:00":               "2026-10-25T00:30:00Z",
		"2026-10-25 03:00 Europe/Berlin":        "2026-10-25T02:00:00Z",
		"2026-10-25 01:59:59.999 Europe/Berlin": "2026-10-24T23:59:59.999Z",
		"2026-03-29 03:00 Europe/Berlin":        "2026-03-29T01:00:00Z",
		"2001-01-01T00:00:07.123456789Z":        "2001-01-01T00:00:07.123456789Z",
	} {
		got, err := parseMoment(in, now)
		if assert.NoError(t, err, in) {
			assert.Equal(t, want, got.UTC().Format(time.RFC3339Nano), in)
		}
	}
	for _, in := range []string{"now", "NOW", ""} {
		got, err := parseMoment(in, now)
		require.NoError(t, err)
		assert.True(t, got.IsZero(), "%q is the latest state", in)
	}
}

func TestPlacesAreNoMoments(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 15, 0, 0, 0, time.UTC)
	for _, s := range []string{"lsn:36000000012800001", "mark:before upgrade 14:00", "SCN:12", "gtid-set:x", "tx:"} {
		assert.True(t, placeForm.MatchString(s), s)
		_, err := parseMoment(s, now)
		require.Error(t, err, "%s is a time too", s)
	}
	for _, s := range []string{"", "now", "2026-11-22T14:05:00Z", "14:00", "today 14:00", "yesterday 14:00 Europe/Berlin", "2h ago", "1d 30m ago", "soon"} {
		assert.False(t, placeForm.MatchString(s), s)
	}
}

func TestMomentsThatNameNone(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 15, 0, 0, 0, time.UTC)
	for in, says := range map[string]string{
		"2026-11-22":                          "which moment of that day?",
		"2026-11-22 Europe/Berlin":            "which moment of that day?",
		"yesterday":                           "which moment of that day?",
		"2026-10-25 02:30 Europe/Berlin":      "showed it twice, at +02:00 and at +01:00",
		"2026-10-25 02:00:00.5 Europe/Berlin": "showed it twice",
		"2026-03-29 02:30 Europe/Berlin":      "never showed it: they went from +01:00 to +02:00",
		"2026-11-22 25:00":                    "not a time of day",
		"2026-13-01 10:00":                    "not a date",
		"2026-11-22 10:00 Europe/Atlantis":    "not a time zone",
		"2026-11-22 10:00 +99":                "not a zone",
		"last tuesday at noon":                "not a time",
		"-2h ago":                             "not an age",
		"99999999999d ago":                    "not a number of days",
		"soon":                                "not a date",
	} {
		_, err := parseMoment(in, now)
		require.Error(t, err, in)
		assert.Contains(t, err.Error(), says, in)
		assert.Equal(t, exitUsage, exitCode(err), in)
		assert.NotEmpty(t, backup.Hint(err), in)
	}
}
