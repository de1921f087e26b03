package oracle

import (
	"fmt"
	"strconv"
	"time"
)

// row is the current row of a small result, by column name. What cannot be read as what it should be is noted in bad, and fails the query: a number that is silently 0 would be an SCN.
type row struct {
	at     map[string]int
	values []any
	bad    *error
}

func (r row) value(column string) any {
	i, ok := r.at[column]
	if !ok {
		r.wrong(column, "is not in the result")
		return nil
	}
	return r.values[i]
}

func (r row) wrong(column, what string) {
	if *r.bad == nil {
		*r.bad = fmt.Errorf("column %s %s", column, what)
	}
}

// text is the column as text, "" where it is NULL, which an empty text is to Oracle.
func (r row) text(column string) string {
	switch v := r.value(column).(type) {
	case nil:
		return ""
	case []byte:
		return string(v)
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}

// uint is a number of the server, 0 where it is NULL. go-ora hands numbers out as text; an SCN may need all 64 bits [REF, GO].
func (r row) uint(column string) uint64 {
	text := r.text(column)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		r.wrong(column, fmt.Sprintf("is %q, not a whole number", text))
	}
	return n
}

func (r row) int(column string) int64 {
	n := r.uint(column)
	if n > 1<<63-1 {
		r.wrong(column, "is out of range")
	}
	return int64(n) //nolint:gosec // just checked
}

func (r row) scn(column string) SCN { return SCN(r.uint(column)) }

// yes is a column of YES and NO.
func (r row) yes(column string) bool { return r.text(column) == "YES" }

// time is a DATE or TIMESTAMP as the driver places it, zero where it is NULL.
func (r row) time(column string) time.Time {
	switch v := r.value(column).(type) {
	case nil:
		return time.Time{}
	case time.Time:
		return v
	}
	r.wrong(column, "is not a time")
	return time.Time{}
}
