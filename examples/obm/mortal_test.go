package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/agent/config"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/examples/obm/cli"
)

// mortality says when the program mortal, which is obm otherwise, kills itself as kill -9 does. The zero mortality is to live.
type mortality struct {
	// Point is a place of the run as the application sees it, and Nth which time it is reached.
	Point string `json:"point,omitempty"`
	Nth   int    `json:"nth,omitempty"`
	// Objects is how many changes of the files below Dir it lives to see.
	Objects int    `json:"objects,omitempty"`
	Dir     string `json:"dir,omitempty"`

	mu sync.Mutex
}

// mortalEnv holds the mortality of a process in JSON.
const mortalEnv = "OBM_TEST_MORTALITY"

// Points of a run.
const (
	pointRecover   = "recover"   // the job is taken, and what a dead run left in the application is about to be ended
	pointRecovered = "recovered" // it is ended
	pointBackup    = "backup"    // the application is about to be asked
	pointDelivered = "delivered" // it has delivered everything; parts are still on their way
	pointCommit    = "commit"    // the manifest is durable, the log is not truncated
	pointCommitted = "committed" // it is; stage and lease are still held
	pointClosed    = "closed"    // the run is over, its record is not written
)

func points() []string {
	return []string{pointRecover, pointRecovered, pointBackup, pointDelivered, pointCommit, pointCommitted, pointClosed}
}

// mortalCommand is obmCommand with an application that is changed by each backup, and a mortality.
func mortalCommand() {
	d := &mortality{}
	if text, ok := os.LookupEnv(mortalEnv); ok {
		if err := json.Unmarshal([]byte(text), d); err != nil {
			panic(err)
		}
	}
	if d.Objects > 0 {
		go d.watch()
	}
	all := applications()
	all["ledger"] = config.App(func(ctx context.Context, s ledgerSettings, to string) (backup.Source, error) {
		src, err := openLedger(ctx, s, to)
		if err != nil || to != "" {
			return src, err
		}
		return &mortalSource{src.(*ledgerSource), d}, nil
	})
	os.Exit(run(&cli.Program{Applications: all, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}, os.Args[1:]))
}

// reach ends the process when this is where it was to die.
func (d *mortality) reach(point string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.Point != point {
		return
	}
	if d.Nth--; d.Nth <= 0 {
		die()
	}
}

// watch ends the process once the files have changed that often.
func (d *mortality) watch() {
	before := filesBelow(d.Dir)
	for ; ; time.Sleep(time.Millisecond) {
		now := filesBelow(d.Dir)
		for name := range now {
			if !before[name] {
				d.Objects--
			}
		}
		for name := range before {
			if !now[name] {
				d.Objects--
			}
		}
		if d.Objects <= 0 {
			die()
		}
		before = now
	}
}

// filesBelow are the files in a tree that may change meanwhile.
func filesBelow(dir string) map[string]bool {
	files := map[string]bool{}
	_ = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			files[path] = true
		}
		return nil // what vanished while we looked is no mistake
	})
	return files
}

// die ends the process as kill -9 does.
func die() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {}
}

type mortalSource struct {
	*ledgerSource
	d *mortality
}

func (s *mortalSource) Recover(ctx context.Context, job string, h backup.History) error {
	s.d.reach(pointRecover)
	defer s.d.reach(pointRecovered)
	return s.ledgerSource.Recover(ctx, job, h)
}

func (s *mortalSource) Backup(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
	s.d.reach(pointBackup)
	if err := s.l.Mutate(2); err != nil {
		return backup.Result{}, err
	}
	res, err := s.ledgerSource.Backup(ctx, r, st)
	s.d.reach(pointDelivered)
	if res.Pending != nil {
		res.Pending = &mortalPending{res.Pending, s.d}
	}
	return res, err
}

func (s *mortalSource) Close() error {
	defer s.d.reach(pointClosed)
	return s.ledgerSource.Close()
}

type mortalPending struct {
	backup.Pending
	d *mortality
}

func (p *mortalPending) Commit(ctx context.Context, m *backup.Manifest) error {
	p.d.reach(pointCommit)
	defer p.d.reach(pointCommitted)
	return p.Pending.Commit(ctx, m)
}
