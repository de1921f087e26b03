package exchange

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// recoverer says who brings restored databases into clean shutdown.
type recoverer string

const (
	byEngine recoverer = "engine" // Tools.Engine, or the streaming API for what it took
	byMount  recoverer = "mount"  // the store, when it mounts them
	byPeople recoverer = "none"   // people, with the commands that are told
)

// restoreOptions are the agent-specific switches of a restore, as doc.go lists them.
type restoreOptions struct {
	to       string    // a folder for everything, instead of the server
	recover  recoverer // engine unless told otherwise
	mount    bool      // mount what was restored
	dismount bool      // dismount what is mounted, and allow its files to be replaced
	forward  bool      // play the newer logs that the server still has
	files    string    // where a script finds what Pipeline.Fetch has written
}

// parseRestoreOptions reads the options of a restore and reports everything that is wrong with them at once.
func parseRestoreOptions(given map[string]string) (restoreOptions, error) {
	o := restoreOptions{recover: byEngine}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if err := o.set(key, given[key]); err != nil {
			errs = append(errs, fmt.Errorf("restore option %s=%q: %w", key, given[key], err))
		}
	}
	if o.to != "" && (o.mount || o.dismount || o.forward) {
		errs = append(errs, errors.New("restore option to=DIR leaves the server alone: leave out mount, dismount and forward"))
	}
	if o.to != "" && o.recover == byMount {
		errs = append(errs, errors.New("restore option recover=mount: nothing is mounted in a folder (to); want recover=engine or none"))
	}
	if o.recover == byMount && !o.mount && o.to == "" {
		errs = append(errs, errors.New("restore option recover=mount: it goes with mount=true; want recover=none to mount it yourself"))
	}
	if o.mount && o.recover == byPeople {
		errs = append(errs, errors.New("restore options mount=true and recover=none: what is not recovered cannot be mounted; want recover=engine or mount"))
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
	switch key {
	case "to":
		if o.to = value; !filepath.IsAbs(value) && !windowsAbs(value) {
			return errors.New("want an absolute path of this machine")
		}
	case "files":
		o.files = value
	case "recover":
		if o.recover = recoverer(value); !slices.Contains([]recoverer{byEngine, byMount, byPeople}, o.recover) {
			return errors.New("want engine, mount or none")
		}
	case "mount":
		return readSwitch(value, &o.mount)
	case "dismount":
		return readSwitch(value, &o.dismount)
	case "forward":
		return readSwitch(value, &o.forward)
	default:
		return errors.New("unknown; this agent knows dismount, files, forward, mount, recover and to")
	}
	return nil
}

func readSwitch(value string, to *bool) error {
	if value != "true" && value != "false" {
		return errors.New("want true or false")
	}
	*to = value == "true"
	return nil
}

// windowsAbs reports whether a script, which may be written anywhere, can use the path on the server.
func windowsAbs(path string) bool {
	return len(path) > 2 && path[1] == ':' && strings.ContainsAny(path[2:3], `\/`) || strings.HasPrefix(path, `\\`)
}
