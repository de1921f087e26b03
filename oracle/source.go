package oracle

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/sijms/go-ora/v2/configurations"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/diskroom"
)

const (
	application = "oracle"
	// itemName is the only item: one database, with all its containers.
	itemName = "database"
)

// Source backs up one Oracle database. It is safe for concurrent use.
type Source struct {
	db       *sql.DB
	instance string
	opt      Options
	filter   filter
	// environ is the environment of programs; nil is that of this process.
	environ []string
	// room tells how much may be written below a folder.
	room func(dir string) (diskroom.Volume, bool)
}

// New returns a Source for the database that dsn names, in the form of go-ora: oracle://user:password@host:port/service?DBA PRIVILEGE=SYSBACKUP; the port is mandatory. It does no I/O. The driver's
// TIMEOUT is always set to none, since it would break a statement on which the server works long in silence; contexts bound everything instead.
func New(dsn string, o *Options) (*Source, error) {
	quiet, at, err := untimed(dsn)
	if err != nil {
		// The cause may quote the DSN, and with it the password.
		return nil, &backup.Error{Op: "read the DSN", App: application, Err: errors.New("not of the form oracle://user:password@host:port/service?parameters, or a value is wrong"),
			Advice: "write it like oracle://backup:secret@db1:1521/orcl, with the port, and escape special characters of the password as in any URL"}
	}
	opt := Options{}
	if o != nil {
		opt = *o
	}
	if opt.Instance == "" {
		opt.Instance = at
	}
	return FromDB(sql.OpenDB(connector{dsn: quiet}), &opt)
}

// untimed takes the time-outs of the driver out of a DSN, and names the database without secrets.
func untimed(dsn string) (quiet, at string, err error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return "", "", err
	}
	if u.Scheme != "oracle" {
		return "", "", errors.New("no oracle URL")
	}
	q := u.Query()
	for key := range q {
		switch strings.ToUpper(key) {
		case "TIMEOUT", "CONNECT TIMEOUT", "CONNECTION TIMEOUT":
			delete(q, key)
		}
	}
	q.Set("TIMEOUT", "0")
	u.RawQuery = q.Encode()
	if _, err := configurations.ParseConfig(u.String()); err != nil {
		return "", "", err
	}
	return u.String(), u.Host + strings.TrimRight(u.Path, "/"), nil
}

// FromDB is New for a ready pool of any driver for Oracle. With go-ora, open it with TIMEOUT=0. Connections taken from it are closed after use, never put back.
//
// Only a pool made by New gives up at once when a context ends while the server does not answer: another waits for its driver.
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
		opt.Instance = "database"
	}
	if have, need := db.Stats().MaxOpenConnections, opt.Connections+2; opt.Mode == ModeRemote && have > 0 && have < need {
		return nil, &backup.Error{Op: "read options", App: application, Err: fmt.Errorf("the pool allows %d connections, and reading over %d needs %d", have, opt.Connections, need),
			Advice: "raise the pool's SetMaxOpenConns, or lower Options.Connections"}
	}
	db.SetMaxIdleConns(-1) // nothing is worth keeping between conversations
	return &Source{db: db, instance: opt.Instance, opt: opt, filter: f, room: diskroom.At}, nil
}

// Close closes the connections. A Source made by FromDB closes the pool it was given.
func (s *Source) Close() error { return s.db.Close() }

// Describe implements backup.Source.
func (s *Source) Describe() backup.Description {
	kinds := []backup.Kind{backup.Full, backup.Log}
	if s.opt.Mode == ModeRMAN {
		kinds = []backup.Kind{backup.Full, backup.Differential, backup.Log}
	}
	return backup.Description{Application: application, Instance: s.instance, Kinds: kinds, PointInTime: true, Positions: true}
}

// String names the database, without secrets.
func (s *Source) String() string { return "oracle " + s.instance }

// LogValue implements slog.LogValuer, without secrets.
func (s *Source) LogValue() slog.Value { return slog.StringValue(s.String()) }

// GoString keeps %#v from printing the connector, which holds the password.
func (s *Source) GoString() string { return "&oracle.Source{" + s.instance + "}" }

// environment is that of programs, with more.
func (s *Source) environment(more ...string) []string {
	base := s.environ
	if base == nil {
		base = os.Environ()
	}
	return append(slices.Clone(base), more...)
}

// with runs one conversation on a session of its own.
func (s *Source) with(ctx context.Context, do func(c *session) error) error {
	c, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	return do(c)
}
