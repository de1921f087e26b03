package exchange_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim"
)

// A full and the log after it, from a simulated server, and a database restored into a folder and recovered there. With a real server leave out Tools: they are then the programs of Windows and Exchange.
func Example() {
	if err := example(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// system state: full
	// DB01: full
	// DB01: log
	// restored: map[greeting:hello subject:second]
}

func example() error {
	dir, err := os.MkdirTemp("", "exchange")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	clock := func() time.Time { at = at.Add(time.Second); return at }
	server, err := exchangesim.New(filepath.Join(dir, "server"), exchangesim.Config{Version: 2019, Now: clock, Groups: []exchangesim.Group{{Name: "DB01", Databases: []exchangesim.Database{{Name: "DB01"}}}}})
	if err != nil {
		return err
	}
	source, err := exchange.New(&exchange.Options{Instance: "MAIL1", StateDir: filepath.Join(dir, "state"), Tools: server.Tools(), Now: clock})
	if err != nil {
		return err
	}
	defer source.Close()
	p, err := backup.New(backup.Config{Job: "mail", Source: source, Sink: backuptest.NewMemSink(), Stager: backup.DirStager{Dir: filepath.Join(dir, "stage")}, Workers: 1})
	if err != nil {
		return err
	}
	ctx := context.Background()
	for _, do := range []struct {
		kind       backup.Kind
		key, value string
	}{{backup.Full, "greeting", "hello"}, {backup.Log, "subject", "second"}} {
		if err := server.Write("DB01", do.key, do.value); err != nil {
			return err
		}
		if err := server.Rotate("DB01"); err != nil { // a log run takes logs that are closed
			return err
		}
		m, err := p.Backup(ctx, do.kind)
		if err != nil {
			return err
		}
		for _, it := range m.Items {
			fmt.Printf("%s: %s\n", it.Name, it.Kind)
		}
	}

	plan, err := p.Plan(ctx, backup.Target{Select: []backup.Selection{{Name: "DB01"}}})
	if err != nil {
		return err
	}
	to := filepath.Join(dir, "restored")
	if err := p.Restore(ctx, plan, backup.RestoreOptions{Options: map[string]string{"to": to}}); err != nil {
		return err
	}
	values, err := exchangesim.ReadFile(filepath.Join(to, "DB01", "DB01.edb"))
	if err != nil {
		return err
	}
	fmt.Println("restored:", values)
	return nil
}
