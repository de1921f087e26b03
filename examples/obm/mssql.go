package main

import (
	"context"
	"time"

	"github.com/quiesce-go/quiesce/agent/config"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql"
)

// mssqlSettings is the section mssql of a job. mssql.Options says what the keys mean.
type mssqlSettings struct {
	DSN               config.Secret    `yaml:"dsn" config:"required"`
	Instance          string           `yaml:"instance,omitempty"`
	Include           []string         `yaml:"include,omitempty"`
	Exclude           []string         `yaml:"exclude,omitempty"`
	Databases         int              `yaml:"databases,omitempty"`
	Stripes           int              `yaml:"stripes,omitempty"`
	Compression       string           `yaml:"compression,omitempty"`
	Checksum          bool             `yaml:"checksum"`
	MaxTransferSize   config.Size      `yaml:"max_transfer_size,omitempty"`
	BufferCount       int              `yaml:"buffer_count,omitempty"`
	BlockSize         config.Size      `yaml:"block_size,omitempty"`
	CopyOnly          bool             `yaml:"copy_only,omitempty"`
	Encryption        *mssqlEncryption `yaml:"encryption,omitempty"`
	KnownCertificates []string         `yaml:"known_certificates,omitempty"`
	VerifyOnly        string           `yaml:"verify_only,omitempty"`
	SkipSimple        bool             `yaml:"skip_simple,omitempty"`
	Endpoint          *mssqlEndpoint   `yaml:"endpoint,omitempty"`
	AnyReplica        bool             `yaml:"any_replica,omitempty"`
	BusyAttempts      int              `yaml:"busy_attempts,omitempty"`
	BusyWait          config.Duration  `yaml:"busy_wait,omitempty"`
}

// mssqlEncryption is how the server encrypts its backups.
type mssqlEncryption struct {
	Algorithm     string `yaml:"algorithm,omitempty"`
	Certificate   string `yaml:"certificate,omitempty"`
	AsymmetricKey string `yaml:"asymmetric_key,omitempty"`
}

// mssqlEndpoint is where the server sends its backups when the job has no stage.
type mssqlEndpoint struct {
	Addr         string      `yaml:"addr,omitempty"`
	Host         string      `yaml:"host,omitempty"`
	Certificate  config.Path `yaml:"certificate" config:"required"`
	Key          config.Path `yaml:"key" config:"required"`
	TransferSize config.Size `yaml:"transfer_size,omitempty"`
	Window       config.Size `yaml:"window,omitempty"`
}

// Defaults implements the defaults that are not zero.
func (s *mssqlSettings) Defaults() { s.Checksum = true }

// Validate implements the rules of the agent itself, so that they are reported with their line.
func (s *mssqlSettings) Validate() error {
	return settled(func() (*mssql.Source, error) { return mssql.New(s.DSN.Reveal(), nil) }, func() (*mssql.Source, error) { return s.source(s.DSN.Reveal()) })
}

func (s *mssqlSettings) source(dsn string) (*mssql.Source, error) {
	o := &mssql.Options{Instance: s.Instance, Include: s.Include, Exclude: s.Exclude, Databases: s.Databases, Stripes: s.Stripes,
		Compression: mssql.Compression(s.Compression), NoChecksum: !s.Checksum, MaxTransferSize: int(s.MaxTransferSize), BufferCount: s.BufferCount,
		BlockSize: int(s.BlockSize), CopyOnly: s.CopyOnly, KnownCertificates: s.KnownCertificates, VerifyOnly: mssql.VerifyMode(s.VerifyOnly),
		SkipSimple: s.SkipSimple, AnyReplica: s.AnyReplica, BusyAttempts: s.BusyAttempts, BusyWait: time.Duration(s.BusyWait)}
	if e := s.Encryption; e != nil {
		o.Encryption = &mssql.Encryption{Algorithm: e.Algorithm, Certificate: e.Certificate, AsymmetricKey: e.AsymmetricKey}
	}
	if e := s.Endpoint; e != nil {
		o.Endpoint = &mssql.EndpointOptions{Addr: e.Addr, Host: e.Host, CertificateFile: string(e.Certificate), KeyFile: string(e.Key),
			TransferSize: int(e.TransferSize), Window: int64(e.Window)}
	}
	return mssql.New(dsn, o)
}

// openMSSQL opens the server of a job, or another one to restore into, whose DSN is to.
func openMSSQL(_ context.Context, s mssqlSettings, to string) (backup.Source, error) {
	if to == "" {
		return s.source(s.DSN.Reveal())
	}
	s.Instance = "" // that is the other server's name
	return s.source(to)
}
