package oraclesim

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// block runs a PL/SQL block: declarations, assignments and calls of what it knows, one behind the other.
type plsql struct {
	*act
	vars map[string]value
	open map[string]bool // BFILE variables
}

func (a *act) plsql() (err error) {
	p := &plsql{act: a, vars: map[string]value{}, open: map[string]bool{}}
	// Files that a block leaves open count against the session until it ends.
	if a.r.take("DECLARE") {
		for !a.r.take("BEGIN") {
			if err := p.declare(); err != nil {
				return err
			}
		}
	} else if !a.r.take("BEGIN") {
		return unknown(a.note.Text)
	}
	for !a.r.take("END") {
		if err := p.statement(); err != nil {
			return err
		}
		if !a.r.take(";") {
			return stack(fault(6550, "line 1, column 1:"), lrm("PLS-00103: oraclesim does not know: "+a.note.Text))
		}
	}
	_ = a.r.take(";") // ends the block
	if !a.r.end() {
		return unknown(a.note.Text)
	}
	return nil
}

// declare reads "name TYPE[(n)] [:= expression];".
func (p *plsql) declare() error {
	name, ok := p.r.name()
	if !ok {
		return unknown(p.note.Text)
	}
	kind, _ := p.r.name()
	if !slices.Contains([]string{"BFILE", "INTEGER", "NUMBER", "PLS_INTEGER", "RAW", "VARCHAR2"}, kind) {
		return unknown(p.note.Text)
	}
	if p.r.take("(") {
		if _, ok := p.r.number(); !ok || !p.r.take(")") {
			return unknown(p.note.Text)
		}
	}
	p.vars[name] = nil
	if p.r.take(":=") {
		v, err := p.value()
		if err != nil {
			return err
		}
		p.vars[name] = v
	}
	if !p.r.take(";") {
		return unknown(p.note.Text)
	}
	return nil
}

// statement runs an assignment or a call.
func (p *plsql) statement() error {
	t := p.r.next()
	if p.r.take(":=") {
		v, err := p.value()
		if err != nil {
			return err
		}
		return p.assign(t, v)
	}
	if t.text == "NULL" {
		return nil
	}
	if t.kind != 'w' || !p.r.take(".") {
		return unknown(p.note.Text)
	}
	name, _ := p.r.name()
	if !p.r.take("(") {
		return unknown(p.note.Text)
	}
	start := p.r.at
	var targets []token
	var args []value
	for !p.r.take(")") {
		targets = append(targets, p.r.peek())
		v, err := p.value()
		if err != nil {
			return err
		}
		args = append(args, v)
		if !p.r.take(",") && p.r.peek().text != ")" || p.r.at == start {
			return unknown(p.note.Text)
		}
	}
	return p.procedure(t.text+"."+name, targets, args)
}

func (p *plsql) procedure(name string, targets []token, args []value) error {
	switch {
	case name == "UTL_FILE.FREMOVE" && !p.session.may(executeUTLFile):
		return stack(fault(6550, "line 1, column 7:"), lrm("PLS-00201: identifier 'UTL_FILE' must be declared"))
	case name == "UTL_FILE.FREMOVE" && len(args) == 2:
		return p.fremove(text(args[0]), text(args[1]))
	case !strings.HasPrefix(name, "DBMS_LOB.") || len(args) == 0:
		return unknown(p.note.Text)
	}
	f, ok := args[0].(bfile)
	if !ok {
		return stack(fault(6550, "line 1, column 1:"), lrm("PLS-00306: wrong number or types of arguments in call to '"+name+"'"))
	}
	key := targets[0].text
	switch strings.TrimPrefix(name, "DBMS_LOB.") {
	case "FILEOPEN", "OPEN":
		if _, err := p.path(f, "FILEOPEN"); err != nil {
			return stack(asFault(err), fault(6512, "at \"SYS.DBMS_LOB\""))
		}
		if p.session.lobs >= p.config.SessionMaxOpenFiles {
			return stack(fault(22290, "operation would exceed the maximum number of opened files or LOBs"), fault(6512, "at \"SYS.DBMS_LOB\""))
		}
		p.session.lobs++
		p.open[key] = true
		return nil
	case "FILECLOSE", "CLOSE":
		if !p.open[key] {
			return fault(22289, "cannot perform FILECLOSE operation on an unopened file or LOB")
		}
		p.session.lobs--
		p.open[key] = false
		return nil
	case "FILECLOSEALL":
		p.session.lobs = 0
		return nil
	case "READ":
		return p.readLob(f, key, targets, args)
	}
	return unknown(p.note.Text)
}

