package domino

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
)

// tree makes so many small databases.
func (l *lab) tree(n int) {
	for i := range n {
		require.NoError(l.t, l.sim.CreateDB(fmt.Sprintf("mail/%d/u%d.nsf", i/500, i), dominosim.DB{Pages: 1}))
	}
}

// opened counts databases that are opened.
func (l *lab) opened() *atomic.Int64 {
	var n atomic.Int64
	l.sim.SetFault(func(_ context.Context, c dominosim.Call) error {
		if c.Name == "NSFDbOpen" && !c.After {
			n.Add(1)
		}
		return nil
	})
	return &n
}

// A log run over a large tree opens what changed, and nothing else, also when the note of what was seen is lost.
func TestLogRunOpensWhatChanged(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.tree(40)
	j := l.job(true)
	j.take(backup.Full)
	for i := range 5 {
		l.write(fmt.Sprintf("mail/0/u%d.nsf", i), "k", "v")
	}
	n := l.opened()
	s := l.source()
	run := func(want int64, why string) {
		t.Helper()
		n.Store(0)
		h, err := j.History(t.Context())
		require.NoError(t, err)
		r := &run{s: s, req: backup.Request{Job: "mail", Kind: backup.Log, Anchors: h.Anchors(), Log: slog.New(slog.DiscardHandler)}, host: s.host(), now: seen{}, calls: t.Context()}
		th, err := r.host.thread(t.Context())
		require.NoError(t, err)
		require.NoError(t, r.survey(t.Context(), th))
		p, err := r.decide(t.Context(), th)
		require.NoError(t, err)
		require.Empty(t, p.take, why)
		require.Equal(t, want, n.Load(), why)
		r.remember(p)
		require.NoError(t, r.host.close())
	}
	run(5, "five changed since their full")
	run(0, "they were seen since")
	require.NoError(t, dropState(s.statePath("mail", "seen")))
	run(5, "without the note, what changed since the full is opened")
}

// BenchmarkTree backs up a tree of 20,000 databases: in full, and the log when 20 of them changed. peak-MiB is the heap at its highest. Restores are not measured.
func BenchmarkTree(b *testing.B) {
	const databases, changed = 20000, 20
	l := newLab(b)
	l.tree(databases)
	sink := discard{backuptest.NewMemSink(), &sync.Mutex{}, map[string]int64{}}
	open := func(context.Context) (notes.API, error) { return l.sim.Process(), nil }
	src := l.over(open)
	run := func(b *testing.B, kind backup.Kind) {
		var peak atomic.Uint64
		stop := make(chan struct{})
		done := make(chan struct{})
		var before runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					peak.Store(max(peak.Load(), m.HeapAlloc-min(m.HeapAlloc, before.HeapAlloc)))
				}
			}
		}()
		p, err := backup.New(backup.Config{Job: "mail", Source: src, Sink: sink, Workers: 2, Prove: backup.Prove{Mode: backup.ProveLater}})
		require.NoError(b, err)
		_, err = p.Backup(b.Context(), kind)
		close(stop)
		<-done
		require.NoError(b, err)
		b.ReportMetric(float64(peak.Load())/(1<<20), "peak-MiB")
	}
	full := false
	b.Run("full", func(b *testing.B) {
		for b.Loop() {
			run(b, backup.Full)
		}
		full = true
	})
	b.Run("log", func(b *testing.B) {
		if !full { // else the first log run takes everything, and is measured
			run(b, backup.Full)
		}
		for b.Loop() {
			b.StopTimer()
			for i := range changed {
				require.NoError(b, l.sim.Write(fmt.Sprintf("mail/0/u%d.nsf", i), "k", fmt.Sprint(time.Now().UnixNano())))
			}
			b.StartTimer()
			run(b, backup.Log)
		}
	})
}

// discard keeps everything but the parts, of which it knows the sizes.
type discard struct {
	*backuptest.MemSink
	mu    *sync.Mutex
	parts map[string]int64
}

func (d discard) Put(ctx context.Context, key string, r io.Reader) error {
	if strings.Contains(key, "/parts.") || !strings.Contains(key, "/runs/") || strings.Contains(key, "/entries") {
		return d.MemSink.Put(ctx, key, r)
	}
	n, err := io.Copy(io.Discard, r)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.parts[key] = n
	return err
}

func (d discard) List(ctx context.Context, prefix string) iter.Seq2[backup.Object, error] {
	return func(yield func(backup.Object, error) bool) {
		for o, err := range d.MemSink.List(ctx, prefix) {
			if !yield(o, err) {
				return
			}
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		for key, n := range d.parts {
			if strings.HasPrefix(key, prefix) && !yield(backup.Object{Key: key, Size: n}, nil) {
				return
			}
		}
	}
}
