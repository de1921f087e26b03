package oracle

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/quiesce-go/quiesce/backup"
)

// redo is what a server has of it: archived logs whose files are on this machine, and online logs.
type redo struct {
	logs   []restoredLog
	online []ArchivedLog
}

// redo lists what the server has at or behind an SCN.
func (c *session) redo(ctx context.Context, resetlogs, from SCN) (out redo, err error) {
	logs, err := c.logs(ctx, resetlogs, from)
	if err != nil {
		return out, err
	}
	for _, l := range logs {
		for _, at := range l.copies {
			if !at.usable || at.standby {
				continue
			}
			if info, err := os.Stat(at.name); err == nil && info.Mode().IsRegular() {
				out.logs = append(out.logs, restoredLog{l, at.name})
				break
			}
		}
	}
	err = c.each(ctx, "SELECT THREAD#, SEQUENCE#, STATUS, FIRST_CHANGE#, NEXT_CHANGE# FROM V$LOG ORDER BY THREAD#, SEQUENCE#", func(r row) {
		if r.text("STATUS") != "UNUSED" {
			out.online = append(out.online, ArchivedLog{Thread: int(r.int("THREAD#")), Sequence: r.uint("SEQUENCE#"), FirstSCN: r.scn("FIRST_CHANGE#"), NextSCN: r.scn("NEXT_CHANGE#")})
		}
	})
	return out, err
}

// placeRedo finds the logs that the recovery needs. Those that the server has are read where they lie, the others come from the backups. there says that a file is such a log already.
func (r *repair) placeRedo(have redo, there func(l ArchivedLog, path string) bool) error {
	all := slices.Clone(have.online)
	known := map[string]bool{}
	for _, l := range have.logs {
		known[l.artifact()] = true
		r.logs, all = append(r.logs, l), append(all, l.ArchivedLog)
	}
	for _, h := range r.steps {
		for _, l := range h.inv.Backup.Logs {
			if known[l.artifact()] || l.NextSCN <= r.need {
				continue
			}
			known[l.artifact()] = true
			path := joinServer(joinServer(r.work, "arch"), baseName(l.artifact()))
			r.logs, all = append(r.logs, restoredLog{l, path}), append(all, l)
			if there != nil && there(l, path) {
				continue
			}
			if err := r.add(h, l.Artifact, path); err != nil {
				return err
			}
		}
	}
	r.logs = asAsked(r.logs)
	if !r.asked || r.need == NoSCN {
		return nil
	}
	return r.covered(all)
}

// covered refuses a recovery that would end for want of redo, before anything is touched.
func (r *repair) covered(all []ArchivedLog) error {
	for _, t := range r.now.Threads {
		var of []ArchivedLog
		for _, l := range all {
			if l.Thread == t.Thread && l.NextSCN > r.need {
				of = append(of, l)
			}
		}
		slices.SortFunc(of, func(a, b ArchivedLog) int { return cmp.Compare(a.FirstSCN, b.FirstSCN) })
		reached := r.need
		for _, l := range of {
			if l.FirstSCN > reached && l.Sequence != 1 { // the first log of a thread has nothing before it
				return r.lacking(t.Thread, reached, l.FirstSCN)
			}
			reached = max(reached, l.NextSCN)
		}
		if t.Status == "OPEN" && reached != NoSCN {
			return r.lacking(t.Thread, reached, r.now.CurrentSCN)
		}
	}
	return nil
}

func (r *repair) lacking(thread int, from, to SCN) error {
	return &backup.Error{Op: "restore", App: application, Instance: r.src.instance, Artifact: fmt.Sprintf("thread %d", thread),
		Err:    fmt.Errorf("%w: redo from SCN %d to %d is in no backup, in no archived log that the server has on this machine, and in no online log", backup.ErrChainBroken, from, to),
		Advice: "look for the log at all archive destinations; without it, restore the whole database to before the gap, at another place, and move the tablespace from there with Data Pump"}
}

// isLog reports whether a file that is there is this log, whole: what an attempt that died has left.
func (r *repair) isLog(ctx context.Context, l ArchivedLog, path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	return r.now.checkLog(ctx, f, l) == nil
}

// refresh adds the logs that were archived since, and says whether there are any.
func (r *repair) refresh(ctx context.Context) (more bool, err error) {
	return more, r.src.with(ctx, func(conn *session) error {
		have, err := conn.redo(ctx, r.now.ResetlogsSCN, r.need)
		if err != nil {
			return err
		}
		for _, l := range have.logs {
			if !slices.ContainsFunc(r.logs, func(o restoredLog) bool { return o.artifact() == l.artifact() }) {
				r.logs, more = append(r.logs, l), true
			}
		}
		r.logs = asAsked(r.logs)
		return nil
	})
}
