package chain

import (
	"time"

	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// Target says what to restore: which database, and to where. At most one of Time, BeforeLSN, AtLSN, AtMark, BeforeMark and GUID names the place, but that a mark may go
// with a Time; none is the newest state that the backups speak of.
type Target struct {
	// Family is the database. Without it Database, a name that it ever bore, leads to the family; a name that several families bore is refused. Neither is
	// needed when all sets are of one family, or with GUID.
	Family   mtf.GUID
	Database string
	// Fork is the recovery fork on which the restore shall end. It is needed only where several answer.
	Fork mtf.GUID

	// Time: all that was committed up to this moment, to 100 ns.
	Time time.Time
	// BeforeLSN: all before this log record. AtLSN: this one too.
	BeforeLSN, AtLSN mtf.LSN
	// AtMark and BeforeMark are the name of a marked transaction, to restore with it or without it. Headers do not tell where marks are, so the plan has all logs:
	// from Time on, when given, which is then the moment after which the mark was set.
	AtMark, BeforeMark string
	// GUID is one backup: the state at its end.
	GUID mtf.GUID

	// Server is where the restore shall run. A set of a newer server is then not used.
	Server Server
	// Zone is the time zone of the server that was backed up. It is needed only to stop at a Time inside a log in which the server's clock was changed.
	Zone *time.Location
	// UseDamaged lets a full or differential of a damaged database be used. What is restored is then damaged.
	UseDamaged bool
}

// Server is what decides whether a server can restore a backup: one of its own version or an earlier one. Zero fields are not compared.
type Server struct {
	Major, Minor int // 16.0, or 10.50
	// DatabaseVersion is the internal number of the format of its databases.
	DatabaseVersion int
}

func (v Server) older(s Set) bool {
	if v.Major == 0 {
		return v.DatabaseVersion != 0 && s.DatabaseVersion > v.DatabaseVersion
	}
	return s.VersionMajor > v.Major || s.VersionMajor == v.Major && s.VersionMinor > v.Minor || v.DatabaseVersion != 0 && s.DatabaseVersion > v.DatabaseVersion
}

// Plan is how to restore a target: Steps, each WITH NORECOVERY, then RECOVERY.
type Plan struct {
	// Database is the name in the newest set of the plan. Fork is the recovery fork on which it ends.
	Database string
	Family   mtf.GUID
	Fork     mtf.GUID
	// Steps are a full, at most one differential, and logs.
	Steps []Step
	// Notes are what a person should know of how the plan came about, a sentence each.
	Notes []string
}

// Step is one RESTORE.
type Step struct {
	Set Set
	// Stop is where to stop in it. Every log of a plan to a time, a mark or an LSN bears one, and only logs do.
	Stop Stop
	// Reached: the stop may have been reached in a step before, since headers tell times to the second, and not where marks are. The server then refuses this step as
	// too early (4335, 4338) or with what follows from it; the steps that are left are to be left out, and the goal is reached.
	Reached bool
}

// Sets are those of the steps.
func (p Plan) Sets() []Set {
	sets := make([]Set, len(p.Steps))
	for i, s := range p.Steps {
		sets[i] = s.Set
	}
	return sets
}
