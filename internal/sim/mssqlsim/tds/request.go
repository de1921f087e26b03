package tds

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
)

// Query is one thing a client asks for: a batch of T-SQL, with parameters when it came through sp_executesql, or a stored procedure.
type Query struct {
	// Text is the batch. It is empty when Procedure is set.
	Text string
	// Procedure is the name of a procedure called by name.
	Procedure string
	Params    []Param
}

// Param returns the parameter of that name, with its @, ignoring case.
func (q Query) Param(name string) (Param, bool) {
	for _, p := range q.Params {
		if strings.EqualFold(p.Name, name) {
			return p, true
		}
	}
	return Param{}, false
}

// Param is a parameter: int64, bool, float64, string (text, and numbers as digits), time.Time (of datetime: the server's wall clock, labelled UTC),
// GUID, []byte, or nil for NULL.
type Param struct {
	Name  string // with its @
	Type  Type
	Value any
}

// headers skips ALL_HEADERS and returns the transaction the client thinks it is in.
func (c *cursor) headers() (transaction uint64) {
	total := int(c.u32())
	h := cursor{b: c.bytes(total - 4), err: c.err}
	for h.err == nil && len(h.b) > 0 {
		length, kind := int(h.u32()), h.u16()
		body := cursor{b: h.bytes(length - 6), err: h.err}
		if kind == 2 {
			transaction = body.u64()
			body.u32() // outstanding requests
		} else if h.err == nil {
			h.fail(fmt.Errorf("tds: request header of type %d is not known here", kind))
		}
		if body.err != nil {
			h.fail(body.err)
		}
	}
	if h.err != nil {
		c.fail(h.err)
	}
	return transaction
}

func parseBatch(c *cursor) (Query, error) {
	if c.err == nil && len(c.b)%2 != 0 {
		c.fail(errors.New("tds: the text of a batch has an odd number of bytes"))
	}
	return Query{Text: decodeText(c.b)}, c.err
}

const (
	procedureByNumber = 0xFFFF
	spExecuteSQL      = 10
)

func parseRPC(c *cursor) (Query, error) {
	var q Query
	if n := c.u16(); n == procedureByNumber {
		if id := c.u16(); c.err == nil && id != spExecuteSQL {
			return Query{}, fmt.Errorf("tds: procedure number %d is not known here", id)
		}
	} else {
		q.Procedure = c.text(int(n))
	}
	if flags := c.u16(); flags != 0 && c.err == nil {
		return Query{}, fmt.Errorf("tds: procedure flags %#04x are not known here", flags)
	}
	for c.err == nil && len(c.b) > 0 {
		p, err := parseParam(c)
		if err != nil {
			return Query{}, fmt.Errorf("parameter %d %s: %w", len(q.Params)+1, p.Name, err)
		}
		q.Params = append(q.Params, p)
	}
	if c.err != nil {
		return Query{}, c.err
	}
	if q.Procedure != "" && !strings.EqualFold(q.Procedure, "sp_executesql") {
		return q, nil
	}
	return q.unfold()
}

// unfold makes the first parameter of sp_executesql the text, and checks that the second one declares the others.
func (q Query) unfold() (Query, error) {
	if len(q.Params) < 1 {
		return Query{}, errors.New("tds: sp_executesql without a statement")
	}
	text, ok := q.Params[0].Value.(string)
	if !ok {
		return Query{}, errors.New("tds: the statement of sp_executesql is no text")
	}
	out := Query{Text: text}
	if len(q.Params) == 1 {
		return out, nil
	}
	declared, ok := q.Params[1].Value.(string)
	if !ok {
		return Query{}, errors.New("tds: the declarations of sp_executesql are no text")
	}
	out.Params = q.Params[2:]
	names := declaredNames(declared)
	for _, name := range names {
		if _, ok := out.Param(name); !ok {
			return Query{}, Message{Number: 8178, State: 1, Class: 16,
				Text: "The parameterized query '(" + shorten(declared+")"+text) + "' expects the parameter '" + name + "', which was not supplied."}
		}
	}
	if len(names) < len(out.Params) {
		return Query{}, Message{Number: 8144, State: 2, Class: 16, Text: "Procedure or function has too many arguments specified."}
	}
	return out, nil
}

// declaredNames lists the names in "@a nvarchar(1),@b numeric(5,2)".
func declaredNames(list string) (names []string) {
	for word := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		if strings.HasPrefix(word, "@") {
			names = append(names, word)
		}
	}
	return names
}

func shorten(text string) string {
	const most = 1000
	if r := []rune(text); len(r) > most {
		return string(r[:most])
	}
	return text
}

