package oracle

import (
	"errors"
	"slices"
	"strings"
)

// filter decides which tablespaces belong to a backup.
type filter struct{ include, exclude []string }

func newFilter(include, exclude []string) (filter, error) {
	if slices.Contains(include, "") || slices.Contains(exclude, "") {
		return filter{}, errors.New("a pattern for tablespaces is empty: want a name, with * for any text and ? for one character")
	}
	return filter{include, exclude}, nil
}

// all reports whether nothing is left out.
func (f filter) all() bool { return len(f.include) == 0 && len(f.exclude) == 0 }

// takes reports whether the tablespace belongs to the backup.
func (f filter) takes(name string) bool {
	matches := func(pattern string) bool { return glob(strings.ToUpper(pattern), strings.ToUpper(name)) }
	return !slices.ContainsFunc(f.exclude, matches) && (len(f.include) == 0 || slices.ContainsFunc(f.include, matches))
}

// missing lists the names in include that are not among those there.
func (f filter) missing(have []string) []string {
	return slices.DeleteFunc(slices.Clone(f.include), func(p string) bool {
		return strings.ContainsAny(p, "*?") || slices.ContainsFunc(have, func(h string) bool { return strings.EqualFold(h, p) })
	})
}

// glob matches * and ? in pattern against name: the text before the first star must be at the start, that after the last at the end, and each piece in between somewhere after the one before.
func glob(pattern, name string) bool {
	pieces := strings.Split(pattern, "*")
	first := pieces[0]
	if len(pieces) == 1 {
		return len(name) == len(first) && begins(name, first)
	}
	if !begins(name, first) {
		return false
	}
	name = name[len(first):]
	last := pieces[len(pieces)-1]
	for _, piece := range pieces[1 : len(pieces)-1] {
		for !begins(name, piece) {
			if name == "" {
				return false
			}
			name = name[1:]
		}
		name = name[len(piece):]
	}
	return len(name) >= len(last) && begins(name[len(name)-len(last):], last)
}

// begins reports whether name begins with piece, of which each ? is any byte.
func begins(name, piece string) bool {
	if len(name) < len(piece) {
		return false
	}
	for i := range len(piece) {
		if piece[i] != '?' && piece[i] != name[i] {
			return false
		}
	}
	return true
}
