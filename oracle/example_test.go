package oracle_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
	"github.com/quiesce-go/quiesce/oracle"
)

// A full of a database and a log after it, from a simulated server. With a real one, use New and a DSN.
func Example() {
	if err := example(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// database: full
	// database: log, from where the full ended: true
	// in backup mode: []
}

func example() error {
	dir, err := os.MkdirTemp("", "oracle")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	stage := filepath.Join(dir, "stage")
	if err := os.Mkdir(stage, 0o700); err != nil {
		return err
	}
	clock := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	server, err := oraclesim.Create(oraclesim.Config{SID: "ORCL", Dir: filepath.Join(dir, "server"), Now: func() time.Time { clock = clock.Add(time.Second); return clock }})
	if err != nil {
		return err
	}

	source, err := oracle.FromDB(server.OpenDB(oraclesim.Login{}), &oracle.Options{StateDir: filepath.Join(dir, "state")})
	if err != nil {
		return err
	}
	defer source.Close()
	p, err := backup.New(backup.Config{Job: "orcl", Source: source, Sink: backuptest.NewMemSink(), Stager: backup.DirStager{Dir: stage}})
	if err != nil {
		return err
	}
	full, err := p.Backup(context.Background(), backup.Full)
	if err != nil {
		return err
	}
	if _, err := server.Commit("USERS", "an order"); err != nil {
		return err
	}
	log, err := p.Backup(context.Background(), backup.Log)
	if err != nil {
		return err
	}
	before, after := full.Items[0], log.Items[0]
	fmt.Printf("%s: %s\n", before.Name, before.Kind)
	fmt.Printf("%s: %s, from where the full ended: %t\n", after.Name, after.Kind, after.Begin == before.End)
	fmt.Println("in backup mode:", server.InBackupMode())
	return nil
}
