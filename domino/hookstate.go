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
	"github.com/quiesce-go/quiesce/internal/atomicfile"
)

// hookState is what Domino was told: that files are safe, which it then does not offer again. It is on disk before Domino is told.
type hookState struct {
	// Epoch is the stream of the chain. It begins anew when log may be missing.
	Epoch string `json:"epoch"`
	// LogID is that of the extents, as Domino writes it; empty before the first.
	LogID string `json:"log_id,omitempty"`
	// Accepted is how many extents of the epoch Domino was told are safe.
	Accepted uint64 `json:"accepted"`
	// Run is the last run; Told says that it told Domino of anything, Databases that it told it of databases, Durable that a backup came of it.
	Run       backup.ID `json:"run,omitempty"`
	Told      bool      `json:"told,omitempty"`
	Databases bool      `json:"databases,omitempty"`
	Durable   bool      `json:"durable,omitempty"`
	// Owed is why the next log run takes all databases.
	Owed string `json:"owed,omitempty"`
}

// loadHookState reads the note of a job; there is none before its first run.
func (h *hookSource) loadHookState(job string) (s *hookState, err error) {
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

func (h *hookSource) saveHookState(job string, s hookState) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(h.base.statePath(job, "hook"), text); err != nil {
		return &backup.Error{Op: "note what Domino was told in", App: application, Instance: h.base.opt.Instance, Artifact: h.opt.StateDir, Err: err,
			Advice: "let the state directory be one that this process may write to, with room"}
	}
	return nil
}

// extentPosition is a place in an epoch: so many extents were before it. Domino does not tell the numbers of extents, so they are counted.
func extentPosition(n uint64) backup.Position { return backup.Position(fmt.Sprintf("%020d", n)) }

// epoch is where the chain of a job stands at the start of a run.
type epoch struct {
	hookState
	// begin is how many extents are at the target, from up to when they go.
	begin uint64
	from  time.Time
	// anew says that the chain begins with this run, reason why all databases must be taken in a log run.
	anew   bool
	reason string
}

// resume is where a run goes on. The note may be nil.
func (s *hookState) resume(req backup.Request) epoch {
	fresh := func(why string) epoch {
		return epoch{hookState: hookState{Epoch: hookEpoch + string(req.ID), Run: req.ID}, anew: true, reason: why}
	}
	const none = "no full backup with log is at the target"
	last := req.Anchors[itemLog].Last
	if other := byOtherSince(req, s); other != nil {
		return fresh(fmt.Sprintf("backup %s was made by way %s, which log of way %s does not continue", other.ID, wayOfLink(other), Hook))
	}
	switch {
	case s == nil && last == nil:
		return fresh(none)
	case s == nil:
		return fresh("the note of what Domino was told is not on this machine, so log may be missing")
	}
	salvaged := s.Told && !s.Durable
	if salvaged && !anchored(req, s.Run) {
		return fresh(fmt.Sprintf("run %s told Domino that files are safe, and no backup came of it", s.Run))
	}
	e := epoch{hookState: *s, reason: s.Owed}
	if salvaged && s.Databases {
		e.reason = fmt.Sprintf("run %s was completed after it had died, and may lack databases that Domino takes for safe", s.Run)
	}
	if !based(req, s.Epoch) {
		return fresh(none)
	}
	if last != nil && last.Stream == s.Epoch {
		n, err := strconv.ParseUint(string(last.End), 10, 64)
		if err != nil {
			return fresh(none)
		}
		e.begin, e.from = n, last.Window.To
	}
	if e.begin < s.Accepted {
		return fresh("log that Domino gave up is not at the target")
	}
	e.Accepted = e.begin
	e.Run, e.Told, e.Databases, e.Durable = req.ID, false, false, false
	return e
}

// byOtherSince is the newest backup since the last run of this way that another made. What the C API took of the log Domino has given up.
func byOtherSince(req backup.Request, s *hookState) (newest *backup.Link) {
	for name, a := range req.Anchors {
		if name == itemFiles || name == itemAttachments {
			continue // alike by every way
		}
		for _, l := range []*backup.Link{a.Full, a.Last} {
			if l != nil && wayOfLink(l) != Hook && (s == nil || l.ID > s.Run) && (newest == nil || l.ID > newest.ID) {
				newest = l
			}
		}
	}
	return newest
}

// based reports whether a full that the log of that epoch continues is at the target.
func based(req backup.Request, epoch string) bool {
	for _, a := range req.Anchors {
		if a.Full != nil && a.Full.Stream == epoch {
			return true
		}
	}
	return false
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
