package mssqlsim

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// scope is what an expression of a SELECT may look at: one row of the joined views, or none, when only the type of a result matters or there is no FROM.
type scope struct {
	in      *Instance
	session *tds.Session
	columns []viewColumn
	row     []any
	rows    [][]any // all rows, for MAX, MIN and COUNT
}

// viewColumn is a column of a view that FROM names, and by which name.
type viewColumn struct {
	alias string
	tds.Column
}

// expression computes one value.
type expression func(*scope) (field, error)

// truth is that of SQL: a comparison with NULL is neither true nor false.
type truth int

const (
	no truth = iota
	unsure
	yes
)

// condition is what stands behind WHERE and ON.
type condition func(*scope) (truth, error)

func constant(typ tds.Type, value any) expression {
	return func(*scope) (field, error) { return field{typ: typ, value: value}, nil }
}

// expression reads a value: a literal, a variable, a column, or a function of values.
func (p *parser) expression() (expression, error) {
	switch t := p.peek(); t.kind {
	case tokenText:
		return constant(tds.NVarChar(4000), p.take().text), nil
	case tokenNumber:
		return p.literal()
	case tokenBinary:
		raw, err := hex.DecodeString(p.take().text[2:])
		if err != nil {
			return nil, unknown("the binary " + t.text)
		}
		return constant(tds.VarBinary(max(1, len(raw))), raw), nil
	case tokenVariable:
		if strings.HasPrefix(t.text, "@@") {
			p.take()
			return global(t.text), nil
		}
		v, err := p.variable()
		return constant(typeOf(v), v), err
	case tokenSign:
		if p.sign("-") {
			return p.negative()
		}
	case tokenWord, tokenName:
		return p.named()
	}
	return nil, p.stuck()
}

func (p *parser) literal() (expression, error) {
	n, ok := new(big.Int).SetString(p.take().text, 10)
	if !ok {
		return nil, p.stuck()
	}
	if n.IsInt64() && n.Int64() < 1<<31 {
		return constant(tds.Int(), n.Int64()), nil
	}
	return constant(tds.Numeric(38, 0), n), nil
}

func (p *parser) negative() (expression, error) {
	n, err := p.number()
	return constant(tds.Int(), int64(-n)), err
}

// typeOf is the type of a variable's value as a result.
func typeOf(v any) tds.Type {
	switch v := v.(type) {
	case int64:
		return tds.BigInt()
	case bool:
		return tds.Bit()
	case float64:
		return tds.Float()
	case time.Time:
		return tds.DateTime2()
	case tds.GUID:
		return tds.UniqueIdentifier()
	case []byte:
		return tds.VarBinary(max(1, len(v)))
	}
	return tds.NVarChar(4000)
}

// named reads a column or a call of a function.
func (p *parser) named() (expression, error) {
	first := p.take()
	if first.kind == tokenWord && strings.EqualFold(first.text, "NULL") {
		return constant(tds.Int(), nil), nil
	}
	names := []string{first.text}
	for p.sign(".") {
		if k := p.peek().kind; k != tokenWord && k != tokenName {
			return nil, p.stuck()
		}
		names = append(names, p.take().text)
	}
	if p.sign("(") {
		return p.call(strings.ToUpper(strings.Join(names, ".")))
	}
	if len(names) > 2 {
		return nil, unknown("the column " + strings.Join(names, "."))
	}
	qualifier, name := "", names[len(names)-1]
	if len(names) == 2 {
		qualifier = names[0]
	}
	return func(s *scope) (field, error) {
		i, err := s.find(qualifier, name)
		if err != nil {
			return field{}, err
		}
		c := s.columns[i]
		f := field{name: c.Name, typ: c.Type}
		if s.row != nil {
			f.value = s.row[i]
		}
		return f, nil
	}, nil
}

func (s *scope) find(qualifier, name string) (int, error) {
	found := -1
	for i, c := range s.columns {
		if !strings.EqualFold(c.Name, name) || qualifier != "" && !strings.EqualFold(c.alias, qualifier) {
			continue
		}
		if found >= 0 {
			return 0, failure(209, "Ambiguous column name '%s'.", name)
		}
		found = i
	}
	switch {
	case found >= 0:
		return found, nil
	case qualifier != "":
		return 0, failure(4104, "The multi-part identifier \"%s.%s\" could not be bound.", qualifier, name)
	default:
		return 0, failure(207, "Invalid column name '%s'.", name)
	}
}

// call reads the arguments of a function; its parenthesis is open.
func (p *parser) call(name string) (expression, error) {
	if name == "CAST" || name == "CONVERT" {
		return p.conversion(name)
	}
	if name == "COUNT" || name == "COUNT_BIG" {
		if !p.sign("*") || !p.sign(")") {
			return nil, p.stuck()
		}
		p.aggregate = true
		return func(s *scope) (field, error) { return field{typ: tds.Int(), value: len(s.rows)}, nil }, nil
	}
	var args []expression
	for more := !p.sign(")"); more; {
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		args = append(args, e)
		if more = p.sign(","); !more && !p.sign(")") {
			return nil, p.stuck()
		}
	}
	if name == "MAX" || name == "MIN" {
		p.aggregate = true
		if len(args) != 1 {
			return nil, p.stuck()
		}
		return extreme(args[0], name == "MAX"), nil
	}
	f, ok := functions()[name]
	if !ok {
		return nil, unknown("the function " + name)
	}
	return func(s *scope) (field, error) {
		values := make([]any, len(args))
		for i, a := range args {
			v, err := a(s)
			if err != nil {
				return field{}, err
			}
			values[i] = v.value
		}
		return f(s, values)
	}, nil
}

