package sqltext

import (
	"fmt"
	"strings"
)

// Rename moves statements from one schema to another by rewriting the names that carry the old schema.
type Rename struct {
	Old, New string
	// Fold compares names without regard to case, as a server with lower_case_table_names does.
	Fold bool
	// Clash says that the old schema holds a table or view of the schema's own name, so that a two-part name in a text somebody typed can be either.
	Clash bool
}

// AmbiguousError is a place where the old schema's name cannot be told from a table's or alias of the same name.
type AmbiguousError struct{ Name, Around string }

// Error names the place.
func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%q near %q may be the schema or a table or alias of that name", e.Name, e.Around)
}

func (r Rename) old(t Token) bool {
	if !t.named() {
		return false
	}
	return t.Name() == r.Old || r.Fold && strings.EqualFold(t.Name(), r.Old)
}

// qualifies reports whether toks[i] is the old schema's name standing first in a name of n parts, and n.
func (r Rename) qualifies(toks []Token, i int) (int, bool) {
	if !r.old(toks[i]) || i > 0 && toks[i-1].IsPunct('.') {
		return 0, false
	}
	n := 1
	for i+2 < len(toks) && toks[i+1].IsPunct('.') && toks[i+2].named() {
		n, i = n+1, i+2
	}
	return n, n > 1
}

// Table rewrites a CREATE TABLE or CREATE SEQUENCE as the server prints it. There a qualified name is always schema and object.
func (r Rename) Table(sql string) string {
	out, _ := r.rewrite(sql, Mode{}, func([]Token, int, int) (bool, error) { return true, nil })
	return out
}

// View rewrites a CREATE VIEW as the server prints it to a session that uses the view's schema. Such a text has one of two forms: when all tables are of
// that schema their names stand alone and `a`.`b` is a column; otherwise every table and column carries its schema.
func (r Rename) View(sql string) (string, error) {
	toks := Scan(sql, Mode{})
	full := fullForm(toks)
	alias := full && r.aliased(toks)
	return r.rewrite(sql, Mode{}, func(toks []Token, i, parts int) (bool, error) {
		switch {
		case isCall(toks, i, parts), full && parts == 3, i > 0 && toks[i-1].Is("VIEW"):
			return true, nil
		case !full:
			return false, nil
		case alias:
			return false, r.ambiguous(sql, toks[i])
		}
		return true, nil
	})
}

// fullForm looks at the first table after a FROM of a SELECT. The FROM of a function such as extract(year from d) is not one.
func fullForm(toks []Token) bool {
	inSelect := []bool{true}
	for i, t := range toks {
		switch {
		case t.IsPunct('('):
			inSelect = append(inSelect, i+1 < len(toks) && (toks[i+1].Is("SELECT") || toks[i+1].Is("WITH")))
		case t.IsPunct(')') && len(inSelect) > 1:
			inSelect = inSelect[:len(inSelect)-1]
		case t.Is("FROM") && inSelect[len(inSelect)-1]:
			j := i + 1
			for j < len(toks) && toks[j].IsPunct('(') {
				j++
			}
			if j < len(toks) && toks[j].Kind == Quoted {
				return j+1 < len(toks) && toks[j+1].IsPunct('.')
			}
		}
	}
	return false
}

// aliased reports whether some table or derived table is called like the old schema.
func (r Rename) aliased(toks []Token) bool {
	for i, t := range toks {
		if !r.old(t) || i == 0 || toks[i-1].IsPunct('.') || toks[i-1].Is("AS") {
			continue
		}
		if i+1 == len(toks) || !toks[i+1].IsPunct('.') {
			return true
		}
	}
	return false
}

// Body rewrites a trigger, routine, package or event: text that somebody typed. What could as well be a table or alias is refused with an *AmbiguousError.
func (r Rename) Body(sql string, m Mode) (string, error) {
	taken := r.Clash || r.mentioned(Scan(sql, m))
	return r.rewrite(sql, m, func(toks []Token, i, parts int) (bool, error) {
		if parts == 3 || isCall(toks, i, parts) || heads(toks, i) || !taken {
			return true, nil
		}
		return false, r.ambiguous(sql, toks[i])
	})
}

// mentioned reports whether the old name also stands where it is not the first part of a longer name.
func (r Rename) mentioned(toks []Token) bool {
	for i, t := range toks {
		if !r.old(t) {
			continue
		}
		if _, q := r.qualifies(toks, i); !q {
			return true
		}
	}
	return false
}

// InStrings reports whether a string of the statement holds the old name as the first part of a longer one, as dynamic SQL would.
func (r Rename) InStrings(sql string, m Mode) bool {
	for _, t := range Scan(sql, m) {
		if t.Kind != String && t.Kind != Comment {
			continue
		}
		inner := Scan(strings.Trim(t.text, `'"`), m)
		for i := range inner {
			if _, q := r.qualifies(inner, i); q {
				return true
			}
		}
	}
	return false
}

func (r Rename) ambiguous(sql string, t Token) error {
	return &AmbiguousError{r.Old, sql[max(0, t.From-20):min(len(sql), t.To+30)]}
}

// isCall reports whether the two-part name at i is a function being called.
func isCall(toks []Token, i, parts int) bool {
	j := i + 2*parts - 1
	return parts == 2 && j < len(toks) && toks[j].IsPunct('(')
}

// heads reports whether the word before i can only be followed by the name of an object.
func heads(toks []Token, i int) bool {
	if i == 0 || toks[i-1].Kind != Word {
		return false
	}
	switch strings.ToUpper(toks[i-1].text) {
	case "FROM", "JOIN", "INTO", "TABLE", "CALL", "VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "PACKAGE", "BODY",
		"STRAIGHT_JOIN", "REFERENCES", "TRUNCATE":
		return true
	case "UPDATE":
		return true
	case "ON":
		// CREATE TRIGGER name AFTER INSERT ON table: the only ON that follows these.
		return i > 1 && (toks[i-2].Is("INSERT") || toks[i-2].Is("UPDATE") || toks[i-2].Is("DELETE"))
	}
	return false
}

// rewrite replaces the old name wherever it qualifies another and want agrees.
func (r Rename) rewrite(sql string, m Mode, want func(toks []Token, i, parts int) (bool, error)) (string, error) {
	toks := Scan(sql, m)
	var b strings.Builder
	done := 0
	for i, t := range toks {
		parts, q := r.qualifies(toks, i)
		if !q {
			continue
		}
		ok, err := want(toks, i, parts)
		if err != nil {
			return "", err
		}
		if ok {
			b.WriteString(sql[done:t.From])
			b.WriteString(Quote(r.New))
			done = t.To
		}
	}
	b.WriteString(sql[done:])
	return b.String(), nil
}