// readLob is DBMS_LOB.READ(file, amount in out, position, buffer out).
func (p *plsql) readLob(f bfile, key string, targets []token, args []value) error {
	if len(args) != 4 {
		return unknown(p.note.Text)
	}
	if !p.open[key] {
		return fault(22289, "cannot perform FILEREAD operation on an unopened file or LOB")
	}
	amount, err1 := strconv.ParseUint(text(args[1]), 10, 64)
	at, err2 := strconv.ParseUint(text(args[2]), 10, 64)
	if err1 != nil || err2 != nil {
		return fault(6502, "PL/SQL: numeric or value error")
	}
	b, err := p.lobRead(f, amount, at)
	if err != nil {
		return err
	}
	if err := p.assign(targets[1], num(len(b))); err != nil {
		return err
	}
	return p.assign(targets[3], b)
}

// value reads an expression: a variable, a literal, a bind or a function.
func (p *plsql) value() (value, error) {
	t := p.r.peek()
	if t.kind == 'w' {
		if v, ok := p.vars[t.text]; ok {
			p.r.at++
			return v, nil
		}
	}
	if p.r.take("DBMS_LOB . FILE_READONLY") || p.r.take("DBMS_LOB . LOB_READONLY") {
		return num(0), nil
	}
	if t.kind == 'w' && p.r.take("DBMS_LOB .") || t.kind == 'w' && p.r.take("BFILENAME") {
		name := t.text
		if name == "DBMS_LOB" {
			n, _ := p.r.name()
			name += "." + n
		}
		if !p.r.take("(") {
			return nil, unknown(p.note.Text)
		}
		var args []value
		for !p.r.take(")") {
			v, err := p.value()
			if err != nil {
				return nil, err
			}
			args = append(args, v)
			if !p.r.take(",") && p.r.peek().text != ")" {
				return nil, unknown(p.note.Text)
			}
		}
		return p.call(name, args)
	}
	e, err := p.expression()
	if err != nil {
		return nil, err
	}
	return e(row{})
}

// assign sets a variable, or the destination of an out bind.
func (p *plsql) assign(t token, v value) error {
	switch t.kind {
	case 'w':
		if _, ok := p.vars[t.text]; !ok {
			return stack(fault(6550, "line 1, column 1:"), lrm("PLS-00201: identifier '"+t.text+"' must be declared"))
		}
		p.vars[t.text] = v
		return nil
	case 'b':
		arg, err := p.argument(t.text)
		if err != nil {
			return err
		}
		return store(arg, v)
	case 'n':
		return stack(fault(6550, "line 1, column 1:"), lrm("PLS-00363: expression '"+t.text+"' cannot be used as an assignment target"))
	}
	return unknown(p.note.Text)
}

// argument finds the argument of a bind, by its name or by its number. Binds are numbered in the order of their first use when they are not numbers.
func (a *act) argument(name string) (any, error) {
	for _, v := range a.args {
		if strings.EqualFold(v.Name, name) {
			return v.Value, nil
		}
	}
	n, err := strconv.Atoi(name)
	if err != nil {
		var names []string
		for _, t := range a.r.tokens {
			if t.kind == 'b' && !slices.Contains(names, t.text) {
				names = append(names, t.text)
			}
		}
		n = slices.Index(names, name) + 1
	}
	if n < 1 || n > len(a.args) {
		return nil, fault(1008, "not all variables bound")
	}
	return a.args[n-1].Value, nil
}

// bind is the value of an argument.
func (a *act) bind(name string) (value, error) {
	v, err := a.argument(name)
	if err != nil {
		return nil, err
	}
	if isOut(v) {
		in := reflect.ValueOf(v).FieldByName("In")
		if !in.IsValid() || !in.Bool() {
			return nil, nil
		}
		v = reflect.ValueOf(v).FieldByName("Dest").Elem().Elem().Interface()
	}
	switch v := v.(type) {
	case nil:
		return nil, nil
	case int64:
		return num(v), nil
	case int:
		return num(v), nil
	case string, time.Time:
		return v, nil
	}
	return nil, fault(932, "inconsistent datatypes")
}

// store sets what an out bind points to.
func store(arg any, v value) error {
	if !isOut(arg) {
		return fault(6536, "IN bind variable bound to an OUT position")
	}
	to := reflect.ValueOf(arg).FieldByName("Dest").Interface()
	switch to := to.(type) {
	case *int64:
		n, err := strconv.ParseInt(text(v), 10, 64)
		*to = n
		return err
	case *int:
		n, err := strconv.Atoi(text(v))
		*to = n
		return err
	case *uint64:
		n, err := strconv.ParseUint(text(v), 10, 64)
		*to = n
		return err
	case *string:
		*to = text(v)
		return nil
	case *[]byte:
		b, ok := v.([]byte)
		if !ok {
			return fault(932, "inconsistent datatypes")
		}
		*to = b
		return nil
	}
	return fault(932, "inconsistent datatypes: oraclesim does not know %T", to)
}
