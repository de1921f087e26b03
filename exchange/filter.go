package exchange

import (
	"slices"
	"strings"
)

// filter decides which groups and databases belong to a backup.
type filter struct{ include, exclude []string }

// includes reports whether one of the names is asked for.
func (f filter) includes(names ...string) bool {
	return len(f.include) == 0 || slices.ContainsFunc(names, func(n string) bool { return matches(f.include, n) })
}

// excludes reports whether the name is to be left out.
func (f filter) excludes(name string) bool { return matches(f.exclude, name) }

// named reports whether one of the names was asked for by itself.
func (f filter) named(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		return slices.ContainsFunc(f.include, func(p string) bool { return strings.EqualFold(p, n) })
	})
}

// missing lists the names in include, without wildcards, that are not among those there.
func (f filter) missing(have []string) []string {
	return slices.DeleteFunc(slices.Clone(f.include), func(p string) bool {
		return strings.ContainsAny(p, "*?") || slices.ContainsFunc(have, func(h string) bool { return strings.EqualFold(h, p) })
	})
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return wild([]rune(strings.ToLower(p)), []rune(strings.ToLower(name))) })
}

// wild matches * and ? in pattern against name.
func wild(pattern, name []rune) bool {
	at, star, behind := 0, -1, 0 // the last * met, and the first rune of name that is not its
	for i := 0; i < len(name); {
		switch {
		case at < len(pattern) && pattern[at] == '*':
			star, behind = at, i
			at++
		case at < len(pattern) && (pattern[at] == '?' || pattern[at] == name[i]):
			at, i = at+1, i+1
		case star >= 0:
			behind++
			at, i = star+1, behind
		default:
			return false
		}
	}
	return strings.Trim(string(pattern[at:]), "*") == ""
}
