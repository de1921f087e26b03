package mssql

import (
	"fmt"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/chain"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// policy is what Options says about decisions.
type policy struct{ skipSimple, anyReplica bool }

// choice is what to take of a database: a backup, nothing, or an error of the item.
type choice struct {
	kind     backup.Kind
	copyOnly bool
	// standIn: copy-only is all a secondary replica can take, not what was asked for. Logs continue such a full as they do any; no differential does.
	standIn bool
	tail    string
	// reason is why the kind is not what was asked for.
	reason string
	// skip is why nothing is taken: the database is left out of the backup without being a failure. left says that another replica takes it.
	skip string
	left bool
	// meant: Options asks for it to be left out, so nobody needs to be told.
	meant bool
	// fail is why nothing can be taken though it should.
	fail string
	// loose is why the log that is taken continues nothing at the target; a tail is taken all the same.
	loose string
}

// base is the anchor of a database with what its checkpoints say; zero sets where there is none.
type base struct {
	full, last       *backup.Link
	fullSet, lastSet chain.Set
}

// newBase reads the checkpoints of an anchor.
func newBase(a backup.Anchor) (base, error) {
	b := base{full: a.Full, last: a.Last}
	var err error
	if a.Full != nil {
		if b.fullSet, err = setOf(a.Full.Item); err != nil {
			return b, err
		}
	}
	if a.Last != nil {
		b.lastSet, err = setOf(a.Last.Item)
	}
	return b, err
}

// decide says what a run takes of a database. It looks at nothing but its arguments.
func decide(a ask, f facts, b base, p policy) choice {
	if c, stop := stateAllows(a, f); stop {
		return c
	}
	if f.elsewhere && !p.anyReplica && a.tail == "" {
		return choice{skip: "another replica of its availability group is preferred for backups", left: true}
	}
	switch {
	case a.tail != "":
		return tailOf(a, f, b)
	case a.kind == backup.Full:
		return fullFor(a, f, "")
	case a.kind == backup.Differential:
		if why := noDifferential(f, b); why != "" {
			return fullFor(a, f, why)
		}
		return choice{kind: backup.Differential}
	}
	return logOf(a, f, b, p)
}

// stateAllows rules out databases in a state in which the server takes no backup. What somebody brought about on purpose
// is skipped unless the database was asked for by its name; the rest fails.
func stateAllows(a ask, f facts) (choice, bool) {
	damaged := f.state == "SUSPECT" || f.state == "RECOVERY_PENDING"
	stop := func(why string) (choice, bool) {
		if f.named {
			return choice{fail: "the database cannot be backed up: " + why}, true
		}
		return choice{skip: why}, true
	}
	switch {
	case f.standby:
		return stop("it is in standby, as the target of a log shipping")
	case f.state == online, damaged && (a.tail == TailNoTruncate || a.tail == TailContinueAfterError):
		return choice{}, false
	case f.state == "OFFLINE", f.state == "RESTORING":
		return stop("it is " + f.state)
	}
	return choice{fail: "the database cannot be backed up: it is " + f.state}, true
}

// fullFor takes a full, with the reason why when something else was asked for.
func fullFor(a ask, f facts, why string) choice {
	return choice{kind: backup.Full, copyOnly: a.copyOnly || f.secondary, standIn: !a.copyOnly && f.secondary, reason: why}
}

// noDifferential says why a differential would not help, or is not possible; empty when it would.
func noDifferential(f facts, b base) string {
	switch {
	case strings.EqualFold(f.name, master):
		return "master can only be backed up in full"
	case f.secondary:
		return "a secondary replica takes no differentials"
	case b.full == nil:
		return "no full backup of it is at the target"
	case f.known && f.family != b.fullSet.FamilyGUID:
		return "the database of this name is another one than that at the target"
	case b.fullSet.CopyOnly:
		return "the newest full at the target is copy-only, which is no base"
	case f.baseGUID.IsZero():
		return "the server has no full backup to build a differential on"
	case f.baseGUID != b.fullSet.GUID:
		return fmt.Sprintf("the differential base is backup set %s, which is not the newest full at the target: another tool took it, or it never arrived", f.baseGUID)
	}
	return ""
}

// logOf decides what a log run takes.
func logOf(a ask, f facts, b base, p policy) choice {
	if strings.EqualFold(f.name, master) || f.model == simple {
		why := "its recovery model is SIMPLE, which has no log backups"
		if strings.EqualFold(f.name, master) {
			why = "master has no log backups"
		}
		if p.skipSimple {
			return choice{skip: why, meant: true}
		}
		return instead(a, f, b, why)
	}
	if why := noLog(f, b); why != "" {
		return instead(a, f, b, why)
	}
	return choice{kind: backup.Log, copyOnly: a.copyOnly}
}

// noLog says why a log would continue nothing at the target, or is not possible; empty when it would.
func noLog(f facts, b base) string {
	switch {
	case b.last == nil:
		return "no full backup of it is at the target"
	case !f.known:
		return "" // the header of the log decides
	case f.family != b.lastSet.FamilyGUID:
		return "the database of this name is another one than that at the target"
	case f.fork != b.lastSet.Fork:
		return "it was restored since the last backup, and is on another recovery fork"
	case f.nextLog.IsZero() && !f.secondary: // a secondary may not know
		return "it has no log chain: it was switched from SIMPLE, or had no full since"
	case f.nextLog.Compare(b.lastSet.LastLSN) > 0:
		return gapText(b.lastSet.LastLSN, f.nextLog)
	}
	return ""
}

func gapText(from, to mtf.LSN) string {
	return fmt.Sprintf("the log from %s to %s is not at the target: another tool took it, or a log backup never arrived", from, to)
}

// instead mends a chain that a log cannot continue: by a differential where its base is ours, else by a full.
func instead(a ask, f facts, b base, why string) choice {
	no := noDifferential(f, b)
	switch {
	case no == "" && !a.copyOnly:
		return choice{kind: backup.Differential, reason: why}
	case no == "" || no == why || strings.EqualFold(f.name, master):
		return fullFor(a, f, why)
	}
	return fullFor(a, f, why+"; "+no)
}

// tailOf takes the last log of a database. Nothing else will do, and a gap before it is no reason to lose it.
func tailOf(a ask, f facts, b base) choice {
	if strings.EqualFold(f.name, master) || f.model == simple {
		return choice{fail: "there is no tail to take: the database has no log backups"}
	}
	return choice{kind: backup.Log, copyOnly: a.copyOnly, tail: a.tail, loose: noLog(f, b)}
}

// next says what to take when the backup that was taken is not the one that was meant, because something else came between the decision and the backup. It is
// empty when the set is good. Only headers tell for sure.
func (c choice) next(a ask, f facts, b base, set chain.Set) (choice, bool) {
	f.known, f.family, f.fork = true, set.FamilyGUID, set.Fork
	switch c.kind {
	case backup.Differential:
		if f.baseGUID = set.DifferentialBaseGUID; noDifferential(f, b) != "" {
			return fullFor(a, f, noDifferential(f, b)), true
		}
	case backup.Log:
		f.nextLog = set.FirstLSN
		if why := noLog(f, b); why != "" && c.tail == "" {
			return instead(a, f, b, why), true
		}
	}
	return choice{}, false
}

// wrong says why a set is not the backup that was asked for at all.
func (c choice) wrong(f facts, set chain.Set) string {
	switch {
	case !strings.EqualFold(set.Database, f.name):
		return fmt.Sprintf("the file holds a backup of %q", set.Database)
	case f.known && set.FamilyGUID != f.family:
		return "the database was replaced by another one of its name while the backup ran"
	case set.Type.Kind() != c.kind:
		return fmt.Sprintf("the file holds a %s backup, not a %s", set.Type.Kind(), c.kind)
	case set.CopyOnly != c.copyOnly && c.tail == "":
		return fmt.Sprintf("copy-only is %t in the file, and %t was asked for", set.CopyOnly, c.copyOnly)
	case set.Damaged && c.tail == "":
		return "the server marked the backup as damaged"
	case set.Stripes != len(set.Devices):
		return fmt.Sprintf("the backup is spread over %d files, of which %d are here", set.Stripes, len(set.Devices))
	}
	return ""
}

// record makes the item of a good set. before and after are the server's clock around the statement.
func (c choice) record(set chain.Set, b base, before, after time.Time) (backup.Item, error) {
	it, err := newItem(set)
	if err != nil {
		return it, err
	}
	it.Reason = c.reason
	it.CopyOnly = it.CopyOnly && !c.standIn
	switch it.Kind {
	case backup.Differential:
		it.Parent = b.full.ID
	case backup.Log:
		// All that was committed before the statement began is in the log, and no more is promised.
		it.Window = backup.Window{From: before, To: before}
		if b.last != nil && c.loose == "" {
			it.Parent = b.last.ID
			if b.last.Window.To.Before(before) {
				it.Window.From = b.last.Window.To
			}
		}
		return it, nil
	}
	// The full belongs to the moment at which its copying ended; a clock read afterwards is never too early for a restore that stops by time.
	it.Window = backup.Window{From: after, To: after}
	return it, nil
}