func parseParam(c *cursor) (Param, error) {
	p := Param{Name: c.bVarChar()}
	if status := c.u8(); c.err == nil && status != 0 {
		return p, fmt.Errorf("tds: parameter status %#02x is not known here: no output, no default, no encryption", status)
	}
	var err error
	if p.Type, err = parseType(c); err != nil {
		return p, err
	}
	raw, null := parseRaw(c, p.Type)
	switch {
	case c.err != nil:
		return p, c.err
	case null:
		return p, nil
	}
	if fixed := !p.Type.wide() && p.Type.id != idNumeric; fixed && len(raw) != p.Type.size {
		return p, fmt.Errorf("tds: %d bytes for %s", len(raw), p.Type)
	}
	p.Value, err = p.Type.decode(raw)
	return p, err
}

func parseType(c *cursor) (Type, error) {
	id := c.u8()
	switch id {
	case idNull:
		return Type{}, c.err
	case idInt:
		return intOfSize(int(c.u8()))
	case idBit:
		return fixed(c, Bit())
	case idFloat:
		if n := c.u8(); n == 4 {
			return Type{name: "real", id: idFloat, size: 4}, c.err
		}
		return Float(), c.err
	case idDateTime:
		return fixed(c, DateTime())
	case idGUID:
		return fixed(c, UniqueIdentifier())
	case idNumeric, idDecimal:
		c.u8()
		return Numeric(c.u8(), c.u8()), c.err
	case idDateTime2:
		return scaled(c, DateTime2())
	case idDateTimeOffset:
		return scaled(c, DateTimeOffset())
	case idVarBinary:
		return sized(c, VarBinary, VarBinaryMax)
	case idVarChar:
		return sized(c, VarChar, VarCharMax)
	case idNVarChar:
		return sized(c, func(bytes int) Type { return NVarChar(bytes / 2) }, NVarCharMax)
	}
	c.fail(Message{Number: 8009, State: 1, Class: 16, Text: fmt.Sprintf("The incoming tabular data stream (TDS) remote procedure call (RPC) "+
		"protocol stream is incorrect. Data type 0x%02X is unknown.", id)})
	return Type{}, c.err
}

func intOfSize(n int) (Type, error) {
	for _, t := range []Type{TinyInt(), SmallInt(), Int(), BigInt()} {
		if t.size == n {
			return t, nil
		}
	}
	return Type{}, fmt.Errorf("tds: there is no integer of %d bytes", n)
}

func fixed(c *cursor, t Type) (Type, error) {
	if n := int(c.u8()); c.err == nil && n != t.size {
		return Type{}, fmt.Errorf("tds: %s of %d bytes is not known here", t, n)
	}
	return t, c.err
}

func scaled(c *cursor, t Type) (Type, error) {
	if n := c.u8(); c.err == nil && n != t.scale {
		return Type{}, fmt.Errorf("tds: scale %d of %s is not known here", n, t)
	}
	return t, c.err
}

func sized(c *cursor, limited func(int) Type, max func() Type) (Type, error) {
	n := int(c.u16())
	t := max()
	if n != unlimited {
		t = limited(n)
	}
	if t.hasCollation() {
		c.bytes(5)
	}
	if c.err != nil {
		return Type{}, c.err
	}
	return t, t.check()
}

// parseRaw reads the bytes of a value, whatever form its length has.
func parseRaw(c *cursor, t Type) (raw []byte, null bool) {
	switch {
	case t.id == 0:
		return nil, true
	case t.size == unlimited:
		return parseChunks(c)
	case t.wide():
		n := c.u16()
		if n == 0xFFFF {
			return nil, true
		}
		if int(n) > t.size {
			c.fail(fmt.Errorf("tds: %d bytes for %s", n, t))
		}
		return c.bytes(int(n)), false
	default:
		n := c.u8()
		if n == 0 {
			return nil, true
		}
		return c.bytes(int(n)), false
	}
}

const unknownLength = math.MaxUint64 - 1

func parseChunks(c *cursor) (raw []byte, null bool) {
	total := c.u64()
	if total == math.MaxUint64 {
		return nil, true
	}
	raw = []byte{}
	for {
		n := c.u32()
		if n == 0 || c.err != nil {
			break
		}
		raw = append(raw, c.bytes(int(n))...)
	}
	if total != unknownLength && uint64(len(raw)) != total {
		c.fail(fmt.Errorf("tds: a value of %d bytes said it has %d", len(raw), total))
	}
	return raw, false
}

// Transaction requests.
const (
	transactionBegin    = 5
	transactionCommit   = 7
	transactionRollback = 8
)

type transactionRequest struct {
	what uint16
	name string
}

func parseTransaction(c *cursor) (transactionRequest, error) {
	t := transactionRequest{what: c.u16()}
	switch t.what {
	case transactionBegin:
		c.u8() // isolation level
		t.name = c.bVarChar()
	case transactionCommit, transactionRollback:
		t.name = c.bVarChar()
		if flags := c.u8(); flags != 0 && c.err == nil {
			return t, errors.New("tds: to begin a transaction with the end of another is not known here")
		}
	default:
		if c.err == nil {
			return t, fmt.Errorf("tds: transaction request %d is not known here", t.what)
		}
	}
	return t, c.err
}

// transactionID is how the wire writes the number of a transaction.
func transactionID(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }
