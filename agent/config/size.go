package config

import (
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// Size is a number of bytes, written with a unit: 20GiB, 512MB, 1.5TiB, or plain bytes. KiB to PiB count by 1024, kB (or KB) to PB by 1000.
type Size int64

// unit is a multiple of a byte.
type unit struct {
	name  string
	bytes int64
}

// sizeUnits are sought in this order for printing: binary before decimal, large before small.
func sizeUnits() []unit {
	return []unit{
		{"PiB", 1 << 50}, {"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
		{"PB", 1e15}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
	}
}

// number is a decimal number, without sign and exponent, and the unit that follows it.
var number = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)$`)

// ParseSize reads a Size. What is not a whole number of bytes is an error.
func ParseSize(s string) (Size, error) {
	const hint = "write bytes, or a number with a unit such as 512MiB, 20GiB or 20GB"
	m := number.FindStringSubmatch(s)
	if m == nil {
		return 0, &advised{fmt.Sprintf("%q is not a size", s), hint}
	}
	for _, u := range append(sizeUnits(), unit{"KB", 1e3}, unit{"", 1}) {
		if u.name != m[2] {
			continue
		}
		r, ok := new(big.Rat).SetString(m[1])
		if !ok {
			break
		}
		r.Mul(r, new(big.Rat).SetInt64(u.bytes))
		if !r.IsInt() {
			return 0, &advised{fmt.Sprintf("%q is not a whole number of bytes", s), "take a smaller unit"}
		}
		if !r.Num().IsInt64() {
			return 0, &advised{fmt.Sprintf("%q is too large", s), "the largest size is just below 8192PiB"}
		}
		return Size(r.Num().Int64()), nil
	}
	for _, u := range sizeUnits() {
		if strings.EqualFold(u.name, m[2]) {
			return 0, &advised{fmt.Sprintf("%q has no unit of size", s), fmt.Sprintf("did you mean %s%s?", m[1], u.name)}
		}
	}
	if l := strings.ToUpper(m[2]); len(l) == 1 && strings.Contains("KMGTP", l) {
		return 0, &advised{fmt.Sprintf("%q has no unit of size", s), fmt.Sprintf("say %s%siB (by 1024) or %s%sB (by 1000)", m[1], l, m[1], l)}
	}
	return 0, &advised{fmt.Sprintf("%q has no unit of size", s), hint}
}

// String is the shortest exact form: ParseSize gives the same Size back.
func (s Size) String() string {
	best := strconv.FormatInt(int64(s), 10)
	if s <= 0 {
		return best
	}
	for _, u := range sizeUnits() {
		if int64(s)%u.bytes != 0 || u.bytes == 1 {
			continue
		}
		t := strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		if len(t) < len(best) || len(t) == len(best) && bareNumber.MatchString(best) {
			best = t
		}
	}
	return best
}

// MarshalText implements encoding.TextMarshaler.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSize(string(text))
	return err
}

// Rate is a number of bytes per second: 20MiB/s. 0 means no bound.
type Rate int64

// ParseRate reads a Rate.
func ParseRate(s string) (Rate, error) {
	const hint = "write a size per second, such as 20MiB/s"
	per, ok := strings.CutSuffix(s, "/s")
	if s == "0" {
		return 0, nil
	}
	if !ok {
		return 0, &advised{fmt.Sprintf("%q is not a rate", s), hint}
	}
	n, err := ParseSize(strings.TrimSuffix(per, " "))
	if err != nil {
		return 0, &advised{fmt.Sprintf("%q is not a rate: %v", s, err), hint}
	}
	return Rate(n), nil
}

// String is the shortest exact form.
func (r Rate) String() string {
	if r == 0 {
		return "0"
	}
	return Size(r).String() + "/s"
}

// MarshalText implements encoding.TextMarshaler.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Rate) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRate(string(text))
	return err
}

// Percent is a share from 0% to 100%.
type Percent float64

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Percent) UnmarshalText(text []byte) error {
	s, ok := strings.CutSuffix(string(text), "%")
	f, err := strconv.ParseFloat(strings.TrimSuffix(s, " "), 64)
	if !ok || err != nil || math.IsNaN(f) || f < 0 || f > 100 {
		return &advised{fmt.Sprintf("%q is not a share", text), "write a percentage from 0% to 100%, such as 5%"}
	}
	*p = Percent(f)
	return nil
}

// String is the number with its sign: "5%".
func (p Percent) String() string { return strconv.FormatFloat(float64(p), 'g', -1, 64) + "%" }

// MarshalText implements encoding.TextMarshaler.
func (p Percent) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Share is the percentage as a number from 0 to 1.
func (p Percent) Share() float64 { return float64(p) / 100 }
