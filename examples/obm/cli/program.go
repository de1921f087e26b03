package cli

import (
	"context"
	"io"
	"os"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/agent/config"
	"github.com/quiesce-go/quiesce/sink"
)

// Program is a backup manager with the applications that are linked into it. Applications is required; the zero value of all else works.
// A Program is used by one Run at a time.
type Program struct {
	// Name is what the program calls itself. Default "obm". In capitals, with _CONFIG appended, it is the environment variable that names the
	// configuration file.
	Name string
	// Version is what the command version prints. Default: the version of the module that was built.
	Version string
	// Applications are what a job can back up, by the name used in the configuration.
	Applications config.Registry
	// Inspectors recognise files for the command inspect, before those of this package.
	Inspectors []Inspector
	// Sink tunes the target, such as by s3.Tune.
	Sink *sink.Options

	// Stdin is read for answers. A nil reader has none.
	Stdin io.Reader
	// Stdout takes results, Stderr progress, logs and errors. Nil discards.
	Stdout, Stderr io.Writer
	// Clock nil means the machine's.
	Clock agent.Clock
	// LookupEnv finds environment variables. Nil means os.LookupEnv.
	LookupEnv func(string) (string, bool)

	mu     sync.Mutex
	reload func()
}

// Run is the program without the process around it: it does what args, without the program's name, ask for and returns the exit code. When ctx ends, what
// is under way is cancelled and cleaned up.
func (p *Program) Run(ctx context.Context, args []string) int {
	in := &invocation{Program: p}
	root := in.root()
	root.SetArgs(args)
	root.SetIn(p.stdin())
	root.SetOut(p.stdout())
	root.SetErr(p.stderr())
	err := root.ExecuteContext(ctx)
	if err != nil && !in.began {
		err = usage(err)
	}
	if err != nil {
		p.report(p.stderr(), err)
	}
	return exitCode(err)
}

// Reload makes the command run read its configuration again, as on SIGHUP, and reports whether that command is under way. It returns at once.
func (p *Program) Reload() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reload == nil {
		return false
	}
	p.reload()
	return true
}

// onReload sets what Reload does; nil means that nothing can be reloaded.
func (p *Program) onReload(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reload = f
}

func (p *Program) name() string {
	if p.Name == "" {
		return "obm"
	}
	return p.Name
}

func (p *Program) stdin() io.Reader {
	if p.Stdin == nil {
		return eof{}
	}
	return p.Stdin
}

// eof is an input at its end.
type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

func (p *Program) stdout() io.Writer { return orDiscard(p.Stdout) }
func (p *Program) stderr() io.Writer { return orDiscard(p.Stderr) }

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

func (p *Program) now() time.Time {
	if p.Clock == nil {
		return time.Now()
	}
	return p.Clock.Now()
}

func (p *Program) env(key string) (string, bool) {
	if p.LookupEnv == nil {
		return os.LookupEnv(key)
	}
	return p.LookupEnv(key)
}
