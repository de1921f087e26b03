package sqltext

import (
	"fmt"
	"strings"
)

// Table is a CREATE TABLE statement as SHOW CREATE TABLE prints it, taken apart.
type Table struct {
	head  string // up to and with the opening parenthesis
	items []item
	tail  string // from the closing parenthesis on

	auto      string // the AUTO_INCREMENT column
	primary   bool
	generated []string
}

type itemKind int

const (
	column itemKind = iota
	primaryKey
	uniqueKey
	plainKey
	fullText
	otherKey // cannot be added later in every version, so it stays
	foreignKey
)

type item struct {
	kind itemKind
	text string
	cols []string // names a key stands on
}

// ParseTable takes a CREATE TABLE apart.
func ParseTable(sql string) (*Table, error) {
	toks := Scan(sql, Mode{})
	open := -1
	for i, t := range toks {
		if t.IsPunct('(') {
			open = i
			break
		}
	}
	if open < 0 || !toks[0].Is("CREATE") {
		return nil, fmt.Errorf("not a CREATE TABLE with columns: %.60q", sql)
	}
	t := &Table{head: sql[:toks[open].To]}
	depth, first := 0, open+1
	for i := open + 1; i < len(toks); i++ {
		switch {
		case toks[i].IsPunct('('):
			depth++
		case depth > 0 && toks[i].IsPunct(')'):
			depth--
		case depth > 0:
		case toks[i].IsPunct(','):
			t.add(sql, toks[first:i])
			first = i + 1
		case toks[i].IsPunct(')'):
			t.add(sql, toks[first:i])
			t.tail = sql[toks[i].From:]
			return t, nil
		}
	}
	return nil, fmt.Errorf("CREATE TABLE without an end: %.60q", sql)
}

func (t *Table) add(sql string, toks []Token) {
	if len(toks) == 0 {
		return
	}
	it := item{kind: classify(toks), text: sql[toks[0].From:toks[len(toks)-1].To]}
	switch it.kind {
	case column:
		for _, k := range toks[1:] {
			switch {
			case k.Is("AUTO_INCREMENT"):
				t.auto = toks[0].Name()
			case k.Is("GENERATED"):
				t.generated = append(t.generated, toks[0].Name())
			}
		}
	case primaryKey:
		t.primary = true
	}
	if it.kind != column {
		it.cols = keyColumns(toks)
	}
	t.items = append(t.items, it)
}

func classify(toks []Token) itemKind {
	at := func(i int, w string) bool { return i < len(toks) && toks[i].Is(w) }
	key := func(i int) bool { return at(i, "KEY") || at(i, "INDEX") }
	switch {
	case at(0, "PRIMARY"):
		return primaryKey
	case at(0, "UNIQUE") && key(1):
		return uniqueKey
	case key(0):
		return plainKey
	case at(0, "FULLTEXT") && key(1):
		return fullText
	case (at(0, "SPATIAL") || at(0, "VECTOR")) && key(1):
		return otherKey
	case at(0, "FOREIGN"), at(0, "CONSTRAINT") && at(2, "FOREIGN"):
		return foreignKey
	}
	return column // a CHECK, a PERIOD: they stay with the columns
}

// Generated lists the columns that the server computes.
func (t *Table) Generated() []string { return t.generated }

// keyColumns lists the names in the first parenthesis of a key.
func keyColumns(toks []Token) []string {
	var cols []string
	depth := 0
	for _, t := range toks {
		switch {
		case t.IsPunct('('):
			depth++
		case t.IsPunct(')'):
			if depth--; depth == 0 {
				return cols
			}
		case depth > 0 && t.Kind == Quoted:
			cols = append(cols, t.Name())
		}
	}
	return cols
}

// later reports whether an index can be left out of the CREATE and added after the data.
func (t *Table) later(it item) bool {
	switch it.kind {
	case uniqueKey:
		// Without a primary key InnoDB clusters the rows by a unique key; adding that one later would rebuild the table.
		if !t.primary {
			return false
		}
	case plainKey, fullText:
	default:
		return false
	}
	for _, c := range it.cols {
		// An AUTO_INCREMENT column must have a key from the start.
		if c == t.auto && !t.primary {
			return false
		}
		if c == t.auto && !t.autoInPrimary() {
			return false
		}
	}
	return true
}

func (t *Table) autoInPrimary() bool {
	for _, it := range t.items {
		if it.kind == primaryKey {
			return len(it.cols) > 0 && it.cols[0] == t.auto
		}
	}
	return false
}

// Create is the statement without foreign keys and, when bare, without the indexes that Indexes adds later.
func (t *Table) Create(bare bool) string {
	var keep []string
	for _, it := range t.items {
		if it.kind == foreignKey || bare && t.later(it) {
			continue
		}
		keep = append(keep, it.text)
	}
	return t.head + "\n  " + strings.Join(keep, ",\n  ") + "\n" + t.tail
}

// Indexes are the clauses for ALTER TABLE that add what Create(true) left out, one statement each: all ordinary indexes together, then every FULLTEXT
// index alone, because InnoDB builds only one of these at a time.
func (t *Table) Indexes() []string {
	var plain, full []string
	for _, it := range t.items {
		switch {
		case !t.later(it):
		case it.kind == fullText:
			full = append(full, "ADD "+it.text)
		default:
			plain = append(plain, "ADD "+it.text)
		}
	}
	if len(plain) == 0 {
		return full
	}
	return append([]string{strings.Join(plain, ", ")}, full...)
}

// ForeignKeys is the clause for ALTER TABLE that adds all foreign keys, or "".
func (t *Table) ForeignKeys() string {
	var fks []string
	for _, it := range t.items {
		if it.kind == foreignKey {
			fks = append(fks, "ADD "+it.text)
		}
	}
	return strings.Join(fks, ", ")
}
