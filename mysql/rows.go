package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// flushAt is how much of a chunk is gathered before it goes to the stage.
const flushAt = 256 << 10

// rowWriter turns the rows of a query into the lines of a chunk.
type rowWriter struct {
	w     io.Writer
	cols  []columnEntry
	buf   []byte
	rows  int64
	bytes int64
}

// run streams the query's rows: from the wire where it can, each value escaped from the connection's buffer into ours, else through the driver, below database/sql, whose Scan would copy every value.
//
// After an error the session is unusable: the rest of the result may still be on the wire.
func (rw *rowWriter) run(ctx context.Context, c *session, query string) error {
	if c.wire != nil {
		return c.conn.Raw(func(any) error { // keeps the driver off the connection meanwhile
			if err := c.wire.query(ctx, query, rw.packet); err != nil {
				return err
			}
			return rw.flush()
		})
	}
	return c.conn.Raw(func(raw any) error {
		q, ok := raw.(driver.QueryerContext)
		if !ok {
			return fmt.Errorf("driver connection %T cannot query", raw)
		}
		rows, err := q.QueryContext(ctx, query, nil)
		if err != nil {
			return err
		}
		dest := make([]driver.Value, len(rows.Columns()))
		for {
			if err := rows.Next(dest); err == io.EOF {
				break
			} else if err != nil {
				return err
			}
			if err := rw.line(dest); err != nil {
				return err
			}
		}
		if err := rw.flush(); err != nil {
			return err
		}
		return rows.Close()
	})
}

// packet writes a row as it lies on the wire: a length and that many bytes for each value.
func (rw *rowWriter) packet(columns int, p []byte) error {
	b := rw.buf
	for i := range columns {
		if i > 0 {
			b = append(b, '\t')
		}
		if len(p) == 0 {
			return errRow
		}
		// Most values are shorter than 251 bytes.
		n, rest := uint64(p[0]), p[1:]
		if n >= valueNull {
			if n == valueNull {
				b, p = append(b, '\\', 'N'), rest
				continue
			}
			var ok bool
			if n, rest, ok = packedNumber(p); !ok {
				return errRow
			}
		}
		if n > uint64(len(rest)) {
			return errRow
		}
		b = appendField(b, rest[:n])
		p = rest[n:]
	}
	if len(p) > 0 {
		return errRow
	}
	rw.buf = append(b, '\n')
	rw.rows++
	if len(rw.buf) >= flushAt {
		return rw.flush()
	}
	return nil
}

// errRow: a row that does not hold the values it should.
var errRow = errors.New("a row makes no sense")

func (rw *rowWriter) line(vals []driver.Value) error {
	b := rw.buf
	for i, v := range vals {
		if i > 0 {
			b = append(b, '\t')
		}
		switch v := v.(type) {
		case nil:
			b = append(b, '\\', 'N')
		case []byte:
			b = appendField(b, v)
		case int64:
			b = rw.integer(b, i, v)
		case uint64:
			b = strconv.AppendUint(b, v, 10)
		case float64:
			b = strconv.AppendFloat(b, v, 'g', -1, 64)
		case float32:
			b = strconv.AppendFloat(b, float64(v), 'g', -1, 32)
		case string:
			b = appendField(b, []byte(v))
		case time.Time:
			return errors.New("the connection parses times, which loses zero dates: open it without parseTime")
		default:
			return fmt.Errorf("column %d: unexpected value of type %T", i+1, v)
		}
	}
	rw.buf = append(b, '\n')
	rw.rows++
	if len(rw.buf) >= flushAt {
		return rw.flush()
	}
	return nil
}

// integer writes a number. A YEAR needs its four digits: "0" would be loaded as 2000, "0000" is the year zero.
func (rw *rowWriter) integer(b []byte, i int, v int64) []byte {
	if i < len(rw.cols) && rw.cols[i].Type == yearColumn {
		for lim := int64(1000); lim > 1 && v < lim; lim /= 10 {
			b = append(b, '0')
		}
	}
	return strconv.AppendInt(b, v, 10)
}

func (rw *rowWriter) flush() error {
	n, err := rw.w.Write(rw.buf)
	rw.bytes += int64(n)
	rw.buf = rw.buf[:0]
	return err
}
