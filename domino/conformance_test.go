package domino

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim/crowd"
)

// conformant is a lab for the conformance suite.
type conformant struct {
	*lab
	*crowd.Crowd

	mu   sync.Mutex
	done int
}

func newConformant(t *testing.T) (*conformant, error) {
	a := &conformant{lab: newLab(t)}
	a.opt.Exclude = []string{crowd.Foreign}
	if err := a.sim.SetIni("DAOSBasePath", "DAOS"); err != nil {
		return nil, err
	}
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
	var err error
	a.Crowd, err = crowd.New(a.sim)
	return a, err
}

func (a *conformant) Source() backup.Source { return a.source() }

func (a *conformant) Lose(ctx context.Context) error {
	if err := a.Crowd.Lose(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(a.sim.DataDir(), "DAOS")); err != nil {
		return err
	}
	_ = os.Remove(filepath.Join(a.sim.DataDir(), "server.id"))
	return os.MkdirAll(filepath.Join(a.sim.DataDir(), "DAOS"), 0o700)
}

func (a *conformant) Quiesced(ctx context.Context) error {
	if err := a.Ended(); err != nil {
		return err
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

func TestConformance(t *testing.T) {
	t.Parallel()
	backuptest.TestSource(t, func() (backuptest.Application, error) { return newConformant(t) })
}
