package mssql

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// row is one row of a small result, by column name. A column that is absent reads like one that is NULL: versions differ in their columns.
type row struct {
	at     map[string]int
	values []any
}

func (r row) value(column string) any {
	if i, ok := r.at[strings.ToLower(column)]; ok {
		return r.values[i]
	}
	return nil
}

// has reports whether the column is there and not NULL.
func (r row) has(column string) bool { return r.value(column) != nil }

// text is the column as text, "" where it is NULL.
func (r row) text(column string) string {
	switch v := r.value(column).(type) {
	case nil:
		return ""
	case []byte:
		return string(v)
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

// int is the column as a number, 0 where it is NULL or none.
func (r row) int(column string) int64 {
	switch v := r.value(column).(type) {
	case int64:
		return v
	case bool:
		if v {
			return 1
		}
		return 0
	case float64:
		return int64(v)
	}
	n, err := strconv.ParseInt(r.text(column), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// flag is the column as a bit; old versions use numbers for some.
func (r row) flag(column string) bool { return r.int(column) != 0 }

// lsn is the column as a log sequence number, none where it is NULL.
func (r row) lsn(column string) (mtf.LSN, error) {
	s := r.text(column)
	if s == "" {
		return mtf.LSN{}, nil
	}
	l, err := mtf.ParseLSN(s)
	if err != nil {
		return l, fmt.Errorf("column %s: %w", column, err)
	}
	return l, nil
}

// guid is the column as an identifier, none where it is NULL.
func (r row) guid(column string) (mtf.GUID, error) {
	var g mtf.GUID
	switch v := r.value(column).(type) {
	case nil:
		return g, nil
	case []byte:
		if len(v) == len(g) {
			copy(g[:], v) // the driver gives the server's byte order, as files have it
			return g, nil
		}
	}
	g, err := mtf.ParseGUID(r.text(column))
	if err != nil {
		return g, fmt.Errorf("column %s: %w", column, err)
	}
	return g, nil
}

// bytes is a binary column.
func (r row) bytes(column string) []byte {
	b, _ := r.value(column).([]byte)
	return b
}

// time is the column as the driver labels it: right for datetimeoffset, a server-local wall time called UTC for datetime.
func (r row) time(column string) time.Time {
	t, _ := r.value(column).(time.Time)
	return t
}

// local is a datetime of the server as a moment, given how far its local time is ahead of UTC.
func (r row) local(column string, ahead time.Duration) time.Time {
	t := r.time(column)
	if t.IsZero() {
		return t
	}
	return t.Add(-ahead).UTC()
}
