package domino

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// restoreOptions are the agent-specific switches of a restore, as doc.go lists them.
type restoreOptions struct {
	to      string // a directory below the data directory for databases
	replica bool   // a new replica id
	server  bool   // a whole server, into an empty data directory
	data    string // that directory
	other   bool   // on another machine
	noLog   bool   // databases as their fulls have them, without log
	files   string // where a script finds what Pipeline.Fetch has written
}

// parseRestoreOptions reads the options of a restore and reports everything that is wrong with them at once.
func parseRestoreOptions(given map[string]string) (o restoreOptions, err error) {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if err := o.set(key, given[key]); err != nil {
			errs = append(errs, fmt.Errorf("restore option %s=%q: %w", key, given[key], err))
		}
	}
	if o.server && (o.to != "" || o.replica || o.noLog) {
		errs = append(errs, errors.New("restore option mode=server brings everything back as it was: leave out to, replica and log"))
	}
	if o.server && o.data == "" || !o.server && (o.data != "" || o.other) {
		errs = append(errs, errors.New("restore options mode=server and data=DIR, the data directory to fill, go together; machine needs them"))
	}
	if err := errors.Join(errs...); err != nil {
		return o, fmt.Errorf("%w: %w", backup.ErrOption, err)
	}
	return o, nil
}

func (o *restoreOptions) set(key, value string) error {
	if value == "" || strings.ContainsAny(value, "\r\n\x00") {
		return errors.New("want a value without line breaks")
	}
	ok := true
	switch key {
	case "to":
		o.to = strings.Trim(strings.ReplaceAll(value, `\`, "/"), "/")
		if !filepath.IsLocal(filepath.FromSlash(o.to)) || filepath.IsAbs(value) {
			return errors.New("want a directory below the data directory, such as restored/mail: Domino logs and recovers databases only there")
		}
	case "replica":
		o.replica = value == "new"
		ok = o.replica || value == "keep"
	case "mode":
		o.server = value == "server"
		ok = o.server || value == "databases"
	case "machine":
		o.other = value == "other"
		ok = o.other || value == "same"
	case "data":
		o.data = value
		ok = filepath.IsAbs(value)
	case "log":
		o.noLog = value == "none"
		ok = o.noLog || value == "all"
	case "files":
		o.files = value
	default:
		return errors.New("unknown; this agent knows to, replica, log, mode, data, machine and files")
	}
	if !ok {
		return errors.New("want replica=new or keep, log=none or all, mode=server or databases, machine=other or same, data=an absolute path")
	}
	return nil
}
