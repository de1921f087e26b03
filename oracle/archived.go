package oracle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// archivePoll is the pause between two looks at whether a log has been archived.
const archivePoll = 2 * time.Second

// ArchivedLog is an archived redo log. Its key is DBID, incarnation, thread and sequence [BRU]; the same log at several destinations is one.
type ArchivedLog struct {
	Thread      int    `json:"thread"`
	Sequence    uint64 `json:"sequence"`
	ResetlogsID uint64 `json:"resetlogs_id"`
	// FirstSCN is the first change the log holds, and NextSCN the first that it does not.
	FirstSCN SCN `json:"first_scn"`
	NextSCN  SCN `json:"next_scn"`
	// FirstTime and NextTime are the server's, as its dictionary has them.
	FirstTime time.Time `json:"first_time"`
	NextTime  time.Time `json:"next_time"`
	Bytes     int64     `json:"bytes"`
	// Name is the file of the server that was copied, and Artifact the copy.
	Name     string `json:"name"`
	Artifact string `json:"artifact"`

	// copies are all places at which the server knows the log.
	copies []logCopy
	// set is the backup set that RMAN put it into.
	set setKey
}

// logCopy is one row of V$ARCHIVED_LOG: a log at one destination.
type logCopy struct {
	name        string
	destination int
	// standby: the file is on another machine. usable: archived, available and not deleted.
	standby, usable bool
	archived        bool
}

func (l ArchivedLog) String() string {
	return fmt.Sprintf("thread %d sequence %d", l.Thread, l.Sequence)
}

// artifact is the log under a name of its own: thread, sequence and incarnation, as in the default LOG_ARCHIVE_FORMAT of a server.
func (l ArchivedLog) artifact() string {
	return fmt.Sprintf("log/%d_%d_%d.arc", l.Thread, l.Sequence, l.ResetlogsID)
}

const queryLogs = "SELECT RECID, THREAD#, SEQUENCE#, RESETLOGS_ID, RESETLOGS_CHANGE#, FIRST_CHANGE#, FIRST_TIME, NEXT_CHANGE#, NEXT_TIME, BLOCKS, BLOCK_SIZE, NAME, DEST_ID, STANDBY_DEST, ARCHIVED, DELETED, STATUS " +
	"FROM V$ARCHIVED_LOG WHERE RESETLOGS_CHANGE# = %d AND NEXT_CHANGE# > %d ORDER BY THREAD#, SEQUENCE#, DEST_ID"

// logs lists the logs of an incarnation that hold anything at or behind an SCN, by thread and sequence.
func (c *session) logs(ctx context.Context, resetlogs, from SCN) ([]ArchivedLog, error) {
	var out []ArchivedLog
	err := c.each(ctx, fmt.Sprintf(queryLogs, resetlogs, from), func(r row) {
		l := ArchivedLog{
			Thread: int(r.int("THREAD#")), Sequence: r.uint("SEQUENCE#"), ResetlogsID: r.uint("RESETLOGS_ID"), FirstSCN: r.scn("FIRST_CHANGE#"), NextSCN: r.scn("NEXT_CHANGE#"),
			FirstTime: r.time("FIRST_TIME"), NextTime: r.time("NEXT_TIME"), Bytes: r.int("BLOCKS") * r.int("BLOCK_SIZE"),
		}
		one := logCopy{name: r.text("NAME"), destination: int(r.int("DEST_ID")), standby: r.yes("STANDBY_DEST"), archived: r.yes("ARCHIVED")}
		one.usable = one.archived && one.name != "" && !r.yes("DELETED") && r.text("STATUS") == "A"
		if n := len(out); n > 0 && out[n-1].Thread == l.Thread && out[n-1].Sequence == l.Sequence && out[n-1].FirstSCN == l.FirstSCN {
			out[n-1].copies = append(out[n-1].copies, one)
			return
		}
		l.copies = []logCopy{one}
		out = append(out, l)
	})
	return out, err
}

// gap is why logs do not cover what they should. waiting: it may close by itself, since archiving goes on.
type gap struct {
	what    string
	waiting bool
}

func (g *gap) Error() string { return g.what }

// Hint says what an operator can do.
func (g *gap) Hint() string {
	if g.waiting {
		return "look at V$ARCHIVE_DEST and the alert log for an archiver that is stuck, and in RAC at whether every instance archives"
	}
	return "look for the log at every archive destination; in RAC, let all instances archive to a place that this server, or this process, can read"
}

// Unwrap returns backup.ErrChainBroken.
func (g *gap) Unwrap() error { return backup.ErrChainBroken }

