package dbserver

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Options adjusts a server. The zero value is a server with the defaults of its vendor, without a binary log.
type Options struct {
	// Installation is the server to start; its zero value means the one Find returns.
	Installation Installation
	// Binlog switches the binary log on: row format, full row images.
	Binlog bool
	// LocalInfile allows LOAD DATA LOCAL. The vendors' defaults differ: on for MariaDB, off for MySQL 8 and later.
	LocalInfile bool
	// Args are further arguments for the server, such as "--max_allowed_packet=64M". They win over ours.
	Args []string
	// Wait bounds the start, default 90 seconds: a busy machine takes ten times as long as an idle one.
	Wait time.Duration
}

// Server is a running private server.
type Server struct {
	in   Installation
	opt  Options
	dir  string
	addr string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// Start creates an empty server and waits until it answers. On error nothing is left behind, and the error holds the end of the server's log.
func Start(ctx context.Context, o *Options) (*Server, error) {
	s := &Server{}
	if o != nil {
		s.opt = *o
	}
	if s.opt.Wait <= 0 {
		s.opt.Wait = 90 * time.Second
	}
	s.in = s.opt.Installation
	if s.in.Server == "" {
		in, err := Find()
		if err != nil {
			return nil, err
		}
		s.in = in
	}
	if err := s.create(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	if err := s.run(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// create makes the directory, initialises the data and picks a port.
func (s *Server) create(ctx context.Context) error {
	// A unix socket's path may be about 100 bytes long, so the directory has a short name in the system's temporary directory.
	dir, err := os.MkdirTemp("", "qdb")
	if err != nil {
		return fmt.Errorf("make a directory for the server: %w", err)
	}
	s.dir = dir
	for _, d := range []string{s.dir, s.path("data"), s.path("tmp")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("make a directory for the server: %w", err)
		}
	}
	if err := s.giveAway(); err != nil {
		return err
	}
	if err := s.install(ctx); err != nil {
		return err
	}
	s.addr, err = freePort()
	return err
}

// install fills the data directory.
func (s *Server) install(ctx context.Context) error {
	args := []string{"--no-defaults", "--datadir=" + s.path("data"), "--tmpdir=" + s.path("tmp")}
	name := s.in.Server
	if s.in.Flavour == MariaDB {
		name = s.in.Install
		args = append(args, "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
	} else {
		args = append(args, "--initialize-insecure")
	}
	cmd := exec.CommandContext(ctx, name, append(args, s.userArgs()...)...)
	cmd.Dir = s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initialise a server with %s: %w\n%s", name, err, tail(out))
	}
	return nil
}

// run starts the process and waits until it answers.
func (s *Server) run(ctx context.Context) error {
	log, err := os.OpenFile(s.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the server's log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(s.in.Server, s.args()...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.in.Server, err)
	}
	done := make(chan struct{})
	s.mu.Lock()
	s.cmd, s.done = cmd, done
	s.mu.Unlock()
	go func() {
		_ = cmd.Wait() // how it ended stands in the log
		close(done)
	}()
	return s.await(ctx, done)
}

func (s *Server) await(ctx context.Context, done <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, s.opt.Wait)
	defer cancel()
	cfg := s.config()
	cfg.Logger = quiet{}
	con, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	db := sql.OpenDB(con)
	defer db.Close()
	for {
		if err = db.PingContext(ctx); err == nil {
			return nil
		}
		select {
		case <-done:
			return fmt.Errorf("%s ended while starting\n%s", s.in.Server, s.Log())
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w: %w\n%s", s.in.Server, ctx.Err(), err, s.Log())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *Server) args() []string {
	host, port, _ := net.SplitHostPort(s.addr)
	a := []string{
		"--no-defaults", "--datadir=" + s.path("data"), "--tmpdir=" + s.path("tmp"), "--socket=" + s.path("sock"),
		"--pid-file=" + s.path("pid"), "--bind-address=" + host, "--port=" + port, "--skip-name-resolve",
		// Nothing here must survive a power cut, so speed is preferred to the disk.
		"--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0",
		"--local-infile=" + strconv.FormatBool(s.opt.LocalInfile), "--server-id=1",
	}
	if s.in.Flavour == MySQL {
		a = append(a, "--mysqlx=OFF")
	}
	switch {
	case s.opt.Binlog:
		a = append(a, "--log-bin="+s.path("data")+"/binlog", "--binlog-format=ROW")
	case s.in.Flavour == MySQL:
		a = append(a, "--skip-log-bin")
	}
	return append(append(a, s.userArgs()...), s.opt.Args...)
}

func (s *Server) config() *mysql.Config {
	c := mysql.NewConfig()
	c.User, c.Net, c.Addr = "root", "unix", s.path("sock")
	return c
}

// DSN is how go-sql-driver/mysql reaches the server: as root, without a password, over the unix socket.
func (s *Server) DSN() string { return s.config().FormatDSN() }

// Addr is the server's loopback address, host:port.
func (s *Server) Addr() string { return s.addr }

// Socket is the path of the server's unix socket.
func (s *Server) Socket() string { return s.path("sock") }

// Installation tells what was started.
func (s *Server) Installation() Installation { return s.in }

// Log returns the end of the server's error log.
func (s *Server) Log() string {
	b, _ := os.ReadFile(s.path("log"))
	return string(tail(b))
}

// Kill ends the process as a crash would. The data stay.
func (s *Server) Kill() {
	s.mu.Lock()
	cmd, done := s.cmd, s.done
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Kill() // it fails only when the process has ended
	<-done
}

// Restart brings the server up again on its data, after Kill or while it runs.
func (s *Server) Restart(ctx context.Context) error {
	s.Kill()
	return s.run(ctx)
}

// Stop ends the process and removes everything. It is idempotent.
func (s *Server) Stop() error {
	// A throw-away server has nothing to save, so it is not asked to shut down in order.
	s.Kill()
	if s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// tail keeps what fits an error message.
func tail(b []byte) []byte {
	const keep = 4000
	if len(b) > keep {
		b = b[len(b)-keep:]
	}
	return bytes.TrimSpace(b)
}

// quiet swallows the driver's complaints about a server that is still starting.
type quiet struct{}

func (quiet) Print(...any) {}
