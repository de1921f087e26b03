package mssql_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
	"github.com/quiesce-go/quiesce/mssql"
	"github.com/quiesce-go/quiesce/mssql/s3endpoint"
)

// A full of a database and a log after it, from a simulated server. The stage is one folder that the server knows as S:\stage.
func Example() {
	err := example()
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// sales: full
	// sales: log, from where the full ended: true
}

func example() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stage, err := os.MkdirTemp("", "stage")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	address, sales, err := simulate(ctx, stage)
	if err != nil {
		return err
	}

	source, err := mssql.New("sqlserver://sa:secret@"+address+"?encrypt=disable", &mssql.Options{Include: []string{"sales"}})
	if err != nil {
		return err
	}
	defer source.Close()
	p, err := backup.New(backup.Config{
		Job: "sales", Source: source, Sink: backuptest.NewMemSink(), Stager: backup.DirStager{Dir: stage, ServerDir: `S:\stage`},
	})
	if err != nil {
		return err
	}
	full, err := p.Backup(ctx, backup.Full)
	if err != nil {
		return err
	}
	if err := sales("an order"); err != nil {
		return err
	}
	log, err := p.Backup(ctx, backup.Log)
	if err != nil {
		return err
	}
	before, after := full.Items[0], log.Items[0]
	fmt.Printf("%s: %s\n", before.Name, before.Kind)
	fmt.Printf("%s: %s, from where the full ended: %t\n", after.Name, after.Kind, after.Parent == full.ID && after.Begin <= before.End)
	return nil
}

// simulate runs a server with a database sales until ctx ends, and returns its address and a way to write to the database.
func simulate(ctx context.Context, stage string) (address string, sales func(text string) error, err error) {
	clock := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	instance, err := mssqlsim.New(mssqlsim.Config{
		Name: "SIM", Now: func() time.Time { return clock }, Media: mssqlsim.NewFileMedia(map[string]string{`S:\stage`: stage}, nil),
	})
	if err != nil {
		return "", nil, err
	}
	if err := instance.CreateDatabase("sales", mssqlsim.Full); err != nil {
		return "", nil, err
	}
	server, err := tds.NewServer(tds.Config{Name: "SIM", Users: map[string]string{"sa": "secret"}, Handler: instance})
	if err != nil {
		return "", nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	go func() { _ = server.Serve(ctx, l) }()
	return l.Addr().String(), func(text string) error { return instance.Insert("sales", text) }, nil
}

// A job without a stage, on SQL Server 2022: this process is the S3 store that the server backs up to. The certificate is made once, and given to the server to trust.
func ExampleEndpointOptions() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	certificate, key, err := s3endpoint.NewCertificate(time.Now(), 5*365*24*time.Hour, "backup1.example.com")
	if err != nil {
		fmt.Println(err)
		return
	}
	crt, pem := filepath.Join(dir, "endpoint.crt"), filepath.Join(dir, "endpoint.key")
	if err := errors.Join(os.WriteFile(crt, certificate, 0o644), os.WriteFile(pem, key, 0o600)); err != nil {
		fmt.Println(err)
		return
	}
	src, err := mssql.New("sqlserver://backup:secret@db1:1433?encrypt=true", &mssql.Options{
		Endpoint: &mssql.EndpointOptions{Addr: "0.0.0.0:9443", Host: "backup1.example.com", CertificateFile: crt, KeyFile: pem},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = src.Close() }()
	fmt.Println(src)
	// Output: mssql db1:1433
}
