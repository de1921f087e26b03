package mssqlsim

import (
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// selectStatement is a list of values, or columns of one or more views with conditions.
type selectStatement struct {
	items     []item
	all       bool // SELECT *
	aggregate bool // an item is MAX, MIN or COUNT
	top       int  // 0 for all rows
	distinct  bool
	from      []source
	where     condition // nil for none
	orderBy   []order
}

type item struct {
	value expression
	alias string
}

// source is a view of FROM or JOIN.
type source struct {
	view, alias string
	on          condition // nil for the first
	outer       bool      // LEFT JOIN
	volumes     bool      // CROSS APPLY sys.dm_os_volume_stats(database_id, file_id), for each file of sys.master_files
}

type order struct {
	by   expression
	name string // what was written, when it is one word: it may be an alias
	down bool
}

func (p *parser) selection() (statement, error) {
	var s selectStatement
	var err error
	p.aggregate = false
	s.distinct = p.words("DISTINCT")
	if p.words("TOP") {
		inside := p.sign("(")
		if s.top, err = p.number(); err != nil {
			return nil, err
		}
		if inside && !p.sign(")") {
			return nil, p.stuck()
		}
	}
	if s.all = p.sign("*"); !s.all {
		for more := true; more; more = p.sign(",") {
			i, err := p.item()
			if err != nil {
				return nil, err
			}
			s.items = append(s.items, i)
		}
	}
	s.aggregate = p.aggregate
	if p.words("FROM") {
		if err := p.from(&s); err != nil {
			return nil, err
		}
	} else if s.all || s.aggregate {
		return nil, p.stuck()
	}
	return s, nil
}

func (p *parser) item() (i item, err error) {
	if i.value, err = p.expression(); err != nil {
		return i, err
	}
	return i, p.alias(&i.alias)
}

// alias reads a name with AS, or without it when it is no keyword.
func (p *parser) alias(into *string) error {
	explicit := p.words("AS")
	t := p.peek()
	word := strings.ToUpper(t.text)
	keyword := t.kind == tokenWord && slices.Contains([]string{"FROM", "WHERE", "ORDER", "JOIN", "INNER", "LEFT", "CROSS", "ON", "GROUP", "UNION", "EXEC", "SELECT"}, word)
	switch {
	case (t.kind == tokenWord || t.kind == tokenName) && !keyword:
		*into = p.take().text
	case explicit:
		return p.stuck()
	}
	return nil
}

func (p *parser) from(s *selectStatement) error {
	first, err := p.source()
	if err != nil {
		return err
	}
	s.from = []source{first}
	if p.words("CROSS", "APPLY") {
		if err := p.volumes(s); err != nil {
			return err
		}
	}
	for {
		outer := p.words("LEFT", "OUTER", "JOIN") || p.words("LEFT", "JOIN")
		if !outer && !p.words("INNER", "JOIN") && !p.words("JOIN") {
			break
		}
		next, err := p.source()
		if err != nil {
			return err
		}
		if !p.words("ON") {
			return p.stuck()
		}
		next.outer = outer
		if next.on, err = p.condition(); err != nil {
			return err
		}
		s.from = append(s.from, next)
	}
	if p.words("WHERE") {
		if s.where, err = p.condition(); err != nil {
			return err
		}
	}
	if !p.words("ORDER", "BY") {
		return nil
	}
	for more := true; more; more = p.sign(",") {
		o := order{name: p.peek().text}
		if o.by, err = p.expression(); err != nil {
			return err
		}
		o.down = p.words("DESC")
		_ = !o.down && p.words("ASC")
		s.orderBy = append(s.orderBy, o)
	}
	return nil
}

// volumes reads the one function of a row that is known.
func (p *parser) volumes(s *selectStatement) error {
	v, err := p.source()
	if err != nil {
		return err
	}
	if s.from[0].view != "sys.master_files" || v.view != "sys.dm_os_volume_stats" {
		return unknown("CROSS APPLY " + v.view)
	}
	if !p.sign("(") {
		return p.stuck()
	}
	for _, column := range []string{"database_id", "file_id"} {
		names := []string{p.take().text}
		if p.sign(".") {
			names = append(names, p.take().text)
		}
		if !strings.EqualFold(names[len(names)-1], column) || !p.sign(map[string]string{"database_id": ",", "file_id": ")"}[column]) {
			return p.stuck()
		}
	}
	v.volumes = true
	s.from = append(s.from, v)
	return p.alias(&s.from[1].alias)
}

func (p *parser) source() (s source, err error) {
	var parts []string
	for more := true; more; more = p.sign(".") {
		if k := p.peek().kind; k != tokenWord && k != tokenName {
			return s, p.stuck()
		}
		parts = append(parts, strings.ToLower(p.take().text))
	}
	s.alias = parts[len(parts)-1]
	s.view = strings.TrimPrefix(strings.Join(parts, "."), "master.")
	return s, p.alias(&s.alias)
}

func (in *Instance) selectFrom(s *tds.Session, st selectStatement, a *tds.Answer) error {
	sc := &scope{in: in, session: s}
	if len(st.from) == 0 {
		return st.result(sc, [][]any{nil}, a)
	}
	var rows [][]any
	for i, src := range st.from {
		if src.volumes {
			rows = in.applyVolumes(sc, src, rows)
			continue
		}
		t, err := in.view(s, src.view)
		if err != nil {
			return err
		}
		for _, c := range t.columns {
			sc.columns = append(sc.columns, viewColumn{alias: src.alias, Column: c})
		}
		if i == 0 {
			rows = t.rows
			continue
		}
		if rows, err = src.join(sc, rows, t); err != nil {
			return err
		}
	}
	rows, err := st.narrow(sc, rows)
	if err != nil {
		return err
	}
	return st.result(sc, rows, a)
}

// applyVolumes puts beside each file what its volume is.
func (in *Instance) applyVolumes(sc *scope, src source, rows [][]any) [][]any {
	path := slices.IndexFunc(sc.columns, func(c viewColumn) bool { return c.Name == "physical_name" })
	for i, row := range rows {
		for _, f := range in.volumeRow(plain(row[path])) {
			rows[i] = append(rows[i], f.value)
		}
	}
	for _, f := range in.volumeRow("") {
		sc.columns = append(sc.columns, viewColumn{alias: src.alias, Column: tds.Column{Name: f.name, Type: f.typ}})
	}
	return rows
}

// join puts the rows of a view beside those that fit; with LEFT JOIN a row to which none fits stays, with NULLs.
func (src source) join(sc *scope, rows [][]any, t table) ([][]any, error) {
	var out [][]any
	for _, left := range rows {
		found := false
		for _, right := range t.rows {
			sc.row = slices.Concat(left, right)
			fits, err := src.on(sc)
			if err != nil {
				return nil, err
			}
			if fits == yes {
				found, out = true, append(out, sc.row)
			}
		}
		if !found && src.outer {
			out = append(out, slices.Concat(left, make([]any, len(t.columns))))
		}
	}
	sc.row = nil
	return out, nil
}

// narrow keeps the rows that WHERE wants, in the order that ORDER BY wants.
func (st selectStatement) narrow(sc *scope, rows [][]any) ([][]any, error) {
	var kept [][]any
	if st.where != nil {
		// Names are looked up even when there is no row.
		if _, err := st.where(sc); err != nil {
			return nil, err
		}
	}
	for _, row := range rows {
		sc.row = row
		holds := yes
		if st.where != nil {
			var err error
			if holds, err = st.where(sc); err != nil {
				return nil, err
			}
		}
		if holds == yes {
			kept = append(kept, row)
		}
	}
	var failed error
	keys := func(row []any) (all []any) {
		sc.row = row
		for _, o := range st.orderBy {
			f, err := st.named(o)(sc)
			if err != nil {
				failed = err
			}
			all = append(all, f.value)
		}
		return all
	}
	if len(st.orderBy) > 0 {
		keys(nil)
		slices.SortStableFunc(kept, func(a, b []any) int {
			x, y := keys(a), keys(b)
			for i, o := range st.orderBy {
				if c := compareNull(x[i], y[i]); c != 0 {
					if o.down {
						return -c
					}
					return c
				}
			}
			return 0
		})
	}
	sc.row = nil
	if st.top > 0 && len(kept) > st.top && !st.aggregate {
		kept = kept[:st.top]
	}
	return kept, failed
}

// named is the item that an ORDER BY names by its alias, or what it says itself.
func (st selectStatement) named(o order) expression {
	for _, i := range st.items {
		if i.alias != "" && strings.EqualFold(i.alias, o.name) {
			return i.value
		}
	}
	return o.by
}

// compareNull sorts NULL first, as the server does.
func compareNull(a, b any) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return compare(a, b)
}

