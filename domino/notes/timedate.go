package notes

import "time"

// TimeDate is a TIMEDATE: hundredths of a second since midnight GMT, then the Julian day number with the time zone in its upper byte [LIBNSF].
type TimeDate [2]uint32

const (
	hundredth  = 10 * time.Millisecond
	dayLength  = 24 * time.Hour
	unixDay    = 2440588    // the Julian day number of 1970-01-01
	julianBits = 0x00FFFFFF // the zone is above them
	noTime     = 0xFFFFFFFF // a date without a time of day
)

// ToTimeDate is the moment t in GMT, rounded down to the hundredth of a second. A time before year -4712 or after 41222 is the zero TimeDate.
func ToTimeDate(t time.Time) TimeDate {
	sec := t.Unix()
	day := sec / 86400
	if sec%86400 < 0 {
		day--
	}
	julian := day + unixDay
	if julian < 0 || julian > julianBits {
		return TimeDate{}
	}
	rest := time.Duration(sec-day*86400)*time.Second + time.Duration(t.Nanosecond())
	return TimeDate{uint32(rest / hundredth), uint32(julian)}
}

// Time is the moment in UTC; the zero time when there is none or only a date.
func (d TimeDate) Time() time.Time {
	if d[1]&julianBits == 0 || d[0] == noTime || time.Duration(d[0])*hundredth >= dayLength {
		return time.Time{}
	}
	day := int64(d[1]&julianBits) - unixDay
	return time.Unix(day*86400, 0).Add(time.Duration(d[0]) * hundredth).UTC()
}
