package keeper_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/quiesce-go/quiesce/examples/customagent/keeper"
)

func Example() {
	if err := example(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 1 change since, in the same stream: true
}

func example(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "keeper-example-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "app.db")
	app, err := keeper.Open(path, "_pragma=journal_mode(wal)")
	if err != nil {
		return err
	}
	defer app.Close()
	if _, err := app.ExecContext(ctx, "CREATE TABLE t (a TEXT)"); err != nil {
		return err
	}
	k, err := keeper.New(path, nil)
	if err != nil {
		return err
	}
	defer k.Close()
	if err := k.Hold(ctx); err != nil {
		return err
	}
	var snaps [2]*keeper.Snapshot
	for i := range snaps {
		if snaps[i], err = k.Look(ctx); err != nil {
			return err
		}
		defer snaps[i].Close()
		if _, err := app.ExecContext(ctx, "INSERT INTO t VALUES ('x')"); err != nil {
			return err
		}
	}
	fmt.Printf("%d change since, in the same stream: %t\n", snaps[1].Pos-snaps[0].Pos, snaps[0].Stream == snaps[1].Stream)
	return nil
}
