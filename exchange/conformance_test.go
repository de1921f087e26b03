package exchange_test

import (
	"context"
	"errors"
	"fmt"
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
	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim"
)

// foreignGroup is on the server, and another program backs it up.
const foreignGroup = "Foreign"

// laterDatabase is not mounted at first.
const laterDatabase = "Later/Later"

// conformant is a lab for the conformance suite.
type conformant struct {
	*lab
	mu     sync.Mutex
	change int
	past   map[string]bool
	// later: the group that is added was.
	later       bool
	truncations int
	// foreign is what another program has open.
	foreign func() exchangesim.Open
}

func newConformant(t *testing.T, s server) (*conformant, error) {
	l := newLab(t, s.version, func(c *exchangesim.Config) {
		c.Groups = append(c.Groups, exchangesim.Group{Name: foreignGroup, Databases: []exchangesim.Database{{Name: foreignGroup}}},
			exchangesim.Group{Name: "Later", Databases: []exchangesim.Database{{Name: "Later", Unmounted: true}}})
	})
	l.opt.Way = s.way
	l.opt.Exclude = []string{foreignGroup}
	a := &conformant{lab: l, past: map[string]bool{}}
	l.sim.SetFault(func(c exchangesim.Call) error {
		if c.After && (c.Name == "Session.TruncateLogs" || c.Name == "Shadow.Complete") {
			a.mu.Lock()
			a.truncations++
			a.mu.Unlock()
		}
		return nil
	})
	return a, a.Mutate(t.Context(), 10)
}

func (a *conformant) Source() backup.Source { return operated{a.source()} }

// operated is an agent whose operator lets a restore dismount the databases that it was allowed to overwrite: Exchange restores no database that is mounted, and the agent dismounts none unasked.
type operated struct{ *exchange.Source }

func (o operated) Restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	if r.Overwrite {
		r.Options = maps.Clone(r.Options)
		if r.Options == nil {
			r.Options = map[string]string{}
		}
		r.Options["dismount"] = "true"
	}
	return o.Source.Restore(ctx, r, set)
}

// Mutate writes to all databases. A restore to a time goes log by log, and a log backup by way vss holds closed logs only, so the logs are closed at the end.
func (a *conformant) Mutate(_ context.Context, n int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range a.own() {
		if err := a.mounted(d); err != nil {
			return err
		}
	}
	for i := range n {
		a.change++
		a.clock.pass(time.Second)
		names := a.own()
		if err := a.sim.Write(names[i%len(names)], fmt.Sprintf("message %d", a.change%17), fmt.Sprintf("change %d %s", a.change, strings.Repeat("x", 1500))); err != nil {
			return err
		}
		is, err := a.print(a.own())
		if err != nil {
			return err
		}
		a.past[is] = true
	}
	a.rotate()
	return nil
}

// mounted mounts a database that a restore has left to people.
func (a *conformant) mounted(d string) error {
	c := a.sim.Client()
	defer c.Kill()
	l, err := c.Tools().Management.Layout(context.Background())
	for _, g := range l.Groups {
		for _, db := range g.Databases {
			if g.Name+"/"+db.Name == d && !db.Mounted {
				return a.sim.Mount(d)
			}
		}
	}
	return err
}

// own are the databases that are backed up.
func (a *conformant) own() (names []string) {
	for _, d := range a.databases {
		if !strings.HasPrefix(d, foreignGroup+"/") && (a.later || d != laterDatabase) {
			names = append(names, d)
		}
	}
	return names
}

func (a *conformant) Fingerprint(context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.print(a.own())
}

func (a *conformant) Committed(_ context.Context, fingerprint string) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.past[fingerprint], nil
}

// Lose dismounts the databases and deletes their files and logs.
func (a *conformant) Lose(context.Context) error { return a.lost(a.own()) }

func (a *conformant) Quiesced(context.Context) error {
	open := a.sim.Open()
	if a.foreign != nil {
		f := a.foreign()
		open.Sessions, open.InBackup, open.Shadows = open.Sessions-f.Sessions, open.InBackup-f.InBackup, open.Shadows-f.Shadows
	}
	if open != (exchangesim.Open{}) {
		return fmt.Errorf("open: %+v", open)
	}
	return a.stateLeft()
}

