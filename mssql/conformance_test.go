package mssql

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// conformant is a lab for the conformance suite: two databases in the full recovery model, staged where the suite wants it.
type conformant struct {
	*lab
	names   []string
	sources []*Source

	mu     sync.Mutex
	change int
	past   map[string]bool
}

func newConformant(o Options, change ...func(*mssqlsim.Config)) (*conformant, error) {
	a := &conformant{lab: &lab{clock: &labClock{at: time.Date(2026, 3, 1, 8, 0, 0, 0, time.FixedZone("", 2*3600))}}, names: []string{"shop", "bank"}, past: map[string]bool{}}
	a.lab.change = func(c *mssqlsim.Config) {
		for _, f := range change {
			f(c)
		}
	}
	// The server sees the folders of this machine under their own names.
	if err := a.start(map[string]string{os.TempDir(): os.TempDir()}); err != nil {
		return nil, err
	}
	for _, name := range a.names {
		if err := a.sim.CreateDatabase(name, mssqlsim.Full); err != nil {
			return nil, err
		}
		if err := a.sim.Fill(name, 300<<10); err != nil {
			return nil, err
		}
		for i := range 40 {
			if err := a.sim.Insert(name, fmt.Sprintf("%d %s", i, strings.Repeat(name, 400))); err != nil {
				return nil, err
			}
		}
	}
	o.Include = a.names
	a.opt = o
	return a, a.remember(context.Background())
}

func (a *conformant) Source() backup.Source {
	src, err := a.source()
	if err != nil {
		panic(err)
	}
	a.sources = append(a.sources, src)
	return src
}

func (a *conformant) remember(ctx context.Context) error {
	fp, err := a.Fingerprint(ctx)
	for part := range strings.SplitSeq(fp, ";") {
		a.past[part] = true
	}
	return err
}

func (a *conformant) Mutate(ctx context.Context, n int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for range n {
		a.change++
		for _, name := range a.names {
			if err := a.sim.Insert(name, fmt.Sprintf("change %d", a.change)); err != nil {
				return err
			}
		}
		if err := a.remember(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (a *conformant) Fingerprint(context.Context) (string, error) {
	fp := ""
	for _, name := range a.names {
		records, err := a.sim.Contents(name)
		if err != nil {
			return "", err
		}
		fp += fmt.Sprintf("%s: %d, %.40s;", name, len(records), records[len(records)-1])
	}
	return fp, nil
}

func (a *conformant) Lose(context.Context) error {
	for _, name := range a.names {
		a.sim.DropDatabase(name)
	}
	return nil
}

// Quiesced looks for what a backup or restore leaves: a database that is not open to all.
func (a *conformant) Quiesced(ctx context.Context) error {
	src, err := a.source()
	if err != nil {
		return err
	}
	defer src.Close()
	c, err := src.open(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	h := &host{}
	if err := c.hostOfDatabases(ctx, h); err != nil {
		return err
	}
	for _, d := range h.databases {
		if d.state != "ONLINE" || d.access != multiUser {
			return fmt.Errorf("database %s is %s, %s", d.name, d.state, d.access)
		}
	}
	running, err := c.query(ctx, "SELECT command FROM sys.dm_exec_requests WHERE command = 'BACKUP DATABASE'")
	if err == nil && len(running) > 0 {
		err = fmt.Errorf("%d backups are running", len(running))
	}
	return err
}

func (a *conformant) Now(context.Context) (time.Time, error) { return a.clock.now(), nil }

func (a *conformant) Positions(context.Context) (map[string]backup.Position, error) {
	out := map[string]backup.Position{}
	for _, name := range a.names {
		next, err := a.sim.Next(name)
		if err != nil {
			return nil, err
		}
		lsn, err := mtf.ParseLSN(next.String())
		if err != nil {
			return nil, err
		}
		out[name] = positionOf(lsn)
	}
	return out, nil
}

// AtTruncation tells when BACKUP LOG has given the log up.
func (a *conformant) AtTruncation(fn func()) {
	a.heard.mu.Lock()
	defer a.heard.mu.Unlock()
	a.heard.truncated = fn
}

func (a *conformant) Secret() string { return labSecret }

func (a *conformant) Committed(_ context.Context, fp string) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for part := range strings.SplitSeq(fp, ";") { // each database is consistent in itself, as at a moment of its own
		if !a.past[part] {
			return false, nil
		}
	}
	return true, nil
}

func (a *conformant) AddItem(context.Context) (string, error) {
	name := fmt.Sprintf("extra%d", len(a.names))
	if err := a.sim.CreateDatabase(name, mssqlsim.Full); err != nil {
		return "", err
	}
	a.names = append(slices.Clone(a.names), name)
	a.opt.Include = a.names
	return name, a.sim.Insert(name, "first")
}

func (a *conformant) Close() error {
	for _, src := range append(a.sources, a.src) {
		_ = src.Close()
	}
	return nil
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"compressed, verified by the server": {}, "plain, in stripes": {Compression: CompressionOff, Stripes: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && o.Compression != CompressionOff {
				t.Skip("the simulator's compression takes minutes under the race detector")
			}
			backuptest.TestSource(t, func() (backuptest.Application, error) { return newConformant(o) })
		})
	}
}

// FailItem makes the server refuse backups of one database.
func (a *conformant) FailItem(context.Context) (string, func(context.Context) error, error) {
	a.heard.refuseNow(func(q string) bool {
		return strings.HasPrefix(q, "BACKUP") && strings.Contains(q, " ["+a.names[0]+"] ")
	})
	return a.names[0], func(context.Context) error { a.heard.refuseNow(nil); return nil }, nil
}

// OpenForeign opens a session of somebody else.
func (a *conformant) OpenForeign(ctx context.Context) (alive, end func(context.Context) error, err error) {
	src, err := a.source()
	if err != nil {
		return nil, nil, err
	}
	c, err := src.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	alive = func(ctx context.Context) error { _, err := c.now(ctx); return err }
	end = func(context.Context) error { c.close(); return src.Close() }
	return alive, end, nil
}
