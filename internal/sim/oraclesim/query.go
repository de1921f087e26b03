package oraclesim

import (
	"database/sql/driver"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// value is one of a row: string, num or time.Time; nil is NULL, and so is an empty text.
type value any

// num is a NUMBER, which the driver hands out as text.
type num uint64

// row is one of a view, by column.
type row map[string]value

// item is a column of a SELECT list.
type item struct {
	name string
	// fold: COUNT, MIN, MAX of all rows.
	fold string
	of   func(row) (value, error)
}

// query runs a SELECT of which the first word was read.
func (a *act) query() (*table, error) {
	distinct := a.r.take("DISTINCT")
	items, star, err := a.selectList()
	if err != nil {
		return nil, err
	}
	if !a.r.take("FROM") {
		return nil, fault(923, "FROM keyword not found where expected")
	}
	var name string
	for {
		part, ok := a.r.name()
		if !ok {
			return nil, fault(903, "invalid table name")
		}
		name = part
		if !a.r.take(".") {
			break
		}
	}
	columns, all, err := a.view(strings.Replace(name, "V_$", "V$", 1))
	if err != nil {
		return nil, err
	}
	if alias := a.r.peek(); alias.kind == 'w' && !slices.Contains([]string{"WHERE", "ORDER"}, alias.text) {
		a.r.at++
	}
	rows, err := a.where(columns, all)
	if err != nil {
		return nil, err
	}
	if star {
		for _, c := range columns {
			items = append(items, item{name: c, of: column(c)})
		}
	}
	if err := a.orderBy(columns, rows, items); err != nil {
		return nil, err
	}
	if !a.r.end() {
		return nil, unknown(a.note.Text)
	}
	return project(items, columns, rows, distinct)
}

func column(c string) func(row) (value, error) {
	return func(r row) (value, error) {
		v, ok := r[c]
		if !ok {
			return nil, fault(904, "\"%s\": invalid identifier", c)
		}
		return v, nil
	}
}

func (a *act) selectList() (items []item, star bool, err error) {
	if a.r.take("*") {
		return nil, true, nil
	}
	for {
		start := a.r.at
		it, err := a.selectItem()
		if err != nil {
			return nil, false, err
		}
		if it.name == "" {
			for _, t := range a.r.tokens[start:a.r.at] {
				if t.kind == 's' {
					t.text = "'" + t.text + "'"
				}
				it.name += t.text
			}
		}
		if a.r.take("AS") {
			it.name, _ = a.r.name()
		} else if t := a.r.peek(); (t.kind == 'w' || t.kind == 'q') && t.text != "FROM" {
			it.name, _ = a.r.name()
		}
		items = append(items, it)
		if !a.r.take(",") {
			return items, false, nil
		}
	}
}

func (a *act) selectItem() (item, error) {
	for _, fold := range []string{"COUNT", "MIN", "MAX"} {
		if !a.r.take(fold + " (") {
			continue
		}
		it := item{fold: fold, of: func(row) (value, error) { return num(1), nil }}
		if fold != "COUNT" || !a.r.take("*") {
			of, err := a.expression()
			if err != nil {
				return it, err
			}
			it.of = of
		}
		if !a.r.take(")") {
			return it, fault(907, "missing right parenthesis")
		}
		return it, nil
	}
	of, err := a.expression()
	return item{of: of}, err
}

// expression reads a column, a literal, a bind or a function.
func (a *act) expression() (func(row) (value, error), error) {
	t := a.r.next()
	constant := func(v value) (func(row) (value, error), error) {
		return func(row) (value, error) { return v, nil }, nil
	}
	switch t.kind {
	case 's':
		return constant(t.text)
	case 'n':
		n, err := strconv.ParseUint(t.text, 10, 64)
		if err != nil {
			return nil, fault(1426, "numeric overflow")
		}
		return constant(num(n))
	case 'b':
		v, err := a.bind(t.text)
		if err != nil {
			return nil, err
		}
		return constant(v)
	case 'w', 'q':
	default:
		return nil, fault(936, "missing expression")
	}
	switch t.text {
	case "NULL":
		return constant(nil)
	case "SYSTIMESTAMP", "SYSDATE", "CURRENT_TIMESTAMP":
		now := a.config.Now()
		if t.text == "SYSDATE" {
			now = now.Truncate(time.Second)
		}
		return constant(now)
	case "USER":
		return constant(a.session.user)
	}
	if a.r.take(".") {
		name, _ := a.r.name()
		if t.text != "DBMS_LOB" && !strings.HasPrefix(t.text, "UTL_") {
			return column(name), nil // an alias before a column
		}
		t.text += "." + name
	}
	if a.r.take("(") {
		return a.function(t.text)
	}
	return column(t.text), nil
}

// arguments reads expressions up to the parenthesis.
func (a *act) arguments() (all []func(row) (value, error), err error) {
	for !a.r.take(")") {
		e, err := a.expression()
		if err != nil {
			return nil, err
		}
		all = append(all, e)
		if !a.r.take(",") && a.r.peek().text != ")" {
			return nil, fault(907, "missing right parenthesis")
		}
	}
	return all, nil
}

func (a *act) function(name string) (func(row) (value, error), error) {
	args, err := a.arguments()
	if err != nil {
		return nil, err
	}
	return func(r row) (value, error) {
		var v []value
		for _, e := range args {
			x, err := e(r)
			if err != nil {
				return nil, err
			}
			v = append(v, x)
		}
		return a.call(name, v)
	}, nil
}

// call runs a function on values.
func (a *act) call(name string, v []value) (value, error) {
	switch {
	case name == "TO_CHAR" && len(v) == 1:
		return text(v[0]), nil
	case name == "TO_CHAR" && len(v) == 2:
		t, ok := v[0].(time.Time)
		if !ok {
			return text(v[0]), nil
		}
		return formatTime(t, text(v[1]))
	case name == "NVL" && len(v) == 2:
		if isNull(v[0]) {
			return v[1], nil
		}
		return v[0], nil
	case name == "UPPER" && len(v) == 1:
		return strings.ToUpper(text(v[0])), nil
	case name == "SYS_CONTEXT" && len(v) == 2:
		return a.userenv(text(v[1]))
	case name == "BFILENAME" && len(v) == 2:
		return bfile{text(v[0]), text(v[1])}, nil
	case strings.HasPrefix(name, "DBMS_LOB."):
		return a.lobFunction(strings.TrimPrefix(name, "DBMS_LOB."), v)
	}
	return nil, unknown(name + " in " + a.note.Text)
}

func (a *act) userenv(name string) (value, error) {
	switch strings.ToUpper(name) {
	case "CON_ID":
		return fmt.Sprint(a.session.conID), nil
	case "CON_NAME":
		for _, p := range a.ctl.PDBs {
			if p.ConID == a.session.conID {
				return p.Name, nil
			}
		}
		if a.ctl.CDB {
			return "CDB$ROOT", nil
		}
		return a.ctl.Name, nil
	case "SESSION_USER":
		return a.session.user, nil
	case "ISDBA":
		return strings.ToUpper(strconv.FormatBool(a.session.admin)), nil
	case "SID":
		return fmt.Sprint(a.session.id), nil
	}
	return nil, fault(2003, "invalid USERENV parameter")
}

func text(v value) string {
	switch v := v.(type) {
	case nil:
		return ""
	case num:
		return strconv.FormatUint(uint64(v), 10)
	case time.Time:
		return v.Format("02-Jan-06")
	}
	return fmt.Sprint(v)
}

func isNull(v value) bool { return v == nil || v == "" }

// formatTime knows the parts of date formats that sort.
func formatTime(t time.Time, format string) (value, error) {
	layout := strings.NewReplacer("YYYY", "2006", "MM", "01", "DD", "02", "HH24", "15", "MI", "04", "SS", "05", "FF9", "000000000", "FF6", "000000", "FF3", "000", "TZH:TZM", "-07:00",
		"\"T\"", "T").Replace(format)
	if strings.ContainsAny(layout, "YDHSZ\"") {
		return nil, fault(1821, "date format not recognized")
	}
	return t.Format(layout), nil
}

func (a *act) orderBy(columns []string, rows []row, items []item) error {
	if !a.r.take("ORDER BY") {
		return nil
	}
	type key struct {
		of   func(row) (value, error)
		desc bool
	}
	var keys []key
	for {
		var k key
		if n, ok := a.r.number(); ok {
			at, err := strconv.Atoi(n)
			if err != nil || at < 1 || at > len(items) {
				return fault(1785, "ORDER BY item must be the number of a SELECT-list expression")
			}
			k.of = items[at-1].of
		} else {
			e, err := a.expression()
			if err != nil {
				return err
			}
			k.of = e
		}
		if _, err := k.of(blank(columns)); err != nil {
			return err
		}
		if k.desc = a.r.take("DESC"); !k.desc {
			_ = a.r.take("ASC") // the default
		}
		keys = append(keys, k)
		if !a.r.take(",") {
			break
		}
	}
	slices.SortStableFunc(rows, func(x, y row) int {
		for _, k := range keys {
			vx, _ := k.of(x) // checked above
			vy, _ := k.of(y)
			n := order(vx, vy)
			if k.desc {
				n = -n
			}
			if n != 0 {
				return n
			}
		}
		return 0
	})
	return nil
}

// project makes the answer of rows.
func project(items []item, columns []string, rows []row, distinct bool) (*table, error) {
	t := &table{}
	folded := false
	for _, it := range items {
		t.columns = append(t.columns, it.name)
		folded = folded || it.fold != ""
		if len(rows) == 0 {
			if _, err := it.of(blank(columns)); code(err) == 904 {
				return nil, err
			}
		}
	}
	if folded {
		return foldRows(t, items, rows)
	}
	for _, r := range rows {
		line := make([]driver.Value, len(items))
		for n, it := range items {
			v, err := it.of(r)
			if err != nil {
				return nil, err
			}
			line[n] = out(v)
		}
		if distinct && slices.ContainsFunc(t.rows, func(o []driver.Value) bool { return fmt.Sprint(o) == fmt.Sprint(line) }) {
			continue
		}
		t.rows = append(t.rows, line)
	}
	return t, nil
}

func foldRows(t *table, items []item, rows []row) (*table, error) {
	line := make([]driver.Value, len(items))
	for n, it := range items {
		if it.fold == "" {
			return nil, fault(937, "not a single-group group function")
		}
		var best value
		count := num(0)
		for _, r := range rows {
			v, err := it.of(r)
			if err != nil {
				return nil, err
			}
			if isNull(v) {
				continue
			}
			count++
			if best == nil || it.fold == "MIN" && order(v, best) < 0 || it.fold == "MAX" && order(v, best) > 0 {
				best = v
			}
		}
		line[n] = out(best)
		if it.fold == "COUNT" {
			line[n] = out(count)
		}
	}
	t.rows = append(t.rows, line)
	return t, nil
}

// out is a value as the driver hands it out: numbers as text, no empty texts.
func out(v value) driver.Value {
	switch v := v.(type) {
	case nil:
		return nil
	case num:
		return strconv.FormatUint(uint64(v), 10)
	case string:
		if v == "" {
			return nil
		}
		return v
	case time.Time, []byte:
		return v
	}
	return fmt.Sprint(v)
}
