package tds

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// Encryption is how much of a connection is inside TLS.
type Encryption int

const (
	// NotSupported never encrypts: a client that insists gives up.
	NotSupported Encryption = iota
	// Optional leaves it to the client: the login only, or everything. A client that cannot encrypt may log in in the clear.
	Optional
	// Required encrypts everything and turns away a client that cannot.
	Required
	// Strict starts with TLS, before the first packet, as TDS 8.0 does.
	Strict
)

// What PRELOGIN says about encryption.
const (
	encryptOff          = 0 // the login only
	encryptOn           = 1
	encryptNotSupported = 2
	encryptRequired     = 3
	encryptStrict       = 4 // of a client that is inside TLS already
)

// Options of PRELOGIN.
const (
	optionVersion    = 0
	optionEncryption = 1
	optionEnd        = 0xFF
)

// agree gives the server's answer to what the client said about encryption, and whether the connection may go on ([MS-TDS] 2.2.6.5).
func (e Encryption) agree(client byte) (answer byte, proceed bool) {
	switch {
	case e == Strict, client == encryptStrict:
		return encryptNotSupported, e == Strict && client == encryptStrict
	case e == NotSupported:
		return encryptNotSupported, client != encryptRequired
	case e == Required:
		return encryptRequired, client != encryptNotSupported
	case client == encryptNotSupported:
		return encryptNotSupported, true
	case client == encryptOff:
		return encryptOff, true
	default:
		return encryptOn, true
	}
}

// prelogin answers the client's first message and does what both agreed on. It returns where LOGIN7 is read from, and where all after it is.
func (s *Server) prelogin(ctx context.Context, nc net.Conn) (login, after io.ReadWriter, err error) {
	var rw io.ReadWriter = nc
	if s.config.Encryption == Strict {
		sealed := tls.Server(nc, s.tlsConfig("tds/8.0", tls.VersionTLS13))
		if err := sealed.HandshakeContext(ctx); err != nil {
			return nil, nil, err
		}
		rw = sealed
	}
	m, err := readMessage(rw)
	if err != nil {
		return nil, nil, err
	}
	if m.kind != kindPrelogin {
		return nil, nil, fmt.Errorf("tds: message of type %d where PRELOGIN is due", m.kind)
	}
	asked, err := preloginEncryption(m.body)
	if err != nil {
		return nil, nil, err
	}
	answer, proceed := s.config.Encryption.agree(asked)
	out := packetWriter{w: rw, kind: kindReply, size: defaultPacketSize}
	if err := errors.Join(out.write(s.preloginAnswer(answer)), out.finish()); err != nil {
		return nil, nil, err
	}
	switch {
	case !proceed:
		return nil, nil, fmt.Errorf("tds: client and server do not agree on encryption: %d and %d", asked, answer)
	case answer == encryptNotSupported:
		return rw, rw, nil
	}
	wrapped := &wrappedConn{Conn: nc}
	sealed := tls.Server(wrapped, s.tlsConfig("", tls.VersionTLS12))
	if err := sealed.HandshakeContext(ctx); err != nil {
		return nil, nil, err
	}
	wrapped.bare = true
	if answer == encryptOff {
		return sealed, nc, nil
	}
	return sealed, sealed, nil
}

// tlsConfig allows TLS up to the given version: inside TDS 7.4, TLS 1.3 would send its tickets after the handshake, where nobody unwraps them.
func (s *Server) tlsConfig(protocol string, highest uint16) *tls.Config {
	c := &tls.Config{Certificates: []tls.Certificate{*s.config.Certificate}, MinVersion: tls.VersionTLS12, MaxVersion: highest}
	if protocol != "" {
		c.NextProtos = []string{protocol}
	}
	return c
}

func (s *Server) preloginAnswer(encryption byte) []byte {
	const table = 2*5 + 1 // two options and the end mark
	b := []byte{optionVersion, 0, table, 0, 6, optionEncryption, 0, table + 6, 0, 1, optionEnd}
	v := s.config.Version
	b = append(b, v.Major, v.Minor)
	b = binary.BigEndian.AppendUint16(b, v.Build)
	b = append(b, 0, 0) // sub-build
	return append(b, encryption)
}

// preloginEncryption finds what the client says about encryption. Of the other options, an answer is due to none.
func preloginEncryption(body []byte) (byte, error) {
	for at := 0; at < len(body) && body[at] != optionEnd; at += 5 {
		if at+5 > len(body) {
			break
		}
		offset, length := int(binary.BigEndian.Uint16(body[at+1:])), int(binary.BigEndian.Uint16(body[at+3:]))
		if body[at] != optionEncryption {
			continue
		}
		if length != 1 || offset >= len(body) || body[offset] > encryptStrict {
			break
		}
		return body[offset], nil
	}
	return 0, errors.New("tds: PRELOGIN does not say what it wants about encryption")
}

// wrappedConn carries a TLS handshake in PRELOGIN packets, and when bare what follows without them.
type wrappedConn struct {
	net.Conn
	bare   bool
	unread []byte // of a handshake message
	record int    // bytes left of the TLS record being read, when bare
}

// Read gives at most the rest of a TLS record: after an encrypted login bytes in the clear follow, and TLS must not swallow them.
func (c *wrappedConn) Read(p []byte) (int, error) {
	if !c.bare {
		return c.readWrapped(p)
	}
	if len(c.unread) == 0 && c.record == 0 {
		header := make([]byte, 5)
		if _, err := io.ReadFull(c.Conn, header); err != nil {
			return 0, err
		}
		c.unread, c.record = header, int(binary.BigEndian.Uint16(header[3:]))
	}
	if len(c.unread) > 0 {
		n := copy(p, c.unread)
		c.unread = c.unread[n:]
		return n, nil
	}
	n, err := c.Conn.Read(p[:min(len(p), c.record)])
	c.record -= n
	return n, err
}

func (c *wrappedConn) readWrapped(p []byte) (int, error) {
	if len(c.unread) == 0 {
		m, err := readMessage(c.Conn)
		if err != nil {
			return 0, err
		}
		if m.kind != kindPrelogin {
			return 0, fmt.Errorf("tds: message of type %d inside the TLS handshake", m.kind)
		}
		c.unread = m.body
	}
	n := copy(p, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

func (c *wrappedConn) Write(p []byte) (int, error) {
	if c.bare {
		return c.Conn.Write(p)
	}
	out := packetWriter{w: c.Conn, kind: kindPrelogin, size: defaultPacketSize}
	if err := errors.Join(out.write(p), out.finish()); err != nil {
		return 0, err
	}
	return len(p), nil
}
