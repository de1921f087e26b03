package tds

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// Wire numbers of the types this server speaks ([MS-TDS] 2.2.5.4).
const (
	idNull           = 0x1F
	idGUID           = 0x24
	idInt            = 0x26
	idDate           = 0x28
	idTime           = 0x29
	idDateTime2      = 0x2A
	idDateTimeOffset = 0x2B
	idBit            = 0x68
	idNumeric        = 0x6C
	idDecimal        = 0x6A
	idFloat          = 0x6D
	idDateTime       = 0x6F
	idVarBinary      = 0xA5
	idVarChar        = 0xA7
	idBinary         = 0xAD
	idChar           = 0xAF
	idNVarChar       = 0xE7
	idNChar          = 0xEF
)

// unlimited is the size of the (max) types, whose values travel in chunks.
const unlimited = 0xFFFF

// Type is an SQL type of a column or parameter. The zero Type is the type of an untyped NULL.
type Type struct {
	name             string
	id               byte
	size             int // bytes
	precision, scale byte
}

// String gives the type as T-SQL writes it, such as "nvarchar(128)".
func (t Type) String() string {
	if t.name == "" {
		return "null"
	}
	return t.name
}

// TinyInt holds 0 to 255. Go: int, int64.
func TinyInt() Type { return Type{name: "tinyint", id: idInt, size: 1} }

// SmallInt holds 16 bits. Go: int, int64.
func SmallInt() Type { return Type{name: "smallint", id: idInt, size: 2} }

// Int holds 32 bits. Go: int, int64.
func Int() Type { return Type{name: "int", id: idInt, size: 4} }

// BigInt holds 64 bits. Go: int, int64.
func BigInt() Type { return Type{name: "bigint", id: idInt, size: 8} }

// Bit holds a bool.
func Bit() Type { return Type{name: "bit", id: idBit, size: 1} }

// Float holds a float64.
func Float() Type { return Type{name: "float", id: idFloat, size: 8} }

// Numeric holds precision decimal digits, scale of them after the point. Go: *big.Int when scale is 0, and a string of digits.
func Numeric(precision, scale byte) Type {
	size := 17
	switch {
	case precision <= 9:
		size = 5
	case precision <= 19:
		size = 9
	case precision <= 28:
		size = 13
	}
	return Type{name: fmt.Sprintf("numeric(%d,%d)", precision, scale), id: idNumeric, size: size, precision: precision, scale: scale}
}

// DateTime holds a time.Time to 1/300 s. The wall clock is kept and the zone is dropped.
func DateTime() Type { return Type{name: "datetime", id: idDateTime, size: 8} }

// DateTime2 holds a time.Time to 100 ns. The wall clock is kept and the zone is dropped.
func DateTime2() Type { return Type{name: "datetime2(7)", id: idDateTime2, size: 8, scale: 7} }

// DateTimeOffset holds a time.Time to 100 ns with its offset in minutes.
func DateTimeOffset() Type {
	return Type{name: "datetimeoffset(7)", id: idDateTimeOffset, size: 10, scale: 7}
}

// UniqueIdentifier holds a GUID.
func UniqueIdentifier() Type { return Type{name: "uniqueidentifier", id: idGUID, size: 16} }

// NVarChar holds up to n UTF-16 units, at most 4000.
func NVarChar(n int) Type {
	return Type{name: fmt.Sprintf("nvarchar(%d)", n), id: idNVarChar, size: 2 * n}
}

// NVarCharMax holds text of any length.
func NVarCharMax() Type { return Type{name: "nvarchar(max)", id: idNVarChar, size: unlimited} }

// VarChar holds up to n ASCII characters, at most 8000. Code pages are not simulated.
func VarChar(n int) Type { return Type{name: fmt.Sprintf("varchar(%d)", n), id: idVarChar, size: n} }

// VarCharMax holds ASCII text of any length.
func VarCharMax() Type { return Type{name: "varchar(max)", id: idVarChar, size: unlimited} }

// Char holds exactly n ASCII characters; shorter text is filled with blanks.
func Char(n int) Type { return Type{name: fmt.Sprintf("char(%d)", n), id: idChar, size: n} }

// VarBinary holds up to n bytes, at most 8000.
func VarBinary(n int) Type {
	return Type{name: fmt.Sprintf("varbinary(%d)", n), id: idVarBinary, size: n}
}

// VarBinaryMax holds bytes of any length.
func VarBinaryMax() Type { return Type{name: "varbinary(max)", id: idVarBinary, size: unlimited} }

// collation is SQL_Latin1_General_CP1_CI_AS: language 1033, case and width ignored, sort order 52.
func collation() [5]byte { return [5]byte{0x09, 0x04, 0xD0, 0x00, 0x34} }

