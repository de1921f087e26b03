package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/agent/config"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/examples/obm/cli"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"obm": obmCommand, "ledger": ledgerCommand, "mortal": mortalCommand})
}

// TestScripts runs testdata/script: each file is a session at the shell, with the program as a process of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition:           condition,
		Setup: func(env *testscript.Env) error {
			env.Setenv("TZ", "UTC")
			env.Setenv("HOME", env.WorkDir)
			env.Values[sqlServers{}] = map[string]*sqlServer{}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"code": runCode, "await": await, "mariadb": mariadb, "sql": runSQL, "freeport": freePort, "setmatch": setMatch, "expand": expand, "get": get, "hangup": hangUp, "untilfree": untilFree, "spoil": spoil,
			"sqlserver": startSQLServer, "server": serverDo, "flip": flip, "ese": eseFile,
		},
	})
}

// obmCommand is the program as main builds it, with one application and, by OBM_TEST_CLOCK, a clock more.
func obmCommand() {
	all := applications()
	all["ledger"] = config.App(openLedger)
	all["mute"] = config.App(openMute)
	p := &cli.Program{Applications: all, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	if s := os.Getenv("OBM_TEST_CLOCK"); s != "" {
		p.Clock = newFastClock(s)
	}
	os.Exit(run(p, os.Args[1:]))
}

// ledgerSettings are the section of a job whose application is the reference application of backuptest, kept in a directory.
type ledgerSettings struct {
	Dir string `yaml:"dir" config:"required"`
}

// openLedger makes its source. Files in the directory make it behave: "hang" holds backups up until it is removed, "fail-<database>" makes that database fail.
//
// The application lives in the process that opens it, and two of them would write over each other. So it is opened by the first call that needs it: the pipeline
// makes those under the job's lease.
func openLedger(_ context.Context, s ledgerSettings, to string) (backup.Source, error) {
	if to == "" {
		to = s.Dir
	}
	return &ledgerSource{dir: to, stored: backuptest.NewLedger(nil).Source(nil)}, nil
}

type ledgerSource struct {
	dir    string
	stored *backuptest.LedgerSource // for what needs stored backups only
	l      *backuptest.Ledger       // once opened
	*backuptest.LedgerSource
}

func (s *ledgerSource) open() error {
	if s.l != nil {
		return nil
	}
	l, err := backuptest.OpenLedger(s.dir, nil)
	if err != nil {
		return err
	}
	for db := range l.Current() {
		if _, err := os.Stat(filepath.Join(s.dir, "fail-"+db)); err == nil {
			l.FailDatabase(db, errors.New("this database is broken"))
		}
	}
	s.l, s.LedgerSource = l, l.Source(nil)
	return nil
}

func (s *ledgerSource) Close() error {
	if s.l == nil {
		return nil
	}
	return s.l.Close()
}

func (s *ledgerSource) Describe() backup.Description { return s.stored.Describe() }

func (s *ledgerSource) Check(ctx context.Context, dir backup.StageDir) []backup.Finding {
	if err := s.open(); err != nil {
		return []backup.Finding{{What: "the application is there", Err: err}}
	}
	return s.LedgerSource.Check(ctx, dir)
}

func (s *ledgerSource) Estimate(ctx context.Context, r backup.Request) (int64, error) {
	if err := s.open(); err != nil {
		return 0, err
	}
	return s.LedgerSource.Estimate(ctx, r)
}

func (s *ledgerSource) Recover(ctx context.Context, job string, h backup.History) error {
	if err := s.open(); err != nil {
		return err
	}
	return s.LedgerSource.Recover(ctx, job, h)
}

func (s *ledgerSource) Restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	if err := s.open(); err != nil {
		return err
	}
	return s.LedgerSource.Restore(ctx, r, set)
}

// Script implements backup.Scripter: each line applies a file of the plan, in the directory of the option files.
func (s *ledgerSource) Script(_ context.Context, r backup.RestoreRequest, set *backup.RestoreSet, w io.Writer) error {
	for _, step := range set.Steps() {
		for _, e := range step.Entries {
			if _, err := fmt.Fprintf(w, "apply %s of %s from %s\n", step.Item.Kind, step.Item.Name, path.Join(r.Options["files"], step.Path(e))); err != nil {
				return err
			}
		}
	}
	return nil
}

