package notes_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	core "github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/notes"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	assert.Equal(t, notes.StatusDBInUse, notes.ToStatus(0xC000|0x13EA), "remote and displayed")
	assert.Zero(t, notes.ToStatus(0x8000))
	err := fmt.Errorf("back up: %w", &notes.CallError{Call: "NSFBackupStart", Status: notes.StatusBackupAlreadyInProgress})
	require.ErrorIs(t, err, notes.StatusBackupAlreadyInProgress)
	require.NotErrorIs(t, err, notes.StatusDBInUse)
	var s notes.Status
	require.True(t, errors.As(err, &s))
	assert.Equal(t, "ERR_BACKUP_ALREADY_IN_PROGRESS", s.Name())
	assert.NotEmpty(t, s.Text())
	assert.Equal(t, s.Hint(), core.Hint(err))
	unknown := notes.Status(0x3FFF)
	assert.Equal(t, "Notes status 0x3FFF", unknown.Error())
	assert.Empty(t, unknown.Name()+unknown.Text()+unknown.Hint())
	assert.Equal(t, "notes.ini was not found (status 421)", notes.StatusNoNotesINI.Error())
}

func TestTimeDate(t *testing.T) {
	t.Parallel()
	documented := notes.TimeDate{0x006CDCC0, 0x852563FC}
	assert.Equal(t, time.Date(1996, 12, 10, 19, 49, 4, 0, time.UTC), documented.Time(), "the vendor's example, with a zone")
	at := time.Date(2026, 2, 28, 23, 59, 59, 999_999_999, time.FixedZone("east", 5*3600))
	d := notes.ToTimeDate(at)
	assert.Equal(t, at.UTC().Truncate(10*time.Millisecond), d.Time(), "never later than asked for")
	for _, day := range []time.Time{time.Unix(0, 0), time.Date(1969, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(1800, 1, 1, 0, 0, 0, 1e7, time.UTC), time.Date(9999, 12, 31, 23, 0, 0, 0, time.UTC)} {
		assert.Equal(t, day.UTC(), notes.ToTimeDate(day).Time())
	}
	assert.True(t, notes.TimeDate{}.Time().IsZero())
	assert.True(t, notes.TimeDate{0xFFFFFFFF, 2461000}.Time().IsZero(), "a date without a time")
	assert.True(t, notes.TimeDate{8640000, 2461000}.Time().IsZero(), "a day has 8640000 hundredths")
	assert.Equal(t, notes.TimeDate{}, notes.ToTimeDate(time.Date(-9999, 1, 1, 0, 0, 0, 0, time.UTC)))
}

func TestUNID(t *testing.T) {
	t.Parallel()
	id := notes.UNID{0xAB, 15: 1}
	b, err := id.MarshalText()
	require.NoError(t, err)
	var back notes.UNID
	require.NoError(t, back.UnmarshalText(b))
	assert.Equal(t, id, back)
	for _, bad := range []string{"", "ab", "zz000000000000000000000000000001", id.String() + "00"} {
		_, err := notes.ParseUNID(bad)
		require.Error(t, err, bad)
	}
}
