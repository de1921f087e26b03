package exchange

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// linkLogs are the logs of one link of a plan, and where a restore stops in it.
type linkLogs struct {
	logs []logFile
	// until is the time to stop at; zero: none.
	until time.Time
	// last is the last generation that may be applied; 0: all.
	last uint32
	// end is the end of the window of the link, by which its last log had ended.
	end time.Time
}

// selection is what a restore applies of the logs of a group.
type selection struct {
	// logs, ascending and without a gap. The last may be partial.
	logs []logFile
	// left are those of the plan that are not applied, since they reach beyond the target.
	left []logFile
	// holds is the moment up to which all changes are in, as far as it is known; zero: unknown.
	holds time.Time
}

// first and last are the generations applied; 0 and 0 without logs.
func (c selection) first() uint32 {
	if len(c.logs) == 0 {
		return 0
	}
	return c.logs[0].generation
}

func (c selection) last() uint32 {
	if len(c.logs) == 0 {
		return 0
	}
	return c.logs[len(c.logs)-1].generation
}

// chooseLogs picks the logs of a restore: all that the full has, and of the links those that were over at the target, up to the first that was not. A log of which the full has the beginning only is replaced by the
// closed one, when that was over too. taken is the moment of the full, zone that of the server's clock.
//
// It refuses, with an error that names them, when logs before the last one are missing, are of another series, or do not follow one another.
func chooseLogs(own []logFile, taken time.Time, links []linkLogs, zone *time.Location) (selection, error) {
	c := selection{holds: taken}
	later, err := gather(own, links)
	if err != nil {
		return c, err
	}
	var partial *logFile
	for _, l := range sorted(own) {
		if l.partial {
			partial = &l
			continue
		}
		c.logs = append(c.logs, l)
	}
	next := c.last() + 1
	switch {
	case len(c.logs) > 0 || len(later) == 0:
	case partial != nil:
		next = partial.generation
	default:
		next = slices.Min(slices.Collect(maps.Keys(later)))
	}
	top := next - 1
	for n := range later {
		top = max(top, n)
	}
	for ; next <= top; next++ {
		l, ok := later[next]
		if !ok {
			stop, err := missing(later, next, partial, zone)
			if err != nil {
				return c, err
			}
			if stop {
				break
			}
		}
		at := l.over(later, zone)
		if next < top && at.IsZero() && !l.link.until.IsZero() {
			return c, lacking(later, next+1, nil)
		}
		if l.link.last != 0 && next > l.link.last || !l.link.until.IsZero() && (at.IsZero() || at.After(l.link.until)) {
			break
		}
		c.logs, c.holds = append(c.logs, l.logFile), at
	}
	if partial != nil && (len(c.logs) == 0 || partial.generation == c.last()+1) {
		c.logs = append(c.logs, *partial)
	}
	for ; next <= top; next++ {
		if l, ok := later[next]; ok {
			c.left = append(c.left, l.logFile)
		}
	}
	return c, follow(c.logs)
}

// linked is a log with the link it is from.
type linked struct {
	logFile
	link *linkLogs
}

// gather brings the logs of links together, by generation. Two of one generation must be of one history.
func gather(own []logFile, links []linkLogs) (map[uint32]linked, error) {
	seen, later := map[uint32]logFile{}, map[uint32]linked{}
	agree := func(l logFile) error {
		old, ok := seen[l.generation]
		if ok && (old.created != l.created || old.signature != l.signature) {
			return broken("%s of %s and %s of %s have one generation and are not of one history", old.name, old.step.ID, l.name, l.step.ID)
		}
		seen[l.generation] = l
		return nil
	}
	for _, l := range own {
		if err := agree(l); err != nil {
			return nil, err
		}
	}
	for i := range links {
		for _, l := range links[i].logs {
			if err := agree(l); err != nil {
				return nil, err
			}
			if _, ok := later[l.generation]; !ok {
				later[l.generation] = linked{l, &links[i]}
			}
		}
	}
	return later, nil
}

// over is the moment by which the log had certainly ended; zero: it cannot be told.
func (l linked) over(all map[uint32]linked, zone *time.Location) time.Time {
	if !l.ends.IsZero() {
		return l.ends
	}
	if next, ok := all[l.generation+1]; ok {
		return over(next.created, zone)
	}
	for _, other := range l.link.logs {
		if other.generation > l.generation {
			return time.Time{}
		}
	}
	if l.link.end.After(l.created.In(zone)) {
		return l.link.end
	}
	return time.Time{}
}

// missing judges a log that is not there while later ones are: it stops the restore when it was not over at the target, which is known of a single one by the log behind it.
func missing(all map[uint32]linked, n uint32, partial *logFile, zone *time.Location) (stop bool, err error) {
	if behind, ok := all[n+1]; ok {
		if until := behind.link.until; !until.IsZero() && over(behind.created, zone).After(until) {
			return true, nil
		}
	}
	return false, lacking(all, n, partial)
}

// lacking names the logs that are missing from n on.
func lacking(all map[uint32]linked, n uint32, partial *logFile) error {
	behind := uint32(math.MaxUint32)
	for m := range all {
		if m > n {
			behind = min(behind, m)
		}
	}
	also := ""
	if partial != nil && partial.generation == n {
		also = fmt.Sprintf(" (of %s only the beginning, in the full)", generation(n))
	}
	return broken("the logs of generation %s%s are not in the backups of this plan, and %s, which is, comes after them", generations(n, behind-1), also, all[behind].name)
}

// follow compares each log with the one before it.
func follow(logs []logFile) error {
	for i := 1; i < len(logs); i++ {
		a, b := logs[i-1], logs[i]
		switch {
		case a.signature != b.signature:
			return broken("%s of %s is of another series of logs than %s", b.name, b.step.ID, a.name)
		case b.generation != a.generation+1:
			return broken("the logs of generation %s are not in the backup", generations(a.generation+1, b.generation-1))
		case b.previous != a.created:
			return broken("%s does not continue %s: it follows a log that was created at %s, and that one was at %s", b.name, a.name, b.previous, a.created)
		}
	}
	return nil
}

// covers tells whether the logs have the range that a copy needs.
func (c selection) covers(first, last uint32) error {
	if first == 0 && last == 0 {
		return nil
	}
	if len(c.logs) == 0 {
		return broken("it needs the logs of generation %s, and the plan has none", generations(first, last))
	}
	if c.first() > first || c.last() < last {
		return broken("it needs the logs of generation %s, and the plan has %s", generations(first, last), generations(c.first(), c.last()))
	}
	return nil
}

// fileNames lists logs as ranges of their files.
func fileNames(logs []logFile) string {
	var parts []string
	for i := 0; i < len(logs); {
		j := i
		for j+1 < len(logs) && logs[j+1].generation == logs[j].generation+1 && logs[j+1].partial == logs[j].partial {
			j++
		}
		text := logs[i].name
		if j > i {
			text += " to " + logs[j].name
		}
		if logs[i].partial {
			text += " (the beginning of " + generation(logs[i].generation) + ")"
		}
		parts = append(parts, text)
		i = j + 1
	}
	return strings.Join(parts, ", ")
}

func broken(format string, args ...any) error {
	return &backup.Error{Advice: "restore to a time before the gap, or from a later full: obm windows shows which times there are", Err: fmt.Errorf("%w: %s", backup.ErrChainBroken, fmt.Sprintf(format, args...))}
}

func sorted(logs []logFile) []logFile {
	return slices.SortedStableFunc(slices.Values(logs), func(a, b logFile) int { return cmp.Compare(a.generation, b.generation) })
}
