package mysql

import (
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"github.com/quiesce-go/quiesce/backup"
)

const application = "mysql"

// ItemName is the name of the one item of every backup: the server as a whole. Its schemas are the item's objects.
const ItemName = "instance"

// Source backs up and restores one MariaDB or MySQL server. It is safe for concurrent use, though runs on one server
// disturb each other.
type Source struct {
	db       *sql.DB
	instance string
	cfg      *driver.Config // nil when made from a pool
	plain    bool           // connections are neither encrypted nor compressed, so that rows can be read from the wire
	opt      Options
	filter   filter
}

// New returns a Source for the server that dsn names, in the form of go-sql-driver/mysql: user:password@tcp(host:3306)/. It does no I/O. A schema
// in the DSN is the default of Options.Include. Parameters for connections (tls, timeout, compress) are kept; those that change how values
// are read (parseTime, loc, charset, collation) do not matter.
func New(dsn string, o *Options) (*Source, error) {
	cfg, err := driver.ParseDSN(dsn)
	if err != nil {
		// The driver's message may quote the DSN, and with it the password.
		return nil, &backup.Error{Op: "read the DSN", App: application, Err: errors.New("not of the form user:password@tcp(host:port)/"),
			Advice: "write it like backup:secret@tcp(127.0.0.1:3306)/ or backup:secret@unix(/run/mysqld/mysqld.sock)/"}
	}
	return FromConfig(cfg, o)
}

// FromConfig is New for a configuration of the driver, which is copied.
func FromConfig(cfg *driver.Config, o *Options) (*Source, error) {
	cfg = cfg.Clone()
	opt := Options{}
	if o != nil {
		opt = *o
	}
	if cfg.DBName != "" && len(opt.Include) == 0 {
		opt.Include = []string{quotePattern(cfg.DBName)}
	}
	if opt.Instance == "" {
		opt.Instance = cfg.Addr
	}
	// A restore must be able to connect when the schema is gone.
	cfg.DBName = ""
	cfg.ParseTime, cfg.MultiStatements, cfg.Collation = false, false, ""
	cfg.Logger = quiet{}
	plain := cfg.TLS == nil && !strings.Contains(cfg.FormatDSN(), "compress=true")
	if cfg.DialFunc != nil || cfg.Net == "tcp" || cfg.Net == "unix" { // others are dialled by what the program registered with the driver
		cfg.DialFunc = tapped(cfg.DialFunc)
	}
	con, err := driver.NewConnector(cfg)
	if err != nil {
		return nil, &backup.Error{Op: "use the configuration", App: application, Err: err}
	}
	db := sql.OpenDB(con)
	// Nothing is worth keeping between runs, and an idle connection would look like something left behind.
	db.SetMaxIdleConns(-1)
	s, err := FromDB(db, &opt)
	if err == nil {
		s.cfg, s.plain = cfg, plain
	}
	return s, err
}

// FromDB is New for a ready pool of the driver, opened without parseTime. Connections taken from it are closed after use, never put back,
// because a run changes their sessions.
func FromDB(db *sql.DB, o *Options) (*Source, error) {
	opt := Options{}
	if o != nil {
		opt = *o
	}
	if err := opt.validate(); err != nil {
		return nil, &backup.Error{Op: "read options", App: application, Err: err}
	}
	f, err := newFilter(opt.Include, opt.Exclude)
	if err != nil {
		return nil, &backup.Error{Op: "read options", App: application, Err: err}
	}
	opt = opt.withDefaults()
	if opt.Instance == "" {
		opt.Instance = "server"
	}
	return &Source{db: db, instance: opt.Instance, opt: opt, filter: f}, nil
}

// Close closes the connections. A Source made by FromDB closes the pool it was given.
func (s *Source) Close() error { return s.db.Close() }

// Describe implements backup.Source.
func (s *Source) Describe() backup.Description {
	d := backup.Description{Application: application, Instance: s.instance, Kinds: []backup.Kind{backup.Full}}
	if s.cfg != nil {
		d.Kinds, d.PointInTime, d.Positions = append(d.Kinds, backup.Log), true, true
	}
	return d
}

// String names the server, without secrets.
func (s *Source) String() string { return fmt.Sprintf("mysql %s", s.instance) }

// LogValue implements slog.LogValuer, without secrets.
func (s *Source) LogValue() slog.Value { return slog.StringValue(s.String()) }

// GoString keeps %#v from printing the connector, which holds the password.
func (s *Source) GoString() string { return "&mysql.Source{" + s.instance + "}" }

// quiet swallows what the driver would print; every failure also comes back as an error.
type quiet struct{}

func (quiet) Print(...any) {}

var (
	_ backup.Source    = (*Source)(nil)
	_ backup.Restorer  = (*Source)(nil)
	_ backup.Verifier  = (*Source)(nil)
	_ backup.Checker   = (*Source)(nil)
	_ backup.Estimator = (*Source)(nil)
	_ backup.Locator   = (*Source)(nil)
)
