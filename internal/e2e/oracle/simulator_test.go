package oracle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
	"github.com/quiesce-go/quiesce/oracle"
)

// TestMain makes the test binary the fake sqlplus when it is started by a link of that name with a socket in its environment.
func TestMain(m *testing.M) {
	socket := os.Getenv(oraclesim.SocketVariable)
	if socket == "" {
		os.Exit(m.Run())
	}
	exit, err := oraclesim.Program(context.Background(), socket, os.Args, os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		exit = 1
	}
	os.Exit(exit)
}

// simulated is the simulator, with a folder for everything that is shared.
type simulated struct {
	*oraclesim.Instance
	dir     string
	program string

	mu sync.Mutex
	at time.Time
}

func startSimulator(t *testing.T) *simulated {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	s := &simulated{dir: dir, at: time.Date(2026, 3, 1, 8, 0, 0, 0, time.FixedZone("", 2*3600))}
	s.Instance, err = oraclesim.Create(oraclesim.Config{SID: "FREE", Dir: filepath.Join(dir, "server"), Now: s.tick, PDBs: []string{"FREEPDB1"}, Seed: 11})
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "shared", "scratch"), 0o700))
	s.serve(t)
	return s
}

// serve gives the agent a sqlplus that works on the simulated instance.
func (s *simulated) serve(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ora") // a socket has a short name
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	self, err := os.Executable()
	require.NoError(t, err)
	link, socket := filepath.Join(dir, "sqlplus"), filepath.Join(dir, "s")
	s.program = filepath.Join(dir, "run")
	require.NoError(t, os.Symlink(self, link))
	require.NoError(t, os.WriteFile(s.program, []byte(fmt.Sprintf("#!/bin/sh\n%s='%s' exec '%s' \"$@\"\n", oraclesim.SocketVariable, socket, link)), 0o700)) //nolint:gosec // a program
	ctx, stop := context.WithCancel(context.Background())
	wait, err := s.Listen(ctx, socket)
	require.NoError(t, err)
	t.Cleanup(func() { stop(); wait() })
}

// tick is the server's clock: a second later at every look.
func (s *simulated) tick() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = s.at.Add(time.Second)
	return s.at
}

func (s *simulated) modes() []oracle.Mode { return []oracle.Mode{oracle.ModeLocal, oracle.ModeRemote} }

func (s *simulated) agent(o oracle.Options) (*oracle.Source, error) {
	o.SQLPlus = s.program
	return oracle.FromDB(s.OpenDB(oraclesim.Login{}), &o)
}

func (s *simulated) shared() (local, remote string) {
	dir := filepath.Join(s.dir, "shared")
	return dir, dir
}

func (s *simulated) insert(_ context.Context, texts ...string) error {
	for _, text := range texts {
		if _, err := s.Commit("USERS", text); err != nil {
			return err
		}
	}
	return nil
}

func (s *simulated) contents(context.Context) (texts []string, err error) {
	all, err := s.Contents()
	for _, r := range all {
		texts = append(texts, r.Text)
	}
	return texts, err
}

func (s *simulated) now(context.Context) (time.Time, error) { return s.tick(), nil }

func (s *simulated) position(context.Context) (backup.Position, error) {
	return oracle.SCN(s.SCN() + 1).Position(), nil
}

func (s *simulated) query(ctx context.Context, q string) (out []string, err error) {
	db := s.OpenDB(oraclesim.Login{})
	defer db.Close()
	rows, err := db.QueryContext(ctx, q)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		out = append(out, text)
	}
	return out, rows.Err()
}

func (s *simulated) sqlplus(ctx context.Context, script string) (string, error) {
	res := s.RunProgram(ctx, oraclesim.Call{Args: []string{"sqlplus", "/ as sysdba"}, Input: script})
	if res.Exit != 0 {
		return res.Output, fmt.Errorf("sqlplus ended with status %d: %s", res.Exit, res.Output)
	}
	return res.Output, nil
}

func (s *simulated) exists(_ context.Context, path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (s *simulated) remove(_ context.Context, path string) error { return os.RemoveAll(path) }

func (s *simulated) lose(ctx context.Context) error { return lose(ctx, s) }
