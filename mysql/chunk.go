package mysql

import (
	"context"
	"fmt"
	"math/big"
	"strings"
)

// chunk is one piece of a table: an artifact.
type chunk struct {
	t         *table
	partition string
	where     string // a condition, or "" for all rows
	seq       int    // its number within the table, from 1
	bytes     int64  // estimate
}

// query reads the chunk. Rows come in the order of the key that the condition ranges over, or of the table.
func (k chunk) query(srv *server) string {
	q := "SELECT " + k.t.selectList() + " FROM " + qualified(k.t.schema, k.t.name)
	if k.partition != "" {
		q += " PARTITION (" + quote(k.partition) + ")"
	}
	if k.where == "" {
		return q
	}
	if !srv.reduced {
		// A range over much of a table may look like a full scan to the optimizer; N of those would read the table N times.
		q += " FORCE INDEX (" + quote(k.t.keyName) + ")"
	}
	return q + " WHERE " + k.where
}

// cut divides a table into chunks and gives them to emit in order, while later ones are still being looked for.
func (r *run) cut(ctx context.Context, c *session, t *table, emit func(chunk)) error {
	seq := 0
	add := func(partition, where string, bytes int64) {
		seq++
		emit(chunk{t, partition, where, seq, bytes})
	}
	pieces := t.bytes / r.s.opt.ChunkSize
	if pieces < 1 || t.bytes < r.s.opt.ChunkSize*3/2 {
		add("", "", t.bytes)
		return nil
	}
	parts := t.partitions
	if len(parts) == 0 {
		parts = []string{""}
	}
	share := max(1, pieces/int64(len(parts)))
	rows := max(1, t.rows/int64(len(parts))/share)
	for _, p := range parts {
		each := t.bytes / int64(len(parts)) / share
		if share == 1 || !cuttable(t.key) {
			add(p, "", each*share)
			continue
		}
		if err := r.cutPart(ctx, c, t, p, rows, share, func(where string) { add(p, where, each) }); err != nil {
			return err
		}
	}
	return nil
}

// cutPart divides one partition, or the whole of an unpartitioned table.
func (r *run) cutPart(ctx context.Context, c *session, t *table, part string, rows, pieces int64, add func(where string)) error {
	if t.key[0].integer() {
		done, err := cutRange(ctx, c, t, part, rows*pieces, pieces, add)
		if done || err != nil {
			return err
		}
	}
	return walk(ctx, c, t, part, rows, add, r.st.moved)
}

// cutRange divides by equal steps of an integer key, as long as its range has few gaps. done is false when it has many.
func cutRange(ctx context.Context, c *session, t *table, part string, rows, pieces int64, add func(where string)) (done bool, err error) {
	k := quote(t.key[0].name)
	r, ok, err := c.one(ctx, fmt.Sprintf("SELECT MIN(%s), MAX(%s) FROM %s", k, k, t.from(part)))
	if err != nil {
		return false, c.src.fail(ctx, "look at the key of", t.String(), err)
	}
	lo, okLo := new(big.Int).SetString(r.col(0), 10)
	hi, okHi := new(big.Int).SetString(r.col(1), 10)
	if !ok || !okLo || !okHi {
		add("") // empty, as far as the snapshot sees
		return true, nil
	}
	width := new(big.Int).Sub(hi, lo)
	width.Add(width, big.NewInt(1))
	// For a key of several columns the first one may be constant over many rows, so its range is no measure there.
	if len(t.key) > 1 || width.Cmp(big.NewInt(rows*4)) > 0 {
		return false, nil
	}
	step := new(big.Int).Div(width, big.NewInt(pieces))
	if step.Sign() == 0 {
		step.SetInt64(1)
	}
	from := ""
	for at := new(big.Int).Add(lo, step); at.Cmp(hi) <= 0; at.Add(at, step) {
		add(both(from, k+"<"+at.String()))
		from = k + ">=" + at.String()
	}
	add(from)
	return true, nil
}

// walk steps along the key with the server's own order, n rows at a time. No byte reaches the stage meanwhile, so every step is told to moved.
func walk(ctx context.Context, c *session, t *table, part string, n int64, add func(where string), moved func()) error {
	var names []string
	for _, k := range t.key {
		names = append(names, quote(k.name))
	}
	cols := strings.Join(names, ",")
	from := ""
	for {
		q := "SELECT " + cols + " FROM " + t.from(part) + " FORCE INDEX (" + quote(t.keyName) + ")"
		if from != "" {
			q += " WHERE " + from
		}
		r, ok, err := c.one(ctx, q+fmt.Sprintf(" ORDER BY %s LIMIT 1 OFFSET %d", cols, n))
		if err != nil {
			return c.src.fail(ctx, "look along the key of", t.String(), err)
		}
		if !ok {
			add(from)
			return nil
		}
		moved()
		vals := make([]string, len(t.key))
		for i, k := range t.key {
			vals[i] = k.literal(r.col(i))
		}
		add(both(from, below(names, vals)))
		from = notBelow(names, vals)
	}
}

func (t *table) from(part string) string {
	s := qualified(t.schema, t.name)
	if part != "" {
		s += " PARTITION (" + quote(part) + ")"
	}
	return s
}

func both(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return "(" + a + ") AND (" + b + ")"
}

// below is the condition (cols) < (vals), spelled out because a row constructor is not always a range to the optimizer.
func below(cols, vals []string) string {
	if len(cols) == 1 {
		return cols[0] + "<" + vals[0]
	}
	return fmt.Sprintf("%s<=%s AND (%s<%s OR (%s))", cols[0], vals[0], cols[0], vals[0], below(cols[1:], vals[1:]))
}

// notBelow is the condition (cols) >= (vals).
func notBelow(cols, vals []string) string {
	if len(cols) == 1 {
		return cols[0] + ">=" + vals[0]
	}
	return fmt.Sprintf("%s>=%s AND (%s>%s OR (%s))", cols[0], vals[0], cols[0], vals[0], notBelow(cols[1:], vals[1:]))
}

// cuttable reports whether every column of the key compares with a literal exactly as in the index.
func cuttable(key []column) bool {
	for _, c := range key {
		switch c.dataType {
		case "decimal", "date", "time", "datetime", "timestamp", "binary", "varbinary":
		case "char", "varchar":
			if c.charset == "" || c.collation == "" {
				return false
			}
		default:
			if !c.integer() {
				return false // ENUM and SET compare by number, FLOAT by more digits than it shows
			}
		}
	}
	return len(key) > 0
}

// literal writes a value of the key as SQL that compares with the column's own collation.
func (c column) literal(v string) string {
	switch c.dataType {
	case "char", "varchar":
		return fmt.Sprintf("_%s X'%X' COLLATE %s", c.charset, v, c.collation)
	case "binary", "varbinary":
		return fmt.Sprintf("X'%X'", v)
	case "date", "time", "datetime", "timestamp":
		return literal(v)
	}
	return v
}
