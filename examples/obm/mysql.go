package main

import (
	"context"
	"time"

	"github.com/quiesce-go/quiesce/agent/config"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mysql"
)

// mysqlSettings is the section mysql of a job. mysql.Options says what the keys mean.
type mysqlSettings struct {
	DSN          config.Secret   `yaml:"dsn" config:"required"`
	Instance     string          `yaml:"instance,omitempty"`
	Include      []string        `yaml:"include,omitempty"`
	Exclude      []string        `yaml:"exclude,omitempty"`
	Connections  int             `yaml:"connections,omitempty"`
	ChunkSize    config.Size     `yaml:"chunk_size,omitempty"`
	Accounts     bool            `yaml:"accounts"`
	Lock         string          `yaml:"lock,omitempty"`
	LockWait     config.Duration `yaml:"lock_wait,omitempty"`
	LockAttempts int             `yaml:"lock_attempts,omitempty"`
}

// Defaults implements the defaults that are not zero.
func (s *mysqlSettings) Defaults() { s.Accounts = true }

// Validate implements the rules of the agent itself, so that they are reported with their line.
func (s *mysqlSettings) Validate() error {
	return settled(func() (*mysql.Source, error) { return mysql.New(s.DSN.Reveal(), nil) }, func() (*mysql.Source, error) { return s.source(s.DSN.Reveal()) })
}

func (s *mysqlSettings) source(dsn string) (*mysql.Source, error) {
	return mysql.New(dsn, &mysql.Options{Instance: s.Instance, Include: s.Include, Exclude: s.Exclude, Connections: s.Connections, ChunkSize: int64(s.ChunkSize),
		NoAccounts: !s.Accounts, Lock: mysql.LockMode(s.Lock), LockWait: time.Duration(s.LockWait), LockAttempts: s.LockAttempts})
}

// openMySQL opens the server of a job, or another one to restore into, whose DSN is to.
func openMySQL(_ context.Context, s mysqlSettings, to string) (backup.Source, error) {
	if to == "" {
		return s.source(s.DSN.Reveal())
	}
	s.Instance = "" // that is the other server's name
	return s.source(to)
}
