package mssqlsim

import (
	"bytes"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// condition reads what stands behind WHERE or ON: comparisons with AND, OR, NOT and parentheses.
func (p *parser) condition() (condition, error) {
	return p.junction("OR", func() (condition, error) { return p.junction("AND", p.negation) })
}

// junction reads parts joined by a word. AND is true when the least of its parts is, OR when the greatest is.
func (p *parser) junction(word string, part func() (condition, error)) (condition, error) {
	c, err := part()
	if err != nil {
		return nil, err
	}
	parts := []condition{c}
	for p.words(word) {
		if c, err = part(); err != nil {
			return nil, err
		}
		parts = append(parts, c)
	}
	return func(s *scope) (truth, error) {
		all := make([]truth, len(parts))
		for i, c := range parts {
			var err error
			if all[i], err = c(s); err != nil {
				return no, err
			}
		}
		if word == "AND" {
			return slices.Min(all), nil
		}
		return slices.Max(all), nil
	}, nil
}

func (p *parser) negation() (condition, error) {
	if p.words("NOT") {
		return negated(p.negation())
	}
	if p.sign("(") {
		c, err := p.condition()
		if err == nil && !p.sign(")") {
			err = p.stuck()
		}
		return c, err
	}
	return p.comparison()
}

func negated(c condition, err error) (condition, error) {
	return func(s *scope) (truth, error) {
		t, err := c(s)
		return yes - t, err
	}, err
}

func (p *parser) comparison() (condition, error) {
	left, err := p.expression()
	if err != nil {
		return nil, err
	}
	switch {
	case p.words("IS", "NULL"):
		return null(left), nil
	case p.words("IS", "NOT", "NULL"):
		return negated(null(left), nil)
	case p.words("NOT", "IN"):
		return negated(p.list(left))
	case p.words("IN"):
		return p.list(left)
	case p.words("NOT", "LIKE"):
		return negated(p.like(left))
	case p.words("LIKE"):
		return p.like(left)
	}
	for sign, holds := range map[string]func(int) bool{
		"=": func(c int) bool { return c == 0 }, "<>": func(c int) bool { return c != 0 }, "!=": func(c int) bool { return c != 0 },
		"<": func(c int) bool { return c < 0 }, "<=": func(c int) bool { return c <= 0 },
		">": func(c int) bool { return c > 0 }, ">=": func(c int) bool { return c >= 0 },
	} {
		if p.sign(sign) {
			right, err := p.expression()
			return pair(left, right, holds), err
		}
	}
	return nil, p.stuck()
}

func null(e expression) condition {
	return func(s *scope) (truth, error) {
		f, err := e(s)
		if f.value == nil {
			return yes, err
		}
		return no, err
	}
}

// pair compares two values; NULL equals nothing and differs from nothing.
func pair(left, right expression, holds func(int) bool) condition {
	return func(s *scope) (truth, error) {
		a, err := left(s)
		if err != nil {
			return no, err
		}
		b, err := right(s)
		switch {
		case err != nil:
			return no, err
		case a.value == nil || b.value == nil:
			return unsure, nil
		case holds(compare(a.value, b.value)):
			return yes, nil
		}
		return no, nil
	}
}

func (p *parser) list(left expression) (condition, error) {
	if !p.sign("(") {
		return nil, p.stuck()
	}
	var any []condition
	for more := true; more; more = p.sign(",") {
		right, err := p.expression()
		if err != nil {
			return nil, err
		}
		any = append(any, pair(left, right, func(c int) bool { return c == 0 }))
	}
	if !p.sign(")") {
		return nil, p.stuck()
	}
	return func(s *scope) (truth, error) {
		best := no
		for _, c := range any {
			t, err := c(s)
			if err != nil {
				return no, err
			}
			best = max(best, t)
		}
		return best, nil
	}, nil
}

// like reads a pattern of LIKE: % and _ and no sets of characters.
func (p *parser) like(left expression) (condition, error) {
	pattern, err := p.text()
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(pattern, "[]^") {
		return nil, unknown("the pattern " + pattern)
	}
	return func(s *scope) (truth, error) {
		f, err := left(s)
		switch {
		case err != nil || f.value == nil:
			return unsure, err
		case matches([]rune(strings.ToLower(pattern)), []rune(strings.ToLower(plain(f.value)))):
			return yes, nil
		}
		return no, nil
	}, nil
}

func matches(pattern, text []rune) bool {
	if len(pattern) == 0 {
		return len(text) == 0
	}
	switch pattern[0] {
	case '%':
		return matches(pattern[1:], text) || len(text) > 0 && matches(pattern, text[1:])
	case '_':
		return len(text) > 0 && matches(pattern[1:], text[1:])
	}
	return len(text) > 0 && text[0] == pattern[0] && matches(pattern[1:], text[1:])
}

// plain is a value as text, for comparing: the collation of the server ignores case.
func plain(v any) string {
	if b, ok := v.(bool); ok {
		v = map[bool]int{true: 1}[b]
	}
	return fmt.Sprint(v)
}

func compare(a, b any) int {
	if x, ok := a.([]byte); ok {
		y, _ := b.([]byte)
		return bytes.Compare(x, y)
	}
	if x, ok := a.(time.Time); ok {
		if y, ok := b.(time.Time); ok {
			return wall(x).Compare(wall(y))
		}
		if y, err := time.Parse("2006-01-02T15:04:05", plain(b)); err == nil {
			return wall(x).Compare(y)
		}
	}
	x, okX := new(big.Rat).SetString(plain(a))
	y, okY := new(big.Rat).SetString(plain(b))
	if okX && okY {
		return x.Cmp(y)
	}
	return strings.Compare(strings.ToLower(plain(a)), strings.ToLower(plain(b)))
}

// wall is what the server's clock showed: datetimes have no zone.
func wall(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}
