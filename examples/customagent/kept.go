package main

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/agent/config"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/examples/customagent/keeper"
	"github.com/quiesce-go/quiesce/examples/customagent/sqlite"
)

// settings are the section sqlite of a job.
type settings struct {
	Path       config.Path     `yaml:"path" config:"required"`
	Every      config.Duration `yaml:"every,omitempty"`
	Resolution config.Duration `yaml:"resolution,omitempty"`
}

// kept are the databases that this process keeps the log of, from their first use on: a log cannot be kept by the run that wants it.
type kept struct {
	start func(*keeper.Keeper)
	stop  func()

	mu     sync.Mutex
	byPath map[string]*keeper.Keeper
}

// newKept keeps until ctx ends or close is called.
func newKept(ctx context.Context) *kept {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	return &kept{
		start:  func(k *keeper.Keeper) { wg.Go(func() { k.Keep(ctx) }) },
		stop:   func() { cancel(); wg.Wait() },
		byPath: make(map[string]*keeper.Keeper),
	}
}

// open makes the source of a job, or of another path to restore to. It is called for every action; the keepers stay.
func (k *kept) open(ctx context.Context, s settings, to string) (backup.Source, error) {
	path, err := filepath.Abs(string(s.Path))
	if to != "" {
		path, err = filepath.Abs(to)
	}
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byPath[path] == nil {
		one, err := keeper.New(path, &keeper.Options{Every: time.Duration(s.Every)})
		if err != nil {
			return nil, err
		}
		k.byPath[path] = one
		if to == "" {
			_ = one.Hold(ctx) // a backup tells the error itself; a restore does not mind it
			k.start(one)
		}
	}
	return sqlite.New(k.byPath[path], &sqlite.Options{Resolution: time.Duration(s.Resolution)}), nil
}

// close ends them all.
func (k *kept) close() {
	k.stop()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, one := range k.byPath {
		_ = one.Close() // nothing is in use any more
	}
}
