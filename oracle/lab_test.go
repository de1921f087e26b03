package oracle

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
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
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

// lab is a simulated database with real files, and pipelines that back it up.
type lab struct {
	t     testing.TB
	sim   *oraclesim.Instance
	login oraclesim.Login
	sink  *backuptest.MemSink
	dir   string
	opt   Options
	clock *labClock
	// stream: without a stage.
	stream bool

	mu   sync.Mutex
	hook func(s oraclesim.Statement, m oraclesim.Moment) error
}

// labClock is the server's clock: a step later at every look, a second when it is not set, in a zone of its own.
type labClock struct {
	mu   sync.Mutex
	at   time.Time
	step time.Duration
}

func (c *labClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(cmp.Or(c.step, time.Second))
	return c.at
}

// newLab makes a database ORCL. change, which may be nil, adjusts it.
func newLab(t testing.TB, o *Options, change func(c *oraclesim.Config)) *lab {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	l := &lab{t: t, sink: backuptest.NewMemSink(), dir: dir, clock: &labClock{at: time.Date(2026, 3, 1, 8, 0, 0, 0, time.FixedZone("", 2*3600))}}
	if o != nil {
		l.opt = *o
	}
	if l.opt.StateDir == "" {
		l.opt.StateDir = filepath.Join(dir, "state")
	}
	if l.opt.Mode == ModeRemote || l.stream {
		l.opt.ScratchDir = filepath.Join(dir, "scratch")
		require.NoError(t, os.MkdirAll(l.opt.ScratchDir, 0o700))
	}
	c := oraclesim.Config{SID: "ORCL", Dir: filepath.Join(dir, "server"), Now: l.clock.now, Seed: 7, LogBlocks: 64, Hook: l.hooking}
	if change != nil {
		change(&c)
	}
	l.sim, err = oraclesim.Create(c)
	require.NoError(t, err)
	return l
}

func (l *lab) hooking(_ context.Context, s oraclesim.Statement, m oraclesim.Moment) error {
	l.mu.Lock()
	hook := l.hook
	l.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(s, m)
}

// hooked runs at each statement of the server from now on.
func (l *lab) hooked(hook func(s oraclesim.Statement, m oraclesim.Moment) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hook = hook
}

func (l *lab) source() *Source {
	src, err := FromDB(l.sim.OpenDB(l.login), &l.opt)
	require.NoError(l.t, err)
	l.t.Cleanup(func() { _ = src.Close() })
	return src
}

func (l *lab) pipeline() *backup.Pipeline {
	l.t.Helper()
	stage := filepath.Join(l.dir, "stage")
	require.NoError(l.t, os.MkdirAll(stage, 0o700))
	c := backup.Config{Job: "lab", Source: l.source(), Sink: l.sink, PartSize: 64 << 10, Workers: 2, Logger: slog.New(slog.NewTextHandler(testWriter{l.t}, nil))}
	if !l.stream {
		c.Stager = backup.DirStager{Dir: stage}
	}
	p, err := backup.New(c)
	require.NoError(l.t, err)
	return p
}

// testWriter logs to the test.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func (l *lab) take(kind backup.Kind) *backup.Manifest {
	l.t.Helper()
	m, err := l.pipeline().Backup(l.t.Context(), kind)
	require.NoError(l.t, err)
	return m
}

// fails runs a backup that must not succeed.
func (l *lab) fails(kind backup.Kind) error {
	l.t.Helper()
	_, err := l.pipeline().Backup(l.t.Context(), kind)
	require.Error(l.t, err)
	return err
}

func (l *lab) commit(texts ...string) uint64 {
	l.t.Helper()
	n, err := l.sim.Commit("USERS", texts...)
	require.NoError(l.t, err)
	return n
}

// exec runs a statement as a database administrator.
func (l *lab) exec(statement string) {
	l.t.Helper()
	db := l.sim.OpenDB(oraclesim.Login{})
	defer db.Close()
	_, err := db.ExecContext(l.t.Context(), statement)
	require.NoError(l.t, err, statement)
}

// archived are the archived logs of the first destination, by path.
func (l *lab) archived() []string {
	l.t.Helper()
	out, err := filepath.Glob(filepath.Join(l.dir, "server", "arch", "*"))
	require.NoError(l.t, err)
	return out
}

// captured is what a backup holds.
type captured struct {
	Inventory
	texts map[string][]byte
}

// look reads what a backup holds, by its verification.
func (l *lab) look(m *backup.Manifest) captured {
	l.t.Helper()
	out := captured{texts: map[string][]byte{}}
	p, err := backup.New(backup.Config{Job: "lab", Source: looking{l.source(), &out}, Sink: l.sink})
	require.NoError(l.t, err)
	rep, err := p.Verify(l.t.Context(), backup.VerifyOptions{IDs: []backup.ID{m.ID}, Level: backup.ProofFormat})
	require.NoError(l.t, err)
	require.NoError(l.t, rep.Err())
	require.NoError(l.t, json.Unmarshal(out.texts[InventoryName], &out.Inventory))
	return out
}

// looking verifies by reading everything, beside what the agent itself verifies.
type looking struct {
	*Source
	to *captured
}

func (k looking) Verify(ctx context.Context, set *backup.RestoreSet) error {
	for _, step := range set.Steps() {
		for _, e := range step.Entries {
			r, err := set.Open(ctx, step, e)
			if err != nil {
				return err
			}
			k.to.texts[e.Name], err = io.ReadAll(r)
			if err = errors.Join(err, r.Close()); err != nil {
				return err
			}
		}
	}
	return k.Source.Verify(ctx, set)
}

// ran are the statements of the server that begin with one of these words.
func (l *lab) ran(words ...string) (out []string) {
	for _, s := range l.sim.Statements() {
		if slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(s.Text, w) }) {
			out = append(out, s.Text)
		}
	}
	return out
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
