package mssql

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// recoveryState is in what state a restore leaves a database.
type recoveryState string

const (
	recovered  recoveryState = "recovery"   // online
	unfinished recoveryState = "norecovery" // restoring, so that more can be applied
	standby    recoveryState = "standby"    // readable, and more can be applied
)

// stopKind says at what a restore stops besides a time.
type stopKind string

const (
	stopAtMark     stopKind = "stop_at_mark"
	stopBeforeMark stopKind = "stop_before_mark"
	stopBeforeLSN  stopKind = "stop_before_lsn"
)

// restoreOptions are the agent-specific switches of a restore, as doc.go lists them.
type restoreOptions struct {
	state        recoveryState
	standbyFile  string
	dataDir      string
	logDir       string
	moves        map[string]string // logical name to path
	stop         stopKind          // or none
	stopName     string            // the mark, or the decimal LSN
	restricted   bool
	keep         []string // KEEP_REPLICATION, KEEP_CDC
	broker       string   // ENABLE_BROKER, ...
	sameInstance bool     // a rehearsal may use the server it is of
}

// movePrefix begins the options that place single files.
const movePrefix = "move:"

// parseRestoreOptions reads the options of a restore and reports everything that is wrong with them at once.
func parseRestoreOptions(given map[string]string) (restoreOptions, error) {
	o := restoreOptions{state: recovered, moves: map[string]string{}}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if err := o.set(key, given[key]); err != nil {
			errs = append(errs, fmt.Errorf("restore option %s=%q: %w", key, given[key], err))
		}
	}
	switch {
	case o.state == standby && o.standbyFile == "":
		errs = append(errs, errors.New("restore option recovery=standby: it needs standby_file, where the server keeps what it undid"))
	case o.state != standby && o.standbyFile != "":
		errs = append(errs, errors.New("restore option standby_file: it goes with recovery=standby"))
	case o.state != recovered && (o.restricted || len(o.keep) > 0 || o.broker != ""):
		errs = append(errs, errors.New("restore options restricted_user, keep_replication, keep_cdc and broker: they go with recovery=recovery"))
	}
	if err := errors.Join(errs...); err != nil {
		return o, fmt.Errorf("%w: %w", backup.ErrRefused, err)
	}
	return o, nil
}

func (o *restoreOptions) set(key, value string) error {
	if logical, ok := strings.CutPrefix(key, movePrefix); ok {
		if logical == "" || value == "" {
			return errors.New("want move:LOGICAL=PATH")
		}
		o.moves[logical] = value
		return nil
	}
	switch key {
	case "recovery":
		o.state = recoveryState(value)
		if o.state != recovered && o.state != unfinished && o.state != standby {
			return errors.New("want recovery, norecovery or standby")
		}
	case "standby_file":
		o.standbyFile = value
	case "data_dir":
		o.dataDir = value
	case "log_dir":
		o.logDir = value
	case string(stopAtMark), string(stopBeforeMark), string(stopBeforeLSN):
		return o.setStop(stopKind(key), value)
	case "restricted_user":
		return readSwitch(value, func() { o.restricted = true })
	case "keep_replication":
		return readSwitch(value, func() { o.keep = append(o.keep, "KEEP_REPLICATION") })
	case "keep_cdc":
		return readSwitch(value, func() { o.keep = append(o.keep, "KEEP_CDC") })
	case "same_instance":
		return readSwitch(value, func() { o.sameInstance = true })
	case "broker":
		words := map[string]string{"enable": "ENABLE_BROKER", "new": "NEW_BROKER", "error": "ERROR_BROKER_CONVERSATIONS"}
		if o.broker = words[value]; o.broker == "" {
			return errors.New("want enable, new or error")
		}
	default:
		return errors.New("unknown; this agent knows broker, data_dir, keep_cdc, keep_replication, log_dir, move:LOGICAL, recovery, restricted_user, same_instance, " +
			"standby_file, stop_at_mark, stop_before_lsn and stop_before_mark")
	}
	return nil
}

func (o *restoreOptions) setStop(kind stopKind, value string) error {
	if o.stop != "" {
		return fmt.Errorf("it cannot be combined with %s", o.stop)
	}
	if value == "" {
		return errors.New("want a name")
	}
	if kind == stopBeforeLSN {
		if _, err := mtf.ParseLSN(value); err != nil {
			return fmt.Errorf("want an LSN in decimal, as RESTORE HEADERONLY shows it: %w", err)
		}
	}
	o.stop, o.stopName = kind, value
	return nil
}

func readSwitch(value string, on func()) error {
	switch value {
	case "true":
		on()
	case "false":
	default:
		return errors.New("want true or false")
	}
	return nil
}
