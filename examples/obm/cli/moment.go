package cli

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// momentForms is the hint of every refusal here.
const momentForms = `write 2026-11-22T14:05:00.25+01:00, "2026-11-22 14:05 Europe/Berlin", "yesterday 14:00", "2h ago", or now for the latest state`

// placeForm matches what names a place in a log, "lsn:0036", "mark:before upgrade": a word and a colon, which no time begins with.
var placeForm = regexp.MustCompile(`^\s*[A-Za-z][A-Za-z0-9_-]*:`)

// momentError says what is wrong with a moment somebody typed.
func momentError(s string, err error) error {
	return usagef(momentForms, "time %q: %w", s, err)
}

// parseMoment reads what follows --at. now is the moment it is read at, whose location stands for a zone that is not written. The zero
// time means the latest state.
//
//	now                                    the latest state
//	2h ago, 90m ago, 3d ago                before now
//	2026-11-22T14:05:00.25+01:00           RFC 3339
//	2026-11-22 14:05[:00[.25]] [zone]      by the clock on the wall there; zone is UTC, a name such as Europe/Berlin, or +01:00
//	today 14:05 [zone], yesterday 14:05    the same
//
// A time that a clock on the wall shows twice, or never, because it was put back or forward, is refused.
func parseMoment(s string, now time.Time) (time.Time, error) {
	s = strings.TrimSpace(s)
	if s == "" || strings.EqualFold(s, "now") {
		return time.Time{}, nil
	}
	if ago, ok := strings.CutSuffix(s, " ago"); ok {
		d, err := parseAge(ago)
		if err != nil {
			return time.Time{}, momentError(s, err)
		}
		return now.Add(-d), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil { // takes fractions though the layout has none
		return t, nil
	}
	t, err := parseWall(s, now)
	if err != nil {
		return time.Time{}, momentError(s, err)
	}
	return t, nil
}

var dayUnit = regexp.MustCompile(`^([0-9]+)d(.*)$`)

// parseAge reads a duration, with days of 24 hours in front.
func parseAge(s string) (time.Duration, error) {
	s = strings.ReplaceAll(s, " ", "")
	var days time.Duration
	if m := dayUnit.FindStringSubmatch(s); m != nil {
		d, err := time.ParseDuration(m[1] + "h")
		if err != nil || d > 100*365*time.Hour {
			return 0, errors.New("not a number of days")
		}
		days, s = 24*d, m[2]
	}
	if s == "" {
		return days, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, errors.New(`not an age such as "2h" or "3d12h"`)
	}
	return days + d, nil
}

var wallForm = regexp.MustCompile(`^(\S+?)(?:[ T](\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?))?(?: +(\S+))?$`)

// parseWall reads a date or a word for one, a time of day and perhaps a zone.
func parseWall(s string, now time.Time) (time.Time, error) {
	m := wallForm.FindStringSubmatch(s)
	if m == nil {
		return time.Time{}, errors.New("not a time")
	}
	loc, err := zone(m[3], now.Location())
	if err != nil {
		return time.Time{}, err
	}
	date := m[1]
	switch strings.ToLower(date) {
	case "today":
		date = now.In(loc).Format(time.DateOnly)
	case "yesterday":
		date = now.In(loc).AddDate(0, 0, -1).Format(time.DateOnly)
	}
	if _, err := time.Parse(time.DateOnly, date); err != nil {
		return time.Time{}, fmt.Errorf("%q is not a date", m[1])
	}
	if m[2] == "" {
		return time.Time{}, errors.New("which moment of that day? a date alone names 24 hours")
	}
	clock := m[2]
	if strings.Count(clock, ":") == 1 {
		clock += ":00"
	}
	wall, err := time.Parse("2006-01-02 15:04:05", date+" "+clock)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a time of day", m[2])
	}
	return onTheWall(wall, loc)
}

func zone(name string, local *time.Location) (*time.Location, error) {
	switch {
	case name == "":
		return local, nil
	case strings.HasPrefix(name, "+"), strings.HasPrefix(name, "-"):
		t, err := time.Parse("-07:00", name)
		if err != nil {
			return nil, fmt.Errorf("%q is not a zone such as +01:00", name)
		}
		return t.Location(), nil
	case name == "Z":
		return time.UTC, nil
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%q is not a time zone such as Europe/Berlin", name)
	}
	return loc, nil
}

// onTheWall finds the one moment at which a clock in loc shows what wall shows in UTC.
func onTheWall(wall time.Time, loc *time.Location) (time.Time, error) {
	guess := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), loc)
	begin, end := guess.ZoneBounds()
	near := []time.Time{guess}
	if !begin.IsZero() {
		near = append(near, begin.Add(-1))
	}
	if !end.IsZero() {
		near = append(near, end)
	}
	var found []time.Time
	for _, n := range near { // a change leaves a candidate on each side of it
		_, offset := n.Zone()
		t := wall.Add(-time.Duration(offset) * time.Second).In(loc)
		if t.Format(time.DateTime) == wall.Format(time.DateTime) {
			found = append(found, t)
		}
	}
	slices.SortFunc(found, time.Time.Compare)
	found = slices.CompactFunc(found, time.Time.Equal)
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		before, after := around(guess, begin, end)
		return time.Time{}, fmt.Errorf("clocks in %s never showed it: they went from %s to %s; write the offset meant",
			loc, before.Format("-07:00"), after.Format("-07:00"))
	}
	return time.Time{}, fmt.Errorf("clocks in %s showed it twice, at %s and at %s; write the offset meant",
		loc, found[0].Format("-07:00"), found[1].Format("-07:00"))
}

// around returns a moment before and one after the change of offset nearest to guess.
func around(guess, begin, end time.Time) (before, after time.Time) {
	if end.IsZero() || (!begin.IsZero() && guess.Sub(begin) < end.Sub(guess)) {
		return begin.Add(-1), begin
	}
	return end.Add(-1), end
}
