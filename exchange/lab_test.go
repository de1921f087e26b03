package exchange_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim"
)

// clock is that of the server. It stands still unless a test lets it pass.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time { return c.pass(0) }

func (c *clock) pass(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
	return c.at
}

// lab is a simulated server with an agent.
type lab struct {
	t      testing.TB
	dir    string
	clock  *clock
	sim    *exchangesim.Server
	opt    exchange.Options
	client *exchangesim.Client
	// databases are those of the server: "group/database".
	databases []string
}

// twoStorageGroups are two, as servers up to Exchange 2007 have them.
func twoStorageGroups() []exchangesim.Group {
	return []exchangesim.Group{
		{Name: "First Storage Group", Databases: []exchangesim.Database{{Name: "Mailbox Store", File: "D/one/priv1.edb"}, {Name: "Public Folder Store", File: "D/two/priv1.edb"}}},
		{Name: "Second Storage Group", Databases: []exchangesim.Database{{Name: "Archive"}}},
	}
}

// groupsFor are what a server of that version has.
func groupsFor(version int) []exchangesim.Group {
	if version <= 2007 {
		return twoStorageGroups()
	}
	return []exchangesim.Group{{Name: "DB01", Databases: []exchangesim.Database{{Name: "DB01"}}}, {Name: "DB02", Databases: []exchangesim.Database{{Name: "DB02"}}}}
}

func newLab(t testing.TB, version int, change ...func(*exchangesim.Config)) *lab {
	t.Helper()
	l := &lab{t: t, dir: t.TempDir(), clock: newClock()}
	cfg := exchangesim.Config{Version: version, Groups: groupsFor(version), Now: l.clock.now}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	l.sim, err = exchangesim.New(filepath.Join(l.dir, "server"), cfg)
	require.NoError(t, err)
	l.opt = exchange.Options{Instance: "MAIL1", StateDir: filepath.Join(l.dir, "state"), Now: l.clock.now, Zone: time.UTC, EndTimeout: 10 * time.Second}
	for _, g := range cfg.Groups {
		for _, d := range g.Databases {
			name := g.Name + "/" + d.Name
			l.databases = append(l.databases, name)
			if !d.Unmounted {
				l.write(name, "made", name)
			}
		}
	}
	return l
}

// source is an agent in a new process; the one before is killed.
func (l *lab) source() *exchange.Source {
	if l.client != nil {
		l.client.Kill()
	}
	l.client = l.sim.Client()
	opt := l.opt
	opt.Tools = l.client.Tools()
	s, err := exchange.New(&opt)
	require.NoError(l.t, err)
	return s
}

func (l *lab) write(database, key, value string) {
	l.t.Helper()
	l.clock.pass(time.Second)
	require.NoError(l.t, l.sim.Write(database, key, value))
}

// fill writes n values to all databases that are mounted, and closes their logs.
func (l *lab) fill(n int) {
	l.t.Helper()
	for _, name := range l.databases {
		for i := range n {
			if err := l.sim.Write(name, fmt.Sprintf("key %d", i), l.clock.pass(time.Second).String()+strings.Repeat("x", 1000)); err != nil {
				break
			}
		}
	}
	l.rotate()
}

// rotate closes the logs of all groups that have one.
func (l *lab) rotate() {
	l.clock.pass(time.Second)
	for _, g := range l.groups() {
		_ = l.sim.Rotate(g) // of a group that is not mounted there is none
	}
	l.clock.pass(time.Second)
}

func (l *lab) groups() (names []string) {
	for _, d := range l.databases {
		g, _, _ := strings.Cut(d, "/")
		if !slices.Contains(names, g) {
			names = append(names, g)
		}
	}
	return names
}

// logs are the names of the logs on the server, by group.
func (l *lab) logs() map[string][]string {
	l.t.Helper()
	out := map[string][]string{}
	for _, g := range l.groups() {
		entries, err := os.ReadDir(filepath.Join(l.sim.Dir(), "E", g))
		require.NoError(l.t, err)
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".log") && len(e.Name()) > len("E00tmp.log") {
				out[g] = append(out[g], e.Name())
			}
		}
	}
	return out
}

// job is a pipeline of the lab to a sink in memory.
type job struct {
	*backup.Pipeline
	l        *lab
	sink     *backuptest.MemSink
	warnings []string
}

type jobOption func(*backup.Config)

func streamed(c *backup.Config) { c.Stager = nil }

func (l *lab) job(change ...jobOption) *job {
	l.t.Helper()
	return l.jobTo(backuptest.NewMemSink(), change...)
}

