package chain

import (
	"fmt"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// Cause is why something cannot be restored.
type Cause string

// The causes, with the number of the error that SQL Server would answer with where it has one for it.
const (
	NothingHere Cause = "nothing here"       // no set is of the database, or of the fork
	NoFull      Cause = "no full"            // there are logs or differentials, but no full that they continue
	Gap         Cause = "gap"                // 4305: log is missing
	TooEarly    Cause = "too early"          // 4326, 4335: what was restored is already beyond that point
	TooLate     Cause = "too late"           // no backup reaches that far
	WrongBase   Cause = "wrong base"         // 3136: a differential on another full than its own
	WrongFork   Cause = "wrong fork"         // 4330: the log is of another recovery path
	WrongFamily Cause = "wrong database"     // 3154: the set is of another database
	WrongOrder  Cause = "wrong order"        // 3117, 3118: steps that no restore has in that order
	Incomplete  Cause = "stripes missing"    // 3132: files of a striped set are missing
	Damaged     Cause = "damaged"            // the server backed up damaged pages WITH CONTINUE_AFTER_ERROR
	Conflicting Cause = "headers disagree"   // sets of one GUID say different things
	BulkLogged  Cause = "bulk-logged"        // 4341: the log cannot be stopped in
	Simple      Cause = "simple"             // 3145: in the SIMPLE model there is no log, so no moments between backups
	TooNew      Cause = "newer server"       // 3169: the server is older than the one that took the backup
	Ambiguous   Cause = "ambiguous"          // several databases, or several forks of one, answer the request
	DoubledHour Cause = "clock was changed"  // the server's offset changed inside the log, so a local time does not name one moment
	BadTarget   Cause = "contradicting goal" // the target contradicts itself
)

// number is the error that SQL Server gives in the same case, 0 when it has none.
func (c Cause) number() int {
	return map[Cause]int{
		Gap: 4305, TooEarly: 4326, WrongBase: 3136, WrongFork: 4330, WrongFamily: 3154, WrongOrder: 3117, Incomplete: 3132, BulkLogged: 4341, Simple: 3145, TooNew: 3169,
	}[c]
}

// Refusal says why there is no plan, or why a set does not follow another. It wraps the sentinel of package backup that a caller decides by: ErrChainBroken when a
// backup is missing or does not fit, ErrNoBackup when none is there, ErrCorrupt when one is damaged or not all there, ErrRefused for the rest.
type Refusal struct {
	Cause Cause
	// Number is the error that SQL Server would give, 0 when it has none for the case.
	Number   int
	Database string
	Family   mtf.GUID
	// From and To are the log that is missing: from From up to, and without, To. From is zero when no backup says from where on, To when none says how far.
	From, To mtf.LSN
	// Sets are those concerned: what is before and behind the missing log, the set that cannot be used, the candidates among which the target does not choose.
	Sets []Set
	// Before and After are the nearest moments to the one asked for that can be restored to; zero when there is none on that side.
	Before, After time.Time
	// Detail is the case in words.
	Detail string
	// Advice is what an operator can do.
	Advice string
}

// Error reads "sales: log is missing from 25000000015300001 to 25000000016300001".
func (r *Refusal) Error() string {
	var b strings.Builder
	if r.Database != "" {
		b.WriteString(r.Database + ": ")
	}
	b.WriteString(r.Detail)
	switch {
	case r.Before.IsZero() && r.After.IsZero():
	case r.After.IsZero():
		fmt.Fprintf(&b, "; the nearest moment that can be restored is %s", clock(r.Before))
	case r.Before.IsZero():
		fmt.Fprintf(&b, "; the first moment that can be restored is %s", clock(r.After))
	default:
		fmt.Fprintf(&b, "; the nearest moments that can be restored are %s and %s", clock(r.Before), clock(r.After))
	}
	return b.String()
}

// Hint is what an operator can do.
func (r *Refusal) Hint() string { return r.Advice }

// Unwrap returns the sentinel of package backup.
func (r *Refusal) Unwrap() error {
	switch r.Cause {
	case Gap, NoFull, WrongBase, WrongFork:
		return backup.ErrChainBroken
	case NothingHere, TooEarly, TooLate:
		return backup.ErrNoBackup
	case Incomplete, Damaged, Conflicting:
		return backup.ErrCorrupt
	}
	return backup.ErrRefused
}

func clock(t time.Time) string { return t.Format("2006-01-02T15:04:05.9999999Z07:00") }

func refuse(c Cause, advice, format string, args ...any) *Refusal {
	return &Refusal{Cause: c, Number: c.number(), Advice: advice, Detail: fmt.Sprintf(format, args...)}
}

// about names the sets concerned.
func (r *Refusal) about(sets ...Set) *Refusal {
	r.Sets = append(r.Sets, sets...)
	if len(r.Sets) > 0 && r.Database == "" {
		r.Database, r.Family = r.Sets[0].Database, r.Sets[0].FamilyGUID
	}
	return r
}

// missing names the log that is.
func missing(from, to mtf.LSN) *Refusal {
	r := refuse(Gap, "find the log backup that holds the missing range: another tool may have taken it; else restore to a moment before it, or from a later full or differential",
		"log is missing from %s to %s", from, to)
	r.From, r.To = from, to
	return r
}
