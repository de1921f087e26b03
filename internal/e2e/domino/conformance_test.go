package domino

import (
	"context"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim/crowd"
)

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
	*crowd.Crowd
}

func newSubject(t *testing.T, path, lib string) (*subject, error) {
	a := &subject{lab: newLab(t, path, lib)}
	a.opt.Exclude = []string{crowd.Foreign}
	a.opt.EndTimeout = 5 * time.Second
	var err error
	a.Crowd, err = crowd.New(a.sim)
	return a, err
}

func (a *subject) Source() backup.Source { return a.source() }

func (a *subject) Quiesced(ctx context.Context) error {
	if err := a.Ended(); err != nil {
		return err
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
