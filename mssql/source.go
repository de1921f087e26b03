package mssql

import (
	"database/sql"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"time"

	driver "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"

	"github.com/quiesce-go/quiesce/backup"
)

const application = "mssql"

// Source backs up and restores the databases of one SQL Server instance. It is safe for concurrent use.
type Source struct {
	db       *sql.DB
	instance string
	opt      Options
	filter   filter
}

// New returns a Source for the server that dsn names, in a form of go-mssqldb: sqlserver://user:password@host:1433 or sqlserver://user:password@host/instance. It
// does no I/O. Parameters for connections (encrypt, certificate, app name, dial timeout) are kept; sessions are always in master, and those that change how
// values are read (timezone, guid conversion) or break a long silent statement (connection timeout) are not used.
func New(dsn string, o *Options) (*Source, error) {
	cfg, err := msdsn.Parse(dsn)
	if err != nil {
		// The driver's message may quote the DSN, and with it the password.
		return nil, &backup.Error{Op: "read the DSN", App: application, Err: errors.New("not of the form sqlserver://user:password@host:port?parameters, or a value is wrong"),
			Advice: "write it like sqlserver://backup:secret@db1:1433?encrypt=true, and escape special characters of the password as in any URL"}
	}
	opt := Options{}
	if o != nil {
		opt = *o
	}
	if opt.Instance == "" {
		opt.Instance = address(cfg)
	}
	cfg.Database = "master" // a restore must be able to connect when the database is gone
	cfg.ConnTimeout = 0     // the driver makes it a deadline of every read, and a backup may be silent for long
	cfg.LogFlags = 0        // every failure also comes back as an error
	cfg.Encoding.GuidConversion, cfg.Encoding.Timezone = false, time.UTC
	return FromDB(sql.OpenDB(driver.NewConnectorConfig(cfg)), &opt)
}

// address is the server of a DSN as its owner would name it.
func address(cfg msdsn.Config) string {
	switch {
	case cfg.Instance != "":
		return cfg.Host + `\` + cfg.Instance
	case cfg.Port != 0:
		return net.JoinHostPort(cfg.Host, strconv.FormatUint(cfg.Port, 10))
	}
	return cfg.Host
}

// FromDB is New for a ready pool of the driver, opened without the parameters timezone, guid conversion and connection timeout. Connections taken from it
// are closed after use, never put back, because a run changes their sessions.
func FromDB(db *sql.DB, o *Options) (*Source, error) {
	opt := Options{}
	if o != nil {
		opt = *o
	}
	err := opt.validate()
	f, ferr := newFilter(opt.Include, opt.Exclude)
	if err = errors.Join(err, ferr); err != nil {
		return nil, &backup.Error{Op: "read options", App: application, Err: err}
	}
	opt = opt.withDefaults()
	if opt.Instance == "" {
		opt.Instance = "server"
	}
	// Nothing is worth keeping between runs, and an idle connection would look like something left behind.
	db.SetMaxIdleConns(-1)
	return &Source{db: db, instance: opt.Instance, opt: opt, filter: f}, nil
}

// Close closes the connections. A Source made by FromDB closes the pool it was given.
func (s *Source) Close() error { return s.db.Close() }

// Describe implements backup.Source.
func (s *Source) Describe() backup.Description {
	return backup.Description{Application: application, Instance: s.instance,
		Kinds: []backup.Kind{backup.Full, backup.Differential, backup.Log}, PointInTime: true, Positions: true,
		Options: []string{OptionCopyOnly, OptionTail, OptionDatabases}}
}

// String names the server, without secrets.
func (s *Source) String() string { return "mssql " + s.instance }

// LogValue implements slog.LogValuer, without secrets.
func (s *Source) LogValue() slog.Value { return slog.StringValue(s.String()) }

// GoString keeps %#v from printing the connector, which holds the password.
func (s *Source) GoString() string { return "&mssql.Source{" + s.instance + "}" }
