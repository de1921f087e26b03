package exchange

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/internal/proctree"
)

// program is one of Windows or Exchange that this agent starts. There is no shell between: arguments reach it as they are.
type program struct {
	path string
	args []string
	dir  string   // where it runs; empty means the directory of this process
	env  []string // NAME=value, added to the environment of this process
	max  int      // how many bytes of its output are kept, the last ones; 0 means 64 KiB
}

// outputSize is how much is kept of what a program prints for people, outputWait what its output may take once it was killed.
const (
	outputSize = 64 << 10
	outputWait = 5 * time.Second
)

// ended is what a program left.
type ended struct {
	code   int
	output string // both of its streams, as they came
	cut    bool   // the output was longer
}

// run starts a program and waits for its end, which with any exit code is no error. A cancelled context kills it and what it started.
func (p program) run(ctx context.Context) (ended, error) {
	if ctx.Err() != nil {
		return ended{}, context.Cause(ctx)
	}
	r, err := p.start(ctx)
	if err != nil {
		return ended{}, err
	}
	<-r.done
	return r.result()
}

// process is a program that runs.
type process struct {
	name string
	ctx  context.Context // what kills it; kept to tell that from an end of its own
	done chan struct{}   // closed when it has ended
	out  lastBytes
	err  error
	cmd  *exec.Cmd
}

// start starts a program. It ends with ctx at the latest.
func (p program) start(ctx context.Context) (*process, error) {
	cmd := exec.CommandContext(ctx, p.path, p.args...)
	cmd.Dir, cmd.WaitDelay = p.dir, outputWait
	cmd.Env = append(cmd.Environ(), p.env...)
	r := &process{name: p.path, ctx: ctx, done: make(chan struct{}), cmd: cmd, out: lastBytes{max: p.max}}
	if r.out.max == 0 {
		r.out.max = outputSize
	}
	cmd.Stdout, cmd.Stderr = &r.out, &r.out
	release, err := proctree.Start(cmd)
	if err != nil {
		return nil, err
	}
	go func() {
		r.err = cmd.Wait()
		release()
		close(r.done)
	}()
	return r, nil
}

// result is how it ended, once done is closed.
func (r *process) result() (ended, error) {
	e := ended{code: r.cmd.ProcessState.ExitCode(), output: r.out.text(), cut: r.out.cut}
	var exit *exec.ExitError
	switch {
	case r.err != nil && r.ctx.Err() != nil:
		return e, fmt.Errorf("%s was ended: %w", r.name, context.Cause(r.ctx))
	case r.err == nil, errors.As(r.err, &exit), errors.Is(r.err, exec.ErrWaitDelay): // something it left running may keep its output open
		return e, nil
	}
	return e, r.err
}

// said is what a program printed, for the end of an error: at most its last lines.
func (e ended) said() string {
	const most = 2000
	text := strings.TrimSpace(e.output)
	if text == "" {
		return "it printed nothing"
	}
	if len(text) > most {
		text = "..." + strings.ToValidUTF8(text[len(text)-most:], "")
	}
	return text
}

// lastBytes keeps the end of what is written to it.

type lastBytes struct {
	max int
	buf bytes.Buffer
	cut bool
}

// Write implements io.Writer.
func (l *lastBytes) Write(p []byte) (int, error) {
	l.buf.Write(p)
	if over := l.buf.Len() - l.max; over > 0 {
		l.buf.Next(over)
		l.cut = true
	}
	return len(p), nil
}

func (l *lastBytes) text() string { return strings.ToValidUTF8(l.buf.String(), "\uFFFD") }

// systemProgram is the path of a program of Windows. A 32-bit process finds the 64-bit one, which alone may exist, under the name Sysnative ("File System Redirector" of the Windows documentation).
func systemProgram(name string, below ...string) string {
	root := os.Getenv("SystemRoot")
	if runtime.GOOS != "windows" || root == "" {
		return name
	}
	for _, dir := range []string{"Sysnative", "System32"} {
		path := filepath.Join(append(append([]string{root, dir}, below...), name)...)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return name
}
