package exchange_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
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

// labClock moves whenever somebody looks at it, so that no two things happen at once.
type labClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *labClock) now() time.Time { return c.pass(3 * time.Millisecond) }

func (c *labClock) pass(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
	return c.at
}

// written is one change, and the log it went into.
type written struct {
	group      string
	at         time.Time
	generation uint32
}

// restoreLab is a simulated server with an agent and a job.
type restoreLab struct {
	t     testing.TB
	dir   string
	clock *labClock
	sim   *exchangesim.Server
	opt   exchange.Options
	sink  *backuptest.MemSink

	streaming bool
	mu        sync.Mutex
	told      []string
	history   []written
}

// restoreGroups are those of the versions that have them: two databases that share a log, in two folders, and one alone.
func restoreGroups() []exchangesim.Group {
	return []exchangesim.Group{
		{Name: "First Storage Group", Databases: []exchangesim.Database{{Name: "Mailbox Store"}, {Name: "Public Store", File: "D/public/pub.edb"}}},
		{Name: "Second", Databases: []exchangesim.Database{{Name: "Archive"}}},
	}
}

func databases(names ...string) (out []exchangesim.Group) {
	for _, n := range names {
		out = append(out, exchangesim.Group{Name: n, Databases: []exchangesim.Database{{Name: n}}})
	}
	return out
}

func newRestoreLab(t testing.TB, version int, way exchange.Way, groups []exchangesim.Group) *restoreLab {
	t.Helper()
	l := &restoreLab{t: t, dir: t.TempDir(), clock: &labClock{at: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)}, sink: backuptest.NewMemSink()}
	var err error
	l.sim, err = exchangesim.New(filepath.Join(l.dir, "server"), exchangesim.Config{Version: version, Groups: groups, Now: l.clock.now})
	require.NoError(t, err)
	l.opt = exchange.Options{Instance: "exch1", StateDir: filepath.Join(l.dir, "state"), Way: way, Zone: time.UTC, Now: l.clock.now, SkipSystemState: true, EndTimeout: 5 * time.Second}
	return l
}

// job is a pipeline whose agent is a program of its own.
func (l *restoreLab) job() *backup.Pipeline {
	l.t.Helper()
	opt := l.opt
	opt.Tools = l.sim.Tools()
	return l.jobOf(opt)
}

func (l *restoreLab) jobOf(opt exchange.Options) *backup.Pipeline {
	l.t.Helper()
	s, err := exchange.New(&opt)
	require.NoError(l.t, err)
	cfg := backup.Config{Job: "mail", Source: s, Sink: l.sink, PartSize: 64 << 10, Workers: 2, Now: l.clock.now, Events: func(e backup.Event) {
		if w, ok := e.(backup.Warning); ok {
			l.mu.Lock()
			l.told = append(l.told, w.Text)
			l.mu.Unlock()
		}
	}}
	if !l.streaming {
		cfg.Stager = backup.DirStager{Dir: filepath.Join(l.dir, "stage")}
	}
	p, err := backup.New(cfg)
	require.NoError(l.t, err)
	return p
}

func (l *restoreLab) take(kind backup.Kind) *backup.Manifest {
	l.t.Helper()
	m, err := l.job().Backup(l.t.Context(), kind)
	require.NoError(l.t, err)
	return m
}

// restore restores and returns what was told.
func (l *restoreLab) restore(target backup.Target, o backup.RestoreOptions) (string, error) {
	l.t.Helper()
	return l.restoreBy(l.job(), target, o)
}

func (l *restoreLab) restoreBy(p *backup.Pipeline, target backup.Target, o backup.RestoreOptions) (string, error) {
	l.t.Helper()
	plan, err := p.Plan(l.t.Context(), target)
	require.NoError(l.t, err)
	l.mu.Lock()
	l.told = nil
	l.mu.Unlock()
	err = p.Restore(l.t.Context(), plan, o)
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.told, "\n"), err
}

// write changes a database and notes where the change went.
func (l *restoreLab) write(group, db, key, value string) {
	l.t.Helper()
	require.NoError(l.t, l.sim.Write(group+"/"+db, key, value))
	gen, err := l.sim.Generation(group)
	require.NoError(l.t, err)
	l.history = append(l.history, written{group, l.clock.now(), gen})
}

// work writes n times here and there, enough for several logs.
func (l *restoreLab) work(r *rand.Rand, groups []exchangesim.Group, n int) {
	l.t.Helper()
	for range n {
		g := groups[r.IntN(len(groups))]
		d := g.Databases[r.IntN(len(g.Databases))]
		l.write(g.Name, d.Name, fmt.Sprintf("message %d", r.IntN(9)), strings.Repeat(string(rune('a'+r.IntN(26))), 1+r.IntN(1800)))
		l.clock.pass(time.Duration(1+r.IntN(4000)) * time.Millisecond)
	}
}

// ended is the generation that a restore says it ended with, and whether it had the beginning of that only.
var saidEnd = regexp.MustCompile(`restored "([^"]*)": .*applied are (.*?) \(0x[^)]*\), without a gap, to the end of generation 0x([0-9A-F]+)`)

func (l *restoreLab) ended(told string) map[string]endedAt {
	l.t.Helper()
	out := map[string]endedAt{}
	for _, m := range saidEnd.FindAllStringSubmatch(told, -1) {
		n, err := strconv.ParseUint(m[3], 16, 32)
		require.NoError(l.t, err)
		out[m[1]] = endedAt{uint32(n), strings.HasSuffix(m[2], ")")}
	}
	require.NotEmpty(l.t, out, told)
	return out
}

type endedAt struct {
	generation uint32
	partial    bool
}

// sim's files of a database below its directory.
func (l *restoreLab) file(elements ...string) string {
	return filepath.Join(append([]string{l.sim.Dir()}, elements...)...)
}

// leavings are files of ours at the server.
func (l *restoreLab) leavings() (found []string) {
	_ = filepath.WalkDir(l.sim.Dir(), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.Contains(filepath.Base(path), "quiesce-restore") {
			found = append(found, path)
		}
		return nil
	})
	return found
}

// asides are what restores set aside.
func (l *restoreLab) asides() (found []string) {
	_ = filepath.WalkDir(l.sim.Dir(), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(path, "quiesce-replaced-") {
			found = append(found, path)
		}
		return nil
	})
	return found
}

// image copies a tree, as it would be found if the machine stopped now.
func image(t testing.TB, from, to string) {
	t.Helper()
	require.NoError(t, os.RemoveAll(to))
	if _, err := os.Stat(from); err != nil {
		return
	}
	require.NoError(t, os.CopyFS(to, os.DirFS(from)))
}

// content is all files of a tree.
func content(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		out[filepath.ToSlash(rel)] = string(text)
		return err
	}))
	return out
}
