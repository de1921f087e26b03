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
	Lose(ctx context.Context) error
	// Close ends what was started. keep leaves data on a server that is not ours.
	Close(ctx context.Context, keep bool) error
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

// privateOptions lets the server know accounts whose host is a name, as an installed one would; a fresh one has root@HOSTNAME.
func privateOptions() *dbserver.Options {
	return &dbserver.Options{LocalInfile: true, Args: []string{"--skip-name-resolve=OFF"}}
}

func startPrivate(ctx context.Context) (server, error) {
	s, err := dbserver.Start(ctx, privateOptions())
	if err != nil {
		return nil, err
	}
	return &private{s}, nil
}

func (p *private) Place() string { return "private, on " + p.Addr() }

// Lose throws the server away with all its data and starts an empty one.
func (p *private) Lose(ctx context.Context) error {
	if err := p.Stop(); err != nil {
		return err
	}
	s, err := dbserver.Start(ctx, privateOptions())
	if err != nil {
		return fmt.Errorf("start an empty server: %w", err)
	}
	p.Server = s
	return nil
}

func (p *private) Close(context.Context, bool) error { return p.Stop() }

// yours is a server that was running before us. Only schemas we made are ever touched.
type yours struct {
	dsn  string
	made []string
}

func (y *yours) DSN() string { return y.dsn }

func (y *yours) Place() string {
	c, err := mysql.ParseDSN(y.dsn)
	if err != nil {
		return "yours"
	}
	return "yours, on " + c.Addr
}

// claim makes the schemas. One that exists is not ours, and the claim ends.
func (y *yours) claim(ctx context.Context, db *sql.DB, schemas []string) error {
	for _, s := range schemas {
		_, err := db.ExecContext(ctx, "CREATE DATABASE "+quote(s)+characterSet)
		var said *mysql.MySQLError
		switch {
		case err == nil:
			y.made = append(y.made, s)
		case errors.As(err, &said) && said.Number == errExists:
			return &backup.Error{Op: "make schema", App: "mysql", Artifact: s, Err: errors.New("it exists already, and quickstart touches only what it made itself"),
				Advice: "if it is left over from an earlier run: DROP DATABASE " + s}
		default:
			return &backup.Error{Op: "make schema", App: "mysql", Artifact: s, Err: err, Advice: "the account in -dsn needs all rights on `quickstart\\_%`.*"}
		}
	}
	return nil
}

// errExists is the server's number for a schema that exists.
const errExists = 1007

// characterSet is part of each CREATE DATABASE: servers differ in their default.
const characterSet = " DEFAULT CHARACTER SET utf8mb4"

// Lose drops the schemas we made.
func (y *yours) Lose(ctx context.Context) error {
	if len(y.made) == 0 {
		return nil
	}
	db, err := open(y.dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	for _, s := range y.made {
		if _, err := db.ExecContext(ctx, "DROP DATABASE IF EXISTS "+quote(s)); err != nil {
			return fmt.Errorf("drop schema %q: %w", s, err)
		}
	}
	return nil
}

func (y *yours) Close(ctx context.Context, keep bool) error {
	if keep {
		return nil
	}
	return y.Lose(ctx)
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
	err = db.QueryRowContext(ctx, "SELECT CONCAT(VERSION(), ' ', @@version_comment)").Scan(&version)
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
