package config

import (
	"fmt"
	"strings"
	"time"
)

// Weekday is a day of the week by its English name or the first three letters of it: mon, Monday.
type Weekday time.Weekday

// String is the short form: "mon".
func (d Weekday) String() string { return strings.ToLower(time.Weekday(d).String()[:3]) }

// MarshalText implements encoding.TextMarshaler.
func (d Weekday) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Weekday) UnmarshalText(text []byte) error {
	for day := time.Sunday; day <= time.Saturday; day++ {
		if name := day.String(); strings.EqualFold(name, string(text)) || strings.EqualFold(name[:3], string(text)) {
			*d = Weekday(day)
			return nil
		}
	}
	return &advised{fmt.Sprintf("%q is not a day of the week", text), "write mon, tue, wed, thu, fri, sat, sun"}
}

// Clock is a time of the day, such as 08:00, as what has passed since midnight.
type Clock time.Duration

// String is the hour and the minute.
func (c Clock) String() string {
	return fmt.Sprintf("%02d:%02d", time.Duration(c)/time.Hour, time.Duration(c)%time.Hour/time.Minute)
}

// MarshalText implements encoding.TextMarshaler.
func (c Clock) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Clock) UnmarshalText(text []byte) error {
	t, err := time.Parse("15:04", string(text))
	if err != nil {
		return &advised{fmt.Sprintf("%q is not a time of the day", text), `write "08:00"`}
	}
	*c = Clock(time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute)
	return nil
}
