package crowd

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
)

// Foreign matches what is not ours: a database that another program backs up.
const Foreign = "others/*"

const (
	foreignDB = "others/foreign.nsf"
	added     = "mail/new.nsf"
	scratch   = "scratch/rehearsal"
)

// Crowd is the people of one server. Its methods are those of backuptest.Application and of its optional interfaces, but for what depends on how the agent reaches the server.
type Crowd struct {
	sim *dominosim.Server

	mu        sync.Mutex
	databases []string
	changes   int
	past      map[string]bool // fingerprints of all states that were
}

// New creates the databases, with something in each.
func New(sim *dominosim.Server) (*Crowd, error) {
	c := &Crowd{sim: sim, databases: []string{"names.nsf", "mail/jdoe.nsf", "mail.box"}, past: map[string]bool{}}
	for _, name := range append([]string{foreignDB}, c.databases...) {
		if err := c.create(name); err != nil {
			return nil, err
		}
	}
	return c, c.Mutate(context.Background(), 10)
}

func (c *Crowd) create(name string) error {
	if err := c.sim.CreateDB(name, dominosim.DB{Title: name}); err != nil {
		return err
	}
	return c.sim.Write(name, "created", name)
}

// Mutate writes n times. Others may write in between; what is remembered is whole states.
func (c *Crowd) Mutate(_ context.Context, n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range n {
		c.changes++
		name := c.databases[c.changes%len(c.databases)]
		if err := c.sim.Write(name, fmt.Sprintf("document %d", c.changes%17), fmt.Sprintf("change %d %s", c.changes, strings.Repeat("x", 2000))); err != nil {
			return err
		}
		is, err := c.fingerprint()
		if err != nil {
			return err
		}
		c.past[is] = true
	}
	return nil
}

// Fingerprint is that of all databases but the foreign one.
func (c *Crowd) Fingerprint(context.Context) (string, error) { return c.fingerprint() }

func (c *Crowd) fingerprint() (string, error) {
	names, err := c.present()
	if err != nil {
		return "", err
	}
	var text []byte
	n := 0
	for _, name := range names {
		all, err := c.sim.Read(name)
		if err != nil {
			return "", err
		}
		n += len(all)
		text = fmt.Appendf(text, "%s\n", name)
		for _, k := range slices.Sorted(maps.Keys(all)) {
			text = fmt.Appendf(text, "%q=%q\n", k, all[k])
		}
	}
	sum := sha256.Sum256(text)
	return fmt.Sprintf("%d entries %x", n, sum[:8]), nil
}

// present are the databases that are there, but for the foreign one.
func (c *Crowd) present() (names []string, err error) {
	data := c.sim.DataDir()
	err = filepath.WalkDir(data, func(at string, d fs.DirEntry, err error) error {
		if ext := filepath.Ext(at); err != nil || d.IsDir() || ext != ".nsf" && ext != ".box" {
			return err
		}
		rel, err := filepath.Rel(data, at)
		if rel = filepath.ToSlash(rel); rel != foreignDB {
			names = append(names, rel)
		}
		return err
	})
	slices.Sort(names)
	return names, err
}

// Committed reports whether there was such a state.
func (c *Crowd) Committed(_ context.Context, fingerprint string) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.past[fingerprint], nil
}

// Lose deletes all databases but the foreign one.
func (c *Crowd) Lose(context.Context) error {
	names, err := c.present()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := c.sim.Delete(name); err != nil {
			return err
		}
	}
	return nil
}

// Ended is an error while a database other than the foreign one is in backup.
func (c *Crowd) Ended() error {
	in, err := c.sim.InBackup()
	if err != nil {
		return err
	}
	for _, at := range in {
		if !strings.HasSuffix(filepath.ToSlash(at), foreignDB) {
			return fmt.Errorf("%s is in backup", at)
		}
	}
	return nil
}

// AddItem makes one database more.
func (c *Crowd) AddItem(context.Context) (string, error) {
	if err := c.create(added); err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.databases = append(c.databases, added)
	return added, nil
}

// FailItem damages a database until mend is called.
func (c *Crowd) FailItem(context.Context) (name string, mend func(context.Context) error, err error) {
	const box = "mail.box"
	return box, func(context.Context) error { return c.sim.Corrupt(box) }, c.sim.Corrupt(box) // twice is not at all
}

// ResetLog begins a new series of the log.
func (c *Crowd) ResetLog(context.Context) error { return c.sim.RecreateLog() }

// OpenForeign has another program begin a backup of the foreign database. alive is an error once that is over, and end ends it.
func (c *Crowd) OpenForeign(ctx context.Context) (alive, end func(context.Context) error, err error) {
	p := c.sim.Process()
	t, err := p.Thread(ctx)
	if err != nil {
		return nil, nil, err
	}
	h, err := t.Open(ctx, foreignDB)
	if err != nil {
		return nil, nil, err
	}
	var b notes.BackupContext
	if b, _, err = t.BackupStart(ctx, h); err != nil {
		return nil, nil, err
	}
	alive = func(ctx context.Context) error { return t.BackupHighWater(ctx, h, b, 0) }
	end = func(ctx context.Context) error {
		if err := t.BackupEnd(ctx, h, b, true); err != nil {
			return err
		}
		return p.Close()
	}
	return alive, end, nil
}

// Scratch is where a rehearsal may go; clean is an error when it is still there after it.
func (c *Crowd) Scratch(context.Context) (to string, clean func(context.Context) error, err error) {
	return scratch, func(context.Context) error {
		if _, err := os.Stat(filepath.Join(c.sim.DataDir(), path.Dir(scratch))); !os.IsNotExist(err) {
			return fmt.Errorf("the scratch directory is there: %w", err)
		}
		return nil
	}, nil
}
