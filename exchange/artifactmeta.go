package exchange

import (
	"fmt"
	"github.com/quiesce-go/quiesce/exchange/ese"
	"strings"
	"time"
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
