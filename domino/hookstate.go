package domino

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// hookState is what Domino was told: that files are safe, which it then does not offer again. It is on disk before Domino is told.
type hookState struct {
	// Epoch is the stream of the chain. It begins anew when log may be missing.
	Epoch string `json:"epoch"`
	// LogID is that of the extents, as Domino writes it; empty before the first.
	LogID string `json:"log_id,omitempty"`
	// Accepted is how many extents of the epoch Domino was told are safe.
	Accepted uint64 `json:"accepted"`
	// Run is the last run; Told says that it told Domino of anything, Durable that a backup came of it.
	Run     backup.ID `json:"run,omitempty"`
	Told    bool      `json:"told,omitempty"`
	Durable bool      `json:"durable,omitempty"`
	// Owed is why the next log run takes all databases.
	Owed string `json:"owed,omitempty"`
}

// loadHookState reads the note of a job; there is none before its first run.
func (h *HookSource) loadHookState(job string) (s *hookState, err error) {
	text, err := os.ReadFile(h.base.statePath(job, "hook"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s = &hookState{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, nil //nolint:nilerr // what cannot be read is not known, and everything is taken anew
	}
	return s, nil
}

func (h *HookSource) saveHookState(job string, s hookState) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := saveState(h.base.statePath(job, "hook"), text); err != nil {
		return &backup.Error{Op: "note what Domino was told in", App: application, Instance: h.base.opt.Instance, Artifact: h.opt.StateDir, Err: err,
			Advice: "let the state directory be one that this process may write to, with room"}
	}
	return nil
}

// extentPosition is a place in an epoch: so many extents were before it. Domino does not tell the numbers of extents, so they are counted.
func extentPosition(n uint64) backup.Position { return backup.Position(fmt.Sprintf("%020d", n)) }

// course of an epoch at the start of a run: where it goes on, and why all databases must be taken, if they must.
func (s *hookState) resume(req backup.Request) (next hookState, begin uint64, from time.Time, reason string) {
	fresh := func(why string) (hookState, uint64, time.Time, string) {
		return hookState{Epoch: "hook-" + string(req.ID), Run: req.ID}, 0, time.Time{}, why
	}
	last := req.Anchors[itemLog].Last
	switch {
	case s == nil && last == nil:
		return fresh("no full backup with log is at the target")
	case s == nil:
		return fresh("the note of what Domino was told is not on this machine, so log may be missing")
	}
	known := s.Durable || !s.Told
	salvaged := false
	if !known {
		salvaged = anchored(req, s.Run)
	}
	switch {
	case !known && !salvaged:
		return fresh(fmt.Sprintf("run %s told Domino that files are safe, and no backup came of it", s.Run))
	case last == nil:
		if s.Accepted > 0 {
			return fresh("log that Domino gave up is not at the target")
		}
		next, reason = *s, "no full backup with log is at the target"
	case last.Stream != s.Epoch:
		return fresh("the log at the target is not that which Domino was last asked for")
	default:
		end, err := strconv.ParseUint(string(last.End), 10, 64)
		if err != nil || end < s.Accepted {
			return fresh("log that Domino gave up is not at the target")
		}
		next, begin, from = *s, end, last.Window.To
		next.Accepted = end
	}
	if salvaged {
		reason = fmt.Sprintf("run %s was completed after it had died, and may lack databases that Domino takes for safe", s.Run)
	}
	if s.Owed != "" {
		reason = s.Owed
	}
	next.Run, next.Told, next.Durable = req.ID, false, false
	return next, begin, from, reason
}

// anchored reports whether a backup of that id is at the target.
func anchored(req backup.Request, id backup.ID) bool {
	for _, a := range req.Anchors {
		if a.Full != nil && a.Full.ID == id || a.Last != nil && a.Last.ID == id {
			return true
		}
	}
	return false
}
