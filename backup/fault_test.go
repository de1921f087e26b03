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
	var struck atomic.Bool
	f.Nth = n
	f.Do = func() {
		struck.Store(true)
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
	if f.Op == backuptest.OpPutIfAbsent && f.Action == backuptest.Lost && n == 2 {
		require.NoError(t, err, "the manifest is there though its answer was lost; a look tells")
	}
	if err == nil {
		require.NotNil(t, m)
	} else if f.Action != backuptest.Stall {
		require.ErrorIs(t, err, backuptest.ErrFault)
		require.Contains(t, err.Error(), "ledger")
	}
	w.settled(t, before, 2)
	w.goesOn(t)
	return struck.Load()
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
	troubles := max(15, crashPoints(t)-52) // with QUIESCE_CRASH_POINTS as many as crashes
	modes(t, func(t *testing.T, staged bool) {
		for range troubles {
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
				h, err := w.pipeline(t).History(t.Context()) // not the keys: a tombstone is no backup
				require.NoError(t, err)
				before := w.l.Truncations()
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
				_, err = p.Backup(t.Context(), []backup.Kind{backup.Full, backup.Log}[rnd.IntN(2)])
				w.sink.Script()
				if err != nil {
					require.True(t, errors.Is(err, backuptest.ErrFault) || errors.Is(err, backup.ErrBusy), "seed %d: %v", seed, err)
				}
				w.settled(t, before, len(h))
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
			var struck atomic.Bool
			if !cancelled(t, staged, ctx, func(w *world) {
				w.sink.Script(backuptest.Fault{Nth: n, Action: backuptest.Pass, Do: func() { struck.Store(true); cancel(errOperator) }})
			}) && !struck.Load() {
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
