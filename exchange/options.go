package exchange

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/exchange/esebcli"
)

// Way is how databases and logs are taken from a server.
type Way string

const (
	// WayAuto decides by the version of the server: streaming up to Exchange 2003, snapshots since.
	WayAuto Way = ""
	// WayESE is the streaming API of Exchange 2000 to 2007.
	WayESE Way = "ese"
	// WayVSS is a snapshot, for Exchange 2003 and later.
	WayVSS Way = "vss"
)

// Prefer says which copy of a database of a database availability group is backed up. Exactly one member takes a database in a run.
type Prefer string

const (
	// PreferPassive, the default, takes a healthy passive copy, the one of the lowest activation preference; without one the active copy.
	PreferPassive Prefer = ""
	// PreferActive takes the active copy.
	PreferActive Prefer = "active"
	// PreferHere takes what this member has, whatever others do.
	PreferHere Prefer = "here"
)

// Tools are what the agent works with. Nil fields are the programs and libraries of Windows and Exchange; vendors and tests set their own.
type Tools struct {
	Streaming   esebcli.API
	Shadows     Shadows
	Management  Management
	SystemState SystemState
	Engine      Engine
}

// Options adjusts a Source. StateDir is required.
type Options struct {
	// Instance is the name of the server in manifests and messages. Default: Server, or "exchange".
	Instance string
	// Server is the name of the Exchange server. Default: this machine.
	Server string
	// Way is how data are taken. Default: by the version of the server.
	Way Way
	// StateDir is a directory of this machine that survives the process, where a run notes what it begins, so that the next one can end what a dead one left. It is created when it is not there. Two jobs may share it.
	StateDir string
	// Include limits the backup to storage groups and databases of which one of these patterns matches the name; none means all. * stands for any text, ? for one character; case is ignored. Where one database of a storage group is included, all are:
	// they share their log. A pattern without wildcards must find its database.
	Include []string
	// Exclude leaves out what one of these patterns matches; it wins over Include.
	Exclude []string
	// Prefer says which member of a database availability group backs a database up.
	Prefer Prefer
	// SkipSystemState leaves the system state out.
	SkipSystemState bool
	// KeepLogs never truncates: logs stay at the server until circular logging or another backup removes them.
	KeepLogs bool
	// Zone is the time zone of the server, in which older engines write times. Default: that of this machine.
	Zone *time.Location
	// Tools replace the programs and libraries of Windows and Exchange.
	Tools Tools
	// EndTimeout bounds what ends a backup after the run was cancelled. Default 5 minutes.
	EndTimeout time.Duration
	// Now is the clock of the server. Nil means this machine's.
	Now func() time.Time
}

// validate reports everything that is wrong at once.
func (o *Options) validate() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(o.StateDir == "", "state dir: want a directory that survives this process, for the note of what a run began")
	bad(o.StateDir != "" && !filepath.IsAbs(o.StateDir), "state dir %q: want an absolute path", o.StateDir)
	bad(o.Way != WayAuto && o.Way != WayESE && o.Way != WayVSS, "way %q: want ese or vss", o.Way)
	bad(o.Prefer != PreferPassive && o.Prefer != PreferActive && o.Prefer != PreferHere, "prefer %q: want active or here, or leave it out for passive copies", o.Prefer)
	bad(o.EndTimeout < 0, "end timeout %s: want no negative time", o.EndTimeout)
	for _, p := range append(append([]string{}, o.Include...), o.Exclude...) {
		bad(p == "" || strings.ContainsAny(p, "\r\n\x00"), "pattern %q: want the name of a storage group or database, with * for any text and ? for one character", p)
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	if o.Instance == "" {
		o.Instance = o.Server
	}
	if o.Instance == "" {
		o.Instance = "exchange"
	}
	if o.Zone == nil {
		o.Zone = time.Local
	}
	if o.EndTimeout == 0 {
		o.EndTimeout = 5 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the agent runs on the server, so its clock is this one
	}
	return o
}
