package exchange

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
	"github.com/quiesce-go/quiesce/internal/atomicfile"
)

// checked is a tool that can tell whether it could work, without doing it.
type checked interface {
	Check(ctx context.Context) error
}

// Check implements backup.Checker. It asks the server what it has, says by which way that is taken and what stands against it, and writes into the state directory. Nothing is put into backup, and no snapshot is made.
func (s *Source) Check(ctx context.Context, _ backup.StageDir) (out []backup.Finding) {
	note := func(what string, err error) bool {
		err = s.fail(ctx, "check", "", err)
		out = append(out, backup.Finding{What: what, Err: err, Hint: backup.Hint(err)})
		return err == nil
	}
	note("state directory can be written to: "+s.opt.StateDir, s.checkStateDir())
	st, err := s.look(ctx)
	if !note("the server tells what it has", err) {
		if errors.Is(err, errors.ErrUnsupported) {
			for _, n := range s.opt.Tools.missing() {
				note(n.what, n.err())
			}
		}
		return out
	}
	note(s.told(st), nil)
	for _, w := range st.warnings {
		note(w, nil)
	}
	if len(st.targets) == 0 && len(st.unknown)+len(st.shut) == 0 && st.elsewhere == 0 {
		note("there is a database to back up", s.refuse("check", "", "look at include and exclude", "the server has none"))
	}
	for _, n := range st.unknown {
		note(fmt.Sprintf("the server has no storage group or database %q, and that fails: correct include", n), nil)
	}
	for _, n := range st.shut {
		note(n+" is not mounted and fails: "+adviceMounted, nil)
	}
	if st.way == WayVSS {
		s.checkSnapshots(ctx, st, note)
	} else {
		s.checkStreaming(ctx, st, note)
	}
	s.checkGroups(st, note)
	if !s.opt.SkipSystemState {
		tool := s.opt.Tools.SystemState
		// That it cannot be taken costs a run its item only, and no other backup.
		if err := tool.Check(ctx, filepath.Join(s.opt.StateDir, "check.systemstate")); err != nil {
			note(fmt.Sprintf("the system state will fail: %v; %s", err, orElse(backup.Hint(err), "skip the system state, or give it what it needs")), nil)
		} else {
			note("the system state can be saved by "+tool.Name(), nil)
		}
	}
	return out
}

// told says what a full would take, and how.
func (s *Source) told(st *site) string {
	databases := 0
	for _, t := range st.targets {
		databases += len(t.Databases)
	}
	how := "by snapshots"
	if st.way == WayESE {
		how = "by the streaming API"
	}
	why := "as the options say"
	if s.opt.Way == WayAuto {
		why = "as is best for its version"
	}
	return fmt.Sprintf("%s: %d databases in %d groups to back up %s, %s; %d left out", orElse(st.layout.Version, "Exchange of an unknown version"), databases, len(st.targets), how, why, len(st.untaken))
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

func (s *Source) checkSnapshots(ctx context.Context, st *site, note func(string, error) bool) {
	shadows := s.opt.Tools.Shadows
	if c, ok := shadows.(checked); ok {
		note("snapshots can be made", c.Check(ctx))
	} else {
		note("snapshots are made by a tool that cannot be asked beforehand", nil)
	}
	for _, t := range st.targets {
		if _, err := live().list(t.LogDir); err != nil {
			note(fmt.Sprintf("the logs of %s cannot be listed, and it will fail: %v", t.Name, err), nil)
		}
	}
	if st.layout.Major > 0 && st.layout.Major < majorComponents {
		note("before Exchange 2010 logs are truncated only by snapshots that hold all storage groups", nil)
	}
}

func (s *Source) checkStreaming(ctx context.Context, st *site, note func(string, error) bool) {
	if st.layout.Major >= majorComponents {
		note("the streaming API serves this version", s.refuse("check", "", `set way: "vss", or leave it out`, "Exchange 2010 and later have no streaming API"))
		return
	}
	if c, ok := s.opt.Tools.Streaming.(checked); ok {
		note("the streaming API is here, and this account may use it", c.Check(ctx))
		return
	}
	session, _, err := s.opt.Tools.Streaming.Prepare(ctx, s.opt.Server, esebcli.InformationStore)
	if err == nil {
		undo, stop := s.undoing(ctx)
		defer stop()
		err = session.End(undo)
	}
	note("the streaming API answers, and this account may use it", err)
}

// checkGroups tells of circular logging and of backups under way.
func (s *Source) checkGroups(st *site, note func(string, error) bool) {
	var circular, busy []string
	for _, t := range st.targets {
		if t.Circular {
			circular = append(circular, t.Name)
		}
		for _, d := range t.Databases {
			if d.BackupInProgress {
				busy = append(busy, d.Name)
			}
		}
	}
	if len(circular) > 0 {
		note(fmt.Sprintf("circular logging is on, so that only fulls can be taken of: %s; %s", strings.Join(circular, ", "), adviceCircular), nil)
	}
	if len(busy) > 0 {
		note(fmt.Sprintf("a backup is under way of: %s; %s", strings.Join(busy, ", "), adviceInProgress), nil)
	}
}

// checkStateDir writes where notes are kept.
func (s *Source) checkStateDir() error {
	probe := filepath.Join(s.opt.StateDir, "exchange-check")
	err := atomicfile.Write(probe, []byte("check"))
	if err == nil {
		err = os.Remove(probe)
	}
	if err != nil {
		return &backup.Error{Op: "check", App: application, Instance: s.opt.Instance, Artifact: s.opt.StateDir, Err: err, Advice: "let the state directory be one that this process may write to, with room"}
	}
	return nil
}

var _ backup.Checker = (*Source)(nil)
