package tds

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Login is what a client said about itself in LOGIN7. The password is not kept.
type Login struct {
	Host     string
	User     string
	App      string
	Server   string // as the client names this server
	Library  string
	Database string // "" for the default database of the login
	ReadOnly bool   // ApplicationIntent
	// PacketSize is what the client asked for.
	PacketSize int
	password   string
}

const (
	version74 = 0x74000004
	version80 = 0x08000000

	loginHeaderSize = 94
	flagIntegrated  = 0x80 // of option flags 2: Windows authentication
	flagReadOnly    = 0x20 // of type flags
	flagChangePass  = 0x01 // of option flags 3
)

func parseLogin(body []byte) (Login, error) {
	if len(body) < loginHeaderSize || int(binary.LittleEndian.Uint32(body)) != len(body) {
		return Login{}, errors.New("tds: LOGIN7 has not the length it says")
	}
	if v := binary.LittleEndian.Uint32(body[4:]); v != version74 && v != version80 {
		return Login{}, fmt.Errorf("tds: TDS version %#08x, want 7.4 or 8.0", v)
	}
	if body[25]&flagIntegrated != 0 {
		return Login{}, Message{Number: 18452, State: 1, Class: 14,
			Text: "Login failed. The login is from an untrusted domain and cannot be used with Integrated authentication."}
	}
	if body[27]&flagChangePass != 0 {
		return Login{}, errors.New("tds: changing the password at login is not known here")
	}
	f := loginFields{body: body}
	l := Login{
		Host:       decodeText(f.at(36)),
		User:       decodeText(f.at(40)),
		password:   decodeText(unscramble(f.at(44))),
		App:        decodeText(f.at(48)),
		Server:     decodeText(f.at(52)),
		Library:    decodeText(f.at(60)),
		Database:   decodeText(f.at(68)),
		ReadOnly:   body[26]&flagReadOnly != 0,
		PacketSize: int(binary.LittleEndian.Uint32(body[8:])),
	}
	return l, f.err
}

// loginFields reads the texts that LOGIN7 points to: offset in bytes, length in characters.
type loginFields struct {
	body []byte
	err  error
}

func (f *loginFields) at(field int) []byte {
	from := int(binary.LittleEndian.Uint16(f.body[field:]))
	to := from + 2*int(binary.LittleEndian.Uint16(f.body[field+2:]))
	if to > len(f.body) {
		f.err = fmt.Errorf("tds: the field at %d of LOGIN7 lies outside", field)
		return nil
	}
	return f.body[from:to]
}

// unscramble undoes what a client does to a password: swap the halves of each byte, then XOR with A5.
func unscramble(b []byte) []byte {
	clear := make([]byte, len(b))
	for i, x := range b {
		x ^= 0xA5
		clear[i] = x<<4 | x>>4
	}
	return clear
}

// admit checks the password. The answer does not tell whether the user or the password was wrong.
func (s *Server) admit(l Login) error {
	for user, password := range s.config.Users {
		if strings.EqualFold(user, l.User) && password == l.password {
			return nil
		}
	}
	return Message{Number: 18456, State: 1, Class: 14, Text: "Login failed for user '" + l.User + "'."}
}

// packetSize is what the server grants of what the client asked for.
func packetSize(asked int, sealed bool) int {
	size := min(max(asked, minPacketSize), maxPacketSize)
	if sealed {
		size = min(size, maxSealedSize)
	}
	return size
}

// loginAnswer tells the client where it has arrived.
func (s *Server) loginAnswer(session *Session, size int) ([]byte, error) {
	const language = "us_english"
	b := appendEnvText(nil, envDatabase, session.Database(), "master")
	b, err := databaseChanged(session.Database()).append(b, s.config.Name)
	if err != nil {
		return nil, err
	}
	c := collation()
	b = appendEnvBytes(b, envCollation, c[:], nil)
	b = appendEnvText(b, envLanguage, language, "")
	b, err = Message{Number: 5703, State: 1, Text: "Changed language setting to " + language + "."}.append(b, s.config.Name)
	if err != nil {
		return nil, err
	}
	ack := binary.BigEndian.AppendUint32([]byte{1}, version74)
	ack = appendBVarChar(ack, "Microsoft SQL Server")
	ack = append(ack, s.config.Version.Major, s.config.Version.Minor)
	ack = binary.BigEndian.AppendUint16(ack, s.config.Version.Build)
	b = appendSized(b, tokenLoginAck, ack)
	b = appendEnvText(b, envPacketSize, strconv.Itoa(size), strconv.Itoa(defaultPacketSize))
	return done{token: tokenDone}.append(b), nil
}

// loginRefused says why, and that is all.
func (s *Server) loginRefused(reasons ...Message) ([]byte, error) {
	var b []byte
	for _, m := range reasons {
		var err error
		if b, err = m.append(b, s.config.Name); err != nil {
			return nil, err
		}
	}
	return done{token: tokenDone, status: doneError}.append(b), nil
}

func databaseChanged(name string) Message {
	return Message{Number: 5701, State: 2, Text: "Changed database context to '" + name + "'."}
}
