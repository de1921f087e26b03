package tds

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Message is what the server says beside results. Up to class 10 it is information, above that an error, and from 20 on it ends the session.
type Message struct {
	Number int32
	State  uint8
	Class  uint8
	Text   string
	Line   int32 // of the batch, 0 when it does not matter
}

// Error makes a Message an error, so that a Handler can return one.
func (m Message) Error() string {
	return fmt.Sprintf("Msg %d, Level %d, State %d: %s", m.Number, m.Class, m.State, m.Text)
}

// The classes that mean something to the wire.
const (
	maxInfoClass = 10
	fatalClass   = 20
)

// maxMessageUnits is the longest text the server sends; RAISERROR cuts there as well.
const maxMessageUnits = 2047

func (m Message) isError() bool { return m.Class > maxInfoClass }

func (m Message) append(b []byte, server string) ([]byte, error) {
	if n := textUnits(m.Text); n > maxMessageUnits {
		return nil, fmt.Errorf("tds: message %d has %d characters, want at most %d", m.Number, n, maxMessageUnits)
	}
	body := binary.LittleEndian.AppendUint32(nil, uint32(m.Number))
	body = append(body, m.State, m.Class)
	body = appendUSVarChar(body, m.Text)
	body = appendBVarChar(body, server)
	body = appendBVarChar(body, "") // no procedures here
	body = binary.LittleEndian.AppendUint32(body, uint32(m.Line))
	token := byte(tokenInfo)
	if m.isError() {
		token = tokenError
	}
	return appendSized(b, token, body), nil
}

var (
	// ErrAttention is the cause of a context that ended because the client cancelled.
	ErrAttention = errors.New("tds: the client cancelled the request")
	// ErrGone is the cause of a context that ended because the connection did. A Handler returns it to make the server vanish in the middle of an answer.
	ErrGone = errors.New("tds: the connection is gone")
)
