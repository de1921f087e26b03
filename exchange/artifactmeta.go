package exchange

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/ese"
)

// What the artifacts of a backup tell of themselves, beside their names.
const (
	metaFile       = "file"       // the full path at the server
	metaDatabase   = "database"   // the name of the database
	metaGUID       = "guid"       // and its GUID
	metaRequired   = "required"   // the generations without which the copy cannot be used, in decimal: "70-73"
	metaSignature  = "signature"  // of the series of logs, in hex
	metaGeneration = "generation" // of a log, in decimal
	metaCreated    = "created"    // when it was created, as its header has it, in hex
	metaPrevious   = "previous"   // and the log before it
	metaEnds       = "ends"       // by when it was certainly over
	metaPartial    = "partial"    // "true": it was still being written

	// What a manifest tells in its Meta.
	metaWay     = "way"
	metaVersion = "version"
)

// logFile is a log in a backup, by what its artifact says.
type logFile struct {
	step  *backup.RestoreStep
	entry backup.Entry
	// name is that of the file, without the folder; base is what all logs of the series begin with.
	name, base string
	generation uint32
	// partial: it was still being written when it was taken.
	partial           bool
	created, previous ese.Stamp
	// ends is the moment by which it was certainly over; zero: unknown.
	ends      time.Time
	signature string
	// local is the file at the server where no backup has the log.
	local string
}

// readLog reads what an artifact says of a log.
func readLog(step *backup.RestoreStep, e backup.Entry) (logFile, error) {
	l := logFile{step: step, entry: e, name: baseName(e.Meta[metaFile]), partial: e.Meta[metaPartial] == "true", signature: e.Meta[metaSignature]}
	bad := func(err error) (logFile, error) {
		return l, fmt.Errorf("%w: what %s says of itself: %w", backup.ErrCorrupt, e.Name, err)
	}
	name, ok := ese.ParseLogName(l.name)
	if !ok {
		return bad(fmt.Errorf("%q is no name of a log", l.name))
	}
	l.base = name.Base
	n, err := strconv.ParseUint(e.Meta[metaGeneration], 10, 31)
	if err != nil || n == 0 {
		return bad(fmt.Errorf("generation %q", e.Meta[metaGeneration]))
	}
	l.generation = uint32(n)
	if l.created, err = readStamp(e.Meta[metaCreated]); err != nil {
		return bad(err)
	}
	if l.previous, err = readStamp(e.Meta[metaPrevious]); err != nil {
		return bad(err)
	}
	if text := e.Meta[metaEnds]; text != "" {
		if l.ends, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return bad(err)
		}
	}
	return l, nil
}

func readStamp(text string) (s ese.Stamp, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(s) {
		return s, fmt.Errorf("%q is no time of the engine", text)
	}
	return ese.Stamp(b), nil
}

// over is a moment by which the log before one that was created at next had ended: the stamp is cut off at a second or a millisecond, so the end of that is meant. Zero: it cannot be told.
func over(next ese.Stamp, zone *time.Location) time.Time {
	at := next.In(zone)
	switch {
	case at.IsZero():
		return at
	case at.Nanosecond() == 0:
		return at.Add(time.Second)
	}
	return at.Add(time.Millisecond)
}

// readRange reads "70-73".
func readRange(text string) (first, last uint32, err error) {
	from, to, ok := strings.Cut(text, "-")
	a, errA := strconv.ParseUint(from, 10, 31)
	b, errB := strconv.ParseUint(to, 10, 31)
	if err := errors.Join(errA, errB); err != nil || !ok || a > b {
		return 0, 0, fmt.Errorf("%w: %q is no range of generations", backup.ErrCorrupt, text)
	}
	return uint32(a), uint32(b), nil
}

// generation is how people and the tools of Exchange write the number of a log.
func generation(n uint32) string { return fmt.Sprintf("0x%X", n) }

// generations is a range of them.
func generations(first, last uint32) string {
	if first == last {
		return generation(first)
	}
	return generation(first) + " to " + generation(last)
}

// baseName is the last element of a path, whether of Windows or not.
func baseName(path string) string { return path[strings.LastIndexAny(path, `\/`)+1:] }

// dirName is all before it, without the separator.
func dirName(path string) string { return path[:max(strings.LastIndexAny(path, `\/`), 0)] }
