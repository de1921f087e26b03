package oraclesim

import (
	"strings"
	"unicode"
)

// token is a word, a text, a number or a sign of a statement.
type token struct {
	kind byte   // w word, q quoted name, s text, n number, p sign, b bind; 0 at the end
	text string // words in upper case
}

// scan takes a statement apart. A text without its end is an error.
func scan(sql string) ([]token, error) {
	var all []token
	for k := 0; k < len(sql); {
		c := rune(sql[k])
		switch {
		case unicode.IsSpace(c):
			k++
		case strings.HasPrefix(sql[k:], "--"):
			for k < len(sql) && sql[k] != '\n' {
				k++
			}
		case strings.HasPrefix(sql[k:], "/*"):
			n := strings.Index(sql[k:], "*/")
			if n < 0 {
				return nil, fault(1742, "comment not terminated properly")
			}
			k += n + 2
		case c == '\'' || c == '"':
			text, next, ok := quoted(sql, k)
			if !ok {
				return nil, fault(1756, "quoted string not properly terminated")
			}
			kind := byte('s')
			if c == '"' {
				kind = 'q'
			}
			all, k = append(all, token{kind, text}), next
		default:
			n := word(sql[k:])
			all, k = append(all, classify(sql[k:k+n])), k+n
		}
	}
	return all, nil
}

func quoted(sql string, at int) (text string, next int, ok bool) {
	q := sql[at]
	var b strings.Builder
	for k := at + 1; k < len(sql); k++ {
		if sql[k] != q {
			b.WriteByte(sql[k])
			continue
		}
		if k+1 < len(sql) && sql[k+1] == q {
			b.WriteByte(q)
			k++
			continue
		}
		return b.String(), k + 1, true
	}
	return "", 0, false
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c == '#' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// word is how long the token at the start of a text is.
func word(sql string) int {
	n := 0
	if sql[0] == ':' && len(sql) > 1 && isWord(sql[1]) {
		n = 1
	}
	for n < len(sql) && isWord(sql[n]) {
		n++
	}
	if n > 0 {
		return n
	}
	for _, two := range []string{":=", "<=", ">=", "<>", "!=", "||"} {
		if strings.HasPrefix(sql, two) {
			return 2
		}
	}
	return 1
}

func classify(s string) token {
	switch {
	case s[0] == ':' && len(s) > 1 && s[1] != '=':
		return token{'b', strings.ToUpper(s[1:])}
	case s[0] >= '0' && s[0] <= '9' && strings.Trim(s, "0123456789") == "":
		return token{'n', s}
	case isWord(s[0]):
		return token{'w', strings.ToUpper(s)}
	}
	return token{'p', s}
}

// reader reads tokens.
type reader struct {
	tokens []token
	at     int
	sql    string
}

func read(sql string) (*reader, error) {
	t, err := scan(sql)
	return &reader{tokens: t, sql: sql}, err
}

func (r *reader) peek() token {
	if r.at < len(r.tokens) {
		return r.tokens[r.at]
	}
	return token{}
}

func (r *reader) next() token {
	t := r.peek()
	r.at++
	return t
}

// take takes the words (or signs) if they are next.
func (r *reader) take(words string) bool {
	fields := strings.Fields(words)
	for n, w := range fields {
		if r.at+n >= len(r.tokens) {
			return false
		}
		if t := r.tokens[r.at+n]; t.kind != 'w' && t.kind != 'p' || t.text != w {
			return false
		}
	}
	r.at += len(fields)
	return true
}

func (r *reader) end() bool { return r.at >= len(r.tokens) }

// text takes a quoted text.
func (r *reader) text() (string, bool) {
	if t := r.peek(); t.kind == 's' {
		r.at++
		return t.text, true
	}
	return "", false
}

// name takes an identifier.
func (r *reader) name() (string, bool) {
	if t := r.peek(); t.kind == 'w' || t.kind == 'q' {
		r.at++
		return t.text, true
	}
	return "", false
}

func (r *reader) number() (string, bool) {
	if t := r.peek(); t.kind == 'n' {
		r.at++
		return t.text, true
	}
	return "", false
}
