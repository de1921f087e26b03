package backuptask_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim/backuptask"
)

func Example() {
	dir, err := os.MkdirTemp("", "domino")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	sim, err := dominosim.New(dir, dominosim.Config{Clock: func() time.Time { return now }, Style: notes.LogArchive})
	if err != nil {
		log.Fatal(err)
	}
	if err := sim.CreateDB("names.nsf", dominosim.DB{}); err != nil {
		log.Fatal(err)
	}
	task := &backuptask.Task{API: sim.Process(), DataDir: sim.DataDir(), Clock: func() time.Time { return now }, Command: func(_ context.Context, args []string) string {
		fmt.Println(args[1], args[5])
		return "BackupRef: 17\nReturn: PROCESSED\n"
	}}
	fmt.Println(task.Load(context.Background(), "-b"), task.Entries()[0].Reference)
	fmt.Println(task.Load(context.Background(), "-i"))
	// Output:
	// names.nsf FULL
	// names.nsf.DELTA FULL
	// <nil> 17
	// <nil>
}
