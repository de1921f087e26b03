package config

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Duration is a span of time written with units: 14d, 36h, 1w, 90m, 1d12h. A day is 24 hours, a week 7 days; it is never negative.
type Duration time.Duration

func durationUnits() []unit {
	return []unit{
		{"w", int64(7 * 24 * time.Hour)}, {"d", int64(24 * time.Hour)}, {"h", int64(time.Hour)}, {"m", int64(time.Minute)},
		{"s", int64(time.Second)}, {"ms", int64(time.Millisecond)}, {"us", int64(time.Microsecond)}, {"ns", 1},
	}
}

var (
	durationPart = regexp.MustCompile(`^([0-9]+)(ms|us|ns|[wdhms])`)
	bareNumber   = regexp.MustCompile(`^[0-9]+$`)
)

// ParseDuration reads a Duration: whole numbers with units from w down to ns, large before small and each at most once. 0 needs no unit.
func ParseDuration(s string) (Duration, error) {
	const hint = "write whole numbers with units, large before small: 14d, 36h, 1d12h, 90m, 30s"
	if s == "0" {
		return 0, nil
	}
	if bareNumber.MatchString(s) {
		return 0, &advised{fmt.Sprintf("%q has no unit of time", s), fmt.Sprintf("say %ss, %sm, %sh or %sd", s, s, s, s)}
	}
	bad := &advised{fmt.Sprintf("%q is not a duration", s), hint}
	units, rest, total := durationUnits(), s, int64(0)
	for rest != "" {
		m := durationPart.FindStringSubmatch(rest)
		if m == nil {
			return 0, bad
		}
		for len(units) > 0 && units[0].name != m[2] {
			units = units[1:]
		}
		if len(units) == 0 {
			return 0, bad
		}
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil || n > (math.MaxInt64-total)/units[0].bytes {
			return 0, &advised{fmt.Sprintf("%q is too long", s), "the longest duration is about 292 years"}
		}
		total += n * units[0].bytes
		units, rest = units[1:], rest[len(m[0]):]
	}
	if s == "" {
		return 0, bad
	}
	return Duration(total), nil
}

// String is exact: ParseDuration gives the same Duration back.
func (d Duration) String() string {
	if d < 0 {
		return "-" + (-d).String()
	}
	var s strings.Builder
	rest := int64(d)
	for _, u := range durationUnits()[1:] { // 14d says more than 2w
		if n := rest / u.bytes; n > 0 {
			fmt.Fprintf(&s, "%d%s", n, u.name)
			rest %= u.bytes
		}
	}
	if s.Len() == 0 {
		return "0"
	}
	return s.String()
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDuration(string(text))
	return err
}

// std is d as package time has it.
func (d Duration) std() time.Duration { return time.Duration(d) }

// orNever is d, with 0 turned into a negative one: what is written as 0 in the file must not become a default elsewhere.
func (d Duration) orNever() time.Duration {
	if d == 0 {
		return -1
	}
	return time.Duration(d)
}

// foreignDuration reads a time.Duration of an application: as a Duration, or as package time prints it.
func foreignDuration(s string) (time.Duration, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return d, nil
	}
	d, err := ParseDuration(s)
	return d.std(), err
}
