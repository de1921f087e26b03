package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/dbserver"
)

// server is where the story happens. It can be lost.
type server interface {
	// DSN is how to reach it, for go-sql-driver/mysql.
	DSN() string
	// Place says for people where it runs, without secrets.
	Place() string
	// Lose ends with a server that answers and knows none of the schemas. DSN may have changed.
	Lose(ctx context.Context, schemas []string) error
	// Close ends what was started. keep leaves data on a server that is not ours.
	Close(ctx context.Context, schemas []string, keep bool) error
}

// start picks the server the options ask for. small reports that it bears only little data.
func start(ctx context.Context, o options) (s server, small bool, err error) {
	if o.dsn != "" {
		return &yours{dsn: o.dsn}, false, nil
	}
	if !o.embedded {
		s, err := startPrivate(ctx)
		if !errors.Is(err, dbserver.ErrNotInstalled) {
			return s, false, err
		}
	}
	e, err := startEmbedded()
	return e, true, err
}

// private is a real server of our own, on a directory that goes with it.
type private struct{ *dbserver.Server }

func startPrivate(ctx context.Context) (server, error) {
	s, err := dbserver.Start(ctx, &dbserver.Options{LocalInfile: true})
	if err != nil {
		return nil, err
	}
	return &private{s}, nil
}

func (p *private) Place() string { return "private, on " + p.Addr() }

// Lose throws the server away with all its data and starts an empty one.
func (p *private) Lose(ctx context.Context, _ []string) error {
	if err := p.Stop(); err != nil {
		return err
	}
	s, err := dbserver.Start(ctx, &dbserver.Options{LocalInfile: true})
	if err != nil {
		return fmt.Errorf("start an empty server: %w", err)
	}
	p.Server = s
	return nil
}

func (p *private) Close(context.Context, []string, bool) error { return p.Stop() }

// yours is a server that was running before us. Only schemas we made are ever touched.
type yours struct {
	dsn  string
	made bool // the schemas are ours to remove
}

func (y *yours) DSN() string { return y.dsn }

func (y *yours) Place() string {
	c, err := mysql.ParseDSN(y.dsn)
	if err != nil {
		return "yours"
	}
	return "yours, on " + c.Addr
}

// claim makes sure that none of the schemas exists: what is there is not ours.
func (y *yours) claim(ctx context.Context, db *sql.DB, schemas []string) error {
	for _, s := range schemas {
		var n int
		err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", s).Scan(&n)
		if err != nil {
			return fmt.Errorf("look for schema %q: %w", s, err)
		}
		if n > 0 {
			return &backup.Error{Op: "make schema", Artifact: s, Err: errors.New("it exists already, and quickstart touches only what it made itself"),
				Advice: "if it is left over from an earlier run: DROP DATABASE " + s}
		}
	}
	y.made = true
	return nil
}

// Lose drops the schemas.
func (y *yours) Lose(ctx context.Context, schemas []string) error {
	if !y.made {
		return nil
	}
	db, err := open(y.dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, s := range schemas {
		if _, err := db.ExecContext(ctx, "DROP DATABASE IF EXISTS "+quote(s)); err != nil {
			return fmt.Errorf("drop schema %q: %w", s, err)
		}
	}
	return nil
}

func (y *yours) Close(ctx context.Context, schemas []string, keep bool) error {
	if keep {
		return nil
	}
	return y.Lose(ctx, schemas)
}

// open returns a pool for building and reading the data set.
func open(dsn string) (*sql.DB, error) {
	c, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, errors.New("the DSN cannot be read")
	}
	c.InterpolateParams = true // one round trip for each INSERT of many rows
	c.ParseTime = false        // dates such as 0000-00-00 have no time.Time
	c.Logger = &mysql.NopLogger{}
	con, err := mysql.NewConnector(c)
	if err != nil {
		return nil, errors.New("the DSN cannot be used")
	}
	return sql.OpenDB(con), nil
}

// reach asks the server who it is. Failures say what an operator can do.
func reach(ctx context.Context, db *sql.DB) (version string, err error) {
	err = db.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version)
	if err == nil {
		return version, nil
	}
	e := &backup.Error{Op: "reach the server", App: "mysql", Err: err, Advice: "is it running, and do host and port in -dsn lead to it?"}
	var denied *mysql.MySQLError
	if errors.As(err, &denied) {
		e.Advice = "the server answered and refused: check user, password and grants in -dsn"
	}
	return "", e
}

func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
