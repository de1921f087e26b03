package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/go-sql-driver/mysql"
)

// options are the command line.
type options struct {
	dsn      string
	sink     string
	orders   int
	at       time.Time
	embedded bool
	keep     bool
}

// usageError is a mistake on the command line: exit status 2.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }
func (e *usageError) Hint() string  { return e.hint }

// parse reads the command line. It writes the help, and only that, to w.
func parse(args []string, w io.Writer) (options, error) {
	var o options
	var at string
	fs := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.dsn, "dsn", "", "run on this `server`, as USER:PASSWORD@tcp(HOST:PORT)/ (default: a private one)")
	fs.StringVar(&o.sink, "sink", "", "back up to this `URL`: file:///DIR, s3://BUCKET?region=R, gs://BUCKET, azblob://CONTAINER, mem:// (default: a temporary directory)")
	fs.IntVar(&o.orders, "orders", 0, "size of the data set, in `orders` of the shop (default: 20000, or 150 on the embedded server)")
	fs.StringVar(&at, "at", "", "restore to this `time`, as 2026-01-31T12:00:00Z (default: the latest)")
	fs.BoolVar(&o.embedded, "embedded", false, "use the embedded server even where a real one is installed")
	fs.BoolVar(&o.keep, "keep", false, "keep the backup, the key and, with -dsn, the schemas")
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fs.SetOutput(w)
		fmt.Fprintln(w, "quickstart backs up, loses and restores a MySQL-compatible server, and compares.\n\nusage: go run ./examples/quickstart [flags]")
		fs.PrintDefaults()
		return o, err
	}
	if err != nil {
		return o, &usageError{err, "see -help"}
	}
	return o, o.check(fs.Args(), at)
}

// check completes the options, or says what is wrong with them.
func (o *options) check(rest []string, at string) error {
	if len(rest) > 0 {
		return &usageError{fmt.Errorf("argument %q is not understood", rest[0]), "see -help"}
	}
	if o.orders < 0 {
		return &usageError{fmt.Errorf("-orders %d: want a positive number", o.orders), ""}
	}
	if at != "" {
		t, err := time.Parse(time.RFC3339, at)
		if err != nil {
			return &usageError{fmt.Errorf("-at %q is not a time", at), "write it as 2026-01-31T12:00:00Z"}
		}
		o.at = t
	}
	if o.dsn != "" {
		if o.embedded {
			return &usageError{errors.New("-dsn and -embedded contradict each other"), "give one of them"}
		}
		// The driver's message may repeat the DSN, and with it the password.
		c, err := mysql.ParseDSN(o.dsn)
		if err != nil {
			return &usageError{errors.New("-dsn cannot be read"), "the form is USER:PASSWORD@tcp(HOST:PORT)/, with the final slash"}
		}
		if c.DBName != "" {
			return &usageError{fmt.Errorf("-dsn names the schema %q", c.DBName), "leave it out: quickstart works in schemas of its own"}
		}
	}
	return nil
}
