package binlog

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/go-mysql-org/go-mysql/replication"
)

// query runs a statement in the state it ran in.
func (r *Replayer) query(ctx context.Context, st Step, d *replication.QueryEvent) error {
	text := string(d.Query)
	before := r.before
	r.before = nil
	switch word := strings.ToUpper(strings.TrimSpace(text)); {
	case word == "BEGIN":
		return r.begin(ctx, "BEGIN")
	case word == "COMMIT" || word == "ROLLBACK":
		return r.commit(ctx, word)
	}
	if r.o.Want != nil && !r.o.Want(string(d.Schema), "") && !control(text) {
		r.Skipped++
		return nil
	}
	if err := r.state(ctx, st, d); err != nil {
		return err
	}
	for _, q := range before {
		if err := r.conn.Exec(ctx, q); err != nil {
			return err
		}
	}
	err := r.conn.Exec(ctx, text)
	switch number := serverError(err); {
	case d.ErrorCode == 0:
		return err
	case err == nil:
		return fmt.Errorf("a statement that failed with error %d when it was logged succeeded: the data are not those that it ran on", d.ErrorCode)
	case number == d.ErrorCode:
		return nil // it failed then, too, and left the same behind
	}
	return err
}

// control reports whether a statement is about the transaction and not about data.
func control(text string) bool {
	for _, word := range []string{"SAVEPOINT", "ROLLBACK TO", "RELEASE SAVEPOINT", "XA "} {
		if len(text) >= len(word) && strings.EqualFold(text[:len(word)], word) {
			return true
		}
	}
	return false
}

// state brings the session into the state of a statement.
func (r *Replayer) state(ctx context.Context, st Step, d *replication.QueryEvent) error {
	s, err := parseStatus(d.StatusVars)
	if err != nil {
		return err
	}
	if s.unknown >= 0 && !slices.Contains(r.Unknown, s.unknown) {
		r.Unknown = append(r.Unknown, s.unknown)
	}
	if schema := string(d.Schema); schema != "" && schema != r.schema && st.Flags&suppressUse == 0 {
		if err := r.conn.Exec(ctx, "USE `"+strings.ReplaceAll(schema, "`", "``")+"`"); err != nil {
			return err
		}
		r.schema, r.settings = schema, "" // the collation of the database changed with it
	}
	set := s.settings(r.o.MariaDB)
	if d.SlaveProxyID != r.thread {
		// Temporary tables of several sessions may have one name.
		set = append(set, "@@session.pseudo_thread_id="+strconv.FormatUint(uint64(d.SlaveProxyID), 10))
		r.thread = d.SlaveProxyID
		r.settings = ""
	}
	if joined := strings.Join(set, ", "); joined != r.settings {
		if err := r.conn.Exec(ctx, "SET "+joined); err != nil {
			return err
		}
		r.settings = strings.Join(s.settings(r.o.MariaDB), ", ")
	}
	stamp := strconv.FormatInt(st.Time.Unix(), 10)
	if s.microseconds > 0 {
		stamp += fmt.Sprintf(".%06d", s.microseconds)
	}
	return r.conn.Exec(ctx, "SET TIMESTAMP="+stamp)
}

// prepare ends the first half of a transaction in two phases.
func (r *Replayer) prepare(ctx context.Context, st Step) error {
	c := &cursor{b: st.Raw[headerBytes:]}
	onePhase := c.u8() != 0
	format := c.uint(4)
	gtrid, bqual := c.uint(4), c.uint(4)
	if gtrid > 64 || bqual > 64 {
		return fmt.Errorf("the name of a transaction in two phases is %d and %d bytes long: want 64 at most", gtrid, bqual)
	}
	xid := xidText(c.take(int(gtrid)), c.take(int(bqual)), format)
	if c.short {
		return fmt.Errorf("the name of a transaction in two phases is cut short")
	}
	if onePhase {
		return r.commit(ctx, "XA COMMIT "+xid+" ONE PHASE")
	}
	return r.commit(ctx, "XA PREPARE "+xid)
}

func xidText(gtrid, bqual []byte, format uint64) string {
	return fmt.Sprintf("X'%x',X'%x',%d", gtrid, bqual, format)
}

