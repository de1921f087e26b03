package mssqlsim

import (
	"strings"
	"unicode"
)

type tokenKind int

const (
	tokenEnd      tokenKind = iota
	tokenWord               // a keyword or a bare name
	tokenName               // [a name] or "a name"
	tokenText               // 'text' or N'text'
	tokenNumber             // 12
	tokenBinary             // 0x1F
	tokenVariable           // @p1 or @@SPID
	tokenSign               // one of ( ) , ; = . * < > - and <> != >= <=
)

type token struct {
	kind tokenKind
	text string // without quotes
}

// lex cuts a batch into tokens; the last one is tokenEnd.
func lex(batch string) ([]token, error) {
	var tokens []token
	in := []rune(batch)
	for at := 0; at < len(in); {
		if n := skip(in[at:]); n > 0 {
			at += n
			continue
		}
		t, n, err := next(in[at:])
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
		at += n
	}
	return append(tokens, token{}), nil
}

// skip returns the length of the white space or comment at the start.
func skip(in []rune) int {
	rest := string(in[:min(len(in), 2)])
	switch {
	case unicode.IsSpace(in[0]):
		return 1
	case rest == "--":
		for i, r := range in {
			if r == '\n' {
				return i
			}
		}
		return len(in)
	case rest == "/*":
		for i := 2; i+1 < len(in); i++ {
			if in[i] == '*' && in[i+1] == '/' {
				return i + 2
			}
		}
		return len(in)
	}
	return 0
}

func next(in []rune) (t token, n int, err error) {
	r := in[0]
	switch {
	case r == '\'':
		return quoted(in, 0, '\'', tokenText)
	case (r == 'N' || r == 'n') && len(in) > 1 && in[1] == '\'':
		return quoted(in, 1, '\'', tokenText)
	case r == '[':
		return quoted(in, 0, ']', tokenName)
	case r == '"':
		return quoted(in, 0, '"', tokenName)
	case r == '@':
		return while(in, tokenVariable, func(r rune) bool { return r == '@' || inWord(r) })
	case r == '0' && len(in) > 1 && (in[1] == 'x' || in[1] == 'X'):
		return while(in, tokenBinary, inWord)
	case unicode.IsDigit(r):
		return while(in, tokenNumber, unicode.IsDigit)
	case inWord(r):
		return while(in, tokenWord, inWord)
	}
	for _, sign := range []string{"<>", "!=", ">=", "<=", "(", "-", ")", ",", ";", "=", ".", "*", "<", ">"} {
		if strings.HasPrefix(string(in[:min(2, len(in))]), sign) {
			return token{kind: tokenSign, text: sign}, len(sign), nil
		}
	}
	return token{}, 0, syntaxError(string(r))
}

func inWord(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' || r == '#' || r == '$'
}

func while(in []rune, kind tokenKind, ok func(rune) bool) (token, int, error) {
	n := 1
	for n < len(in) && ok(in[n]) {
		n++
	}
	return token{kind: kind, text: string(in[:n])}, n, nil
}

// quoted reads up to the closing mark, which stands for itself when doubled.
func quoted(in []rune, from int, closing rune, kind tokenKind) (token, int, error) {
	var text []rune
	for i := from + 1; i < len(in); i++ {
		if in[i] != closing {
			text = append(text, in[i])
			continue
		}
		if i+1 == len(in) || in[i+1] != closing {
			return token{kind: kind, text: string(text)}, i + 1, nil
		}
		text = append(text, closing)
		i++
	}
	return token{}, 0, unclosed(string(text))
}
