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
	"path/filepath"

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

// run protects a source and, when it is the notes, loses and recovers them.
func run(ctx context.Context, dsn, url string, out io.Writer) error {
	if url == "" {
		dir, err := os.MkdirTemp("", "embed")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		url = "file://" + filepath.ToSlash(dir)
	}
	if dsn != "" {
		server, err := mysql.New(dsn, nil)
		if err != nil {
			return err
		}
		defer server.Close()
		m, err := protect(ctx, server, url)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "backed up %s as %s: %d artifacts, %d bytes, %d at the target\n", m.Instance, m.ID, m.Artifacts, m.Bytes, m.StoredBytes)
		return nil
	}
	book := &notes{texts: map[string]string{"monday.txt": "plant the beans", "tuesday.txt": "water them", "wednesday.txt": "wait"}}
	m, err := protect(ctx, book, url)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "backed up %d notes as %s, proof: %s\n", m.Artifacts, m.ID, m.Proof)

	book.texts = nil
	if err := recoverAll(ctx, book, url); err != nil {
		return err
	}
	fmt.Fprintf(out, "restored %d notes; on Monday: %s\n", len(book.texts), book.texts["monday.txt"])
	return nil
}

// protect is what a vendor writes. The backup exists, proven, when it returns without error.
func protect(ctx context.Context, source backup.Source, targetURL string) (*backup.Manifest, error) {
	target, err := sink.Open(ctx, targetURL, nil) // file:///var/backups, s3://bucket, ...
	if err != nil {
		return nil, err
	}
	defer target.Close()
	p, err := backup.New(backup.Config{Job: "notes", Source: source, Sink: sink.Compress(target, nil)})
	if err != nil {
		return nil, err
	}
	return p.Backup(ctx, backup.Full)
}

// recoverAll brings back the latest state. The plan is made from headers alone and can be shown before anything is touched.
func recoverAll(ctx context.Context, source backup.Source, targetURL string) error {
	target, err := sink.Open(ctx, targetURL, nil)
	if err != nil {
		return err
	}
	defer target.Close()
	p, err := backup.New(backup.Config{Job: "notes", Source: source, Sink: sink.Compress(target, nil)})
	if err != nil {
		return err
	}
	plan, err := p.Plan(ctx, backup.Target{})
	if err != nil {
		return err
	}
	return p.Restore(ctx, plan, backup.RestoreOptions{})
}
