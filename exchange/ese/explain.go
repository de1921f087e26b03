package ese

import (
	"fmt"
	"maps"
	"slices"
)

// Set is a database with what was found to recover it. What was read is passed as the Verify and Read functions returned it, damaged or not. Several databases that write to the same logs are a set each, with the same logs.
type Set struct {
	Database *Database
	Logs     []NamedLog
	// Checkpoint may be nil: recovery can do without.
	Checkpoint *Checkpoint
}

// Recovery tells whether a database can be brought into clean shutdown with the logs of its set, and how far they lead.
type Recovery struct {
	// Possible: the database is whole, and in clean shutdown or with all logs that it requires. Lossless: besides, no change that was committed is lost.
	Possible, Lossless bool
	// RequiredFirst and RequiredLast are the generations without which there is no recovery; both 0: none is needed, or none helps. CommittedLast is the last without which changes are lost; it is never less than RequiredLast.
	RequiredFirst, RequiredLast, CommittedLast uint32
	// First and Last are the generations that can be replayed one after another, the first being RequiredFirst; 0: none.
	First, Last uint32
	// Depth is the least depth to which the database and the logs First to Last were checked: what the verdict is worth.
	Depth Depth
	// Reasons are why it is not possible or not without loss, Notes what is to be known besides; a sentence each.
	Reasons, Notes []string
}

// String is one sentence.
func (r *Recovery) String() string {
	switch {
	case r.Possible && r.RequiredFirst == 0:
		return "the database needs no log"
	case r.RequiredFirst == 0:
		return "the database cannot be recovered with logs"
	}
	what := "can be recovered"
	switch {
	case !r.Possible:
		what = "cannot be recovered"
	case !r.Lossless:
		what = "can be recovered with loss"
	}
	needs := fmt.Sprintf("it requires %s", generations(r.RequiredFirst, r.RequiredLast))
	if r.CommittedLast > r.RequiredLast {
		needs += fmt.Sprintf(", and those up to 0x%X to lose nothing", r.CommittedLast)
	}
	have := "none of them can be replayed"
	if r.First > 0 {
		have = generations(r.First, r.Last) + " can be replayed"
	}
	return fmt.Sprintf("the database %s: %s; %s", what, needs, have)
}

// generations reads "log 0x11" or "logs 0x11 to 0x13".
func generations(first, last uint32) string {
	if first == last {
		return fmt.Sprintf("log 0x%X", first)
	}
	return fmt.Sprintf("logs 0x%X to 0x%X", first, last)
}

// Explain judges a set by what the headers say. That a recovery succeeds is proven by running one.
func Explain(s Set) *Recovery {
	d, r := s.Database, &Recovery{Depth: s.Database.Depth}
	whole := d.Depth > Recognised
	if !whole {
		r.why("the database is damaged")
	}
	if d.Clean() {
		r.Possible, r.Lossless = whole, whole
		return r
	}
	if !r.require(d) {
		return r
	}
	r.replay(d, s.Logs)
	r.Possible = whole && r.First > 0 && r.Last >= r.RequiredLast
	r.Lossless = r.Possible && r.Last >= r.CommittedLast
	r.checkpoint(d, s.Checkpoint)
	return r
}

func (r *Recovery) why(format string, args ...any) {
	r.Reasons = append(r.Reasons, fmt.Sprintf(format, args...))
}

func (r *Recovery) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// require finds out which logs are needed (4.2). It returns false if none help, or which is not known.
func (r *Recovery) require(d *Database) bool {
	first, last, committed := d.RequiredFirst, d.RequiredLast, d.CommittedLast
	switch full := d.FullCurrent; {
	case d.PageSizeBytes == 0:
		r.why("no copy of its header is whole, which would name the logs that it needs")
		return false
	case d.Trailer != nil:
		first, last, committed = d.Trailer.Full.First, d.Trailer.Full.Last, 0
	case full.First != 0 && full.Last == 0:
		r.why("it is a copy by the streaming API, and the page at its end, which names the logs that it needs, was not read or is not there")
		return false
	case !full.IsZero():
		first, last, committed = full.First, full.Last, 0
	case d.State != DirtyShutdown && d.State != DirtyAndPatched:
		r.why("its state is %s, from which logs do not recover", d.State)
		return false
	}
	if first == 0 || last < first {
		r.why("it needs logs, and its header does not say which: 0x%X to 0x%X", first, last)
		return false
	}
	r.RequiredFirst, r.RequiredLast, r.CommittedLast = first, last, max(committed, last)
	return true
}

