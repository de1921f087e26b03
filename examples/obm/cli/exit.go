package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
)

// Exit codes of every command.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2 // usage or configuration
	exitPartial = 3 // some items failed
	exitRefused = 4 // no plan for that time, chain broken, nothing proven; nothing was touched
	exitBusy    = 5 // another run holds the job
)

// usageError is what the person at the keyboard, or the configuration, got wrong.
type usageError struct {
	err    error
	advice string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// Hint implements what backup.Hint looks for.
func (e *usageError) Hint() string {
	if e.advice == "" {
		return backup.Hint(e.err)
	}
	return e.advice
}

// usage marks err as a usageError.
func usage(err error) error { return &usageError{err: err} }

func usagef(advice, format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...), advice}
}

// outcomeError is an action that did not end well, with what its record says.
type outcomeError struct {
	outcome agent.Outcome
	err     error
}

func (e *outcomeError) Error() string { return e.err.Error() }
func (e *outcomeError) Unwrap() error { return e.err }

// exitCode says how a command ended.
func exitCode(err error) int {
	var outcome agent.Outcome
	if o := (*outcomeError)(nil); errors.As(err, &o) {
		outcome = o.outcome
	}
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, new(*usageError)), errors.Is(err, backup.ErrOption):
		return exitUsage
	case outcome == agent.OutcomeBusy, errors.Is(err, backup.ErrBusy):
		return exitBusy
	case outcome == agent.OutcomePartial, errors.Is(err, backup.ErrPartial):
		return exitPartial
	case outcome == agent.OutcomeFailed, outcome == agent.OutcomeCancelled:
		return exitFailed
	case outcome == agent.OutcomeRefused, isRefusal(err):
		return exitRefused
	}
	return exitFailed
}

// isRefusal reports whether err says that nothing was touched because nothing could be done, or might be.
func isRefusal(err error) bool {
	return errors.Is(err, backup.ErrRefused) || errors.Is(err, backup.ErrNoBackup) || errors.Is(err, backup.ErrChainBroken) ||
		errors.Is(err, backup.ErrExists)
}

// report writes an error for people: what failed, and what they can do.
func (p *Program) report(w io.Writer, err error) {
	fmt.Fprintf(w, "%s: %v\n", p.name(), err)
	fmt.Fprintf(w, "hint: %s\n", p.hint(err))
}

// hint is the error's own, or else what is true of its kind.
func (p *Program) hint(err error) string {
	if h := backup.Hint(err); h != "" {
		return h
	}
	switch {
	case exitCode(err) == exitUsage:
		return fmt.Sprintf("%s help lists the commands, %s COMMAND --help explains one", p.name(), p.name())
	case errors.Is(err, context.Canceled):
		return "it was interrupted; what was begun is cleaned up, and the same command can be run again"
	case errors.Is(err, backup.ErrBusy):
		return "wait until the other run has ended, and try again"
	case errors.Is(err, backup.ErrKey):
		return "seal.identity_file in the configuration must name the identity whose recipient the backups were made for"
	case errors.Is(err, backup.ErrPartial):
		return "the backup is good for the other items; see to the ones named and take another"
	case errors.Is(err, backup.ErrExists):
		return "--overwrite replaces what is there; --item NAME --as OTHER restores beside it"
	case exitCode(err) == exitRefused:
		return "nothing was touched; see to what the message names and try again"
	}
	return fmt.Sprintf("%s check tells whether target, stage and application can be reached; -v tells more", p.name())
}
