package backuptest_test

import (
	"context"
	"fmt"
	"log"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

// A ledger is backed up, changed, lost and brought back to the moment before a mistake.
func ExampleLedger() {
	ctx := context.Background()
	ledger := backuptest.NewLedger(nil)
	p, err := backup.New(backup.Config{Job: "books", Source: ledger.Source(nil), Sink: backuptest.NewMemSink()})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := p.Backup(ctx, backup.Full); err != nil {
		log.Fatal(err)
	}
	if err := ledger.Transfer("shop", "acc00001", "bank", "acc00002", 250); err != nil {
		log.Fatal(err)
	}
	before := ledger.Now()
	if err := ledger.Transfer("shop", "acc00001", "bank", "acc00003", 750); err != nil { // the mistake
		log.Fatal(err)
	}
	if _, err := p.Backup(ctx, backup.Log); err != nil {
		log.Fatal(err)
	}
	if err := ledger.Lose(); err != nil {
		log.Fatal(err)
	}

	plan, err := p.Plan(ctx, backup.Target{Time: before})
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Restore(ctx, plan, backup.RestoreOptions{}); err != nil {
		log.Fatal(err)
	}
	books := ledger.Current()
	fmt.Println("shop/acc00001:", books["shop"].Balances["acc00001"])
	fmt.Println("bank/acc00002:", books["bank"].Balances["acc00002"])
	fmt.Println("as it was:", books.Equal(ledger.At(before)))
	// Output:
	// shop/acc00001: 750
	// bank/acc00002: 1250
	// as it was: true
}

// CheckSource says of an agent which rules it keeps, outside of a test.
func ExampleCheckSource() {
	broken := 0
	for _, r := range backuptest.CheckSource(context.Background(), backuptest.NewLedgerApplication(nil, nil)) {
		if r.Broken() {
			fmt.Println(r)
			broken++
		}
	}
	fmt.Println("broken rules:", broken)
	// Output:
	// broken rules: 0
}

// Any call of a sink can be made to go wrong.
func ExampleNewFaultySink() {
	sink := backuptest.NewFaultySink(backuptest.NewMemSink(),
		backuptest.Fault{Op: backuptest.OpPutIfAbsent, Key: "/manifests/", Action: backuptest.Fail})
	ledger := backuptest.NewLedger(nil)
	p, err := backup.New(backup.Config{Job: "books", Source: ledger.Source(nil), Sink: sink})
	if err != nil {
		log.Fatal(err)
	}
	_, err = p.Backup(context.Background(), backup.Full)
	fmt.Println("failed:", err != nil)
	fmt.Println("left open:", ledger.Open())
	// Output:
	// failed: true
	// left open: []
}