// mariadbXID reads the name behind the flags of a GTID event: format, two lengths, and two texts.
func mariadbXID(raw []byte, d *replication.MariadbGTIDEvent) (string, error) {
	at := headerBytes + 13
	if d.IsGroupCommit() {
		at += 8
	}
	if at > len(raw) {
		return "", fmt.Errorf("the name of a transaction in two phases is missing")
	}
	c := &cursor{b: raw[at:]}
	format := c.uint(4)
	gtrid, bqual := int(c.u8()), int(c.u8())
	xid := xidText(c.take(gtrid), c.take(bqual), format)
	if c.short {
		return "", fmt.Errorf("the name of a transaction in two phases is cut short")
	}
	return xid, nil
}

// variable is the assignment of a user variable: the length of its name, the name, whether it is NULL, type, collation, length, value, and whether it is unsigned.
func (r *Replayer) variable(ctx context.Context, body []byte) (string, error) {
	c := &cursor{b: body}
	n := c.uint(4)
	if n > uint64(len(c.b)) {
		return "", fmt.Errorf("a user variable is cut short")
	}
	name := "@`" + strings.ReplaceAll(string(c.take(int(n))), "`", "``") + "`"
	if c.u8() != 0 {
		return "SET " + name + "=NULL", nil
	}
	kind, collation, length := c.u8(), c.uint(4), c.uint(4)
	if c.short || length > uint64(len(c.b)) {
		return "", fmt.Errorf("user variable %s is cut short", name)
	}
	value := c.take(int(length))
	const text, real, integer, decimal = 0, 1, 2, 4
	switch {
	case kind == text:
		names, err := r.conn.Row(ctx, fmt.Sprintf("SELECT CHARACTER_SET_NAME, COLLATION_NAME FROM information_schema.COLLATIONS WHERE ID=%d", collation))
		if err != nil {
			return "", fmt.Errorf("the collation %d of user variable %s: %w", collation, name, err)
		}
		return fmt.Sprintf("SET %s=_%s X'%x' COLLATE `%s`", name, names[0], value, names[1]), nil
	case kind == real && length == 8:
		return fmt.Sprintf("SET %s=%se0", name, strconv.FormatFloat(math.Float64frombits(binary.LittleEndian.Uint64(value)), 'f', -1, 64)), nil
	case kind == integer && length == 8:
		v := binary.LittleEndian.Uint64(value)
		if len(c.b) > 0 && c.b[0]&1 != 0 {
			return fmt.Sprintf("SET %s=%d", name, v), nil
		}
		return fmt.Sprintf("SET %s=%d", name, int64(v)), nil
	case kind == decimal && length > 2:
		v, err := decimalText(int(value[0]), int(value[1]), value[2:])
		return "SET " + name + "=" + v, err
	}
	return "", fmt.Errorf("user variable %s has a type %d that is not known", name, kind)
}

// decimalText is a DECIMAL in the servers' binary form: nine digits in four bytes, fewer in fewer, big-endian, the first bit turned; all bits turned when it is negative.
func decimalText(precision, scale int, b []byte) (string, error) {
	bytesOf := [10]int{0, 1, 1, 2, 2, 3, 3, 4, 4, 4}
	whole := precision - scale
	if whole < 0 || scale < 0 || precision > 65 {
		return "", fmt.Errorf("a decimal of %d digits, %d of them behind the point", precision, scale)
	}
	widths := []int{whole % 9}
	for range whole/9 + scale/9 {
		widths = append(widths, 9)
	}
	widths = append(widths, scale%9)
	b = slices.Clone(b)
	need := 0
	for _, w := range widths {
		need += bytesOf[w]
	}
	if len(b) < need || need == 0 {
		return "", fmt.Errorf("a decimal of %d digits in %d bytes", precision, len(b))
	}
	negative := b[0]&0x80 == 0
	b[0] ^= 0x80
	digits := ""
	for _, w := range widths {
		n := bytesOf[w]
		part := b[:n]
		b = b[n:]
		if w == 0 {
			continue
		}
		if negative {
			for i := range part {
				part[i] = ^part[i]
			}
		}
		digits += fmt.Sprintf("%0*d", w, new(big.Int).SetBytes(part))
	}
	out := digits[:whole]
	if out = strings.TrimLeft(out, "0"); out == "" {
		out = "0"
	}
	if scale > 0 {
		out += "." + digits[whole:]
	}
	if negative {
		out = "-" + out
	}
	return out, nil
}
