package domino

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
)

// foreignDB is in the data directory, and another program backs it up.
const foreignDB = "others/foreign.nsf"

// conformant is a lab for the conformance suite.
type conformant struct {
	*lab
	databases []string

	mu     sync.Mutex
	change int
	past   map[string]bool
	done   int
}

func newConformant(t *testing.T) (*conformant, error) {
	a := &conformant{lab: newLab(t), databases: []string{"names.nsf", "mail/jdoe.nsf", "mail.box"}, past: map[string]bool{}}
	a.opt.Exclude = []string{"others/*"}
	if err := a.sim.SetIni("DAOSBasePath", "DAOS"); err != nil {
		return nil, err
	}
	a.create(append(a.databases, foreignDB)...)
	a.file("server.id", "an id")
	a.file("DAOS/0001/A1B2.nlo", strings.Repeat("attachment ", 500))
	a.sim.SetFault(func(_ context.Context, c dominosim.Call) error {
		if c.Name == "NSFDoneArchivingLog" && c.After {
			a.mu.Lock()
			a.done++
			a.mu.Unlock()
		}
		return nil
	})
	return a, a.Mutate(t.Context(), 10)
}

func (a *conformant) Source() backup.Source { return a.source() }

func (a *conformant) Mutate(_ context.Context, n int) error {
	a.mu.Lock()
	change := a.change
	a.change += n
	names := a.databases
	a.mu.Unlock()
	for i := range n {
		change++
		key := fmt.Sprintf("document %d", change%17)
		if err := a.sim.Write(names[i%len(names)], key, fmt.Sprintf("change %d %s", change, strings.Repeat("x", 2000))); err != nil {
			return err
		}
		// Others may write in between, but not this harness: the suite mutates from one goroutine at a time.
		is, err := a.Fingerprint(context.Background())
		if err != nil {
			return err
		}
		a.mu.Lock()
		a.past[is] = true
		a.mu.Unlock()
	}
	return nil
}

func (a *conformant) Fingerprint(context.Context) (string, error) {
	return a.print(func(name string) bool { return name == foreignDB })
}

func (a *conformant) Committed(_ context.Context, fingerprint string) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.past[fingerprint], nil
}

func (a *conformant) Lose(context.Context) error {
	for _, name := range a.databasesOf() {
		if name == foreignDB {
			continue
		}
		if err := a.sim.Delete(name); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(filepath.Join(a.sim.DataDir(), "DAOS")); err != nil {
		return err
	}
	_ = os.Remove(filepath.Join(a.sim.DataDir(), "server.id"))
	return os.MkdirAll(filepath.Join(a.sim.DataDir(), "DAOS"), 0o700)
}

func (a *conformant) Quiesced(ctx context.Context) error {
	in, err := a.sim.InBackup()
	if err != nil {
		return err
	}
	for _, at := range in {
		if !strings.HasSuffix(filepath.ToSlash(at), foreignDB) {
			return fmt.Errorf("%s is in backup", at)
		}
	}
	if off, err := a.sim.Offline(); err != nil || len(off) > 0 {
		return fmt.Errorf("offline: %v %w", off, err)
	}
	p := a.sim.Process()
	defer p.Close()
	t, err := p.Thread(ctx)
	if err != nil {
		return err
	}
	if err := t.ArchivingBegin(ctx); err != nil {
		return fmt.Errorf("the log is being archived: %w", err)
	}
	if err := t.ArchivingEnd(ctx); err != nil {
		return err
	}
	if left, err := filepath.Glob(filepath.Join(a.opt.StateDir, "*.inbackup*")); err != nil || len(left) > 0 {
		return fmt.Errorf("a note of what is in backup is left: %v %w", left, err)
	}
	return a.leavings()
}

func (a *conformant) Now(context.Context) (time.Time, error) {
	at := a.clock.pass(time.Second)
	a.clock.pass(time.Second)
	return at, nil
}

func (a *conformant) Truncations(context.Context) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.done, nil
}

func (a *conformant) AddItem(context.Context) (string, error) {
	const name = "mail/new.nsf"
	a.create(name)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.databases = append(a.databases, name)
	return name, nil
}

func (a *conformant) FailItem(context.Context) (string, func(context.Context) error, error) {
	const name = "mail.box"
	return name, func(context.Context) error { return a.sim.Corrupt(name) }, a.sim.Corrupt(name) // twice is not at all
}

func (a *conformant) ResetLog(context.Context) error { return a.sim.RecreateLog() }

func (a *conformant) OpenForeign(ctx context.Context) (alive, end func(context.Context) error, err error) {
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

func (a *conformant) Scratch(context.Context) (string, func(context.Context) error, error) {
	const scratch = "scratch/rehearsal"
	return scratch, func(context.Context) error {
		if _, err := os.Stat(filepath.Join(a.sim.DataDir(), path.Dir(scratch))); !os.IsNotExist(err) {
			return fmt.Errorf("the scratch directory is there: %w", err)
		}
		return nil
	}, nil
}

func TestConformance(t *testing.T) {
	t.Parallel()
	backuptest.TestSource(t, func() (backuptest.Application, error) { return newConformant(t) })
}