// replay finds the logs that can be replayed one after another from the first that is required, and says why there are no more, if more are needed. Of a log that is no part of this and not needed nothing is said.
func (r *Recovery) replay(d *Database, logs []NamedLog) {
	usable, refused := map[uint32][]NamedLog{}, map[uint32]string{}
	for _, n := range logs {
		g := n.Log.Generation
		if g < r.RequiredFirst {
			continue
		}
		if what := unusable(n, d.LogSignature); what != "" {
			refused[g] = fmt.Sprintf("%s is left out: %s", n.Name, what)
			continue
		}
		usable[g] = append(usable[g], n)
	}
	var before []NamedLog // those of the generation before, usually one
	for g := r.RequiredFirst; ; g++ {
		var next []NamedLog
		what, there := refused[g]
		depth := Recognised
		for _, n := range usable[g] {
			if e := continues(before, n); e != nil {
				what, there = e.Error(), true
				continue
			}
			next, depth = append(next, n), max(depth, n.Log.Depth)
		}
		if next == nil {
			r.stop(g, what, there)
			if best := slices.Max(append(slices.Collect(maps.Keys(usable)), g)); best > g {
				r.note("logs up to 0x%X are there, and of no use without log 0x%X", best, g)
			}
			return
		}
		if before == nil {
			r.First = g
		}
		before, r.Last, r.Depth = next, g, min(r.Depth, depth)
		r.created(d, next)
	}
}

// continues tells why a log continues none of those before it; nil: it does, or is the first.
func continues(before []NamedLog, n NamedLog) (err error) {
	for _, p := range before {
		if err = follows(p, n); err == nil {
			return nil
		}
	}
	return err
}

// unusable tells why a log is none of the series, or cannot be replayed; "": it can.
func unusable(n NamedLog, series Signature) string {
	name, ok := ParseLogName(n.Name)
	switch {
	case !ok || name.Generation != 0 && name.Generation != n.Log.Generation:
		return fmt.Sprintf("that is not the name of log 0x%X", n.Log.Generation)
	case n.Log.Signature != series:
		return fmt.Sprintf("it is of the logs %s, the database of %s", n.Log.Signature, series)
	case n.Log.Depth == Recognised:
		return "it is damaged"
	}
	return ""
}

// stop says what it means that there is no log g that can be replayed. what is wrong with those that are there.
func (r *Recovery) stop(g uint32, what string, there bool) {
	if !there {
		what = "is not there"
	} else {
		what = "cannot be replayed (" + what + ")"
	}
	switch {
	case g <= r.RequiredLast:
		r.why("log 0x%X %s; %s are required", g, what, generations(r.RequiredFirst, r.RequiredLast))
	case g <= r.CommittedLast:
		r.why("log 0x%X %s; what was committed up to log 0x%X is lost", g, what, r.CommittedLast)
	case there:
		r.note("log 0x%X %s; it is not required", g, what)
	}
}

// created compares the last logs with the times at which the database says that they were created: after a restore to a time another log can have the same generation.
func (r *Recovery) created(d *Database, logs []NamedLog) {
	n, want := logs[0], Stamp{}
	switch g := n.Log.Generation; {
	case !d.FullCurrent.IsZero():
	case g == d.RequiredLast && !d.RequiredLastCreated.IsZero():
		want = d.RequiredLastCreated
	case g == d.CommittedLast && (!d.RequiredLastCreated.IsZero() || d.RequiredLast == d.CommittedLast):
		want = d.CommittedLastCreated
	}
	if !want.IsZero() && !slices.ContainsFunc(logs, func(n NamedLog) bool { return n.Log.Created == want }) {
		r.note("%s was created %s, the log that the database was written with %s: after a restore another can have its number", n.Name, n.Log.Created, want)
	}
}

// checkpoint says when recovery is better off without the checkpoint file: without it, recovery begins with the first log that is there.
func (r *Recovery) checkpoint(d *Database, c *Checkpoint) {
	switch {
	case c == nil:
	case !d.FullCurrent.IsZero():
		r.note("a copy by the streaming API is recovered without a checkpoint: leave it out")
	case c.Signature != d.LogSignature:
		r.note("the checkpoint is of the logs %s, the database of %s: leave it out", c.Signature, d.LogSignature)
	case c.At.Generation > r.RequiredFirst:
		r.note("the checkpoint is at %s, later than the first required log 0x%X: leave it out", c.At, r.RequiredFirst)
	case c.At.Generation < r.RequiredFirst:
		r.note("the checkpoint is at %s, earlier than the first required log 0x%X, as when another database needs older logs: leave it out unless all logs from there on are in the set", c.At, r.RequiredFirst)
	}
}
