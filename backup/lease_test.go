package backup_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

// leaseOf writes a lease as another machine would have.
func leaseOf(t *testing.T, s backup.Sink, fence int, fields map[string]any) {
	t.Helper()
	rec := map[string]any{"fence": fence, "token": "other", "holder": "elsewhere pid 1"}
	for k, v := range fields {
		rec[k] = v
	}
	data, err := json.Marshal(rec)
	require.NoError(t, err)
	require.NoError(t, s.Put(t.Context(), fmt.Sprintf("job/lease/%012d.json", fence), strings.NewReader(string(data))))
}

func keysOf(t *testing.T, s backup.Sink, prefix string) (keys []string) {
	t.Helper()
	for o, err := range s.List(t.Context(), prefix) {
		require.NoError(t, err)
		keys = append(keys, o.Key)
	}
	return keys
}

func TestLeaseOfALivingHolder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := backuptest.NewMemSink()
		p := newPipeline(t, backup.Config{Source: &files{}, Sink: mem, LeaseTTL: time.Minute})
		leaseOf(t, mem, 7, map[string]any{"expires": time.Now().Add(time.Second), "renewed": time.Now()})
		_, err := p.Backup(t.Context(), backup.Full)
		require.ErrorIs(t, err, backup.ErrBusy)
		assert.ErrorContains(t, err, "elsewhere pid 1", "the holder is named")
	})
}

// TestLeaseClockAhead has a holder whose clock is far behind ours: by our clock its lease is always expired, but it renews, so it lives.
func TestLeaseClockAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := backuptest.NewMemSink()
		p := newPipeline(t, backup.Config{Source: &files{}, Sink: mem, LeaseTTL: time.Minute})
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			for ctx.Err() == nil {
				past := time.Now().Add(-time.Hour)
				leaseOf(t, mem, 7, map[string]any{"expires": past.Add(time.Minute), "renewed": past})
				time.Sleep(20 * time.Second)
			}
		})
		time.Sleep(time.Second)
		_, err := p.Backup(t.Context(), backup.Full)
		require.ErrorIs(t, err, backup.ErrBusy)
		stop()
		wg.Wait()

		begun := time.Now()
		m, err := p.Backup(t.Context(), backup.Full)
		require.NoError(t, err, "now it is dead")
		assert.EqualValues(t, 8, m.Fence)
		assert.GreaterOrEqual(t, time.Since(begun), time.Minute, "only after a whole lifetime of silence")
		assert.Equal(t, []string{"job/lease/000000000008.json"}, keysOf(t, mem, "job/lease/"))
	})
}

// TestOrphansOfADeadHolder buries what a dead holder may have left: its parts go, and its manifest can never appear.
func TestOrphansOfADeadHolder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := backuptest.NewMemSink()
		p := newPipeline(t, backup.Config{Source: &files{}, Sink: mem})
		dead := backup.NewID(time.Now().Add(-time.Hour), "")
		leaseOf(t, mem, 3, map[string]any{"released": true, "runs": []backup.ID{dead}})
		part := "job/runs/" + string(dead) + "/data/00000000"
		require.NoError(t, mem.Put(t.Context(), part, strings.NewReader("half a backup")))
		_, err := p.Backup(t.Context(), backup.Full)
		require.NoError(t, err)
		assert.NotContains(t, keysOf(t, mem, "job/runs/"), part)
		err = mem.PutIfAbsent(t.Context(), "job/manifests/"+string(dead)+".json", strings.NewReader("{}"))
		require.Error(t, err, "the dead run's writer wakes and is refused")
		h, err := p.History(t.Context())
		require.NoError(t, err)
		assert.Len(t, h, 1, "a tombstone is no backup")

		time.Sleep(31 * 24 * time.Hour)
		_, err = p.Backup(t.Context(), backup.Full)
		require.NoError(t, err)
		assert.Len(t, keysOf(t, mem, "job/manifests/"), 2, "the tombstone is gone, the backups stay")
	})
}