func (t Type) hasCollation() bool {
	return t.id == idNVarChar || t.id == idVarChar || t.id == idChar || t.id == idNChar
}

// wide reports whether lengths of the type take two bytes.
func (t Type) wide() bool { return t.hasCollation() || t.id == idVarBinary || t.id == idBinary }

// check tells whether the type can be declared at all.
func (t Type) check() error {
	ok := t.name != ""
	switch {
	case t.id == idNumeric:
		ok = t.precision >= 1 && t.precision <= 38 && t.scale <= t.precision
	case t.wide():
		ok = t.size == unlimited || t.size >= 1 && t.size <= 8000
	}
	if !ok {
		return fmt.Errorf("tds: there is no type %s", t)
	}
	return nil
}

// appendInfo writes the description that stands in column metadata.
func (t Type) appendInfo(b []byte) []byte {
	b = append(b, t.id)
	switch {
	case t.wide():
		b = binary.LittleEndian.AppendUint16(b, uint16(t.size))
	case t.id == idDateTime2 || t.id == idDateTimeOffset:
		return append(b, t.scale)
	case t.id == idNumeric:
		return append(b, byte(t.size), t.precision, t.scale)
	default:
		return append(b, byte(t.size))
	}
	if t.hasCollation() {
		c := collation()
		b = append(b, c[:]...)
	}
	return b
}

// GUID is a uniqueidentifier in the order of its text.
type GUID [16]byte

// String gives the usual form, in capitals as SQL Server prints it.
func (g GUID) String() string {
	h := strings.ToUpper(hex.EncodeToString(g[:]))
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// wire turns the order of the text into that of the wire, or back: the first three fields are little-endian there.
func (g GUID) wire() GUID {
	g[0], g[1], g[2], g[3] = g[3], g[2], g[1], g[0]
	g[4], g[5] = g[5], g[4]
	g[6], g[7] = g[7], g[6]
	return g
}

// appendDateTime writes days since 1900 and the time of day in 1/300 s.
func appendDateTime(b []byte, at time.Time) ([]byte, error) {
	days, inDay := wallClock(at)
	ticks := (int64(inDay)*300 + int64(time.Second)/2) / int64(time.Second)
	if ticks >= 300*86400 {
		days, ticks = days+1, 0
	}
	if at.Year() < 1753 || at.Year() > 9999 {
		return nil, fmt.Errorf("tds: datetime does not reach %s", at)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(int32(days-daysTo1900)))
	return binary.LittleEndian.AppendUint32(b, uint32(ticks)), nil
}

// daysTo1900 is the number of days from 1 January of year 1 to 1 January 1900.
const daysTo1900 = 693595

// wallClock splits what the clock shows into whole days since year 1 and the time of day.
func wallClock(at time.Time) (days int64, inDay time.Duration) {
	year1 := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	midnight := time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC)
	days = (midnight.Unix() - year1.Unix()) / 86400
	h, m, s := at.Clock()
	return days, time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second + time.Duration(at.Nanosecond())
}

// appendTime2 writes the time of day in 100 ns and the days since year 1.
func appendTime2(b []byte, at time.Time) []byte {
	days, inDay := wallClock(at)
	var u [8]byte
	binary.LittleEndian.PutUint64(u[:], uint64(inDay/100))
	b = append(b, u[:5]...)
	binary.LittleEndian.PutUint64(u[:], uint64(days))
	return append(b, u[:3]...)
}

func dateOf(days int64) time.Time {
	return time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, int(days))
}

// appendNumeric writes sign and magnitude. The value is digits with at most scale of them after the point.
func (t Type) appendNumeric(b []byte, text string) ([]byte, error) {
	digits, negative := strings.CutPrefix(text, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	if len(fraction) > int(t.scale) {
		return nil, fmt.Errorf("tds: %q has more digits after the point than %s", text, t)
	}
	all := whole + fraction + strings.Repeat("0", int(t.scale)-len(fraction))
	n, ok := new(big.Int).SetString(all, 10)
	if !ok || strings.ContainsAny(all, "+-_") {
		return nil, fmt.Errorf("tds: %q is not a number", text)
	}
	if len(n.String()) > int(t.precision) {
		return nil, fmt.Errorf("tds: %q has more digits than %s", text, t)
	}
	sign := byte(1)
	if negative {
		sign = 0
	}
	magnitude := n.FillBytes(make([]byte, t.size-1))
	for i, j := 0, len(magnitude)-1; i < j; i, j = i+1, j-1 {
		magnitude[i], magnitude[j] = magnitude[j], magnitude[i]
	}
	return append(append(b, sign), magnitude...), nil
}