func (l *lab) jobTo(sink *backuptest.MemSink, change ...jobOption) *job {
	l.t.Helper()
	j := &job{l: l, sink: sink}
	cfg := backup.Config{Job: "mail", Source: l.source(), Sink: sink, PartSize: 64 << 10, Workers: 2, Stager: backup.DirStager{Dir: filepath.Join(l.dir, "stage")}}
	cfg.Events = func(e backup.Event) {
		if w, ok := e.(backup.Warning); ok {
			j.warnings = append(j.warnings, w.Text)
		}
	}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	j.Pipeline, err = backup.New(cfg)
	require.NoError(l.t, err)
	return j
}

func (j *job) take(kind backup.Kind) *backup.Manifest {
	j.l.t.Helper()
	m, err := j.Backup(context.Background(), kind)
	require.NoError(j.l.t, err)
	j.l.quiet()
	return m
}

// quiet: nothing is open and nothing is left.
func (l *lab) quiet() {
	l.t.Helper()
	require.NoError(l.t, l.left())
}

func (l *lab) left() error {
	if open := l.sim.Open(); open != (exchangesim.Open{}) {
		return fmt.Errorf("open: %+v", open)
	}
	return l.stateLeft()
}

// stateLeft: the note of what is open, and files of a run. That a group was restored stays noted until its next full.
func (l *lab) stateLeft() error {
	left, err := os.ReadDir(l.opt.StateDir)
	if os.IsNotExist(err) {
		return nil
	}
	for _, e := range left {
		if !strings.HasSuffix(e.Name(), ".restored") {
			return fmt.Errorf("%s is left in the state directory", e.Name())
		}
	}
	return err
}

// proven verifies all backups to their formats.
func (j *job) proven() {
	j.l.t.Helper()
	rep, err := j.Verify(context.Background(), backup.VerifyOptions{Level: backup.ProofFormat})
	require.NoError(j.l.t, err)
	require.NoError(j.l.t, rep.Err())
}

// kinds is what became of each item.
func kinds(m *backup.Manifest) map[string]string {
	out := map[string]string{}
	for _, it := range m.Items {
		out[it.Name] = string(it.Kind)
		if it.Failed() {
			out[it.Name] = "failed"
		}
	}
	return out
}

func item(t testing.TB, m *backup.Manifest, name string) backup.Item {
	t.Helper()
	it, ok := m.Item(name)
	require.True(t, ok, "%s in %v", name, kinds(m))
	return it
}

// print is a fingerprint of databases.
func (l *lab) print(databases []string) (string, error) {
	sum := sha256.New()
	n := 0
	for _, name := range databases {
		all, err := l.sim.Read(name)
		if err != nil {
			return "", err
		}
		n += len(all)
		fmt.Fprintf(sum, "%s\n", name)
		for _, k := range slices.Sorted(maps.Keys(all)) {
			fmt.Fprintf(sum, "%q=%q\n", k, all[k])
		}
	}
	return fmt.Sprintf("%d entries %s", n, hex.EncodeToString(sum.Sum(nil)[:8])), nil
}

// each calls f with the groups that have one of these databases.
func (l *lab) each(databases []string, f func(exchange.Tools, exchange.Group) error) error {
	c := l.sim.Client()
	defer c.Kill()
	tools := c.Tools()
	layout, err := tools.Management.Layout(context.Background())
	for _, g := range layout.Groups {
		if err == nil && slices.ContainsFunc(databases, func(d string) bool { return strings.HasPrefix(d, g.Name+"/") }) {
			err = f(tools, g)
		}
	}
	return err
}

func dropLogs(g exchange.Group) error {
	files, err := filepath.Glob(filepath.Join(g.LogDir, g.LogBase+"*"))
	for _, f := range files {
		err = errors.Join(err, os.Remove(f))
	}
	return err
}

// lost dismounts databases and deletes their files and logs; they may be replaced.
func (l *lab) lost(databases []string) error {
	for _, d := range databases {
		if err := l.sim.Dismount(d); err != nil {
			return err
		}
	}
	return l.each(databases, func(tools exchange.Tools, g exchange.Group) error {
		for _, d := range g.Databases {
			if err := tools.Management.AllowRestore(context.Background(), d); err != nil {
				return err
			}
			for _, f := range []string{d.File, d.StreamFile} {
				if err := os.Remove(f); f != "" && err != nil {
					return err
				}
			}
		}
		return dropLogs(g)
	})
}

func (l *lab) lose() {
	l.t.Helper()
	require.NoError(l.t, l.lost(l.databases))
}

// resetLogs has the logs of databases begin anew.
func (l *lab) resetLogs(databases []string) error {
	for _, d := range databases {
		if err := l.sim.Dismount(d); err != nil {
			return err
		}
	}
	if err := l.each(databases, func(_ exchange.Tools, g exchange.Group) error { return dropLogs(g) }); err != nil {
		return err
	}
	for _, d := range databases {
		if err := l.sim.Mount(d); err != nil {
			return err
		}
	}
	return nil
}