func (a *conformant) Now(context.Context) (time.Time, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clock.pass(time.Second)
	for _, g := range a.groups() {
		_ = a.sim.Rotate(g) // of a group that is not mounted there is none
	}
	return a.clock.pass(time.Second), nil // when the engine writes times to the second, a log is over for certain at the end of it
}

// Positions are those of logs that have just begun: a restore goes log by log.
func (a *conformant) Positions(context.Context) (map[string]backup.Position, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rotate()
	out := map[string]backup.Position{}
	for _, d := range a.own() {
		g, _, _ := strings.Cut(d, "/")
		n, err := a.sim.Generation(g)
		if err != nil {
			return nil, err
		}
		out[g] = backup.Position(fmt.Sprintf("%010d", n))
	}
	return out, nil
}

func (a *conformant) Truncations(context.Context) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.truncations, nil
}

func (a *conformant) AddItem(context.Context) (string, error) {
	if err := a.sim.Mount(laterDatabase); err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.later = true
	g, _, _ := strings.Cut(laterDatabase, "/")
	return g, nil
}

func (a *conformant) FailItem(context.Context) (string, func(context.Context) error, error) {
	d := a.own()[0]
	if err := a.sim.Flush(d); err != nil {
		return "", nil, err
	}
	g, _, _ := strings.Cut(d, "/")
	heal := func(context.Context) error { // the server writes the page anew
		return errors.Join(a.sim.Write(d, "made", d), a.sim.Flush(d))
	}
	return g, heal, a.sim.CorruptPage(d, "made")
}

// ResetLog has the logs begin anew, as after a repair.
func (a *conformant) ResetLog(context.Context) error { return a.resetLogs(a.own()) }

// OpenForeign has another program back up a group that is none of ours.
func (a *conformant) OpenForeign(ctx context.Context) (alive, end func(context.Context) error, err error) {
	c := a.sim.Client()
	tools := c.Tools()
	if a.opt.Way == exchange.WayESE {
		s, instances, err := tools.Streaming.Prepare(ctx, "", esebcli.InformationStore)
		if err != nil {
			return nil, nil, err
		}
		i := slices.IndexFunc(instances, func(i esebcli.Instance) bool { return i.Name == foreignGroup })
		if err := s.Setup(ctx, instances[i].ID, esebcli.Full); err != nil {
			return nil, nil, err
		}
		a.foreign = func() exchangesim.Open { return exchangesim.Open{Sessions: 1, InBackup: 1} }
		alive = func(ctx context.Context) error {
			_, err := s.LogFiles(ctx)
			return err
		}
		return alive, func(ctx context.Context) error { a.foreign = nil; return s.End(ctx) }, nil
	}
	l, err := tools.Management.Layout(ctx)
	if err != nil {
		return nil, nil, err
	}
	q := exchange.ShadowRequest{WorkDir: a.dir, Copy: true, Major: l.Major}
	for _, g := range l.Groups {
		if g.Name != foreignGroup {
			q.Exclude = append(q.Exclude, g)
			continue
		}
		q.Include, q.Files = append(q.Include, g), append(q.Files, g.Databases[0].File, g.LogDir)
	}
	h, err := tools.Shadows.Create(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	a.foreign = func() exchangesim.Open { return exchangesim.Open{Shadows: 1} }
	alive = func(context.Context) error {
		at, err := h.Path(q.Files[0])
		if err == nil {
			_, err = os.Stat(at)
		}
		return err
	}
	return alive, func(ctx context.Context) error { a.foreign = nil; return h.Complete(ctx) }, nil
}

// Scratch is an empty directory.
func (a *conformant) Scratch(context.Context) (string, func(context.Context) error, error) {
	scratch := filepath.Join(a.dir, "scratch")
	if err := os.MkdirAll(scratch, 0o700); err != nil {
		return "", nil, err
	}
	return scratch, func(context.Context) error {
		left, err := os.ReadDir(scratch)
		if err == nil && len(left) > 0 {
			return fmt.Errorf("%s is left in the scratch directory", left[0].Name())
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}, nil
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, s := range []server{{2003, exchange.WayESE}, {2007, exchange.WayVSS}, {2019, exchange.WayVSS}} {
		t.Run(s.String(), func(t *testing.T) {
			if testing.Short() && s.version == 2007 {
				t.Skip("two servers are enough in a short run")
			}
			t.Parallel()
			backuptest.TestSource(t, func() (backuptest.Application, error) { return newConformant(t, s) })
		})
	}
}
