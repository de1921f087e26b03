package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/examples/customagent/keeper"
	"github.com/quiesce-go/quiesce/examples/customagent/sqlite"
)

func Example() {
	ctx := context.Background()
	if err := example(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// full
	// log
}

func example(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "sqlite-example-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	app, err := keeper.Open(filepath.Join(dir, "library.db"), "_pragma=journal_mode(wal)")
	if err != nil {
		return err
	}
	defer app.Close()
	if _, err := app.ExecContext(ctx, "CREATE TABLE book (title TEXT)"); err != nil {
		return err
	}
	k, err := keeper.New(filepath.Join(dir, "library.db"), nil)
	if err != nil {
		return err
	}
	defer k.Close()
	if err := k.Hold(ctx); err != nil {
		return err
	}
	p, err := backup.New(backup.Config{Job: "library", Source: sqlite.New(k, nil), Sink: backuptest.NewMemSink()})
	if err != nil {
		return err
	}
	for _, kind := range []backup.Kind{backup.Full, backup.Log} {
		m, err := p.Backup(ctx, kind)
		if err != nil {
			return err
		}
		fmt.Println(m.Items[0].Kind)
		if _, err := app.ExecContext(ctx, "INSERT INTO book VALUES ('Middlemarch')"); err != nil {
			return err
		}
	}
	return nil
}
