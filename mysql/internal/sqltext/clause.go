package sqltext

import "strings"

// DropDefiner removes the DEFINER clause of a CREATE statement, so that whoever runs it becomes the definer.
func DropDefiner(sql string, m Mode) string {
	toks := Scan(sql, m)
	for i, t := range toks {
		if !t.Is("DEFINER") || i+1 >= len(toks) || !toks[i+1].IsPunct('=') {
			if t.Is("VIEW") || t.Is("TRIGGER") || t.Is("PROCEDURE") || t.Is("FUNCTION") || t.Is("EVENT") || t.Is("PACKAGE") {
				return sql
			}
			continue
		}
		end := i + 2 // user, or CURRENT_USER
		if end+2 < len(toks) && toks[end+1].IsPunct('@') {
			end += 2
		}
		if end >= len(toks) {
			return sql
		}
		return sql[:t.From] + strings.TrimLeft(sql[toks[end].To:], " ")
	}
	return sql
}

// GrantOnly removes what a GRANT as MariaDB prints it repeats of CREATE USER: IDENTIFIED, REQUIRE and limits.
func GrantOnly(sql string) string {
	toks := Scan(sql, Mode{})
	to := -1
	for i, t := range toks {
		if t.Is("TO") {
			to = i
		}
	}
	if to < 0 {
		return sql
	}
	for i := to + 1; i < len(toks); i++ {
		t := toks[i]
		if !t.Is("IDENTIFIED") && !t.Is("REQUIRE") && !t.Is("WITH") {
			continue
		}
		rest := toks[i:]
		for j := range rest {
			if j+1 < len(rest) && rest[j].Is("ADMIN") && rest[j+1].Is("OPTION") {
				return sql
			}
			if j+1 < len(rest) && rest[j].Is("GRANT") && rest[j+1].Is("OPTION") {
				return strings.TrimRight(sql[:t.From], " ") + " WITH GRANT OPTION"
			}
		}
		return strings.TrimRight(sql[:t.From], " ")
	}
	return sql
}

// DefaultRole cuts the DEFAULT ROLE clause out of a CREATE USER as MySQL prints it: roles can be made default only once they are granted.
func DefaultRole(sql string) (create, roles string) {
	toks := Scan(sql, Mode{})
	for i, t := range toks {
		if !t.Is("DEFAULT") || i+1 >= len(toks) || !toks[i+1].Is("ROLE") {
			continue
		}
		j := i + 2
		for j < len(toks) && (toks[j].Kind == Quoted || toks[j].Kind == String || toks[j].IsPunct('@') || toks[j].IsPunct(',')) {
			j++
		}
		end := len(sql)
		if j < len(toks) {
			end = toks[j].From
		}
		roles = strings.TrimSpace(sql[toks[i+1].To:end])
		return sql[:t.From] + sql[end:], roles
	}
	return sql, ""
}
