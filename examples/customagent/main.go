// Command obm-sqlite is the backup manager obm with the agent of this example in it: a private build, as a vendor makes one.
//
//	obm-sqlite run                                 keep the databases' logs and run the schedules
//	obm-sqlite restore library --at '2h ago'       and every other command of obm
//
// restore --to takes the path of a database file. A job looks like this; every and resolution may be left out: see keeper.Options and sqlite.Options.
//
//	jobs:
//	  library:
//	    application: sqlite
//	    sqlite:
//	      path: /var/lib/library/library.db
//	      every: 1s
//	      resolution: 10s
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // schedules and --at name time zones

	"github.com/quiesce-go/quiesce/agent/config"
	"github.com/quiesce-go/quiesce/examples/obm/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program without the process around it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	k := newKept(ctx)
	defer k.close()
	return program(k, stdin, stdout, stderr).Run(ctx, args)
}

// program is the private build: obm, with what a job may name as its application.
func program(k *kept, stdin io.Reader, stdout, stderr io.Writer) *cli.Program {
	return &cli.Program{
		Name:         "obm-sqlite",
		Applications: config.Registry{"sqlite": config.App(k.open)},
		Stdin:        stdin, Stdout: stdout, Stderr: stderr,
	}
}