func (st selectStatement) result(sc *scope, rows [][]any, a *tds.Answer) error {
	var t table
	if st.all {
		for _, c := range sc.columns {
			t.columns = append(t.columns, c.Column)
		}
		t.rows = rows
		return t.send(a)
	}
	sc.row, sc.rows = nil, rows
	fields, err := st.values(sc)
	if err != nil {
		return err
	}
	t.add(fields) // for the columns
	if st.aggregate || len(st.from) == 0 {
		return t.send(a)
	}
	t.rows = nil
	for _, row := range rows {
		sc.row = row
		if fields, err = st.values(sc); err != nil {
			return err
		}
		if t.add(fields); st.distinct && t.repeated() {
			t.rows = t.rows[:len(t.rows)-1]
		}
	}
	return t.send(a)
}

// repeated reports whether the last row was there before.
func (t table) repeated() bool {
	last := len(t.rows) - 1
	return slices.ContainsFunc(t.rows[:last], func(row []any) bool {
		for i, v := range row {
			if compareNull(v, t.rows[last][i]) != 0 {
				return false
			}
		}
		return true
	})
}

func (st selectStatement) values(sc *scope) ([]field, error) {
	fields := make([]field, len(st.items))
	for i, it := range st.items {
		f, err := it.value(sc)
		if err != nil {
			return nil, err
		}
		if it.alias != "" {
			f.name = it.alias
		}
		fields[i] = f
	}
	return fields, nil
}
