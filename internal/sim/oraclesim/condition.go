package oraclesim

import (
	"cmp"
	"strconv"
	"time"
)

// where keeps the rows that match.
func (a *act) where(columns []string, all []row) ([]row, error) {
	if !a.r.take("WHERE") {
		return all, nil
	}
	match, err := a.or()
	if err != nil {
		return nil, err
	}
	if err := a.checkColumns(columns, match); err != nil {
		return nil, err
	}
	var kept []row
	for _, r := range all {
		ok, err := match(r)
		if err != nil {
			return nil, err
		}
		if ok {
			kept = append(kept, r)
		}
	}
	return kept, nil
}

// checkColumns asks of a row of NULLs, so that a wrong column is an error in an empty view as well.
func (a *act) checkColumns(columns []string, match func(row) (bool, error)) error {
	_, err := match(blank(columns))
	if code(err) == 904 {
		return err
	}
	return nil
}

func blank(columns []string) row {
	r := row{}
	for _, c := range columns {
		r[c] = nil
	}
	return r
}

func (a *act) or() (func(row) (bool, error), error) {
	return a.chain("OR", a.and, func(x, y bool) bool { return x || y })
}

func (a *act) and() (func(row) (bool, error), error) {
	return a.chain("AND", a.predicate, func(x, y bool) bool { return x && y })
}

func (a *act) chain(word string, part func() (func(row) (bool, error), error), join func(x, y bool) bool) (func(row) (bool, error), error) {
	left, err := part()
	if err != nil {
		return nil, err
	}
	for a.r.take(word) {
		right, err := part()
		if err != nil {
			return nil, err
		}
		l := left
		left = func(r row) (bool, error) {
			x, err := l(r)
			if err != nil {
				return false, err
			}
			y, err := right(r)
			return join(x, y), err
		}
	}
	return left, nil
}

func (a *act) predicate() (func(row) (bool, error), error) {
	if a.r.take("(") {
		p, err := a.or()
		if err == nil && !a.r.take(")") {
			err = fault(907, "missing right parenthesis")
		}
		return p, err
	}
	left, err := a.expression()
	if err != nil {
		return nil, err
	}
	if a.r.take("IS") {
		not := a.r.take("NOT")
		if !a.r.take("NULL") {
			return nil, fault(908, "missing NULL keyword")
		}
		return func(r row) (bool, error) {
			v, err := left(r)
			return isNull(v) != not, err
		}, nil
	}
	not := a.r.take("NOT")
	if a.r.take("IN (") {
		list, err := a.arguments()
		if err != nil {
			return nil, err
		}
		return in(left, list, not), nil
	}
	sign := a.r.next().text
	if sign == "LIKE" {
		return nil, unknown(a.note.Text)
	}
	right, err := a.expression()
	if err != nil {
		return nil, err
	}
	return compared(left, right, sign)
}

func in(left func(row) (value, error), list []func(row) (value, error), not bool) func(row) (bool, error) {
	return func(r row) (bool, error) {
		v, err := left(r)
		if err != nil || isNull(v) {
			return false, err
		}
		for _, e := range list {
			w, err := e(r)
			if err != nil {
				return false, err
			}
			if order(v, w) == 0 {
				return !not, nil
			}
		}
		return not, nil
	}
}

func compared(left, right func(row) (value, error), sign string) (func(row) (bool, error), error) {
	tests := map[string]func(int) bool{
		"=": func(n int) bool { return n == 0 }, "<>": func(n int) bool { return n != 0 }, "!=": func(n int) bool { return n != 0 },
		"<": func(n int) bool { return n < 0 }, "<=": func(n int) bool { return n <= 0 }, ">": func(n int) bool { return n > 0 }, ">=": func(n int) bool { return n >= 0 },
	}
	test, ok := tests[sign]
	if !ok {
		return nil, fault(920, "invalid relational operator")
	}
	return func(r row) (bool, error) {
		x, err := left(r)
		if err != nil {
			return false, err
		}
		y, err := right(r)
		if err != nil || isNull(x) || isNull(y) {
			return false, err
		}
		return test(order(x, y)), nil
	}, nil
}

// order compares values: numbers with numbers and with their texts, times with times, all else as text. NULL is last.
func order(x, y value) int {
	if isNull(x) || isNull(y) {
		return cmp.Compare(b2u(isNull(x)), b2u(isNull(y)))
	}
	if tx, ok := x.(time.Time); ok {
		if ty, ok := y.(time.Time); ok {
			return tx.Compare(ty)
		}
	}
	nx, xok := x.(num)
	ny, yok := y.(num)
	if xok || yok {
		if !xok {
			n, err := strconv.ParseUint(text(x), 10, 64)
			nx, xok = num(n), err == nil
		}
		if !yok {
			n, err := strconv.ParseUint(text(y), 10, 64)
			ny, yok = num(n), err == nil
		}
		if xok && yok {
			return cmp.Compare(nx, ny)
		}
	}
	return cmp.Compare(text(x), text(y))
}
