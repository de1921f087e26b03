package agent

import (
	"errors"
	"strings"
	"time"

	"github.com/netresearch/go-cron"
)

// timetable is one schedule expression in its time zone.
type timetable struct {
	spec  string
	loc   *time.Location
	cron  cron.Schedule
	every time.Duration // above 0 for @every, which counts from the time before
	fixed bool          // some hours of the day are left out
}

// parseTimetable reads an expression. Day of month and day of week, when both are given, each suffice, as in crontab.
func parseTimetable(spec string, loc *time.Location) (timetable, error) {
	if loc == nil {
		loc = time.Local
	}
	t := timetable{spec: spec, loc: loc}
	if strings.HasPrefix(spec, "TZ=") || strings.HasPrefix(spec, "CRON_TZ=") {
		return t, errors.New("the time zone is set by Schedule.Location")
	}
	p, err := cron.TryNewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor | cron.DowOrDom)
	if err != nil {
		return t, err
	}
	if t.cron, err = p.Parse(spec); err != nil {
		return t, err
	}
	switch s := t.cron.(type) {
	case cron.ConstantDelaySchedule:
		t.every = s.Delay
	case *cron.SpecSchedule:
		const allHours = 1<<24 - 1
		t.fixed = s.Hour&allHours != allHours
	}
	return t, nil
}

// same reports whether both come at the same times.
func (tt timetable) same(other timetable) bool {
	return tt.spec == other.spec && tt.loc.String() == other.loc.String()
}

// next returns the first time after t, or the zero time when there is none. @every counts from anchor.
func (tt timetable) next(anchor, t time.Time) time.Time {
	if tt.every > 0 {
		if t.Before(anchor) {
			return anchor.Add(tt.every)
		}
		return anchor.Add((t.Sub(anchor)/tt.every + 1) * tt.every)
	}
	n := tt.cron.Next(t.In(tt.loc))
	for tt.fixed && repeated(n) {
		n = tt.cron.Next(n)
	}
	return n
}

// repeated reports whether the clocks were set back so that t's hour and minute come for the second time.
func repeated(t time.Time) bool {
	if t.IsZero() {
		return false
	}
	_, now := t.Zone()
	_, before := t.Add(-3 * time.Hour).Zone()
	back := time.Duration(before-now) * time.Second
	if back <= 0 {
		return false
	}
	_, then := t.Add(-back).Zone()
	return then == before
}

// missed returns the last time after anchor, not after now and at most catchUp ago; zero when there is none.
func (tt timetable) missed(anchor, now time.Time, catchUp time.Duration) time.Time {
	var last time.Time
	for back := time.Minute; last.IsZero(); back *= 2 {
		back = min(back, catchUp)
		from := now.Add(-back)
		if from.Before(anchor) {
			from = anchor
		}
		for t := tt.next(anchor, from); !t.IsZero() && !t.After(now); t = tt.next(anchor, t) {
			last = t
		}
		if back == catchUp || from.Equal(anchor) {
			break
		}
	}
	return last
}
