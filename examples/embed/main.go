// Command embed is about the shortest program that protects something with Quiesce: it backs up a handful of notes, loses them and
// brings them back. What a vendor writes is in protect and recover; notes.go teaches the pipeline an application it has never heard of.
//
//	go run ./examples/embed                                          notes in memory, to a temporary directory
//	go run ./examples/embed -sink file:///var/backups                the same to a directory that stays
//	go run ./examples/embed -dsn 'user:password@tcp(host:3306)/'     back up a MySQL or MariaDB server instead; nothing is restored
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mysql"
	"github.com/quiesce-go/quiesce/sink"
)

func main() {
	dsn := flag.String("dsn", "", "back up this MySQL or MariaDB `server` instead of the notes")
	url := flag.String("sink", "", "back up to this `URL`; default is a temporary directory")
	flag.Parse()
	if err := run(context.Background(), *dsn, *url, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		if hint := backup.Hint(err); hint != "" {
			fmt.Fprintln(os.Stderr, "hint:", hint)
		}
		os.Exit(1)
	}
}
