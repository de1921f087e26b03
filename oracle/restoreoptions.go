package oracle

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// executor says who carries the statements of a restore out once the files are in place.
type executor string

const (
	byNobody  executor = "none"    // the script is left for people
	bySQLPlus executor = "sqlplus" // SQL*Plus on this machine, as SYSDBA
	byRMAN    executor = "rman"    // RMAN on this machine, for what it made
	bySQL     executor = "sql"     // the connection of the Source, to an instance that somebody started
)

// movePrefix begins the options that place single files.
const movePrefix = "move:"

// restoreOptions are the agent-specific switches of a restore, as doc.go lists them.
type restoreOptions struct {
	to      string            // a folder for everything
	work    string            // a folder for logs, parameters and script
	moves   map[string]string // old name to new
	execute executor
	open    bool // OPEN RESETLOGS
	// files is where a script finds what Pipeline.Fetch has written.
	files string
	// zone is that of the server's clock, where it is not the one that backups tell.
	zone *time.Location
}

// parseRestoreOptions reads the options of a restore and reports everything that is wrong with them at once.
func parseRestoreOptions(given map[string]string) (restoreOptions, error) {
	o := restoreOptions{moves: map[string]string{}, execute: byNobody}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if err := o.set(key, given[key]); err != nil {
			errs = append(errs, fmt.Errorf("restore option %s=%q: %w", key, given[key], err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return o, fmt.Errorf("%w: %w", backup.ErrOption, err)
	}
	return o, nil
}

func (o *restoreOptions) set(key, value string) error {
	if strings.ContainsAny(value, "\r\n\x00") {
		return errors.New("want no line break")
	}
	if old, ok := strings.CutPrefix(key, movePrefix); ok {
		if old == "" || value == "" {
			return errors.New("want move:OLD=NEW, two full names of a data file")
		}
		o.moves[old] = value
		return nil
	}
	switch key {
	case "to":
		o.to = value
	case "work":
		o.work = value
	case "files":
		o.files = value
	case "execute":
		if o.execute = executor(value); !slices.Contains([]executor{byNobody, bySQLPlus, byRMAN, bySQL}, o.execute) {
			return errors.New("want none, sqlplus, rman or sql")
		}
	case "open":
		if o.open = value == "resetlogs"; !o.open {
			return errors.New("want resetlogs, which begins a new incarnation")
		}
	case "utc_offset":
		t, err := time.Parse("-07:00", value)
		if err != nil {
			return errors.New("want an offset like +02:00")
		}
		o.zone = t.Location()
	default:
		return errors.New("unknown; this agent knows execute, files, move:OLD, open, to, utc_offset and work")
	}
	if value == "" {
		return errors.New("want a value")
	}
	return nil
}
