package mssql

import (
	"errors"
	"slices"
	"strings"
)

// filter decides which databases belong to a backup.
type filter struct{ include, exclude []string }

func newFilter(include, exclude []string) (filter, error) {
	if slices.Contains(include, "") || slices.Contains(exclude, "") {
		return filter{}, errors.New("a pattern for databases is empty: want a name, with * for any text and ? for one character")
	}
	return filter{include, exclude}, nil
}

// takes reports whether the database belongs to the backup.
func (f filter) takes(name string) bool {
	matches := func(p string) bool { return glob(p, name) }
	return !slices.ContainsFunc(f.exclude, matches) && (len(f.include) == 0 || slices.ContainsFunc(f.include, matches))
}

// names reports whether the database was asked for by its very name.
func (f filter) names(name string) bool {
	return slices.ContainsFunc(f.include, func(p string) bool { return strings.EqualFold(p, name) })
}

// missing lists the names in include that are not among those there.
func (f filter) missing(have []string) []string {
	var out []string
	for _, p := range f.include {
		if !strings.ContainsAny(p, "*?") && !slices.ContainsFunc(have, func(h string) bool { return strings.EqualFold(h, p) }) {
			out = append(out, p)
		}
	}
	return out
}

// glob matches * and ? in pattern against name, without regard to case.
func glob(pattern, name string) bool {
	p, s := []rune(strings.ToLower(pattern)), []rune(strings.ToLower(name))
	star, from := -1, 0
	i := 0
	for j := 0; j < len(s); {
		switch {
		case i < len(p) && p[i] == '*':
			star, from = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == s[j]):
			i, j = i+1, j+1
		case star >= 0:
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(string(p[i:]), "*") == ""
}
