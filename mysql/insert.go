package mysql

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/quiesce-go/quiesce/backup"
)

// insertSize is when a multi-row INSERT is sent: well below the smallest max_allowed_packet in use (MariaDB's 16 MiB), and past where larger ones are faster.
const insertSize = 1 << 20

// insertChunk loads a chunk by INSERT, for servers that do not take LOAD DATA LOCAL.
func insertChunk(ctx context.Context, c *session, j loadJob, rd io.Reader) (int64, error) {
	cols := j.t.Columns
	head := "INSERT INTO " + qualified(j.t.in.as, j.t.Name) + " ("
	for i, col := range cols {
		if i > 0 {
			head += ","
		}
		head += quote(col.Name)
	}
	b := &insert{c: c, head: head + ") VALUES "}
	l := newLines(rd)
	for {
		line, err := l.next()
		if errors.Is(err, io.EOF) {
			return b.rows, b.send(ctx)
		}
		if err != nil {
			return 0, err
		}
		if err := b.add(line, cols); err != nil {
			return 0, err
		}
		if b.buf.Len() >= insertSize {
			if err := b.send(ctx); err != nil {
				return 0, err
			}
		}
	}
}

type insert struct {
	c    *session
	head string
	buf  bytes.Buffer
	val  []byte
	rows int64
}

func (b *insert) add(line []byte, cols []columnEntry) error {
	if b.buf.Len() == 0 {
		b.buf.WriteString(b.head)
	} else {
		b.buf.WriteByte(',')
	}
	b.buf.WriteByte('(')
	b.rows++
	rest, more := line, len(cols) > 0
	var field []byte
	for i, col := range cols {
		if !more {
			return fmt.Errorf("row %d has too few fields: %w", b.rows, backup.ErrCorrupt)
		}
		field, rest, more = nextField(rest)
		if i > 0 {
			b.buf.WriteByte(',')
		}
		var null bool
		var err error
		if b.val, null, err = unescape(b.val[:0], field); err != nil {
			return fmt.Errorf("row %d: %w", b.rows, err)
		}
		if null {
			b.buf.WriteString("NULL")
			continue
		}
		b.value(col.Type, b.val)
	}
	if more {
		return fmt.Errorf("row %d has too many fields: %w", b.rows, backup.ErrCorrupt)
	}
	b.buf.WriteByte(')')
	return nil
}

// value writes a value as SQL.
func (b *insert) value(t columnType, v []byte) {
	switch t {
	case binaryColumn, bitColumn:
		// An empty 0x is a name to the server, an empty X'' is a value.
		b.buf.WriteString("X'")
		b.buf.Write(hex.AppendEncode(b.buf.AvailableBuffer(), v))
		b.buf.WriteByte('\'')
	case jsonColumn:
		b.buf.WriteString("CONVERT(")
		b.text(v)
		b.buf.WriteString(" USING utf8mb4)")
	default:
		b.text(v)
	}
}

// text writes a string; the session's sql_mode leaves backslashes their meaning.
func (b *insert) text(v []byte) {
	b.buf.WriteByte('\'')
	start := 0
	for i, c := range v {
		var e byte
		switch c {
		case '\'', '\\':
			e = c
		case 0:
			e = '0'
		default:
			continue
		}
		b.buf.Write(v[start:i])
		b.buf.WriteByte('\\')
		b.buf.WriteByte(e)
		start = i + 1
	}
	b.buf.Write(v[start:])
	b.buf.WriteByte('\'')
}

func (b *insert) send(ctx context.Context) error {
	if b.buf.Len() == 0 {
		return nil
	}
	q := b.buf.String()
	b.buf.Reset()
	if err := b.c.exec(ctx, q); err != nil {
		return err
	}
	return complaints(ctx, b.c)
}