// extreme is MAX or MIN over all rows. NULLs do not count.
func extreme(of expression, most bool) expression {
	return func(s *scope) (field, error) {
		one := *s
		one.row = nil
		best, err := of(&one)
		if err != nil {
			return field{}, err
		}
		best.name = ""
		for _, row := range s.rows {
			one.row = row
			f, err := of(&one)
			if err != nil {
				return field{}, err
			}
			if f.value != nil && (best.value == nil || compare(f.value, best.value) > 0 == most) {
				best.value = f.value
			}
		}
		return best, nil
	}
}

// conversion reads CAST(x AS type) and CONVERT(type, x [, style]).
func (p *parser) conversion(name string) (expression, error) {
	var typ tds.Type
	var e expression
	var err error
	style := 0
	if name == "CAST" {
		if e, err = p.expression(); err != nil {
			return nil, err
		}
		if !p.words("AS") {
			return nil, p.stuck()
		}
		if typ, err = p.sqlType(); err != nil {
			return nil, err
		}
	} else {
		if typ, err = p.sqlType(); err != nil {
			return nil, err
		}
		if !p.sign(",") {
			return nil, p.stuck()
		}
		if e, err = p.expression(); err != nil {
			return nil, err
		}
		if p.sign(",") {
			if style, err = p.number(); err != nil {
				return nil, err
			}
		}
	}
	if !p.sign(")") {
		return nil, p.stuck()
	}
	return func(s *scope) (field, error) {
		f, err := e(s)
		if err != nil {
			return f, err
		}
		f.name = ""
		f.typ = typ
		if f.value != nil {
			f.value, err = converted(f.value, typ, style)
		}
		return f, err
	}, nil
}

// sqlType reads the name of a type with its size.
func (p *parser) sqlType() (tds.Type, error) {
	if k := p.peek().kind; k != tokenWord && k != tokenName {
		return tds.Type{}, p.stuck()
	}
	word := strings.ToLower(p.take().text)
	var sizes []int
	unlimited := false
	if p.sign("(") {
		if unlimited = p.words("MAX"); !unlimited {
			for more := true; more; more = p.sign(",") {
				n, err := p.number()
				if err != nil {
					return tds.Type{}, err
				}
				sizes = append(sizes, n)
			}
		}
		if !p.sign(")") {
			return tds.Type{}, p.stuck()
		}
	}
	size := func(i, otherwise int) int {
		if i < len(sizes) {
			return sizes[i]
		}
		return otherwise
	}
	switch word {
	case "nvarchar", "sysname", "nchar":
		if unlimited {
			return tds.NVarCharMax(), nil
		}
		return tds.NVarChar(size(0, map[bool]int{false: 30, true: 128}[word == "sysname"])), nil
	case "varchar", "char":
		if unlimited {
			return tds.VarCharMax(), nil
		}
		return tds.VarChar(size(0, 30)), nil
	case "int":
		return tds.Int(), nil
	case "bigint":
		return tds.BigInt(), nil
	case "bit":
		return tds.Bit(), nil
	case "float":
		return tds.Float(), nil
	case "datetime":
		return tds.DateTime(), nil
	case "datetime2":
		return tds.DateTime2(), nil
	case "numeric", "decimal":
		return tds.Numeric(byte(size(0, 18)), byte(size(1, 0))), nil
	}
	return tds.Type{}, unknown("the type " + word)
}

func converted(v any, typ tds.Type, style int) (any, error) {
	word, _, _ := strings.Cut(typ.String(), "(")
	switch word {
	case "nvarchar", "varchar":
		return asText(v, style)
	case "int", "bigint", "numeric":
		n, ok := new(big.Int).SetString(plain(v), 10)
		switch {
		case !ok:
			return nil, failure(245, "Conversion failed when converting the nvarchar value '%s' to data type %s.", plain(v), word)
		case word == "numeric":
			return n, nil
		}
		return n.Int64(), nil
	case "bit":
		return plain(v) != "0", nil
	case "datetime", "datetime2":
		if at, ok := v.(time.Time); ok {
			return at, nil
		}
	case "float":
		if f, ok := v.(float64); ok {
			return f, nil
		}
	}
	return nil, unknown(fmt.Sprintf("how to make %T a %s", v, word))
}

// asText is what CONVERT makes of a value. Times need one of the ISO styles: the others depend on the language.
func asText(v any, style int) (any, error) {
	switch v := v.(type) {
	case time.Time:
		switch style {
		case 121:
			return v.Format("2006-01-02 15:04:05.000"), nil
		case 126:
			return v.Format("2006-01-02T15:04:05.999"), nil
		case 127:
			return v.UTC().Format("2006-01-02T15:04:05.999Z"), nil
		}
		return nil, unknown(fmt.Sprint("text of a time in style ", style))
	case []byte:
		text := strings.ToUpper(hex.EncodeToString(v))
		switch style {
		case 1:
			return "0x" + text, nil
		case 2:
			return text, nil
		}
		return nil, unknown(fmt.Sprint("text of a binary in style ", style))
	}
	return plain(v), nil
}
