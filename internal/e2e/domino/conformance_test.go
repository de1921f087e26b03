package domino

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/domino/notes"
)

// foreignDB is in the data directory, and another program backs it up.
const foreignDB = "others/foreign.nsf"

// TestConformance asks the agent every rule of the contract, over the child and the library in C.
func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("the suite starts about a thousand processes; package domino asks the same over the model")
	}
	path, lib := programs(t)
	backuptest.TestSource(t, func() (backuptest.Application, error) { return newSubject(t, path, lib) })
}

// subject is a server for one rule.
type subject struct {
	*lab

	mu        sync.Mutex
	databases []string
	change    int
	past      map[string]bool
}

func newSubject(t *testing.T, path, lib string) (*subject, error) {
	a := &subject{lab: newLab(t, path, lib), databases: []string{"names.nsf", "mail/jdoe.nsf", "mail.box"}, past: map[string]bool{}}
	a.opt.Exclude = []string{"others/*"}
	a.opt.EndTimeout = 5 * time.Second
	a.create(append(a.databases, foreignDB)...)
	return a, a.Mutate(context.Background(), 10)
}

func (a *subject) Source() backup.Source { return a.source() }

func (a *subject) Mutate(_ context.Context, n int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for range n {
		a.change++
		name := a.databases[a.change%len(a.databases)]
		if err := a.sim.Write(name, fmt.Sprintf("document %d", a.change%17), fmt.Sprintf("change %d %s", a.change, strings.Repeat("x", 2000))); err != nil {
			return err
		}
		is, err := a.print()
		if err != nil {
			return err
		}
		a.past[is] = true
	}
	return nil
}

func (a *subject) Fingerprint(context.Context) (string, error) { return a.print() }

// print is a fingerprint of the databases.
func (a *subject) print() (string, error) {
	names, err := a.present()
	if err != nil {
		return "", err
	}
	sum, n := sha256.New(), 0
	for _, name := range names {
		all, err := a.sim.Read(name)
		if err != nil {
			return "", err
		}
		n += len(all)
		fmt.Fprintf(sum, "%s\n", name)
		for _, k := range slices.Sorted(maps.Keys(all)) {
			fmt.Fprintf(sum, "%q=%q\n", k, all[k])
		}
	}
	return fmt.Sprintf("%d entries %x", n, sum.Sum(nil)[:8]), nil
}

// present are the databases that are there, but for the foreign one.
func (a *subject) present() (names []string, err error) {
	data := a.sim.DataDir()
	err = filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if ext := filepath.Ext(path); err != nil || d.IsDir() || ext != ".nsf" && ext != ".box" {
			return err
		}
		rel, err := filepath.Rel(data, path)
		if rel = filepath.ToSlash(rel); rel != foreignDB {
			names = append(names, rel)
		}
		return err
	})
	slices.Sort(names)
	return names, err
}

func (a *subject) Committed(_ context.Context, fingerprint string) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.past[fingerprint], nil
}

func (a *subject) Lose(context.Context) error {
	names, err := a.present()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := a.sim.Delete(name); err != nil {
			return err
		}
	}
	return nil
}

func (a *subject) Quiesced(ctx context.Context) error {
	in, err := a.sim.InBackup()
	if err != nil {
		return err
	}
	for _, at := range in {
		if !strings.HasSuffix(filepath.ToSlash(at), foreignDB) {
			return fmt.Errorf("%s is in backup", at)
		}
	}
	return a.unused(ctx)
}

// Now leaves a tick before and after, in which nothing happens.
func (a *subject) Now(context.Context) (time.Time, error) {
	time.Sleep(2 * tick)
	at := time.Now()
	time.Sleep(2 * tick)
	return at, nil
}

func (a *subject) Truncations(context.Context) (int, error) {
	gone, err := a.gone()
	return len(gone), err
}

func (a *subject) AddItem(context.Context) (string, error) {
	const name = "mail/new.nsf"
	a.create(name)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.databases = append(a.databases, name)
	return name, nil
}

func (a *subject) FailItem(context.Context) (string, func(context.Context) error, error) {
	const name = "mail.box"
	return name, func(context.Context) error { return a.sim.Corrupt(name) }, a.sim.Corrupt(name) // twice is not at all
}

func (a *subject) ResetLog(context.Context) error { return a.sim.RecreateLog() }

func (a *subject) OpenForeign(ctx context.Context) (alive, end func(context.Context) error, err error) {
	p := a.sim.Process()
	t, err := p.Thread(ctx)
	if err != nil {
		return nil, nil, err
	}
	h, err := t.Open(ctx, foreignDB)
	if err != nil {
		return nil, nil, err
	}
	var c notes.BackupContext
	if c, _, err = t.BackupStart(ctx, h); err != nil {
		return nil, nil, err
	}
	alive = func(ctx context.Context) error { return t.BackupHighWater(ctx, h, c, 0) }
	end = func(ctx context.Context) error {
		if err := t.BackupEnd(ctx, h, c, true); err != nil {
			return err
		}
		return p.Close()
	}
	return alive, end, nil
}

func (a *subject) Scratch(context.Context) (string, func(context.Context) error, error) {
	const scratch = "scratch/rehearsal"
	return scratch, func(context.Context) error {
		if _, err := os.Stat(filepath.Join(a.sim.DataDir(), "scratch")); !os.IsNotExist(err) {
			return fmt.Errorf("the scratch directory is there: %w", err)
		}
		return nil
	}, nil
}
