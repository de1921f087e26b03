package agent

import (
	"slices"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// memory is what is known of one job while the program runs. It outlives changes of the job's configuration.
type memory struct {
	busy chan struct{} // holds a token while an action of the job is under way

	mu          sync.Mutex
	running     Action
	since       time.Time
	application string
	history     backup.History
	known       bool      // history has been read
	read        time.Time // when
	point       time.Time
	begun       time.Time
}

func newMemory() *memory { return &memory{busy: make(chan struct{}, 1)} }

// take makes the job busy, or reports that it is.
func (m *memory) take() bool {
	select {
	case m.busy <- struct{}{}:
		return true
	default:
		return false
	}
}

func (m *memory) give() { <-m.busy }

func (m *memory) begin(act Action, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running, m.since = act, now
}

func (m *memory) end() { m.begin("", time.Time{}) }

func (m *memory) describe(d backup.Description) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.application = d.Application
}

// see keeps a history that was read at the target.
func (m *memory) see(h backup.History, now time.Time) {
	m.keep(h, func() { m.known, m.read = true, now })
}

// add keeps a backup that was just made, which saves reading the history for it.
func (m *memory) add(b *backup.Manifest) backup.History {
	h := append(slices.Clip(m.seen()), backup.Backup{Manifest: *b, Proof: b.Proof})
	m.keep(h, func() {})
	return h
}

func (m *memory) keep(h backup.History, also func()) {
	point, begun := recoveryPoint(h)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.history, m.point, m.begun = h, point, begun
	also()
}

// recent reports whether the history was read less than an hour ago. Reading takes a request for each backup, and what others do to the target
// meanwhile is looked at by the pipeline itself whenever it matters.
func (m *memory) recent(now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	age := now.Sub(m.read)
	return m.known && age >= 0 && age < time.Hour
}

// seen is the history as it was last read.
func (m *memory) seen() backup.History {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.history
}

func (m *memory) learned() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known
}
