package oracle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// method is how a rehearsal looks at a backup.
type method string

const (
	byAuxiliary method = "auxiliary" // recovers and opens it in an instance of its own
	byValidate  method = "validate"  // has RMAN read it and say what a restore would take
)

// parameterPrefix begins the options that set a parameter of the auxiliary instance.
const parameterPrefix = "parameter:"

// Rehearse implements backup.Rehearser. scratch is a folder of this machine, which is one with Oracle's programs; everything is put below it and removed again, whatever happened.
//
// Method auxiliary, which needs Options.Auxiliary, starts that instance with parameters of its own, recovers the backups there to the target, reads every block of the recovered files, opens the database with RESETLOGS, asks V$RECOVER_FILE
// and V$DATAFILE_HEADER about each file, has RMAN look into the blocks where it is there, and ends the instance by SHUTDOWN ABORT. It is refused where anything could reach the original: see the package's documentation.
//
// Method validate has RMAN catalogue the files of the backup at the database itself, say whether a restore to the target would find all it needs (PREVIEW), read what can be read without a restore (VALIDATE), and uncatalogues them. The database's own
// files are not written to; its control file lists the copies meanwhile.
//
// What a dead rehearsal left under the same scratch folder is ended and removed first: instance, entries of RMAN, files. A living one is backup.ErrBusy.
func (s *Source) Rehearse(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet, scratch string) error {
	o, err := s.parseRehearsal(r.Options)
	if err == nil {
		err = scratchFolder(scratch)
	}
	if err != nil {
		return s.fail(ctx, "rehearse", "", err)
	}
	set.Expect(1)
	if o.method == byAuxiliary {
		err = s.rehearseAuxiliary(ctx, r, set, filepath.Clean(scratch), o)
	} else {
		err = s.rehearseValidate(ctx, r, set, filepath.Clean(scratch), o)
	}
	if err != nil {
		return s.fail(ctx, "rehearse", "", err)
	}
	set.Note("method", string(o.method))
	set.ItemDone()
	return nil
}

// rehearsalOptions are the agent-specific switches of a rehearsal.
type rehearsalOptions struct {
	method     method
	parameters map[string]string
	elsewhere  bool
	// restore are those that go on to the restore.
	restore map[string]string
}

// tunable are the parameters that a rehearsal may be given: what an instance needs to run, and nothing that names a place where it writes, or one by which it is known.
var tunable = regexp.MustCompile(`^(sga_[a-z_]+|pga_[a-z_]+|memory_[a-z_]+|shared_pool_size|large_pool_size|java_pool_size|streams_pool_size|db_([0-9]+k_)?cache_size|processes|recovery_parallelism|cpu_count|use_large_pages|db_files|compatible|wallet_root|tde_configuration)$`)

func (s *Source) parseRehearsal(given map[string]string) (rehearsalOptions, error) {
	o := rehearsalOptions{method: byValidate, parameters: map[string]string{}, restore: map[string]string{}}
	if s.opt.Auxiliary != "" {
		o.method = byAuxiliary
	}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if err := s.rehearsalOption(&o, key, given[key]); err != nil {
			errs = append(errs, fmt.Errorf("rehearsal option %s=%q: %w", key, given[key], err))
		}
	}
	if len(o.parameters) > 0 && o.method != byAuxiliary {
		errs = append(errs, errors.New("parameters are for method=auxiliary"))
	}
	if err := errors.Join(errs...); err != nil {
		return o, fmt.Errorf("%w: %w", backup.ErrOption, err)
	}
	return o, nil
}

func (s *Source) rehearsalOption(o *rehearsalOptions, key, value string) error {
	if name, ok := strings.CutPrefix(key, parameterPrefix); ok {
		if name = strings.ToLower(name); !tunable.MatchString(name) {
			return errors.New("a rehearsal chooses that one itself; it can be given memory, processes, compatible and where the keystore is")
		}
		if value == "" || strings.ContainsAny(value, "\r\n\x00'\"") {
			return errors.New("want a value, without quotes and line breaks")
		}
		o.parameters[name] = value
		return nil
	}
	switch key {
	case "method":
		if o.method = method(value); o.method != byAuxiliary && o.method != byValidate {
			return errors.New("want auxiliary or validate")
		}
		if o.method == byAuxiliary && s.opt.Auxiliary == "" {
			return errors.New("no auxiliary instance is configured (Options.Auxiliary)")
		}
	case "elsewhere":
		if o.elsewhere = value == "true"; !o.elsewhere {
			return errors.New("want true, when nothing of the original's ASM can be reached from this machine")
		}
	case "utc_offset":
		o.restore[key] = value
	default:
		return errors.New("unknown; a rehearsal knows elsewhere, method, parameter:NAME and utc_offset")
	}
	return nil
}

// scratchFolder refuses what is not a folder that everything can be put below.
func scratchFolder(path string) error {
	if !filepath.IsAbs(path) || strings.ContainsAny(path, "'\r\n\x00") {
		return fmt.Errorf("%w: scratch %q: want the full path of a folder, without quotes", backup.ErrOption, path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return &backup.Error{Op: "look at the scratch folder", App: application, Artifact: path, Err: err, Advice: "make the folder, writable for the server's account and for this process, best as the owner of the server"}
	}
	if !info.IsDir() {
		return fmt.Errorf("%w: scratch %s is not a folder", backup.ErrOption, path)
	}
	return nil
}

// inside reports whether a path of this machine is in a folder.
func inside(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel) && rel != "."
}

var _ backup.Rehearser = (*Source)(nil)
