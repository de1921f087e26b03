package agent

import (
	"maps"
	"sync"
)

// stateStore is what the agent remembers of its jobs, in memory and in Options.State.
type stateStore struct {
	mu   sync.Mutex
	told map[string]map[string]string
}

func (s *stateStore) notices(job string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.told[job])
}

func (s *stateStore) setNotices(job string, m map[string]string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told == nil {
		s.told = map[string]map[string]string{}
	}
	s.told[job] = maps.Clone(m)
	return nil
}
