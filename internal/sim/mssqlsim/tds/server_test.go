package tds_test

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	mssql "github.com/microsoft/go-mssqldb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

const (
	user     = "sa"
	password = "Påss;w{o}rd 1"
)

// handler answers with a function.
type handler func(ctx context.Context, s *tds.Session, q tds.Query, a *tds.Answer) error

func (h handler) Batch(ctx context.Context, s *tds.Session, q tds.Query, a *tds.Answer) error {
	return h(ctx, s, q, a)
}

// one answers every query with one row of one column.
func one(t tds.Type, value any) handler {
	return func(_ context.Context, _ *tds.Session, _ tds.Query, a *tds.Answer) error {
		if err := a.Columns(tds.Column{Name: "v", Type: t}); err != nil {
			return err
		}
		return a.Row(value)
	}
}

func newServer(t *testing.T, h tds.Handler, change ...func(*tds.Config)) *tds.Server {
	t.Helper()
	c := tds.Config{Name: "SIM", Users: map[string]string{user: password}, Handler: h, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, f := range change {
		f(&c)
	}
	s, err := tds.NewServer(c)
	require.NoError(t, err)
	return s
}

// listen serves on a port of the loopback until the test ends, and returns the address.
func listen(t *testing.T, s *tds.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { assert.NoError(t, s.Serve(ctx, l)) })
	t.Cleanup(func() { cancel(); serving.Wait() })
	return l.Addr().String()
}

func dsn(address string, options ...string) string {
	v := url.Values{}
	for i := 0; i < len(options); i += 2 {
		v.Set(options[i], options[i+1])
	}
	if !v.Has("encrypt") {
		v.Set("encrypt", "disable")
	}
	u := url.URL{Scheme: "sqlserver", User: url.UserPassword(user, password), Host: address, RawQuery: v.Encode()}
	return u.String()
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	c, err := mssql.NewConnector(dsn)
	require.NoError(t, err)
	db := sql.OpenDB(c)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// connect is a client of a server that answers with h.
func connect(t *testing.T, h tds.Handler, options ...string) *sql.DB {
	t.Helper()
	return open(t, dsn(listen(t, newServer(t, h)), options...))
}

// pipes hands the driver one end of a net.Pipe for each connection.
type pipes struct {
	server   *tds.Server
	ctx      context.Context
	sessions sync.WaitGroup
}

func (p *pipes) DialContext(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.sessions.Go(func() { _ = p.server.ServeConn(p.ctx, server) })
	return client, nil
}

func TestLoginOverPipe(t *testing.T) {
	t.Parallel()
	p := &pipes{server: newServer(t, one(tds.Int(), 7)), ctx: t.Context()}
	c, err := mssql.NewConnector(dsn("127.0.0.1:1433"))
	require.NoError(t, err)
	c.Dialer = p
	db := sql.OpenDB(c)
	var v int
	require.NoError(t, db.QueryRow("select 7 as v").Scan(&v))
	assert.Equal(t, 7, v)
	require.NoError(t, db.Close())
	p.sessions.Wait() // hanging up ends the session
}

func TestLogin(t *testing.T) {
	t.Parallel()
	var got tds.Login
	db := connect(t, handler(func(_ context.Context, s *tds.Session, q tds.Query, _ *tds.Answer) error {
		got = s.Login
		assert.Equal(t, "Sales Ω", s.Database())
		assert.Equal(t, "select 1;", q.Text)
		return nil
	}), "database", "Sales Ω", "app name", "quiesce", "ApplicationIntent", "ReadOnly")
	require.NoError(t, db.Ping())
	assert.Equal(t, user, got.User)
	assert.Equal(t, "quiesce", got.App)
	assert.Equal(t, "Sales Ω", got.Database)
	assert.True(t, got.ReadOnly)
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	address := listen(t, newServer(t, handler(func(context.Context, *tds.Session, tds.Query, *tds.Answer) error {
		return errors.New("nobody may come this far")
	})))
	for _, credentials := range []*url.Userinfo{url.UserPassword(user, "wrong"), url.UserPassword("nobody", password)} {
		u := url.URL{Scheme: "sqlserver", User: credentials, Host: address, RawQuery: "encrypt=disable"}
		err := open(t, u.String()).Ping()
		var e mssql.Error
		require.ErrorAs(t, err, &e)
		assert.EqualValues(t, 18456, e.Number)
		assert.EqualValues(t, 14, e.Class)
		assert.Equal(t, "SIM", e.ServerName)
		assert.Contains(t, e.Message, "Login failed for user '"+credentials.Username()+"'.")
	}
}

func TestUserIgnoresCase(t *testing.T) {
	t.Parallel()
	address := listen(t, newServer(t, one(tds.Int(), 1)))
	u := url.URL{Scheme: "sqlserver", User: url.UserPassword("SA", password), Host: address, RawQuery: "encrypt=disable"}
	require.NoError(t, open(t, u.String()).Ping())
}

func TestEncryption(t *testing.T) {
	t.Parallel()
	certificate, authority, err := tds.NewCertificate("127.0.0.1")
	require.NoError(t, err)
	trusted := filepath.Join(t.TempDir(), "server.pem")
	require.NoError(t, os.WriteFile(trusted, authority, 0o600))
	long := strings.Repeat("abc ", 20000)
	for _, c := range []struct {
		name    string
		server  tds.Encryption
		encrypt string
		fails   string
		sealed  bool // the answer, not only the login
		secret  bool // the login
	}{
		{name: "server has none, client does not ask", server: tds.NotSupported, encrypt: "disable"},
		{name: "server has none, client would like it for the login", server: tds.NotSupported, encrypt: "false"},
		{name: "server has none, client insists", server: tds.NotSupported, encrypt: "true", fails: "server does not support encryption"},
		{name: "client does not ask", server: tds.Optional, encrypt: "disable"},
		{name: "client wants the login encrypted", server: tds.Optional, encrypt: "false", secret: true},
		{name: "client wants all encrypted", server: tds.Optional, encrypt: "true", secret: true, sealed: true},
		{name: "server insists", server: tds.Required, encrypt: "false", secret: true, sealed: true},
		{name: "both insist", server: tds.Required, encrypt: "true", secret: true, sealed: true},
		{name: "server insists, client cannot", server: tds.Required, encrypt: "disable", fails: "TLS Handshake failed"},
		{name: "tds 8", server: tds.Strict, encrypt: "strict", secret: true, sealed: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, one(tds.NVarCharMax(), long), func(cfg *tds.Config) {
				cfg.Encryption, cfg.Certificate = c.server, &certificate
			})
			tap := &tap{}
			cn, err := mssql.NewConnector(dsn(listen(t, s), "encrypt", c.encrypt, "certificate", trusted, "packet size", "32767"))
			require.NoError(t, err)
			cn.Dialer = tap
			db := sql.OpenDB(cn)
			defer func() { require.NoError(t, db.Close()) }()
			var got string
			err = db.QueryRow("select the long text").Scan(&got)
			if c.fails != "" {
				require.ErrorContains(t, err, c.fails)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, long, got)
			assert.NotEqual(t, c.secret, tap.sent(user), "login readable on the wire")
			assert.NotEqual(t, c.sealed, tap.sent("select the long text"), "query readable on the wire")
		})
	}
}

