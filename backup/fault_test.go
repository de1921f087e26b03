package backup_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
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

// The n-th call of each method of the sink goes wrong, for every n there is, in each way there is.
func TestAnyCallOfTheSinkMayGoWrong(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, staged bool) {
		for _, op := range []backuptest.Op{backuptest.OpPut, backuptest.OpPutIfAbsent, backuptest.OpGet, backuptest.OpList, backuptest.OpDelete} {
			for name, f := range map[string]backuptest.Fault{
				"fail":          {Op: op, Action: backuptest.Fail},
				"tear":          {Op: op, Action: backuptest.Tear, After: 1},
				"lost":          {Op: op, Action: backuptest.Lost},
				"fail for ever": {Op: op, Action: backuptest.Fail, Times: -1},
				"stall":         {Op: op, Action: backuptest.Stall, After: 1},
			} {
				t.Run(fmt.Sprintf("%s %s", name, op), func(t *testing.T) {
					t.Parallel()
					for n := 1; faultAt(t, staged, f, n); n++ {
						require.Less(t, n, 200)
					}
				})
			}
		}
	})
}

// faultAt makes one run with one fault and reports whether the fault struck.
func faultAt(t *testing.T, staged bool, f backuptest.Fault, n int) bool {
	defer func() {
		if t.Failed() {
			t.Logf("at call %d", n)
		}
	}()
	w := newWorld(t, staged)
	w.backup(t, backup.Full)
	w.backup(t, backup.Log)
	before := w.l.Truncations()
	require.NoError(t, w.l.Mutate(5))

	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	struck := false
	f.Nth = n
	f.Do = func() {
		struck = true
		if f.Action == backuptest.Stall {
			time.AfterFunc(5*time.Millisecond, func() { cancel(errOperator) }) // somebody looks at the clock
		}
	}
	kind := backup.Log
	if n%2 == 1 {
		kind = backup.Full
	}
	p := w.pipeline(t)
	w.sink.Script(f)
	m, err := p.Backup(ctx, kind)
	w.sink.Script()
	if err == nil {
		require.NotNil(t, m)
	} else if f.Action != backuptest.Stall {
		require.ErrorIs(t, err, backuptest.ErrFault)
		require.Contains(t, err.Error(), "ledger")
	}
	w.settled(t, before, 2)
	w.goesOn(t)
	return struck
}

var errOperator = errors.New("the operator cancelled")

// The manifest arrives, its answer does not, and the target cannot be asked either. Whatever the run says, the parts of a durable
// manifest must not be taken for garbage.
func TestAManifestWhoseAnswerIsLostKeepsItsParts(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, staged bool) {
		w := newWorld(t, staged)
		w.backup(t, backup.Full)
		before := w.l.Truncations()
		require.NoError(t, w.l.Mutate(5))
		w.sink.Script(backuptest.Fault{Op: backuptest.OpPutIfAbsent, Key: "/manifests/", Action: backuptest.Lost, Do: func() {
			w.sink.Script(backuptest.Fault{Op: backuptest.OpGet, Key: "/manifests/", Times: -1})
		}})
		_, err := w.pipeline(t).Backup(t.Context(), backup.Log)
		require.ErrorIs(t, err, backuptest.ErrFault)
		w.sink.Script()
		w.settled(t, before, 1)
		w.goesOn(t)
	})
}

// Several calls of one run go wrong at random, and the run after it has troubles too.
func TestTroublesSeldomComeAlone(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, staged bool) {
		for range 40 {
			seed := rand.Uint64()
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("seeds up to %d", seed)
				}
			})
			rnd := rand.New(rand.NewPCG(seed, 3))
			w := newWorld(t, staged)
			w.backup(t, backup.Full)
			for range 2 {
				before, h := w.l.Truncations(), len(w.mem.Keys(worldJob+"/manifests/"))
				var script []backuptest.Fault
				for range 1 + rnd.IntN(4) {
					script = append(script, backuptest.Fault{
						Op:  []backuptest.Op{"", backuptest.OpPut, backuptest.OpPutIfAbsent, backuptest.OpGet, backuptest.OpList, backuptest.OpDelete}[rnd.IntN(6)],
						Nth: 1 + rnd.IntN(40), Times: 1 + rnd.IntN(3), After: int64(rnd.IntN(3)),
						Action: []backuptest.Action{backuptest.Fail, backuptest.Tear, backuptest.Lost}[rnd.IntN(3)],
					})
				}
				require.NoError(t, w.l.Mutate(5))
				p := w.pipeline(t)
				w.sink.Script(script...)
				_, err := p.Backup(t.Context(), []backup.Kind{backup.Full, backup.Log}[rnd.IntN(2)])
				w.sink.Script()
				if err != nil {
					require.True(t, errors.Is(err, backuptest.ErrFault) || errors.Is(err, backup.ErrBusy), "seed %d: %v", seed, err)
				}
				w.settled(t, before, h)
			}
			w.goesOn(t)
		}
	})
}

