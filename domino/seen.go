package domino

import (
	"encoding/json"
	"os"

	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/atomicfile"
)

// stamp is how a file looked.
type stamp struct {
	Modified int64 `json:"modified"` // nanoseconds since 1970
	Size     int64 `json:"size"`
}

func (f file) stamp() stamp { return stamp{f.modified.UnixNano(), f.size} }

// sight is a database at the last look: with a file that has not changed since, neither has the instance.
type sight struct {
	stamp
	Logged bool       `json:"logged"`
	LogID  notes.UNID `json:"log_id"`
	DBIID  notes.UNID `json:"dbiid"`
}

// seen is what the last run saw, by name. It only saves opening databases: what is at the target decides, and without it all that changed since their full are opened.
type seen map[string]sight

// loadSeen reads what was seen; what cannot be read was not.
func (s *capiSource) loadSeen(job string) seen {
	text, err := os.ReadFile(s.statePath(job, "seen"))
	if err != nil {
		return nil
	}
	var v seen
	if json.Unmarshal(text, &v) != nil {
		return nil
	}
	return v
}

func (s *capiSource) saveSeen(job string, v seen) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return atomicfile.Write(s.statePath(job, "seen"), text)
}
