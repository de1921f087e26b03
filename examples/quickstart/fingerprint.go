package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// fingerprint is one value for each table and object of some schemas. Two servers with equal fingerprints hold the same.
type fingerprint map[string]string

// take reads the fingerprint of the schemas and accounts. tables and objects count what is in it.
func take(ctx context.Context, db *sql.DB, schemas, accounts []string) (f fingerprint, tables, objects int, err error) {
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, 0, 0, err
	}
	defer c.Close()
	// As bytes and in UTC, whatever the session's defaults are.
	for _, s := range []string{"SET NAMES binary", "SET time_zone = '+00:00'"} {
		if _, err := c.ExecContext(ctx, s); err != nil {
			return nil, 0, 0, err
		}
	}
	f = fingerprint{}
	for _, s := range schemas {
		t, o, err := f.schema(ctx, c, s)
		if err != nil {
			return nil, 0, 0, fmt.Errorf("compare schema %q: %w", s, err)
		}
		tables, objects = tables+t, objects+o
	}
	for _, a := range accounts {
		objects++
		if err := f.account(ctx, c, a); err != nil {
			return nil, 0, 0, fmt.Errorf("compare account %s: %w", a, err)
		}
	}
	return f, tables, objects, nil
}

func (f fingerprint) schema(ctx context.Context, c *sql.Conn, schema string) (tables, objects int, err error) {
	kinds, err := pairs(ctx, c, "SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = '"+schema+"'")
	if err != nil {
		return 0, 0, err
	}
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		full := quote(schema) + "." + quote(name)
		if kinds[name] == "VIEW" {
			objects++
			err = f.text(ctx, c, "VIEW", full)
		} else {
			tables++
			f["table "+full], err = checksum(ctx, c, full)
			err = errors.Join(err, f.text(ctx, c, "TABLE", full))
		}
		if err != nil {
			return tables, objects, err
		}
	}
	for kind, query := range map[string]string{
		"TRIGGER":   "SELECT TRIGGER_NAME, '' FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = '" + schema + "'",
		"PROCEDURE": "SELECT ROUTINE_NAME, '' FROM information_schema.ROUTINES WHERE ROUTINE_TYPE = 'PROCEDURE' AND ROUTINE_SCHEMA = '" + schema + "'",
		"FUNCTION":  "SELECT ROUTINE_NAME, '' FROM information_schema.ROUTINES WHERE ROUTINE_TYPE = 'FUNCTION' AND ROUTINE_SCHEMA = '" + schema + "'",
		"EVENT":     "SELECT EVENT_NAME, '' FROM information_schema.EVENTS WHERE EVENT_SCHEMA = '" + schema + "'",
	} {
		names, err := pairs(ctx, c, query)
		if err != nil {
			return tables, objects, err
		}
		for name := range names {
			objects++
			if err := f.text(ctx, c, kind, quote(schema)+"."+quote(name)); err != nil {
				return tables, objects, err
			}
		}
	}
	return tables, objects, nil
}

// text records the definition of an object: every column of SHOW CREATE but the time it was created.
func (f fingerprint) text(ctx context.Context, c *sql.Conn, kind, name string) error {
	rows, err := c.QueryContext(ctx, "SHOW CREATE "+kind+" "+name)
	if err != nil {
		return fmt.Errorf("show %s %s: %w", strings.ToLower(kind), name, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	for rows.Next() {
		cells, pointers := scanner(len(columns))
		if err := rows.Scan(pointers...); err != nil {
			return err
		}
		for i, col := range columns {
			if !strings.EqualFold(col, "Created") {
				f["definition "+kind+" "+name+" "+col] = string(cells[i])
			}
		}
	}
	return rows.Err()
}

// account records what an account may do and how it logs in.
func (f fingerprint) account(ctx context.Context, c *sql.Conn, account string) error {
	for _, what := range []string{"SHOW CREATE USER ", "SHOW GRANTS FOR "} {
		rows, err := c.QueryContext(ctx, what+account)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				return err
			}
			f["account "+account+" "+line] = ""
		}
		if err := rows.Err(); err != nil {
			return err
		}
	}
	return nil
}

// errParse is what a server says to a statement it does not know, as the embedded one does to CHECKSUM TABLE.
const errParse, errUnknown = 1064, 1105

// checksum is the server's own checksum of a table, or ours where it has none.
func checksum(ctx context.Context, c *sql.Conn, table string) (string, error) {
	var name string
	var sum sql.NullString
	err := c.QueryRowContext(ctx, "CHECKSUM TABLE "+table).Scan(&name, &sum)
	var said *mysql.MySQLError
	if errors.As(err, &said) && (said.Number == errParse || said.Number == errUnknown) {
		return rowSum(ctx, c, table)
	}
	if err == nil && !sum.Valid {
		err = errors.New("the server gives none")
	}
	if err != nil {
		return "", fmt.Errorf("checksum of %s: %w", table, err)
	}
	return sum.String, nil
}

// rowSum adds up the hashes of all rows, so that their order does not matter and equal rows do not cancel out.
func rowSum(ctx context.Context, c *sql.Conn, table string) (string, error) {
	rows, err := c.QueryContext(ctx, "SELECT * FROM "+table)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var sum [4]uint64
	n := 0
	for ; rows.Next(); n++ {
		cells, pointers := scanner(len(columns))
		if err := rows.Scan(pointers...); err != nil {
			return "", err
		}
		var b []byte
		for _, cell := range cells {
			// The length keeps "ab","c" apart from "a","bc"; NULL has a length that no cell has.
			length := uint64(len(cell))
			if cell == nil {
				length = 1 << 63
			}
			b = append(binary.BigEndian.AppendUint64(b, length), cell...)
		}
		h := sha256.Sum256(b)
		for i := range sum {
			sum[i] += binary.BigEndian.Uint64(h[8*i:])
		}
	}
	return fmt.Sprintf("%d rows %x", n, sum), rows.Err()
}

func scanner(n int) (cells []sql.RawBytes, pointers []any) {
	cells, pointers = make([]sql.RawBytes, n), make([]any, n)
	for i := range cells {
		pointers[i] = &cells[i]
	}
	return cells, pointers
}

// pairs reads two columns into a map.
func pairs(ctx context.Context, c *sql.Conn, query string) (map[string]string, error) {
	rows, err := c.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	m := map[string]string{}
	for rows.Next() {
		var k, v string
		if err := rows.Scan(&k, &v); err != nil {
			return nil, err
		}
		m[k] = v
	}
	return m, rows.Err()
}

// differences names what is not the same in b as in a.
func (f fingerprint) differences(other fingerprint) (diff []string) {
	for k, v := range f {
		switch w, ok := other[k]; {
		case !ok:
			diff = append(diff, k+" is missing")
		case v != w:
			diff = append(diff, k+" differs")
		}
	}
	for k := range other {
		if _, ok := f[k]; !ok {
			diff = append(diff, k+" is new")
		}
	}
	slices.Sort(diff)
	return diff
}
