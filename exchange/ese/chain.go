package ese

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// LogName is what the name of a log says.
type LogName struct {
	// Base is the three characters that all logs of a series begin with: "E00".
	Base string
	// Generation is 0 in the log that is being written, which has no number.
	Generation uint32
}

// ParseLogName reads the name of a log without its folder: E00.log, E0000001.log or E0000000001.log, the last two also with .jtx. It returns false for all others, among them E00tmp.log, which is no part of any chain, and reserves.
func ParseLogName(name string) (LogName, bool) {
	lower := strings.ToLower(name)
	stem, isLog := strings.CutSuffix(lower, ".log")
	if !isLog {
		stem, isLog = strings.CutSuffix(lower, ".jtx")
	}
	if !isLog || len(stem) != 3 && len(stem) != 8 && len(stem) != 11 {
		return LogName{}, false
	}
	n := LogName{Base: name[:3]}
	if len(stem) == 3 {
		return n, true
	}
	generation, err := strconv.ParseUint(stem[3:], 16, 32)
	n.Generation = uint32(generation)
	return n, err == nil && generation > 0
}

// Break is what is wrong between two logs, or between a log and its series.
type Break string

// The breaks.
const (
	Missing    Break = "missing"      // generations between two logs are not there
	Foreign    Break = "foreign"      // it is of another series
	OutOfOrder Break = "out of order" // it is of the series, and does not continue the log before it
	Misnamed   Break = "misnamed"     // its name has another generation than its header, or is no name of a log
	Twice      Break = "twice"        // another log has the same generation
)

// BreakError is one break in a chain of logs. It wraps backup.ErrChainBroken.
type BreakError struct {
	Break Break
	// Name is the log concerned; the one behind the gap when logs are missing.
	Name string
	// First and Last are the generations that are missing, and both that of the log otherwise.
	First, Last uint32
	// What is wrong, in words.
	What string
}

// Error reads "E0000003.log: missing: generation 0x2 is not there".
func (e *BreakError) Error() string { return fmt.Sprintf("%s: %s: %s", e.Name, e.Break, e.What) }

// Unwrap returns backup.ErrChainBroken.
func (e *BreakError) Unwrap() error { return backup.ErrChainBroken }

// Hint says what an operator can do.
func (e *BreakError) Hint() string {
	return "find the log that belongs here in another backup or on the server; without it nothing behind it can be replayed: take a full backup now"
}

// NamedLog is a log and its name without the folder.
type NamedLog struct {
	Name string
	Log  *Log
}

// CheckChain tells whether logs, in any order, are one series without gaps. series is the signature that all must have, from a database or a checkpoint; zero: that of the log with the highest generation.
// A break is a *BreakError, or several joined.
func CheckChain(series Signature, logs []NamedLog) error {
	sorted := slices.Clone(logs)
	slices.SortStableFunc(sorted, func(a, b NamedLog) int { return cmp.Compare(a.Log.Generation, b.Log.Generation) })
	if n := len(sorted); n > 0 && series.IsZero() {
		series = sorted[n-1].Log.Signature
	}
	var breaks []error
	add := func(b Break, n NamedLog, first, last uint32, format string, args ...any) {
		breaks = append(breaks, &BreakError{Break: b, Name: n.Name, First: first, Last: last, What: fmt.Sprintf(format, args...)})
	}
	var prev *NamedLog
	for i, n := range sorted {
		g := n.Log.Generation
		if name, ok := ParseLogName(n.Name); !ok {
			add(Misnamed, n, g, g, "it is generation 0x%X, and this is no name of a log", g)
			continue
		} else if name.Generation != g && name.Generation != 0 {
			add(Misnamed, n, g, g, "its header says generation 0x%X", g)
			continue
		} else if name.Generation == 0 && i < len(sorted)-1 {
			add(Misnamed, n, g, g, "it has the name of the newest log, and its header says generation 0x%X", g)
			continue
		}
		if n.Log.Signature != series {
			add(Foreign, n, g, g, "it is of the logs %s, not of %s", n.Log.Signature, series)
			continue
		}
		if prev != nil {
			if e := follows(*prev, n); e != nil {
				breaks = append(breaks, e)
			}
		}
		prev = &n
	}
	return errors.Join(breaks...)
}

// follows tells why a log does not continue another of the same series and no higher generation; nil: it does.
func follows(prev, next NamedLog) error {
	p, n := prev.Log, next.Log
	e := &BreakError{Break: OutOfOrder, Name: next.Name, First: n.Generation, Last: n.Generation}
	switch {
	case n.Generation == p.Generation:
		e.Break, e.What = Twice, fmt.Sprintf("%s has generation 0x%X too", prev.Name, n.Generation)
	case n.Generation > p.Generation+1:
		e.Break, e.First, e.Last = Missing, p.Generation+1, n.Generation-1
		e.What = fmt.Sprintf("generations 0x%X to 0x%X before it are not there", e.First, e.Last)
	case n.PreviousCreated != p.Created:
		e.What = fmt.Sprintf("it continues a log created %s, and %s was created %s", n.PreviousCreated, prev.Name, p.Created)
	case n.Linked && p.Major == 8 && p.Depth != HeaderRead && n.PreviousSum != p.Sum:
		e.What = fmt.Sprintf("it continues a log with the sum 0x%016X, and %s has 0x%016X", n.PreviousSum, prev.Name, p.Sum)
	default:
		return nil
	}
	return e
}