// tap dials and keeps what the client sends.
type tap struct {
	mu  sync.Mutex
	out []byte
}

func (d *tap) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	return tapped{Conn: c, tap: d}, err
}

// sent reports whether the client sent the text as the protocol writes it.
func (d *tap) sent(text string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	var wide []byte
	for _, r := range text {
		wide = append(wide, byte(r), 0)
	}
	return strings.Contains(string(d.out), string(wide))
}

type tapped struct {
	net.Conn
	tap *tap
}

func (c tapped) Write(p []byte) (int, error) {
	c.tap.mu.Lock()
	c.tap.out = append(c.tap.out, p...)
	c.tap.mu.Unlock()
	return c.Conn.Write(p)
}

func TestEncryptedLoginOfManyPackets(t *testing.T) {
	t.Parallel()
	certificate, _, err := tds.NewCertificate("127.0.0.1")
	require.NoError(t, err)
	app := strings.Repeat("a", 1000)
	s := newServer(t, handler(func(_ context.Context, s *tds.Session, _ tds.Query, _ *tds.Answer) error {
		assert.Equal(t, app, s.Login.App)
		return nil
	}), func(c *tds.Config) { c.Encryption, c.Certificate = tds.Optional, &certificate })
	// The first packet of the login is encrypted and the rest is not.
	require.NoError(t, open(t, dsn(listen(t, s), "encrypt", "false", "app name", app, "packet size", "1000", "TrustServerCertificate", "true")).Ping())
}

func TestCertificateIsChecked(t *testing.T) {
	t.Parallel()
	certificate, _, err := tds.NewCertificate("db.example")
	require.NoError(t, err)
	s := newServer(t, one(tds.Int(), 1), func(c *tds.Config) { c.Encryption, c.Certificate = tds.Required, &certificate })
	err = open(t, dsn(listen(t, s), "encrypt", "true")).Ping()
	require.ErrorContains(t, err, "certificate")
}

func TestParallelConnections(t *testing.T) {
	t.Parallel()
	const clients = 50
	var all sync.WaitGroup
	var mu sync.Mutex
	seen := map[uint16]bool{}
	together := make(chan struct{})
	db := connect(t, handler(func(_ context.Context, s *tds.Session, q tds.Query, a *tds.Answer) error {
		mu.Lock()
		seen[s.ID] = true
		if len(seen) == clients {
			close(together)
		}
		mu.Unlock()
		<-together // every client is inside its query at the same time
		return one(tds.NVarChar(100), q.Text)(nil, s, q, a)
	}))
	for i := range clients {
		all.Go(func() {
			want := fmt.Sprintf("select %d as n", i)
			var got string
			if assert.NoError(t, db.QueryRow(want).Scan(&got)) {
				assert.Equal(t, want, got)
			}
		})
	}
	all.Wait()
	assert.Len(t, seen, clients)
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	_, err := tds.NewServer(tds.Config{Encryption: tds.Required})
	for _, want := range []string{"server name", "no users", "no Handler", "without a certificate"} {
		require.ErrorContains(t, err, want)
	}
	_, err = tds.NewServer(tds.Config{Encryption: 9, Certificate: &tls.Certificate{}})
	require.ErrorContains(t, err, "no encryption mode 9")
}
