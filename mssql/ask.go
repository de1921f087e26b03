package mssql

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// Names of the options of one run, for backup.Request.Options.
const (
	// OptionCopyOnly, "true", takes fulls and logs that change nothing in the chains.
	OptionCopyOnly = "copy_only"
	// OptionTail takes the last log of databases that are to be restored or moved: TailNoRecovery, TailNoTruncate or TailContinueAfterError. It needs the kind log,
	// and the databases by name.
	OptionTail = "tail"
	// OptionDatabases limits the run to databases that one of these patterns matches, separated by commas, out of those that Options selects. A name
	// with a comma is written with ? in its place.
	OptionDatabases = "databases"
)

// Values of OptionTail.
const (
	// TailNoRecovery leaves the database in RESTORING, so that nothing can change after the tail.
	TailNoRecovery = "norecovery"
	// TailNoTruncate takes the log of a database whose data files are damaged or missing.
	TailNoTruncate = "no_truncate"
	// TailContinueAfterError is TailNoTruncate that also passes over errors in the log itself, and truncates it.
	TailContinueAfterError = "continue_after_error"
)

// ask is what a run was asked for.
type ask struct {
	kind     backup.Kind
	copyOnly bool
	tail     string
	only     filter
}

// asked reads a request. Its errors wrap backup.ErrOption.
func (s *Source) asked(r backup.Request) (ask, error) {
	a := ask{kind: r.Kind, copyOnly: s.opt.CopyOnly, tail: r.Options[OptionTail]}
	bad := func(name, hint string) error {
		return &backup.Error{Op: "read options", App: application, Instance: s.instance, Artifact: name, Advice: hint,
			Err: fmt.Errorf("%w: %s=%q", backup.ErrOption, name, r.Options[name])}
	}
	if v, ok := r.Options[OptionCopyOnly]; ok {
		b, err := strconv.ParseBool(v)
		if err != nil {
			return a, bad(OptionCopyOnly, "want true or false")
		}
		a.copyOnly = b
	}
	if v, ok := r.Options[OptionDatabases]; ok {
		var patterns []string
		for p := range strings.SplitSeq(v, ",") {
			patterns = append(patterns, strings.TrimSpace(p))
		}
		f, err := newFilter(patterns, nil)
		if err != nil {
			return a, bad(OptionDatabases, "want names or patterns, separated by commas")
		}
		a.only = f
	}
	if _, ok := r.Options[OptionTail]; ok {
		switch {
		case !slices.Contains([]string{TailNoRecovery, TailNoTruncate, TailContinueAfterError}, a.tail):
			return a, bad(OptionTail, "want norecovery, no_truncate or continue_after_error")
		case a.kind != backup.Log:
			return a, bad(OptionTail, "a tail is a log: ask for the kind log")
		case len(a.only.include) == 0:
			return a, bad(OptionTail, "name the databases with the option databases: a tail is for those that are about to be restored or moved, not for all")
		}
	}
	if a.copyOnly && a.kind == backup.Differential {
		return a, bad(OptionCopyOnly, "a differential is never copy-only: ask for a full or a log")
	}
	return a, nil
}
