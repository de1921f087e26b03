package backup_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

const worldJob = "books"

// world is a Ledger with what its backups need, and scripted faults in between.
type world struct {
	l      *backuptest.Ledger
	source backup.Source // nil means the Ledger's own
	mem    *backuptest.MemSink
	sink   *backuptest.FaultySink
	stage  string // empty means streaming
	later  time.Duration
	change func(*backup.Config)
}

func newWorld(t testing.TB, staged bool) *world {
	w := &world{l: backuptest.NewLedger(&backuptest.LedgerOptions{Ballast: 150 << 10}), mem: backuptest.NewMemSink()}
	w.sink = backuptest.NewFaultySink(w.mem)
	if staged {
		w.stage = t.TempDir()
	}
	return w
}

// pipeline is a new process. Its clock runs ahead of the one before, so that a lease nobody gave back has expired.
func (w *world) pipeline(t testing.TB) *backup.Pipeline {
	t.Helper()
	ahead := w.later
	w.later += 10 * time.Minute
	cfg := backup.Config{
		Job: worldJob, Source: w.source, Sink: w.sink, PartSize: 64 << 10, Workers: 2,
		LeaseTTL: 500 * time.Millisecond, CleanupTimeout: 400 * time.Millisecond,
		Now: func() time.Time { return time.Now().Add(ahead) },
	}
	if cfg.Source == nil {
		cfg.Source = w.l.Source(&backuptest.LedgerSourceOptions{ServerFiles: true})
	}
	if w.stage != "" {
		cfg.Stager = backup.DirStager{Dir: w.stage}
	}
	if w.change != nil {
		w.change(&cfg)
	}
	p, err := backup.New(cfg)
	require.NoError(t, err)
	return p
}

func (w *world) backup(t testing.TB, kind backup.Kind) *backup.Manifest {
	t.Helper()
	require.NoError(t, w.l.Mutate(5))
	m, err := w.pipeline(t).Backup(t.Context(), kind)
	require.NoError(t, err)
	for _, it := range m.Items {
		if it.Kind == backup.Log {
			require.Zero(t, w.l.LogLength(it.Name), "the log of %s is safe and was not given up", it.Name)
		}
	}
	return m
}

// settled tells what a run that went wrong left that it must not leave, whatever happened.
func (w *world) settled(t testing.TB, truncations int, manifests int) {
	t.Helper()
	require.Empty(t, w.l.Open(), "left open in the application")
	h, err := w.pipeline(t).History(t.Context())
	require.NoError(t, err)
	if w.l.Truncations() > truncations {
		require.Greater(t, len(h), manifests, "log was truncated without a manifest")
	}
	w.whole(t)
}

// whole verifies that every backup that has a manifest has all its parts.
func (w *world) whole(t testing.TB) {
	t.Helper()
	p := w.pipeline(t)
	rep, err := p.Verify(t.Context(), backup.VerifyOptions{})
	require.NoError(t, err)
	require.NoError(t, rep.Err(), "a manifest without all its parts")
}

// goesOn makes the next good run and checks that it cleared everything away and that its backup leads back to now.
func (w *world) goesOn(t testing.TB) {
	t.Helper()
	w.backup(t, backup.Log)
	require.Empty(t, w.l.Open())
	w.whole(t)
	requireTidy(t, t.Context(), w.mem)
	require.Len(t, w.mem.Keys(worldJob+"/lease/"), 1, "a backup removes the records of earlier leases")
	requireEmptyStage(t, w.stage)
	w.restores(t)
}

// restores loses everything and brings it back.
func (w *world) restores(t testing.TB) {
	t.Helper()
	want := w.l.Current()
	require.NoError(t, w.l.Lose())
	p := w.pipeline(t)
	plan, err := p.Plan(t.Context(), backup.Target{})
	require.NoError(t, err)
	require.NoError(t, p.Restore(t.Context(), plan, backup.RestoreOptions{}))
	require.Empty(t, want.Diff(w.l.Current()))
	require.EqualValues(t, 16000, w.l.Current().Sum(), "transfers leave the sum alone")
}

// requireTidy checks that nothing lies at the target that belongs to no backup.
func requireTidy(t testing.TB, ctx context.Context, s backup.Sink) {
	t.Helper()
	reader, err := backup.New(backup.Config{Job: worldJob, Sink: s})
	require.NoError(t, err)
	h, err := reader.History(ctx)
	require.NoError(t, err)
	objects := map[string]int{}
	for _, b := range h {
		objects[string(b.ID)] = b.Parts + 2 // entries and sums
	}
	for o, err := range s.List(ctx, "") {
		require.NoError(t, err)
		kind, rest, _ := strings.Cut(strings.TrimPrefix(o.Key, worldJob+"/"), "/")
		switch kind {
		case "runs":
			id, _, _ := strings.Cut(rest, "/")
			objects[id]--
			require.GreaterOrEqual(t, objects[id], 0, "object %s belongs to no backup", o.Key)
		case "manifests", "proofs", "lease":
		default:
			require.Fail(t, "unknown object", o.Key)
		}
	}
	for id, n := range objects {
		require.Zero(t, n, "backup %s lacks %d objects", id, n)
	}
}

func requireEmptyStage(t testing.TB, dir string) {
	t.Helper()
	if dir == "" {
		return
	}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = fmt.Errorf("%s was left in the stage", path)
		}
		return err
	}))
}

// modes runs a test with and without a stage.
func modes(t *testing.T, test func(t *testing.T, staged bool)) {
	for name, staged := range map[string]bool{"staged": true, "streaming": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, staged)
		})
	}
}
