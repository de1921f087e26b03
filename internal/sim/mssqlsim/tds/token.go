package tds

import (
	"encoding/binary"
	"fmt"
)

// First bytes of the tokens of an answer ([MS-TDS] 2.2.7).
const (
	tokenReturnStatus = 0x79
	tokenColumns      = 0x81
	tokenError        = 0xAA
	tokenInfo         = 0xAB
	tokenLoginAck     = 0xAD
	tokenRow          = 0xD1
	tokenNullRow      = 0xD2
	tokenEnvChange    = 0xE3
	tokenDone         = 0xFD
	tokenDoneProc     = 0xFE
	tokenDoneInProc   = 0xFF
)

// Bits of the status of a DONE token.
const (
	doneMore        = 0x0001
	doneError       = 0x0002
	doneTransaction = 0x0004
	doneCount       = 0x0010
	doneAttention   = 0x0020
	doneServerError = 0x0100
)

const commandSelect = 0xC1

// Kinds of ENVCHANGE.
const (
	envDatabase   = 1
	envLanguage   = 2
	envPacketSize = 4
	envCollation  = 7
	envBegin      = 8
	envCommit     = 9
	envRollback   = 10
	envReset      = 18
)

// appendSized writes a token whose body has its length in two bytes before it.
func appendSized(b []byte, token byte, body []byte) []byte {
	b = binary.LittleEndian.AppendUint16(append(b, token), uint16(len(body)))
	return append(b, body...)
}

func appendEnvText(b []byte, what byte, fresh, old string) []byte {
	return appendSized(b, tokenEnvChange, appendBVarChar(appendBVarChar([]byte{what}, fresh), old))
}

func appendEnvBytes(b []byte, what byte, fresh, old []byte) []byte {
	body := append([]byte{what, byte(len(fresh))}, fresh...)
	return appendSized(b, tokenEnvChange, append(append(body, byte(len(old))), old...))
}

// done is the end of a statement, or of all of them.
type done struct {
	token   byte
	status  uint16
	command uint16
	rows    uint64
}

func (d done) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint16(append(b, d.token), d.status)
	b = binary.LittleEndian.AppendUint16(b, d.command)
	return binary.LittleEndian.AppendUint64(b, d.rows)
}

// Column is one column of a result set. All columns may hold NULL.
type Column struct {
	Name string // up to 128 UTF-16 units, "" for a column without name
	Type Type
}

const maxName = 128

func appendColumns(b []byte, columns []Column) ([]byte, error) {
	const nullable = 1
	b = binary.LittleEndian.AppendUint16(append(b, tokenColumns), uint16(len(columns)))
	for _, c := range columns {
		if textUnits(c.Name) > maxName {
			return nil, fmt.Errorf("tds: column name %q is longer than %d", c.Name, maxName)
		}
		if err := c.Type.check(); err != nil {
			return nil, err
		}
		b = binary.LittleEndian.AppendUint32(b, 0) // user type
		b = binary.LittleEndian.AppendUint16(b, nullable)
		b = c.Type.appendInfo(b)
		b = appendBVarChar(b, c.Name)
	}
	return b, nil
}

// appendRow writes a row in the shorter of its two forms: with a NULL in its place, or with a bitmap that tells which are NULL.
func appendRow(b []byte, columns []Column, values []any) ([]byte, error) {
	if len(values) != len(columns) {
		return nil, fmt.Errorf("tds: a row of %d values for %d columns", len(values), len(columns))
	}
	bitmap := make([]byte, (len(columns)+7)/8)
	plain := 0
	for i, v := range values {
		if v == nil {
			bitmap[i/8] |= 1 << (i % 8)
			plain += len(columns[i].Type.appendNull(nil))
		}
	}
	compressed := plain > len(bitmap)
	if compressed {
		b = append(append(b, tokenNullRow), bitmap...)
	} else {
		b = append(b, tokenRow)
	}
	for i, v := range values {
		if v == nil && compressed {
			continue
		}
		var err error
		if b, err = columns[i].Type.appendValue(b, v); err != nil {
			return nil, fmt.Errorf("column %s: %w", columns[i].Name, err)
		}
	}
	return b, nil
}
