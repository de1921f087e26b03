// Command quiesce-hook is what the backup of Domino calls for each file, as its external command. It hands the call to the agent that runs the backup on this machine, prints the answer in the form that Domino expects,
// and ends. It never asks for input. Package hook has the parameters, doc/domino.md the configuration.
package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/quiesce-go/quiesce/domino/hook"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	executable, err := os.Executable()
	if err != nil {
		executable = os.Args[0]
	}
	code := hook.Program(ctx, executable, os.Args[1:], os.Getenv, os.Stdout)
	stop()
	os.Exit(code) //nolint:forbidigo // a program's status
}