// TestLeaseLost takes the job away in the middle of a run: the run must not publish.
func TestLeaseLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := backuptest.NewMemSink()
		src := &files{content: sample(partSize), pending: &pending{}}
		src.before = func(*backup.Stage) error {
			leaseOf(t, mem, 99, map[string]any{"expires": time.Now().Add(time.Hour), "renewed": time.Now()})
			return nil
		}
		_, err := newPipeline(t, backup.Config{Source: src, Sink: mem}).Backup(t.Context(), backup.Full)
		require.ErrorIs(t, err, backup.ErrLeaseLost)
		assert.Empty(t, keysOf(t, mem, "job/manifests/"))
		assert.EqualValues(t, 1, src.pending.aborts.Load())
		assert.Zero(t, src.pending.commits.Load())
	})
}

// TestLeaseTakenDuringARun ends the run as soon as a renewal sees the other holder, not only at its end.
func TestLeaseTakenDuringARun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem := backuptest.NewMemSink()
		src := &waiting{begun: make(chan struct{})}
		p := newPipeline(t, backup.Config{Source: src, Sink: mem, LeaseTTL: time.Minute})
		go func() {
			<-src.begun
			leaseOf(t, mem, 99, map[string]any{"expires": time.Now().Add(time.Hour), "renewed": time.Now()})
		}()
		begun := time.Now()
		_, err := p.Backup(t.Context(), backup.Full)
		require.ErrorIs(t, err, backup.ErrLeaseLost)
		assert.LessOrEqual(t, time.Since(begun), 21*time.Second)
	})
}

// TestLeaseRidesOutAnOutage cuts the target off for longer than the lease lasts: when nobody took the job meanwhile, the run goes on.
func TestLeaseRidesOutAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cut := backuptest.NewFaultySink(backuptest.NewMemSink())
		src := &files{content: sample(partSize)}
		src.before = func(*backup.Stage) error {
			cut.Script(backuptest.Fault{Times: -1})
			time.Sleep(10 * time.Minute)
			cut.Script()
			return nil
		}
		_, err := newPipeline(t, backup.Config{Source: src, Sink: cut, LeaseTTL: time.Minute}).Backup(t.Context(), backup.Full)
		require.NoError(t, err)
	})
}

// waiting is a Source that blocks until its context ends.
type waiting struct{ begun chan struct{} }

func (w *waiting) Describe() backup.Description {
	return backup.Description{Application: "waiting", Kinds: []backup.Kind{backup.Full}}
}

func (w *waiting) Backup(ctx context.Context, _ backup.Request, _ *backup.Stage) (backup.Result, error) {
	close(w.begun)
	<-ctx.Done()
	return backup.Result{}, context.Cause(ctx)
}

func TestOneOfManyGetsTheJob(t *testing.T) {
	t.Parallel()
	mem := backuptest.NewMemSink()
	var wg sync.WaitGroup
	var mu sync.Mutex
	fences := map[uint64]int{}
	for range 16 {
		wg.Go(func() {
			p := newPipeline(t, backup.Config{Source: &files{}, Sink: mem})
			m, err := p.Backup(context.Background(), backup.Full)
			if errors.Is(err, backup.ErrBusy) {
				return
			}
			if assert.NoError(t, err) {
				mu.Lock()
				fences[m.Fence]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.NotEmpty(t, fences)
	for fence, n := range fences {
		assert.Equal(t, 1, n, "fence %d", fence)
	}
}

func TestStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stalled int
		p := newPipeline(t, backup.Config{Source: &waiting{begun: make(chan struct{})}, Sink: backuptest.NewMemSink(),
			Stall: backup.Stall{After: 2 * time.Minute, Cancel: true},
			Events: func(e backup.Event) {
				if _, ok := e.(backup.Stalled); ok {
					stalled++
				}
			}})
		begun := time.Now()
		_, err := p.Backup(t.Context(), backup.Full)
		require.ErrorIs(t, err, backup.ErrStalled)
		assert.NotEmpty(t, backup.Hint(err))
		assert.InDelta(t, 120, time.Since(begun).Seconds(), 2)
		assert.Equal(t, 1, stalled)
	})
}
