package agent

import (
	"context"
	"os"
	"os/exec"
	"time"
)

// Command is a program as a Hook, run without a shell.
type Command struct {
	// Args are the program and its arguments.
	Args []string
	// Dir is where it runs. Empty means where this process runs.
	Dir string
	// Env is added to this process's environment, as NAME=value.
	Env []string
	// Timeout ends it. 0 means no bound but the context.
	Timeout time.Duration
}

// Run implements Hook.
func (c Command) Run(ctx context.Context, _ Record) error {
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), c.Env...)
	return cmd.Run()
}
