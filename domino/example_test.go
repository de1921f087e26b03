package domino_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/domino"
	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
)

// A full and the log after it, from a simulated server, and a database restored beside the original. With a real server, use New, with the program directory and notes.ini in notes.Command.
func Example() {
	if err := example(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// mail/jdoe.nsf: full
	// files: full
	// transaction log: log
	// transaction log: log
	// restored: map[subject:hello]
}

func example() error {
	dir, err := os.MkdirTemp("", "domino")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	clock := func() time.Time { at = at.Add(time.Second); return at }
	server, err := dominosim.New(filepath.Join(dir, "server"), dominosim.Config{Clock: clock, Style: notes.LogArchive})
	if err != nil {
		return err
	}
	if err := server.CreateDB("mail/jdoe.nsf", dominosim.DB{}); err != nil {
		return err
	}

	open := func(context.Context) (notes.API, error) { return server.Process(), nil }
	source, err := domino.New(&domino.Options{Open: open, Instance: "mail1/acme", StateDir: filepath.Join(dir, "state"), Now: clock, Parallel: 1})
	if err != nil {
		return err
	}
	p, err := backup.New(backup.Config{Job: "mail1", Source: source, Sink: backuptest.NewMemSink(), Stager: backup.DirStager{Dir: filepath.Join(dir, "stage")}})
	if err != nil {
		return err
	}
	ctx := context.Background()
	for _, kind := range []backup.Kind{backup.Full, backup.Log} {
		m, err := p.Backup(ctx, kind)
		if err != nil {
			return err
		}
		for _, it := range m.Items {
			fmt.Printf("%s: %s\n", it.Name, it.Kind)
		}
		if err := server.Write("mail/jdoe.nsf", "subject", "hello"); err != nil {
			return err
		}
	}
	plan, err := p.Plan(ctx, backup.Target{Select: []backup.Selection{{Name: "mail/jdoe.nsf", As: "restored.nsf"}}})
	if err != nil {
		return err
	}
	if err := p.Restore(ctx, plan, backup.RestoreOptions{}); err != nil {
		return err
	}
	content, err := server.Read("restored.nsf")
	fmt.Println("restored:", content)
	return err
}
