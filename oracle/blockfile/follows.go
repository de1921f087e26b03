package blockfile

import (
	"fmt"

	"github.com/quiesce-go/quiesce/backup"
)

// Break is why one log does not follow another.
type Break string

const (
	// OtherDatabase: the DBID differs.
	OtherDatabase Break = "another database"
	// NewIncarnation: the database was opened with RESETLOGS behind the former log. Recovery may cross that point; a chain of backups begins anew.
	NewIncarnation Break = "a new incarnation"
	// OtherIncarnation: the logs are of incarnations that do not follow each other.
	OtherIncarnation Break = "another incarnation"
	// OtherThread: the logs are of different instances. Each thread has its own order.
	OtherThread Break = "another thread"
	// Gap: logs between them are missing.
	Gap Break = "a gap"
	// NotLater: the second is the same log as the first, or an earlier one.
	NotLater Break = "not later"
	// OtherHistory: the sequence numbers follow each other and the SCNs do not, so that the logs are of different histories under one name.
	OtherHistory Break = "another history"
)

// BreakError says why one log does not follow another. It wraps backup.ErrChainBroken.
type BreakError struct {
	Break Break
	// What differs, in words.
	What string
}

// Error reads "a gap: thread 1 has sequence 17, then 20".
func (e *BreakError) Error() string { return string(e.Break) + ": " + e.What }

// Unwrap returns backup.ErrChainBroken.
func (e *BreakError) Unwrap() error { return backup.ErrChainBroken }

// Hint says what an operator can do.
func (e *BreakError) Hint() string {
	if e.Break == Gap {
		return "look for the missing logs at every archive destination; without them, take a full backup"
	}
	return "keep logs of one database, incarnation and thread together; take a full backup where a new history begins"
}

// Follows returns nil when next is the log that follows prev: of the same database, incarnation and thread, with the next sequence number, beginning
// at the SCN that prev ends at. Else it returns a *BreakError.
func Follows(prev, next *RedoLog) error {
	no := func(b Break, format string, args ...any) error {
		return &BreakError{Break: b, What: fmt.Sprintf(format, args...)}
	}
	switch {
	case prev.DBID != next.DBID:
		return no(OtherDatabase, "DBID %d, then %d", prev.DBID, next.DBID)
	case prev.ResetlogsID != next.ResetlogsID || prev.ResetlogsSCN != next.ResetlogsSCN:
		b := OtherIncarnation
		if next.PreviousResetlogsID == prev.ResetlogsID && next.PreviousResetlogsSCN == prev.ResetlogsSCN {
			b = NewIncarnation
		}
		return no(b, "RESETLOGS_ID %d at SCN %d, then %d at SCN %d", prev.ResetlogsID, prev.ResetlogsSCN, next.ResetlogsID, next.ResetlogsSCN)
	case prev.Thread != next.Thread:
		return no(OtherThread, "thread %d, then %d", prev.Thread, next.Thread)
	case next.Sequence <= prev.Sequence:
		return no(NotLater, "thread %d has sequence %d, then %d", prev.Thread, prev.Sequence, next.Sequence)
	case next.Sequence-prev.Sequence > 1:
		return no(Gap, "thread %d has sequence %d, then %d", prev.Thread, prev.Sequence, next.Sequence)
	case prev.NextSCN != next.FirstSCN:
		return no(OtherHistory, "sequence %d of thread %d ends at SCN %d, sequence %d begins at %d", prev.Sequence, prev.Thread, prev.NextSCN, next.Sequence, next.FirstSCN)
	}
	return nil
}
