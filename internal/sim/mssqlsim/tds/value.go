package tds

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"
)

// appendValue writes v as a row holds it. nil is NULL. A value that the type cannot hold is an error, never cut.
func (t Type) appendValue(b []byte, v any) ([]byte, error) {
	if v == nil {
		return t.appendNull(b), nil
	}
	raw, err := t.encode(v)
	if err != nil {
		return nil, err
	}
	switch {
	case t.size == unlimited:
		return appendChunks(b, raw), nil
	case t.wide():
		return append(binary.LittleEndian.AppendUint16(b, uint16(len(raw))), raw...), nil
	default:
		return append(append(b, byte(len(raw))), raw...), nil
	}
}

func (t Type) appendNull(b []byte) []byte {
	switch {
	case t.size == unlimited:
		return binary.LittleEndian.AppendUint64(b, math.MaxUint64)
	case t.wide():
		return binary.LittleEndian.AppendUint16(b, 0xFFFF)
	default:
		return append(b, 0)
	}
}

// chunkSize is how much of a long value one chunk carries; anything up to 32 bits is allowed.
const chunkSize = 8000

func appendChunks(b, raw []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(len(raw)))
	for len(raw) > 0 {
		n := min(len(raw), chunkSize)
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
		b = append(b, raw[:n]...)
		raw = raw[n:]
	}
	return binary.LittleEndian.AppendUint32(b, 0)
}

// encode gives the bytes of a value without its length.
func (t Type) encode(v any) ([]byte, error) {
	switch v := v.(type) {
	case int:
		return t.encodeInt(int64(v))
	case int64:
		return t.encodeInt(v)
	case bool:
		if t.id == idBit {
			if v {
				return []byte{1}, nil
			}
			return []byte{0}, nil
		}
	case float64:
		if t.id == idFloat && t.size == 8 {
			return binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)), nil
		}
	case *big.Int:
		if t.id == idNumeric && t.scale == 0 {
			return t.appendNumeric(nil, v.String())
		}
	case time.Time:
		return t.encodeTime(v)
	case GUID:
		if t.id == idGUID {
			w := v.wire()
			return w[:], nil
		}
	case string:
		return t.encodeText(v)
	case []byte:
		if t.id == idVarBinary {
			return t.fits(v)
		}
	}
	return nil, fmt.Errorf("tds: a %T does not go into %s", v, t)
}

func (t Type) encodeInt(v int64) ([]byte, error) {
	if t.id != idInt {
		return nil, fmt.Errorf("tds: an integer does not go into %s", t)
	}
	low, high := int64(math.MinInt64)>>(64-8*t.size), int64(math.MaxInt64)>>(64-8*t.size)
	if t.size == 1 {
		low, high = 0, 255 // the only unsigned one
	}
	if v < low || v > high {
		return nil, fmt.Errorf("tds: %d does not fit %s", v, t)
	}
	return binary.LittleEndian.AppendUint64(nil, uint64(v))[:t.size], nil
}

func (t Type) encodeTime(v time.Time) ([]byte, error) {
	switch t.id {
	case idDateTime:
		return appendDateTime(nil, v)
	case idDateTime2:
		return appendTime2(nil, v), nil
	case idDateTimeOffset:
		_, offset := v.Zone()
		return binary.LittleEndian.AppendUint16(appendTime2(nil, v.UTC()), uint16(int16(offset/60))), nil
	}
	return nil, fmt.Errorf("tds: a time does not go into %s", t)
}

func (t Type) encodeText(v string) ([]byte, error) {
	switch t.id {
	case idNumeric:
		return t.appendNumeric(nil, v)
	case idNVarChar:
		return t.fits(appendText(nil, v))
	case idVarChar, idChar:
		if strings.ContainsFunc(v, func(r rune) bool { return r > 0x7F }) {
			return nil, fmt.Errorf("tds: %s holds ASCII here, not %q", t, v)
		}
		if t.id == idChar {
			v += strings.Repeat(" ", max(0, t.size-len(v)))
		}
		return t.fits([]byte(v))
	}
	return nil, fmt.Errorf("tds: text does not go into %s", t)
}

func (t Type) fits(raw []byte) ([]byte, error) {
	if t.size != unlimited && len(raw) > t.size {
		return nil, fmt.Errorf("tds: %d bytes do not fit %s", len(raw), t)
	}
	return raw, nil
}

// decode gives the Go value of the bytes of a parameter: int64, bool, float64, string (text and numbers), time.Time, GUID or []byte.
func (t Type) decode(raw []byte) (any, error) {
	switch t.id {
	case idInt:
		var u [8]byte
		copy(u[:], raw)
		shift := 64 - 8*len(raw)
		if t.size == 1 {
			return int64(raw[0]), nil
		}
		return int64(binary.LittleEndian.Uint64(u[:])) << shift >> shift, nil
	case idBit:
		return raw[0] != 0, nil
	case idFloat:
		if len(raw) == 4 {
			return float64(math.Float32frombits(binary.LittleEndian.Uint32(raw))), nil
		}
		return math.Float64frombits(binary.LittleEndian.Uint64(raw)), nil
	case idNumeric:
		return t.decodeNumeric(raw), nil
	case idDateTime:
		days, ticks := int32(binary.LittleEndian.Uint32(raw)), binary.LittleEndian.Uint32(raw[4:])
		return dateOf(int64(days) + daysTo1900).Add(time.Duration(ticks) * time.Second / 300), nil
	case idDateTime2, idDateTimeOffset:
		return t.decodeTime2(raw), nil
	case idGUID:
		return GUID(raw).wire(), nil
	case idVarBinary:
		return raw, nil
	case idNVarChar:
		if len(raw)%2 != 0 {
			return nil, fmt.Errorf("tds: %d bytes are no UTF-16 text", len(raw))
		}
		return decodeText(raw), nil
	case idVarChar:
		if strings.ContainsFunc(string(raw), func(r rune) bool { return r > 0x7F }) {
			return nil, fmt.Errorf("tds: %s holds ASCII here, not % x", t, raw)
		}
		return string(raw), nil
	}
	return nil, fmt.Errorf("tds: type %#02x is not known here", t.id)
}

func (t Type) decodeNumeric(raw []byte) string {
	magnitude := make([]byte, len(raw)-1)
	for i, x := range raw[1:] {
		magnitude[len(magnitude)-1-i] = x
	}
	text := new(big.Int).SetBytes(magnitude).String()
	if t.scale > 0 {
		text = strings.Repeat("0", max(0, int(t.scale)+1-len(text))) + text
		text = text[:len(text)-int(t.scale)] + "." + text[len(text)-int(t.scale):]
	}
	if raw[0] == 0 {
		text = "-" + text
	}
	return text
}

func (t Type) decodeTime2(raw []byte) time.Time {
	var u, d [8]byte
	copy(u[:], raw[:5])
	copy(d[:], raw[5:8])
	at := dateOf(int64(binary.LittleEndian.Uint64(d[:]))).Add(time.Duration(binary.LittleEndian.Uint64(u[:])) * 100)
	if t.id == idDateTime2 {
		return at
	}
	minutes := int(int16(binary.LittleEndian.Uint16(raw[8:])))
	return at.In(time.FixedZone("", minutes*60))
}
