package notes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// Command is the child process in which the Notes C API runs: the program quiesce-notes, or any other that calls Serve on its standard input and output.
type Command struct {
	// Path is the program. Default: quiesce-notes beside the running program, or else in PATH.
	Path string
	// Args come before the arguments that are made of the fields below.
	Args []string
	// Program is Domino's program directory, like /opt/hcl/domino/notes/latest/linux: where the library lies, and what the environment of the child names. Required by quiesce-notes.
	Program string
	// INI is the full path of the server's notes.ini. Default: where Domino itself looks for it.
	INI string
	// Library is the path of the library. Default: libnotes.so, libnotes.dylib or nnotes.dll in Program.
	Library string
	// Env is the environment to which that of Domino is added. Default: that of this process.
	Env []string
	// Dir is the working directory. Default: the folder of INI, or this process's.
	Dir string
	// Grace is how long a call whose context has ended may still be answered, and how long the child may take to end before it is killed. Default: 15 s.
	Grace time.Duration
}

const (
	defaultGrace = 15 * time.Second
	keptWords    = 1 << 10 // of what a child writes to its standard error, this much of the beginning and of the end is kept
)

// Start runs c and returns when Domino is ready in it. ctx is for the start alone: the process stays until Close, so that backups can be ended after a run was cancelled.
//
// The process has a session of its own, so that an interrupt from the keyboard does not hit it, and its standard input ends when this process dies: it then ends what it has begun, and itself.
func Start(ctx context.Context, c Command) (API, error) {
	path, err := c.locate()
	if err != nil {
		return nil, err
	}
	if c.Grace <= 0 {
		c.Grace = defaultGrace
	}
	p, err := c.start(path)
	if err != nil {
		return nil, p.wrap(fmt.Errorf("start: %w", err), "check that it is a program for this system and that its folder and notes.ini's can be entered")
	}
	api, err := newClient(ctx, p, c.Grace)
	if err != nil {
		return nil, p.wrap(err, backup.Hint(err))
	}
	return api, nil
}

// Connect is the parent's side over a connection that is there already, such as one end of a net.Pipe. Closing the API closes it.
func Connect(ctx context.Context, conn io.ReadWriteCloser) (API, error) {
	c, err := newClient(ctx, &pipe{ReadWriteCloser: conn}, defaultGrace)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// pipe is a peer without a process.
type pipe struct{ io.ReadWriteCloser }

func (p *pipe) end(reading error) error {
	p.Close()
	return fmt.Errorf("%w: %w", ErrGone, reading)
}

// process is a child.
type process struct {
	path  string
	in    io.WriteCloser
	out   *io.PipeReader
	said  words
	kill  func()
	stop  context.CancelFunc
	ended chan struct{}

	mu      sync.Mutex
	closing bool  // it is told to end
	status  error // of its end; read it when ended is closed
}

func (c *Command) start(path string) (*process, error) {
	out, write := io.Pipe()
	ctx, stop := context.WithCancel(context.Background())
	p := &process{path: path, out: out, stop: stop, ended: make(chan struct{})}
	cmd := exec.CommandContext(ctx, path, c.arguments()...)
	apart(cmd)
	cmd.Env, cmd.Dir = c.environment(), c.directory()
	cmd.Stdout, cmd.Stderr = write, &p.said
	cmd.WaitDelay = c.Grace
	var err error
	if p.in, err = cmd.StdinPipe(); err != nil {
		stop()
		return p, err
	}
	cmd.Cancel = func() error {
		p.in.Close() // the child takes it as the wish that it end; WaitDelay later it is killed
		return nil
	}
	if err := cmd.Start(); err != nil {
		stop()
		return p, err
	}
	p.kill = func() { _ = cmd.Process.Kill() } // it is waited for in any case
	go func() {
		err := cmd.Wait()
		p.mu.Lock()
		p.status = err
		if cmd.ProcessState.Success() {
			p.status = nil
		}
		p.mu.Unlock()
		write.Close()
		stop()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) Read(b []byte) (int, error)  { return p.out.Read(b) }
func (p *process) Write(b []byte) (int, error) { return p.in.Write(b) }

// end waits for the process, which has no time left when it has written what nobody understands.
func (p *process) end(reading error) error {
	p.out.CloseWithError(io.ErrClosedPipe)
	if errors.Is(reading, errFrame) {
		p.kill()
	}
	p.stop()
	<-p.ended
	p.mu.Lock()
	defer p.mu.Unlock()
	var parts []string
	if !errors.Is(reading, io.EOF) {
		parts = append(parts, reading.Error())
	}
	if p.status != nil {
		parts = append(parts, p.status.Error())
	}
	if said := p.said.String(); said != "" {
		parts = append(parts, fmt.Sprintf("it said: %q", said))
	}
	if len(parts) == 0 {
		parts = append(parts, "it ended by itself")
	}
	err := fmt.Errorf("%w: %s", ErrGone, strings.Join(parts, "; "))
	if strings.Contains(strings.ToLower(err.Error()), "enter passw") { // what came on standard output is quoted by its first bytes only
		return p.wrap(err, "let notes.ini name the ID of the server, and let it have no password: there is nobody to type one")
	}
	return p.wrap(err, "see what it said and the log of the Domino server, then run it again")
}

// Close is idempotent. A process that has ended before it has told so already.
func (p *process) Close() error {
	p.mu.Lock()
	select {
	case <-p.ended:
	default:
		p.closing = true
	}
	p.mu.Unlock()
	p.stop()
	<-p.ended
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing && p.status != nil {
		return p.wrap(fmt.Errorf("it did not end in order: %w", p.status), "see the log of the Domino server; databases may be left in backup")
	}
	return nil
}

// wrap names the program.
func (p *process) wrap(err error, advice string) error {
	var named *backup.Error
	if errors.As(err, &named) {
		return err
	}
	return &backup.Error{Op: "run", App: "domino", Artifact: p.path, Err: err, Advice: advice}
}

// words keeps the beginning and the end of what is written: the cause of a crash is in the one or in the other.
type words struct {
	mu          sync.Mutex
	first, last []byte
	cut         bool
}

func (w *words) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(b)
	fits := min(len(b), keptWords-len(w.first))
	w.first, b = append(w.first, b[:fits]...), b[fits:]
	w.cut = w.cut || len(w.last)+len(b) > keptWords
	w.last = append(w.last, b[max(0, len(b)-keptWords):]...)
	if over := len(w.last) - keptWords; over > 0 {
		w.last = append(w.last[:0], w.last[over:]...)
	}
	return n, nil
}

// String is what is kept, as text.
func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := string(w.first)
	if w.cut {
		s += " [...] "
	}
	return strings.TrimSpace(strings.ToValidUTF8(s+string(w.last), "?"))
}
