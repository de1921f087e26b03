package main

import (
	"context"
	"time"

	"github.com/quiesce-go/quiesce/agent/config"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/oracle"
)

// oracleSettings is the section oracle of a job. oracle.Options says what the keys mean.
type oracleSettings struct {
	DSN                  config.Secret   `yaml:"dsn" config:"required"`
	StateDir             config.Path     `yaml:"state_dir" config:"required"`
	Instance             string          `yaml:"instance,omitempty"`
	Mode                 string          `yaml:"mode,omitempty"`
	ScratchDir           string          `yaml:"scratch_dir,omitempty"` // of the server's machine, so not completed as paths of this one are
	Include              []string        `yaml:"include,omitempty"`
	Exclude              []string        `yaml:"exclude,omitempty"`
	WholeDatabase        bool            `yaml:"whole_database,omitempty"`
	Files                int             `yaml:"files,omitempty"`
	Connections          int             `yaml:"connections,omitempty"`
	ChunkSize            config.Size     `yaml:"chunk_size,omitempty"`
	Directories          string          `yaml:"directories,omitempty"`
	ArchiveWait          config.Duration `yaml:"archive_wait,omitempty"`
	ConnectTimeout       config.Duration `yaml:"connect_timeout,omitempty"`
	KeepDoubtful         bool            `yaml:"keep_doubtful,omitempty"`
	PurgeArchived        bool            `yaml:"purge_archived,omitempty"`
	RequiredDestinations []int           `yaml:"required_destinations,omitempty"`
	SQLPlus              string          `yaml:"sqlplus,omitempty"`
	RMAN                 rmanSettings    `yaml:"rman,omitempty"`
	Auxiliary            string          `yaml:"auxiliary,omitempty"`
	AuxiliaryHome        config.Path     `yaml:"auxiliary_home,omitempty"`
}

// rmanSettings is the section rman of oracle.
type rmanSettings struct {
	Program    string        `yaml:"program,omitempty"`
	Connect    config.Secret `yaml:"connect,omitempty"`
	Format     string        `yaml:"format,omitempty"`
	Compressed bool          `yaml:"compressed,omitempty"`
}

// Validate implements the rules of the agent itself, so that they are reported with their line.
func (s *oracleSettings) Validate() error {
	alone := func() (*oracle.Source, error) {
		return oracle.New(s.DSN.Reveal(), &oracle.Options{StateDir: string(s.StateDir)})
	}
	return settled(alone, func() (*oracle.Source, error) { return oracle.New(s.DSN.Reveal(), s.options()) })
}

func (s *oracleSettings) options() *oracle.Options {
	return &oracle.Options{StateDir: string(s.StateDir), Instance: s.Instance, Mode: oracle.Mode(s.Mode), ScratchDir: s.ScratchDir, Include: s.Include, Exclude: s.Exclude,
		WholeDatabase: s.WholeDatabase, Files: s.Files, Connections: s.Connections, ChunkSize: int(s.ChunkSize), Directories: s.Directories,
		ArchiveWait: time.Duration(s.ArchiveWait), ConnectTimeout: time.Duration(s.ConnectTimeout), KeepDoubtful: s.KeepDoubtful,
		PurgeArchived: s.PurgeArchived, RequiredDestinations: s.RequiredDestinations, SQLPlus: s.SQLPlus,
		RMAN: s.RMAN.Program, RMANConnect: s.RMAN.Connect.Reveal(), RMANFormat: oracle.RMANFormat(s.RMAN.Format), RMANCompressed: s.RMAN.Compressed,
		Auxiliary: s.Auxiliary, AuxiliaryHome: string(s.AuxiliaryHome)}
}

// openOracle opens the database of a job, or another one to restore into, whose DSN is to.
func openOracle(_ context.Context, s oracleSettings, to string) (backup.Source, error) {
	if to == "" {
		return oracle.New(s.DSN.Reveal(), s.options())
	}
	s.Instance = "" // that is the other database's name
	return oracle.New(to, s.options())
}
