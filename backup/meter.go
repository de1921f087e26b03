package backup

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// meter counts what moves in a run, a restore or a verification, and tells the world and the stall watch.
type meter struct {
	p         *Pipeline
	id        ID
	start     time.Time
	staged    atomic.Int64
	shipped   atomic.Int64
	stored    atomic.Int64
	expected  atomic.Int64
	items     atomic.Int64
	itemsDone atomic.Int64
	artifacts atomic.Int64
	touched   atomic.Int64
	phase     atomic.Value // Phase

	mu      sync.Mutex
	watched map[string]struct{} // files a server is writing
	rate    float64
}

// progressEvery is the pause between two Progress events.
const progressEvery = 500 * time.Millisecond

func newMeter(p *Pipeline, id ID) *meter {
	m := &meter{p: p, id: id, start: time.Now(), watched: make(map[string]struct{})}
	m.phase.Store(PhaseBackup)
	return m
}

func (m *meter) expect(items int, bytes int64) {
	if items > 0 {
		m.items.Store(int64(items))
	}
	if bytes > 0 {
		m.expected.Store(bytes)
	}
}

func (m *meter) stagedBytes(n int64) { m.staged.Add(n) }

func (m *meter) shippedBytes(content, stored int64) {
	m.shipped.Add(content)
	m.stored.Add(stored)
}

func (m *meter) touch() { m.touched.Add(1) }

func (m *meter) watch(path string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watched[path] = struct{}{}
}

func (m *meter) unwatch(path string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.watched, path)
}

// growing is the size of the files a server is writing.
func (m *meter) growing() (n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for path := range m.watched {
		if info, err := os.Stat(path); err == nil {
			n += info.Size()
		}
	}
	return n
}

// activity is a number that changes whenever something moves.
func (m *meter) activity() [5]int64 {
	return [5]int64{m.staged.Load(), m.shipped.Load(), m.stored.Load(), m.touched.Load(), m.growing()}
}

// enter begins a phase.
func (m *meter) enter(ph Phase) {
	m.phase.Store(ph)
	m.touch()
	m.p.emit(PhaseStarted{Job: m.p.cfg.Job, ID: m.id, Phase: ph})
}

// run reports progress and watches for stalls until the returned function is called, which reports once more.
func (m *meter) run(ctx context.Context, stalled func(error)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.loop(ctx, stalled)
	}()
	return func() {
		cancel()
		<-done
		m.report()
	}
}

func (m *meter) loop(ctx context.Context, stalled func(error)) {
	last, lastMove, lastShipped := m.activity(), time.Now(), int64(0)
	for sleep(ctx, progressEvery) == nil {
		now := m.activity()
		if now != last {
			last, lastMove = now, time.Now()
		}
		m.smooth(m.shipped.Load() - lastShipped)
		lastShipped = m.shipped.Load()
		m.report()
		silent := time.Since(lastMove)
		if limit := m.p.cfg.Stall.After; silent >= limit {
			m.p.emit(Stalled{Job: m.p.cfg.Job, ID: m.id, For: silent})
			if m.p.cfg.Stall.Cancel {
				stalled(&Error{Op: "run", App: m.p.app(), ID: m.id, Err: fmt.Errorf("%w: no byte for %s in phase %s", ErrStalled, silent.Round(time.Second), m.phase.Load()),
					Advice: "see whether server, stage and target answer; Config.Stall sets the limit"})
				return
			}
			lastMove = time.Now()
		}
	}
}

// smooth folds the bytes of one pause into the rate, so that it follows the last five seconds or so.
func (m *meter) smooth(bytes int64) {
	const weight = 0.15
	now := float64(bytes) / progressEvery.Seconds()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rate == 0 {
		m.rate = now
		return
	}
	m.rate += weight * (now - m.rate)
}

func (m *meter) report() {
	m.mu.Lock()
	rate := m.rate
	m.mu.Unlock()
	e := Progress{Job: m.p.cfg.Job, ID: m.id, Phase: m.phase.Load().(Phase), Expected: m.expected.Load(),
		Staged: m.staged.Load(), Shipped: m.shipped.Load(), Stored: m.stored.Load(),
		Items: int(m.items.Load()), ItemsDone: int(m.itemsDone.Load()), Artifacts: int(m.artifacts.Load()),
		Rate: rate, Elapsed: time.Since(m.start)}
	if left := max(e.Expected, e.Staged) - e.Shipped; left > 0 && rate > 0 && e.Expected > 0 {
		e.ETA = time.Duration(float64(left) / rate * float64(time.Second))
	}
	m.p.emit(e)
}