func TestARunMayBeCancelledAtAnyCall(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, staged bool) {
		for n := 1; ; n++ {
			require.Less(t, n, 400)
			ctx, cancel := context.WithCancelCause(t.Context())
			struck := false
			if !cancelled(t, staged, ctx, func(w *world) {
				w.sink.Script(backuptest.Fault{Nth: n, Action: backuptest.Pass, Do: func() { struck = true; cancel(errOperator) }})
			}) && !struck {
				break
			}
		}
	})
}

func TestARunMayBeCancelledAtAnyEvent(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, staged bool) {
		for n := 1; ; n++ {
			require.Less(t, n, 400)
			ctx, cancel := context.WithCancelCause(t.Context())
			seen := 0
			cancelled(t, staged, ctx, func(w *world) {
				w.change = func(c *backup.Config) {
					c.Events = func(backup.Event) {
						if seen++; seen == n {
							cancel(errOperator)
						}
					}
				}
			})
			if seen < n {
				break
			}
		}
	})
}

// cancelled makes a run that arm prepares to be cancelled, and reports whether it failed.
func cancelled(t *testing.T, staged bool, ctx context.Context, arm func(*world)) bool {
	w := newWorld(t, staged)
	w.backup(t, backup.Full)
	require.NoError(t, w.l.Mutate(5))
	before := w.l.Truncations()
	arm(w)
	begin := time.Now()
	_, err := w.pipeline(t).Backup(ctx, backup.Log)
	require.Less(t, time.Since(begin), 20*time.Second, "cancelling is prompt")
	w.sink.Script()
	w.change = nil
	if err != nil {
		require.ErrorIs(t, err, errOperator)
	}
	w.settled(t, before, 1)
	w.goesOn(t)
	return err != nil
}

func TestTheServerMayGoAwayAtAnyCall(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, staged bool) {
		for n := 0; ; n++ {
			require.Less(t, n, 400)
			w := newWorld(t, staged)
			w.backup(t, backup.Full)
			require.NoError(t, w.l.Mutate(5))
			kind := []backup.Kind{backup.Full, backup.Log, backup.Differential}[n%3]
			w.l.GoneAfter(n)
			m, err := w.pipeline(t).Backup(t.Context(), kind)
			w.l.Revive()
			if err == nil {
				require.NotNil(t, m)
			} else {
				require.ErrorIs(t, err, backuptest.ErrLedgerGone)
				require.NotEmpty(t, backup.Hint(err))
			}
			w.whole(t)
			w.goesOn(t)
			if err == nil && n%3 == 0 && n > 40 {
				break
			}
		}
	})
}

func TestAFullTargetIsSaidSo(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, staged bool) {
		for n := 1; n < 6; n++ {
			w := newWorld(t, staged)
			w.backup(t, backup.Full)
			before := w.l.Truncations()
			w.sink.Script(backuptest.Fault{Op: backuptest.OpPut, Key: "/runs/", Nth: n, Times: -1, Err: syscall.ENOSPC})
			require.NoError(t, w.l.Mutate(5))
			_, err := w.pipeline(t).Backup(t.Context(), backup.Full)
			require.ErrorIs(t, err, syscall.ENOSPC)
			w.sink.Script()
			w.settled(t, before, 1)
			w.goesOn(t)
		}
	})
}

func TestASilentRunIsCancelled(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, staged bool) {
		w := newWorld(t, staged)
		w.backup(t, backup.Full)
		var stalled int
		w.change = func(c *backup.Config) {
			c.Stall = backup.Stall{After: 100 * time.Millisecond, Cancel: true}
			c.Events = func(e backup.Event) {
				if _, ok := e.(backup.Stalled); ok {
					stalled++
				}
			}
		}
		w.sink.Script(backuptest.Fault{Op: backuptest.OpPut, Key: "/runs/", Nth: 2, Action: backuptest.Stall, After: 10})
		_, err := w.pipeline(t).Backup(t.Context(), backup.Full)
		require.ErrorIs(t, err, backup.ErrStalled)
		require.Positive(t, stalled)
		w.sink.Script()
		w.change = nil
		w.settled(t, 0, 1)
		w.goesOn(t)
	})
}

// A stage far smaller than the database: writers wait for what is shipped, and the bound is kept.
func TestTheStageStaysWithinItsQuota(t *testing.T) {
	t.Parallel()
	const part, quota = 64 << 10, 4 * 64 << 10
	w := newWorld(t, true)
	w.l = backuptest.NewLedger(&backuptest.LedgerOptions{Ballast: 40 * part})
	w.source = w.l.Source(nil)
	var most atomic.Int64
	w.change = func(c *backup.Config) { c.Stager = backup.DirStager{Dir: w.stage, Quota: quota} }
	w.sink.Script(backuptest.Fault{Op: backuptest.OpPut, Key: "/runs/", Times: -1, Action: backuptest.Pass, Do: func() {
		time.Sleep(time.Millisecond)
		for now, old := staged(w.stage), most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
		}
	}})
	w.backup(t, backup.Full)
	require.Positive(t, most.Load())
	// Two databases are written at once; each may claim its next part beyond the bound when nothing is moving.
	require.LessOrEqual(t, most.Load(), int64(quota+2*part+8<<10))
	w.restores(t)
}

// staged counts the bytes of parts and files in a stage.
func staged(dir string) (n int64) {
	filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasSuffix(d.Name(), ".jsonl") {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}
