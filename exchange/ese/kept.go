package ese

import (
	"cmp"
	"fmt"
	"slices"
)

// NamedDatabase is a database and its name.
type NamedDatabase struct {
	Name     string
	Database *Database
}

// Stream is the logs of one series as they lie on a server's disk, with all databases that write to them: a storage group up to Exchange 2007, one database since. Headers are enough: see [ReadDatabaseHeader] and [ReadLogHeader].
type Stream struct {
	Databases []NamedDatabase
	Logs      []NamedLog
	// Checkpoint may be nil: then the databases alone tell what recovery needs.
	Checkpoint *Checkpoint
}

// Cause is what holds a log.
type Cause string

// The causes.
const (
	HeldForRecovery Cause = "recovery"       // the server needs it to start again
	NeverBackedUp   Cause = "no full backup" // the database has had none since it uses these logs
	NotBackedUp     Cause = "no backup"      // no backup has it yet
)

// Hold is one thing that keeps the server from deleting logs.
type Hold struct {
	Cause Cause
	// Database is the one concerned; empty: that of the checkpoint, which are all.
	Database string
	// First is the oldest log that is held; all newer ones are too.
	First uint32
	// What is a sentence.
	What string
}

// Kept is why logs are still on the disk.
type Kept struct {
	// First and Last are the oldest and newest of the logs that are closed; 0: there is none.
	First, Last uint32
	// FreeLast is the newest log that nothing in the headers holds, nor any older one; 0: all are held.
	FreeLast uint32
	// Holds are what holds logs that are there, the oldest first.
	Holds []Hold
	// Circular: the server deletes logs by itself, and waits for no backup.
	Circular bool
	// Refused are why the server would refuse a backup of logs, a sentence each; none: nothing in the headers speaks against one by Method, which is that of the last full backups.
	Refused []string
	Method  BackupMethod
	// Notes are what is to be known besides, a sentence each.
	Notes []string
}

// String is a sentence a line.
func (k *Kept) String() string {
	text := generations(k.First, k.Last) + " are there"
	switch k.First {
	case 0:
		text = "no closed logs are there"
	case k.Last:
		text = generations(k.First, k.Last) + " is there"
	}
	for _, h := range k.Holds {
		text += "\n" + h.What
	}
	for _, why := range k.Refused {
		text += "\na backup of logs would be refused: " + why
	}
	for _, note := range k.Notes {
		text += "\n" + note
	}
	return text
}

// WhyKept explains why logs were not deleted, from headers alone. By [ESE] (backup.cxx) the server deletes a log with a backup when the checkpoint is behind it and every database attached to the series has it in a backup;
// copies and differential backups let none go, and a full backup only those that are in the last full backup of each database that was not part of it.
func WhyKept(s Stream) *Kept {
	k, current := &Kept{}, s.current()
	if current == nil {
		return k
	}
	series := current.Signature
	k.Circular = current.Circular
	oldest := k.logs(s.Logs, series)
	attached := k.attached(s.Databases, series)
	k.recovery(attached, s.Checkpoint, series)
	if !k.Circular {
		for _, d := range attached {
			k.backups(d)
		}
	}
	k.refusals(attached, oldest)
	k.Holds = slices.DeleteFunc(k.Holds, func(h Hold) bool { return k.Last == 0 || h.First > k.Last })
	slices.SortStableFunc(k.Holds, func(a, b Hold) int { return cmp.Compare(a.First, b.First) })
	k.free()
	return k
}

// current is the log that the server writes to, or the newest that is there; nil: none.
func (s Stream) current() *Log {
	var newest *Log
	for _, n := range s.Logs {
		switch name, ok := ParseLogName(n.Name); {
		case !ok || name.Generation != 0 && name.Generation != n.Log.Generation:
		case name.Generation == 0:
			return n.Log
		case newest == nil || n.Log.Generation > newest.Generation:
			newest = n.Log
		}
	}
	return newest
}

func (k *Kept) note(format string, args ...any) {
	k.Notes = append(k.Notes, fmt.Sprintf(format, args...))
}

// logs finds the closed logs of the series, and the oldest of all.
func (k *Kept) logs(logs []NamedLog, series Signature) (oldest uint32) {
	for _, n := range logs {
		g := n.Log.Generation
		name, ok := ParseLogName(n.Name)
		if !ok || n.Log.Signature != series || name.Generation != 0 && name.Generation != g {
			continue
		}
		if oldest == 0 || g < oldest {
			oldest = g
		}
		if name.Generation == 0 {
			continue // being written
		}
		k.Last = max(k.Last, g)
		if k.First == 0 || g < k.First {
			k.First = g
		}
	}
	return oldest
}

