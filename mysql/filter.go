package mysql

import (
	"fmt"
	"strings"
)

// filter decides which schemas and objects belong to a backup.
type filter struct{ include, exclude []pattern }

// pattern is one of Options.Include or Exclude. table is "" when the pattern is for whole schemas.
type pattern struct{ text, schema, table string }

func newFilter(include, exclude []string) (filter, error) {
	var f filter
	for i, list := range [][]string{include, exclude} {
		for _, s := range list {
			p, err := parsePattern(s)
			if err != nil {
				return f, err
			}
			if i == 0 {
				f.include = append(f.include, p)
			} else {
				f.exclude = append(f.exclude, p)
			}
		}
	}
	return f, nil
}

// quotePattern writes a name so that parsePattern takes it as it is, but for wildcards.
func quotePattern(name string) string { return quote(name) }

func parsePattern(s string) (pattern, error) {
	p := pattern{text: s}
	rest := s
	parts := []*string{&p.schema, &p.table}
	for i, part := range parts {
		if strings.HasPrefix(rest, "`") {
			end := 1
			for end < len(rest) {
				if rest[end] == '`' {
					if end+1 >= len(rest) || rest[end+1] != '`' {
						break
					}
					end++
				}
				end++
			}
			if end >= len(rest) {
				return p, fmt.Errorf("pattern %q: backtick without its partner", s)
			}
			*part, rest = strings.ReplaceAll(rest[1:end], "``", "`"), rest[end+1:]
		} else {
			n := strings.IndexByte(rest, '.')
			if n < 0 {
				n = len(rest)
			}
			*part, rest = rest[:n], rest[n:]
		}
		if *part == "" {
			return p, fmt.Errorf("pattern %q: want schema or schema.table", s)
		}
		if rest == "" {
			return p, nil
		}
		if rest[0] != '.' || i == 1 {
			return p, fmt.Errorf("pattern %q: want schema or schema.table; put names with a dot in backticks", s)
		}
		rest = rest[1:]
		if rest == "" {
			return p, fmt.Errorf("pattern %q: want schema or schema.table", s)
		}
	}
	return p, nil
}

// schema reports whether anything of the schema belongs to the backup.
func (f filter) schema(name string) bool {
	for _, p := range f.exclude {
		if (p.table == "" || p.table == "*") && glob(p.schema, name) {
			return false
		}
	}
	if len(f.include) == 0 {
		return true
	}
	for _, p := range f.include {
		if glob(p.schema, name) {
			return true
		}
	}
	return false
}

// whole reports whether the schema was asked for as such, with its routines, events and packages.
func (f filter) whole(schema string) bool {
	if len(f.include) == 0 {
		return f.schema(schema)
	}
	for _, p := range f.include {
		if (p.table == "" || p.table == "*") && glob(p.schema, schema) {
			return f.schema(schema)
		}
	}
	return false
}

// table reports whether the table or view belongs to the backup.
func (f filter) table(schema, name string) bool {
	for _, p := range f.exclude {
		if glob(p.schema, schema) && (p.table == "" || glob(p.table, name)) {
			return false
		}
	}
	if len(f.include) == 0 {
		return true
	}
	for _, p := range f.include {
		if glob(p.schema, schema) && (p.table == "" || glob(p.table, name)) {
			return true
		}
	}
	return false
}

// missing lists the include patterns that name a schema which is not among those there.
func (f filter) missing(have []string) []string {
	var out []string
	for _, p := range f.include {
		if strings.ContainsAny(p.schema, "*?") {
			continue
		}
		found := false
		for _, h := range have {
			found = found || h == p.schema
		}
		if !found {
			out = append(out, p.schema)
		}
	}
	return out
}

// glob matches * and ? in p against s.
func glob(p, s string) bool {
	back, from := -1, 0
	i := 0
	for j := 0; j < len(s); {
		switch {
		case i < len(p) && p[i] == '*':
			back, from = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == s[j]):
			i, j = i+1, j+1
		case back >= 0:
			from++
			i, j = back+1, from
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}
