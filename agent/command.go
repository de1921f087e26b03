package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Command is a program as a Hook. There is no shell: Args[0] is the program, the others reach it as they are.
//
// It inherits the environment of this process, with Env and these added, where they apply: QUIESCE_JOB, QUIESCE_ACTION, QUIESCE_OUTCOME,
// QUIESCE_KIND, QUIESCE_ID and QUIESCE_ERROR. The whole Record comes on its standard input as JSON; it need not read it. What it prints is shown when it fails.
type Command struct {
	Args []string
	Dir  string   // where it runs; empty means the directory of this process
	Env  []string // NAME=value
	// Timeout is when it is killed, on Unix with all the processes it started. Default 10 minutes.
	Timeout time.Duration
}

// commandTime is the default of Command.Timeout, killTime what a killed program's output may still take.
const (
	commandTime = 10 * time.Minute
	killTime    = 5 * time.Second
)

// Run implements Hook. A program that ends with another code than 0 has failed.
func (c Command) Run(ctx context.Context, r Record) error {
	if err := c.validate(); err != nil {
		return err
	}
	limit := c.Timeout
	if limit == 0 {
		limit = commandTime
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %s", limit))
	defer cancel()
	input, err := json.Marshal(r)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Dir, cmd.WaitDelay = c.Dir, killTime
	cmd.Env = slices.Concat(cmd.Environ(), c.Env, environment(r))
	cmd.Stdin = bytes.NewReader(input)
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	killTogether(cmd)
	if err = cmd.Run(); err == nil || ctx.Err() == nil && errors.Is(err, exec.ErrWaitDelay) {
		return nil // something it left running may keep its output open
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return fmt.Errorf("%s: %w%s", c.Args[0], err, out.quoted())
}

func (c Command) validate() error {
	if len(c.Args) == 0 || c.Args[0] == "" {
		return errors.New("a Command without a program: Args[0] is empty")
	}
	if c.Timeout < 0 {
		return fmt.Errorf("%s: Timeout %s is negative", c.Args[0], c.Timeout)
	}
	return nil
}

func environment(r Record) (env []string) {
	for _, v := range [][2]string{{"JOB", r.Job}, {"ACTION", string(r.Action)}, {"OUTCOME", string(r.Outcome)}, {"KIND", string(r.Kind)},
		{"ID", string(r.ID)}, {"ERROR", short(r.Error)}} {
		if v[1] != "" {
			env = append(env, "QUIESCE_"+v[0]+"="+v[1])
		}
	}
	return env
}

// short makes a text fit for an environment, which systems bound.
func short(text string) string {
	text = strings.ReplaceAll(text, "\x00", "")
	return strings.ToValidUTF8(text[:min(len(text), envSize)], "")
}

// envSize is how much of an error goes into the environment; the record on standard input has all of it.
const envSize = 4 << 10

// tailSize is how much of a program's output is kept for an error.
const tailSize = 2 << 10

// tail keeps the end of what is written to it.
type tail struct {
	buf bytes.Buffer
	cut bool
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.buf.Write(p)
	if over := t.buf.Len() - tailSize; over > 0 {
		t.buf.Next(over)
		t.cut = true
	}
	return len(p), nil
}

func (t *tail) quoted() string {
	text := strings.TrimSpace(strings.ToValidUTF8(t.buf.String(), "\uFFFD"))
	if text == "" {
		return ""
	}
	if t.cut {
		text = "..." + text
	}
	return ": " + text
}

var _ Hook = Command{}
