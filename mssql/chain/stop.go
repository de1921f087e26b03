package chain

import "time"

// Stop is where a log shall be stopped in: the clause of the RESTORE LOG. At most one of At, AtMark and BeforeMark is set; none means the whole log.
type Stop struct {
	// At is the text for STOPAT, in the server's local time.
	At string
	// AtMark and BeforeMark are for STOPATMARK and STOPBEFOREMARK: the name of a marked transaction, or lsn:N.
	AtMark, BeforeMark string
	// After is the text for AFTER, which goes with a mark.
	After string
}

// IsZero reports whether the log is to be applied whole.
func (s Stop) IsZero() bool { return s == Stop{} }

// stopLayout has the 100 ns that STOPAT can tell apart. The form with T is read alike under any DATEFORMAT.
const stopLayout = "2006-01-02T15:04:05.0000000"

// StopAt is the text for STOPAT that makes the log stop at t. A log bears the server's local times without an offset, so the text is local too: by the offset at the end of
// log, which is also the one at its start when before, the set restored before it, says so. Where they differ, the clock was changed inside, and only zone, the server's,
// tells when. A moment that no local time names alone, within the hour that a clock set back runs through twice, is refused: stop before an LSN instead.
//
// Each log has its own text, which differs from the others' when the offset does.
func StopAt(t time.Time, before, log Set, zone *time.Location) (string, error) {
	text, r := stopAt(t, before, log, zone)
	if r != nil {
		return "", r
	}
	return text, nil
}

func stopAt(t time.Time, before, log Set, zone *time.Location) (string, *Refusal) {
	first, last := before.ZoneMinutes, log.ZoneMinutes
	local := func(minutes int) string { return t.UTC().Add(time.Duration(minutes) * time.Minute).Format(stopLayout) }
	switch {
	case first == last:
		return local(last), nil
	case log.before(t):
		return local(max(first, last)), nil // later than all local times in the log
	}
	doubt := func(format string, args ...any) *Refusal {
		r := refuse(DoubledHour, "stop before an LSN, or at the end of the log before or of this one", format, args...)
		return r.about(before, log)
	}
	if zone == nil {
		r := doubt("the server's clock went from %s to %s inside the %s, so %s may have either local time", offset(first), offset(last), log, clock(t))
		r.Advice = "name the server's time zone, or " + r.Advice
		return "", r
	}
	at := offsetAt(t, zone)
	if at != first && at != last || offsetAt(log.Finished, zone) != last || offsetAt(before.Finished, zone) != first {
		return "", doubt("the time zone %s is not the server's: its offsets are %s and %s around the %s", zone, offset(first), offset(last), log)
	}
	// The clock was set back at some moment: as long before it, and after it, as it was set back by, each local time comes twice.
	if back := time.Duration(first-last) * time.Minute; back > 0 && (at == first && offsetAt(t.Add(back), zone) == last || at == last && offsetAt(t.Add(-back), zone) == first) {
		return "", doubt("the local time %s comes twice inside the %s, since the clock was set back there", local(at), log)
	}
	return local(at), nil
}

func offsetAt(t time.Time, zone *time.Location) int {
	_, seconds := t.In(zone).Zone()
	return seconds / 60
}

func offset(minutes int) string {
	return time.Time{}.In(time.FixedZone("", minutes*60)).Format("-07:00")
}
