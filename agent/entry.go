package agent

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// entry is one schedule of a job with the time it comes next. Entries stand in the order in which they go first when due at the same time: the stronger backup,
// then upkeep.
type entry struct {
	key    string // as in JobStatus.Next
	field  string // of Schedule
	action Action
	kind   backup.Kind // of a backup
	table  timetable

	at       time.Time // the schedule's time; zero before the job was settled, or when there is none
	start    time.Time // at with jitter
	caughtUp bool
}

// entries parses the schedules of a job and reports every one that is wrong.
func (s Schedule) entries(now time.Time) (es []*entry, errs []error) {
	for _, e := range []struct {
		entry
		spec string
	}{
		{entry{key: string(backup.Full), field: "Full", action: ActionBackup, kind: backup.Full}, s.Full},
		{entry{key: string(backup.Differential), field: "Differential", action: ActionBackup, kind: backup.Differential}, s.Differential},
		{entry{key: string(backup.Log), field: "Log", action: ActionBackup, kind: backup.Log}, s.Log},
		{entry{key: string(ActionPrune), field: "Prune", action: ActionPrune}, s.Prune},
		{entry{key: string(ActionVerify), field: "Verify", action: ActionVerify}, s.Verify},
		{entry{key: string(ActionRehearse), field: "Rehearse", action: ActionRehearse}, s.Rehearse},
	} {
		if e.spec == "" {
			continue
		}
		t, err := parseTimetable(e.spec, s.Location)
		switch {
		case err != nil:
			errs = append(errs, problem("Schedule.%s %q: %w", e.field, e.spec, err))
		case t.next(now, now).IsZero():
			errs = append(errs, problem("Schedule.%s %q never comes", e.field, e.spec))
		default:
			e.table = t
			es = append(es, &e.entry)
		}
	}
	return es, errs
}

// catchUp is how late a missed run is made up for; 0 means never.
func (s Schedule) catchUp() time.Duration {
	switch {
	case s.CatchUp == 0:
		return 24 * time.Hour
	case s.CatchUp < 0:
		return 0
	}
	return s.CatchUp
}

// set gives the entry its next time.
func (e *entry) set(at time.Time, jitter time.Duration, caughtUp bool) {
	e.at, e.start, e.caughtUp = at, at, caughtUp
	if jitter > 0 && !at.IsZero() {
		e.start = at.Add(rand.N(jitter + 1))
	}
}

// due reports whether the entry should have started by now.
func (e *entry) due(now time.Time) bool { return !e.at.IsZero() && !e.start.After(now) }

// pick chooses among what is due: what waits longest goes first, but of several backups only the strongest. covered are the entries it serves.
func pick(es []*entry, now time.Time) (chosen *entry, covered []*entry) {
	for _, e := range es {
		if e.due(now) && (chosen == nil || e.start.Before(chosen.start)) {
			chosen = e
		}
	}
	if chosen == nil || chosen.action != ActionBackup {
		return chosen, []*entry{chosen}
	}
	for _, e := range es {
		if e.action == ActionBackup && e.due(now) {
			covered = append(covered, e)
		}
	}
	return covered[0], covered // the strongest stands first
}

// covers reports whether a backup of kind k makes one of kind weaker unnecessary.
func covers(k, weaker backup.Kind) bool {
	order := []backup.Kind{backup.Log, backup.Differential, backup.Full}
	return slices.Index(order, k) >= slices.Index(order, weaker)
}

// taken is when the newest backup that makes one of kind k unnecessary was begun; zero when there is none.
func taken(h backup.History, k backup.Kind) time.Time {
	for _, b := range slices.Backward(h) {
		if covers(b.Kind, k) && !b.Started.IsZero() {
			return b.Started
		}
	}
	return time.Time{}
}
