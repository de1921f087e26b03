package agent

import (
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
	known       bool // history has been read
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

func (m *memory) see(h backup.History) {
	point, begun := recoveryPoint(h)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.history, m.known, m.point, m.begun = h, true, point, begun
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
