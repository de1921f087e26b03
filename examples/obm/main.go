// Command obm is a complete backup manager: it takes backups of applications, proves them, restores them to a time, and runs their schedules.
// README.md is its manual. Programs with other applications are built from package cli in a few lines.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // schedules and --at name time zones, which not every machine has files for

	_ "gocloud.dev/blob/azureblob" // azblob://
	_ "gocloud.dev/blob/gcsblob"   // gs://
	_ "gocloud.dev/blob/s3blob"    // s3://

	"github.com/quiesce-go/quiesce/examples/obm/cli"
	"github.com/quiesce-go/quiesce/sink"
	"github.com/quiesce-go/quiesce/sink/s3"
)

func main() {
	p := &cli.Program{
		Applications: applications(),
		Sink:         &sink.Options{Tune: s3.Tune},
		Stdin:        os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}
	os.Exit(run(p, os.Args[1:]))
}

// run lets signals reach the program: the first that asks it to stop ends what is under way in order, the next ends the process.
func run(p *cli.Program, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	// A reader of our output that has gone, such as head or a logger that died, ends no backup. To ignore the signal would ignore it in hooks too.
	gone := make(chan os.Signal, 1)
	signal.Notify(gone, syscall.SIGPIPE)
	defer signal.Stop(gone)
	go hangups(ctx, p, stop)
	return p.Run(ctx, args)
}

// hangups lets the agent read its configuration again on SIGHUP. Every other command ends in order, since its terminal is gone.
func hangups(ctx context.Context, p *cli.Program, stop func()) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			if !p.Reload() {
				stop()
				return
			}
		}
	}
}
