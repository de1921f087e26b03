package chain

import "github.com/quiesce-go/quiesce/mssql/mtf"

// position is how far a database has come: all log before lsn, on the path that leads to fork.
type position struct {
	fork mtf.GUID
	lsn  mtf.LSN
}

// end is where a database is once all of s is restored.
func (s Set) end() position { return position{s.Fork, s.LastLSN} }

// enters says why the log l cannot be applied at p, or nothing. The log covers FirstLSN to LastLSN, so p may lie anywhere in it; what was applied already is passed
// over. A log that crosses from one fork to another covers the first up to the fork point and the second from there on.
func (p position) enters(l Set) *Refusal {
	switch {
	case p.lsn.Compare(l.FirstLSN) < 0:
		return missing(p.lsn, l.FirstLSN)
	case p.lsn.Compare(l.LastLSN) > 0:
		return refuse(TooEarly, "leave this log out: what it holds is already there", "the log ends at %s, before %s, where the database is", l.LastLSN, p.lsn)
	}
	point := l.forkPoint()
	switch {
	case p.fork == l.Fork && (!l.crosses() || p.lsn.Compare(point) >= 0):
	case l.crosses() && p.fork == l.firstFork() && p.lsn.Compare(point) <= 0:
	case l.crosses() && p.fork == l.firstFork():
		return refuse(WrongFork, "restore from a backup that ends before the fork point", "the log leaves the fork %s at %s, before %s, where the database is", p.fork, point, p.lsn)
	default:
		return refuse(WrongFork, "the database was restored in between: take logs of the same fork, or a full of the new one",
			"the log begins on the recovery fork %s, the database is on %s", l.firstFork(), p.fork)
	}
	return nil
}

// Follows reports whether next can be restored on what prev left, when all before prev was. A full follows anything. A differential follows the one full it names as
// its base. A log follows any set that ends within it, on the same recovery fork or before the point where the fork begins; the BindingID and the name of the database
// may have changed, and so may the server. The error is a *Refusal.
//
// It asks nothing of whether a set is damaged or has all its stripes.
func Follows(prev, next Set) error {
	if r := follows(prev, next); r != nil {
		return r
	}
	return nil
}

func follows(prev, next Set) *Refusal {
	switch {
	case next.Type == mtf.Database:
		return nil
	case prev.FamilyGUID != next.FamilyGUID:
		return refuse(WrongFamily, "take the backups of one database: its family tells, not its name",
			"%s is of the database family %s, what it should follow is of %s", next, next.FamilyGUID, prev.FamilyGUID).about(next, prev)
	case next.isLog():
		if r := prev.end().enters(next); r != nil {
			return r.about(prev, next)
		}
		return nil
	}
	return basedOn(prev, next)
}

// basedOn says why the differential d cannot be restored on full, or nothing.
func basedOn(full, d Set) *Refusal {
	const advice = "restore the full that the differential names as its base"
	switch {
	case full.Type != mtf.Database:
		return refuse(WrongOrder, advice, "a differential goes on its base full, not on a %s", full.Type.Kind()).about(d, full)
	case full.CopyOnly:
		return refuse(WrongBase, advice, "a copy-only full is never the base of a differential").about(d, full)
	case d.DifferentialBaseGUID.IsZero():
		return refuse(WrongBase, "take a full", "the differential names no single base").about(d, full)
	case d.DifferentialBaseGUID != full.GUID:
		return refuse(WrongBase, advice, "the base of the differential is the full %s, not %s", d.DifferentialBaseGUID, full.GUID).about(d, full)
	case d.LastLSN.Compare(full.LastLSN) < 0:
		return refuse(Conflicting, "read the headers again", "the differential ends at %s, before its base does, %s", d.LastLSN, full.LastLSN).about(d, full)
	}
	return nil
}

// Check reports whether steps, in this order, can be restored: a full, at most one differential that is based on it, and logs each of which goes on where the one
// before ended, every set with all its files. The error is a *Refusal that names the first step that is wrong.
func Check(steps []Set) error {
	if len(steps) == 0 {
		return refuse(NothingHere, "", "there is nothing to restore")
	}
	var at position
	for i, s := range steps {
		r := unusable(s)
		switch {
		case r != nil:
		case i == 0 && s.Type != mtf.Database:
			r = refuse(WrongOrder, "begin with a full", "the first step is a %s", s.Type.Kind()).about(s)
		case i > 0 && s.Type == mtf.Database:
			r = refuse(WrongOrder, "restore one full", "step %d is a second full", i+1).about(s)
		case i > 1 && s.Type == mtf.Differential:
			r = refuse(WrongOrder, "restore the differential directly after its base full", "step %d is a differential after a %s", i+1, steps[i-1].Type.Kind()).about(s)
		case i > 0 && s.isLog() && s.FamilyGUID == steps[0].FamilyGUID:
			// Not merely after the step before: an empty log does not move the database.
			if r = at.enters(s); r != nil {
				r = r.about(steps[i-1], s)
			}
		case i > 0:
			r = follows(steps[i-1], s)
		}
		if r != nil {
			return r
		}
		at = s.end()
	}
	return nil
}

// unusable says why s cannot be restored wherever it stands, or nothing.
func unusable(s Set) *Refusal {
	if gone := s.Missing(); len(gone) > 0 {
		return refuse(Incomplete, "bring all files of the backup; nothing can be restored without every stripe", "stripe %v of %d of the %s is missing", gone, max(s.Stripes, len(s.Devices)), s).about(s)
	}
	if s.FirstLSN.Compare(s.LastLSN) > 0 {
		return refuse(Conflicting, "read the header again", "the set begins at %s and ends before, at %s", s.FirstLSN, s.LastLSN).about(s)
	}
	return nil
}
