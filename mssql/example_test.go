package mssql_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
	"github.com/quiesce-go/quiesce/mssql"
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