// cover checks that logs hold all redo of every thread from one SCN up to another without a gap, and returns where they end: the least end of any thread that is open, below which everything is there.
// logs are sorted by thread and sequence and all end behind from.
func cover(logs []ArchivedLog, threads []Thread, from, upTo SCN) (end SCN, err error) {
	end = NoSCN
	of := map[int][]ArchivedLog{}
	for _, l := range logs {
		of[l.Thread] = append(of[l.Thread], l)
	}
	for _, t := range threads {
		reached, err := covered(t.Thread, of[t.Thread], from)
		if err != nil {
			return 0, err
		}
		if t.Status != "OPEN" {
			continue // it makes no redo: what it has archived is all there is
		}
		if reached < upTo {
			return 0, &gap{waiting: true, what: fmt.Sprintf("the logs of thread %d are archived up to SCN %d, not yet to %d", t.Thread, reached, upTo)}
		}
		end = min(end, reached)
	}
	if end == NoSCN {
		return 0, &gap{what: "no redo thread is open"}
	}
	return end, nil
}

// covered goes along the logs of one thread, and returns where they end.
func covered(thread int, logs []ArchivedLog, from SCN) (SCN, error) {
	reached := from
	for i, l := range logs {
		switch {
		case !slices.ContainsFunc(l.copies, func(c logCopy) bool { return c.usable && !c.standby }):
			return 0, &gap{what: fmt.Sprintf("the log of %s (SCN %d to %d) is at no destination any more: it was deleted", l, l.FirstSCN, l.NextSCN), waiting: !slices.ContainsFunc(l.copies, func(c logCopy) bool { return c.archived })}
		case i == 0 && l.FirstSCN > from && l.Sequence != 1:
			return 0, &gap{what: fmt.Sprintf("the logs of thread %d begin at SCN %d (sequence %d), and are needed from %d", thread, l.FirstSCN, l.Sequence, from)}
		case i > 0 && l.FirstSCN != reached:
			return 0, &gap{waiting: l.Sequence != logs[i-1].Sequence+1, what: fmt.Sprintf("the logs of thread %d have a gap from SCN %d (sequence %d) to %d (sequence %d)", thread, reached, logs[i-1].Sequence, l.FirstSCN, l.Sequence)}
		}
		reached = l.NextSCN
	}
	return reached, nil
}

// switchLogs closes the current log of every thread and has it archived, and waits until logs cover from one SCN up to another. It returns them and where they end.
func (r *run) switchLogs(ctx context.Context, from, upTo SCN) (logs []ArchivedLog, end SCN, err error) {
	err = r.s.with(ctx, func(c *session) error {
		// Without a thread it covers all that are enabled [SQL].
		if err := c.exec(ctx, "ALTER SYSTEM ARCHIVE LOG CURRENT"); err != nil {
			return err
		}
		r.st.Moved()
		for waited := time.Duration(0); ; waited += archivePoll {
			threads, err := c.threads(ctx)
			if err != nil {
				return err
			}
			if logs, err = c.logs(ctx, r.inv.ResetlogsSCN, from); err != nil {
				return err
			}
			end, err = cover(logs, threads, from, upTo)
			var g *gap
			if err == nil || !errors.As(err, &g) || !g.waiting || waited >= r.s.opt.ArchiveWait {
				return err
			}
			r.st.Moved()
			if err := pause(ctx, archivePoll); err != nil {
				return err
			}
		}
	})
	return logs, end, err
}

// locateLogs finds for each log a file that is there: that of the first destination, or of the next when it is gone.
func (r *run) locateLogs(ctx context.Context, logs []ArchivedLog) error {
	for i := range logs {
		l := &logs[i]
		if r.rman != nil {
			// RMAN finds one by itself, in ASM too.
			at := slices.IndexFunc(l.copies, func(c logCopy) bool { return c.usable && !c.standby })
			l.Name = l.copies[at].name
			continue
		}
		var errs []error
		for _, c := range l.copies {
			if !c.usable || c.standby {
				continue
			}
			if baseName(c.name) == c.name || c.name[0] == '+' {
				errs = append(errs, fmt.Errorf("%s is no file that a program can open", c.name))
				continue
			}
			_, err := r.files.size(ctx, c.name)
			if err == nil {
				l.Name, l.Artifact = c.name, l.artifact()
				break
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if !missing(err) {
				// It is there, or may be: a full would not mend that this process cannot read it.
				return r.s.fail(ctx, "read the archived log of", l.String(), r.s.forbidden(c.name, err))
			}
			errs = append(errs, err)
		}
		if l.Name == "" {
			return &gap{what: fmt.Sprintf("the archived log of %s (SCN %d to %d) is at no destination: %v", l, l.FirstSCN, l.NextSCN, errors.Join(errs...))}
		}
	}
	return nil
}

// lastSequences are the newest sequences by thread.
func lastSequences(logs []ArchivedLog) map[int]uint64 {
	out := map[int]uint64{}
	for _, l := range logs {
		out[l.Thread] = max(out[l.Thread], l.Sequence)
	}
	return out
}

// before leaves out logs that begin at an SCN or behind it.
func before(logs []ArchivedLog, end SCN) []ArchivedLog {
	return slices.DeleteFunc(logs, func(l ArchivedLog) bool { return l.FirstSCN >= end })
}
