package mysql_test

import (
	"context"
	"fmt"
	"log"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/mysql"
)

func Example() {
	shop, err := mysql.New("backup:secret@tcp(127.0.0.1:3306)/", &mysql.Options{Exclude: []string{"*.tmp_*"}})
	if err != nil {
		log.Fatal(err)
	}
	defer shop.Close()
	fmt.Println(shop)
	p, err := backup.New(backup.Config{Job: "shop", Source: shop, Sink: backuptest.NewMemSink()})
	if err != nil {
		log.Fatal(err)
	}
	run := func(ctx context.Context) error {
		if _, err := p.Backup(ctx, backup.Full); err != nil {
			return err
		}
		plan, err := p.Plan(ctx, backup.Target{Select: []backup.Selection{{Name: "orders", As: "orders_yesterday"}}})
		if err != nil {
			return err
		}
		return p.Restore(ctx, plan, backup.RestoreOptions{})
	}
	_ = run // needs a server
	// Output: mysql 127.0.0.1:3306
}
