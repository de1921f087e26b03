// Package sqltext reads the SQL that MySQL and MariaDB print about their own objects, just deep enough to take a CREATE TABLE
// apart, to move an object to a schema of another name, and to drop a DEFINER clause.
//
// It works on tokens, never on patterns in text: a comma in a default value, a schema's name inside a string or a comment are not touched.
package sqltext

import "strings"

// Kind is the class of a token.
type Kind int

const (
	Space   Kind = iota // blanks and comments
	Word                // an unquoted name or keyword
	Quoted              // a quoted name
	String              // a quoted string
	Number              // a number, or a word that begins with a digit
	Punct               // one byte of anything else
	Comment             // an executable comment /*! ... */, opaque
)

// Token is a stretch of a statement.
type Token struct {
	Kind     Kind
	From, To int
	text     string
}

// Text is the token as it stands in the statement.
func (t Token) Text() string { return t.text }

// Name is the name a Word or Quoted stands for, unquoted.
func (t Token) Name() string {
	if t.Kind != Quoted {
		return t.text
	}
	q := t.text[:1]
	body := strings.TrimSuffix(t.text[1:], q)
	return strings.ReplaceAll(body, q+q, q)
}

// Is reports whether the token is that keyword.
func (t Token) Is(word string) bool { return t.Kind == Word && strings.EqualFold(t.text, word) }

// IsPunct reports whether the token is that byte.
func (t Token) IsPunct(c byte) bool { return t.Kind == Punct && t.text[0] == c }

// named reports whether the token can be a name.
func (t Token) named() bool { return t.Kind == Word || t.Kind == Quoted }

// Mode is what of sql_mode changes how text is cut into tokens.
type Mode struct {
	AnsiQuotes         bool // "x" is a name
	NoBackslashEscapes bool // \ is an ordinary character
}

// ParseMode picks the Mode out of a value of sql_mode.
func ParseMode(sqlMode string) Mode {
	var m Mode
	for s := range strings.SplitSeq(sqlMode, ",") {
		switch strings.ToUpper(s) {
		case "ANSI_QUOTES", "ANSI", "ORACLE", "MSSQL", "DB2", "POSTGRESQL", "MAXDB":
			m.AnsiQuotes = true
		case "NO_BACKSLASH_ESCAPES":
			m.NoBackslashEscapes = true
		}
	}
	return m
}

// Scan cuts sql into tokens, without the spaces and plain comments between them. Text that ends inside a string or comment ends the last token.
func Scan(sql string, m Mode) []Token {
	var out []Token
	for i := 0; i < len(sql); {
		k, to := next(sql, i, m)
		if k != Space {
			out = append(out, Token{k, i, to, sql[i:to]})
		}
		i = to
	}
	return out
}

func next(s string, i int, m Mode) (Kind, int) {
	c := s[i]
	switch {
	case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
		return Space, i + 1
	case c == '#':
		return Space, line(s, i)
	case c == '-' && strings.HasPrefix(s[i:], "--") && (len(s) == i+2 || s[i+2] <= ' '):
		return Space, line(s, i)
	case strings.HasPrefix(s[i:], "/*!"), strings.HasPrefix(s[i:], "/*M!"):
		return Comment, block(s, i)
	case strings.HasPrefix(s[i:], "/*"):
		return Space, block(s, i)
	case c == '`', c == '"' && m.AnsiQuotes:
		return Quoted, quoted(s, i, false)
	case c == '\'', c == '"':
		return String, quoted(s, i, !m.NoBackslashEscapes)
	case c >= '0' && c <= '9':
		return Number, word(s, i)
	case letter(c):
		return Word, word(s, i)
	}
	return Punct, i + 1
}

func letter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '$' || c >= 0x80
}

func word(s string, i int) int {
	for i < len(s) && (letter(s[i]) || s[i] >= '0' && s[i] <= '9') {
		i++
	}
	return i
}

func line(s string, i int) int {
	if n := strings.IndexByte(s[i:], '\n'); n >= 0 {
		return i + n
	}
	return len(s)
}

func block(s string, i int) int {
	if n := strings.Index(s[i+2:], "*/"); n >= 0 {
		return i + 2 + n + 2
	}
	return len(s)
}

// quoted finds the end of what s[i] opens; the quote is doubled, or escaped where escapes are on, to stand for itself.
func quoted(s string, i int, escapes bool) int {
	q := s[i]
	for i++; i < len(s); i++ {
		switch {
		case escapes && s[i] == '\\':
			i++
		case s[i] != q:
		case i+1 < len(s) && s[i+1] == q:
			i++
		default:
			return i + 1
		}
	}
	return len(s)
}

// Quote writes a name as SQL in backticks.
func Quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
