package main

import (
	"errors"
	"io"

	"github.com/quiesce-go/quiesce/agent/config"
)

// applications are what this program can back up.
func applications() config.Registry {
	return config.Registry{
		"domino":   config.App(openDomino),
		"exchange": config.App(openExchange),
		"mssql":    config.App(openMSSQL),
		"mysql":    config.App(openMySQL),
		"oracle":   config.App(openOracle),
	}
}

// settled reports what an agent has against its settings, which it says without I/O: against the DSN alone first, so that a mistake is reported with its line.
func settled[S io.Closer](alone, whole func() (S, error)) error {
	a, err := alone()
	if err != nil {
		return &config.FieldError{Field: "dsn", Err: err}
	}
	w, err := whole()
	if err != nil {
		return errors.Join(err, a.Close())
	}
	return errors.Join(a.Close(), w.Close())
}