// openMute is the application with an agent that can do no more than back up.
func openMute(ctx context.Context, s ledgerSettings, to string) (backup.Source, error) {
	src, err := openLedger(ctx, s, to)
	return struct{ backup.Source }{src}, err
}

func (s *ledgerSource) Locate(ctx context.Context, h backup.History, item, where string) (backup.Target, error) {
	return s.stored.Locate(ctx, h, item, where)
}

func (s *ledgerSource) Verify(ctx context.Context, set *backup.RestoreSet) error {
	return s.stored.Verify(ctx, set)
}

func (s *ledgerSource) Rehearse(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet, scratch string) error {
	return s.stored.Rehearse(ctx, r, set, scratch)
}

func (s *ledgerSource) Backup(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
	if err := s.open(); err != nil {
		return backup.Result{}, err
	}
	for {
		if _, err := os.Stat(filepath.Join(s.dir, "hang")); err != nil {
			return s.LedgerSource.Backup(ctx, r, st)
		}
		if err := os.WriteFile(filepath.Join(s.dir, "hanging"), nil, 0o600); err != nil {
			return backup.Result{}, err
		}
		select {
		case <-ctx.Done():
			return backup.Result{}, context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ledgerCommand is the application as its users see it.
//
//	ledger make DIR          a new one
//	ledger mutate DIR N      commit N transfers
//	ledger show DIR          print a fingerprint of the state
//	ledger at DIR TIME       the same of the state at that time
//	ledger now DIR           print its clock
//	ledger lose DIR          destroy everything
func ledgerCommand() {
	if err := ledger(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "ledger:", err)
		os.Exit(1)
	}
}

func ledger(args []string) (err error) {
	if len(args) < 2 {
		return errors.New("want a verb and a directory")
	}
	if err := os.MkdirAll(args[1], 0o700); err != nil {
		return err
	}
	l, err := backuptest.OpenLedger(args[1], nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	switch args[0] {
	case "make":
	case "mutate":
		n, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		return l.Mutate(n)
	case "show":
		fmt.Println(l.Current().Fingerprint())
	case "at":
		t, err := time.Parse(time.RFC3339Nano, args[2])
		if err != nil {
			return err
		}
		fmt.Println(l.At(t).Fingerprint())
	case "now":
		fmt.Println(l.Now().UTC().Format(time.RFC3339Nano))
	case "lose":
		return l.Lose()
	default:
		return fmt.Errorf("no verb %q", args[0])
	}
	return nil
}

// fastClock runs some times faster than the machine's, from a moment of its own.
type fastClock struct {
	from, began time.Time
	factor      float64
}

// newFastClock reads "2026-11-22T00:00:00Z,3600": a second is an hour.
func newFastClock(s string) fastClock {
	var c fastClock
	for i, b := range []byte(s) {
		if b == ',' {
			from, err := time.Parse(time.RFC3339, s[:i])
			factor, ferr := strconv.ParseFloat(s[i+1:], 64)
			if err != nil || ferr != nil {
				panic("OBM_TEST_CLOCK: " + s)
			}
			c = fastClock{from: from, began: time.Now(), factor: factor}
		}
	}
	return c
}

func (c fastClock) Now() time.Time {
	return c.from.Add(time.Duration(float64(time.Since(c.began)) * c.factor))
}

func (c fastClock) real(d time.Duration) time.Duration { return time.Duration(float64(d) / c.factor) }

func (c fastClock) NewTimer(d time.Duration) agent.Timer {
	return fastTimer{time.NewTimer(c.real(d)), c}
}

type fastTimer struct {
	*time.Timer
	c fastClock
}

func (t fastTimer) C() <-chan time.Time        { return t.Timer.C }
func (t fastTimer) Reset(d time.Duration) bool { return t.Timer.Reset(t.c.real(d)) }
