package mysql

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/quiesce-go/quiesce/mysql/internal/sqltext"
)

// quote writes a name as SQL.
func quote(name string) string { return sqltext.Quote(name) }

// qualified writes schema and object as SQL.
func qualified(schema, name string) string { return quote(schema) + "." + quote(name) }

// literal writes text as an SQL string. It holds under every sql_mode because it uses no backslash.
func literal(s string) string {
	if !strings.ContainsAny(s, "\\\x00'") {
		return "'" + s + "'"
	}
	if !strings.ContainsAny(s, "\\\x00") {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return fmt.Sprintf("X'%X'", s)
}

// element turns the name of a schema or object into one element of an artifact's name. ASCII letters, digits, _, - and $ stay, as do all
// non-ASCII characters; every other byte becomes % and two hex digits. The result never holds a dot, so it can neither be
// "." nor meet the files that have one. Distinct names give distinct elements.
func element(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); {
		r, n := utf8.DecodeRuneInString(name[i:])
		c := name[i]
		switch {
		case r >= utf8.RuneSelf && (r != utf8.RuneError || n > 1),
			c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '$':
			b.WriteString(name[i : i+n])
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
		i += n
	}
	return b.String()
}
