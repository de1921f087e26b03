package domino

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
)

// clock moves by one tick of Notes whenever somebody looks at it, so that no two things happen at once.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time { return c.pass(tick) }

func (c *clock) pass(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
	return c.at
}

// lab is a simulated server with an agent.
type lab struct {
	t     testing.TB
	dir   string
	clock *clock
	sim   *dominosim.Server
	opt   Options
}

func newLab(t testing.TB, change ...func(*dominosim.Config)) *lab {
	t.Helper()
	l := &lab{t: t, dir: t.TempDir(), clock: newClock()}
	cfg := dominosim.Config{Clock: l.clock.now, Style: notes.LogArchive}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	l.sim, err = dominosim.New(filepath.Join(l.dir, "server"), cfg)
	require.NoError(t, err)
	l.opt = Options{Instance: "mail1/acme", StateDir: filepath.Join(l.dir, "state"), Now: l.clock.now, OfflineWait: 50 * time.Millisecond, EndTimeout: 5 * time.Second}
	return l
}

func (l *lab) source() *capiSource {
	return l.over(func(context.Context) (notes.API, error) { return l.sim.Process(), nil })
}

// over is a source over processes that open starts.
func (l *lab) over(open func(context.Context) (notes.API, error)) *capiSource {
	l.t.Helper()
	o := l.opt
	o.Open = open
	s, err := New(&o)
	require.NoError(l.t, err)
	return s.(*capiSource)
}

// create makes databases with one entry each.
func (l *lab) create(names ...string) {
	l.t.Helper()
	for _, name := range names {
		require.NoError(l.t, l.sim.CreateDB(name, dominosim.DB{Title: name}))
		l.write(name, "created", name)
	}
}

func (l *lab) write(db, key, value string) {
	l.t.Helper()
	require.NoError(l.t, l.sim.Write(db, key, value))
}

// file writes a plain file of the data directory.
func (l *lab) file(name, text string) {
	l.t.Helper()
	at := filepath.Join(l.sim.DataDir(), filepath.FromSlash(name))
	require.NoError(l.t, os.MkdirAll(filepath.Dir(at), 0o700))
	require.NoError(l.t, os.WriteFile(at, []byte(text), 0o600))
}

// job is a pipeline of the lab to a sink in memory.
type job struct {
	*backup.Pipeline
	t    testing.TB
	sink *backuptest.MemSink
}

func (l *lab) job(streaming bool) *job { return l.jobTo(backuptest.NewMemSink(), streaming, nil) }

func (l *lab) jobTo(sink *backuptest.MemSink, streaming bool, events func(backup.Event)) *job {
	l.t.Helper()
	cfg := backup.Config{Job: "mail", Source: l.source(), Sink: sink, PartSize: 64 << 10, Workers: 2, Events: events}
	if !streaming {
		cfg.Stager = backup.DirStager{Dir: filepath.Join(l.dir, "stage")}
	}
	p, err := backup.New(cfg)
	require.NoError(l.t, err)
	return &job{p, l.t, sink}
}

func (j *job) take(kind backup.Kind) *backup.Manifest {
	j.t.Helper()
	m, err := j.Backup(j.t.Context(), kind)
	require.NoError(j.t, err)
	return m
}

func (j *job) restore(t backup.Target, o backup.RestoreOptions) error {
	j.t.Helper()
	plan, err := j.Plan(j.t.Context(), t)
	require.NoError(j.t, err)
	return j.Restore(j.t.Context(), plan, o)
}

// kinds is what became of each item.
func kinds(m *backup.Manifest) map[string]backup.Kind {
	out := map[string]backup.Kind{}
	for _, it := range m.Items {
		if it.Failed() {
			out[it.Name] = "failed"
			continue
		}
		out[it.Name] = it.Kind
	}
	return out
}

func named(names ...string) (out []backup.Selection) {
	for _, n := range names {
		out = append(out, backup.Selection{Name: n})
	}
	return out
}

// leavings are files of ours in the data directory.
func (l *lab) leavings() error {
	return filepath.WalkDir(l.sim.DataDir(), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && (strings.HasSuffix(path, unfinished) || strings.HasSuffix(path, replaced)) {
			return fmt.Errorf("%s is left", path)
		}
		return err
	})
}