// attached are the databases that have a say.
func (k *Kept) attached(all []NamedDatabase, series Signature) (attached []NamedDatabase) {
	for _, n := range all {
		switch d := n.Database; {
		case d.PageSizeBytes == 0:
			k.note("%s: its header cannot be read, so that it is not known which logs it holds", n.Name)
		case d.LogSignature != series:
			k.note("%s is of the logs %s, not of %s, and holds none of these", n.Name, d.LogSignature, series)
		case d.Clean():
			k.note("%s is in clean shutdown: as long as it is not mounted it holds no logs", n.Name)
		default:
			attached = append(attached, n)
		}
	}
	return attached
}

// recovery finds the logs that the server needs to start again.
func (k *Kept) recovery(attached []NamedDatabase, c *Checkpoint, series Signature) {
	switch {
	case c == nil:
	case c.Signature != series:
		k.note("the checkpoint is of the logs %s, not of %s", c.Signature, series)
	default:
		k.Holds = append(k.Holds, Hold{Cause: HeldForRecovery, First: c.At.Generation, What: fmt.Sprintf("logs from 0x%X on are needed for recovery: the checkpoint is at %s", c.At.Generation, c.At)})
	}
	for _, n := range attached {
		first := n.Database.RequiredFirst
		if first == 0 || c != nil && c.Signature == series && first >= c.At.Generation {
			continue
		}
		k.Holds = append(k.Holds, Hold{Cause: HeldForRecovery, Database: n.Name, First: first,
			What: fmt.Sprintf("logs from 0x%X on are needed for the recovery of %s, which is in %s", first, n.Name, n.Database.State)})
	}
}

// backups finds the logs of which a database has no backup.
func (k *Kept) backups(n NamedDatabase) {
	d := n.Database
	if d.FullPrevious.IsZero() {
		k.Holds = append(k.Holds, Hold{Cause: NeverBackedUp, Database: n.Name, First: k.First,
			What: fmt.Sprintf("%s holds all logs: it has had no full backup since it uses them; a restore counts as a new beginning", n.Name)})
		return
	}
	last, what := d.FullPrevious, "full"
	if d.IncrementalPrevious.Last > last.Last {
		last, what = d.IncrementalPrevious, "incremental"
	}
	k.Holds = append(k.Holds, Hold{Cause: NotBackedUp, Database: n.Name, First: last.Last + 1,
		What: fmt.Sprintf("%s holds logs from 0x%X on: its last %s backup was %s", n.Name, last.Last+1, what, last)})
	if m := d.CopyPrevious; last.At.Before(m.At) {
		k.note("%s has had a copy backup since, %s: copies let no logs go", n.Name, m)
	}
	if m := d.DifferentialPrevious; last.At.Before(m.At) {
		k.note("%s has had a differential backup since, %s: these let no logs go", n.Name, m)
	}
}

// refusals finds out why the server would refuse a backup of logs: by [ESE] (ErrLGCheckIncrementalBackup) every attached database needs a full backup by the same method, where a surrogate is an OS snapshot,
// and no log may be missing since.
func (k *Kept) refusals(attached []NamedDatabase, oldest uint32) {
	refuse := func(format string, args ...any) { k.Refused = append(k.Refused, fmt.Sprintf(format, args...)) }
	if k.Circular {
		refuse("circular logging is on: the server deletes logs by itself, and they are of no use for a backup")
	}
	var first *NamedDatabase
	for _, n := range attached {
		full := n.Database.FullPrevious
		if full.IsZero() {
			refuse("%s has had no full backup: take one first", n.Name)
			continue
		}
		if method := full.Method.family(); first == nil {
			first, k.Method = &n, method
		} else if method != k.Method {
			refuse("the last full backup of %s was by %s, that of %s by %s: take a full backup of both by one method", first.Name, first.Database.FullPrevious.Method, n.Name, full.Method)
		}
		if last := max(full.Last, n.Database.IncrementalPrevious.Last); oldest > last+1 {
			refuse("log 0x%X, which the last backup of %s would be followed by, is not there any more: take a full backup", last+1, n.Name)
		}
	}
}

// free tells which logs could go.
func (k *Kept) free() {
	if k.FreeLast = k.Last; k.Last == 0 {
		return
	}
	if len(k.Holds) > 0 {
		k.FreeLast = min(k.Last, max(k.Holds[0].First, 1)-1)
	}
	if k.FreeLast < k.First {
		k.FreeLast = 0
		return
	}
	k.note("nothing in the headers holds %s: the last backup was not reported complete, or was of fewer databases than write to these logs, or the server is still to delete them", generations(k.First, k.FreeLast))
}
