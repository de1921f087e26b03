package hook_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/quiesce-go/quiesce/domino/hook"
)

func Example() {
	dir, err := os.MkdirTemp("", "hk")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	calls := filepath.Join(dir, "calls")
	l, err := hook.Listen(calls)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		done <- l.Serve(ctx, func(_ context.Context, c hook.Call) (string, error) {
			fmt.Println("copy", c.File, "which is", c.Name)
			return "run-17/000001", nil
		})
	}()
	// What Domino runs:
	code := hook.Program(ctx, "", []string{"-dir=" + calls, "/local/notesdata/names.nsf", "names.nsf", "DBIID", "mail1", "Default", "FULL", "20260301", "", "30"}, os.Getenv, os.Stdout)
	stop()
	fmt.Println(code, <-done)
	// Output:
	// copy /local/notesdata/names.nsf which is names.nsf
	// BackupRef: run-17/000001
	// Return: PROCESSED
	// 0 <nil>
}
