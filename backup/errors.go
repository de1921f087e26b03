package backup

import (
	"errors"
	"fmt"
	"strings"
)

// Sentinels mark the failures a caller decides on. They are wrapped, so test with errors.Is.
// Absent and existing objects are fs.ErrNotExist and fs.ErrExist.
var (
	// ErrBusy: another run holds the job. Try again later.
	ErrBusy = errors.New("another run holds the job")
	// ErrChainBroken: a link cannot be taken or applied because one before it is missing. Take a full.
	ErrChainBroken = errors.New("chain broken")
	// ErrNoBackup: nothing at the target answers the request.
	ErrNoBackup = errors.New("no such backup")
	// ErrRefused: a plan exists only with steps that policy or data forbid; nothing was touched.
	ErrRefused = errors.New("refused")
	// ErrCorrupt: stored bytes are not the bytes that were written, or content is not what its format demands.
	ErrCorrupt = errors.New("corrupt")
	// ErrKey: sealed data cannot be opened with the keys at hand.
	ErrKey = errors.New("no key opens this")
	// ErrExists: a restore would overwrite something and was not told to.
	ErrExists = errors.New("already exists")
	// ErrNoPath: a path was asked of a stage that streams. It wraps errors.ErrUnsupported.
	ErrNoPath = fmt.Errorf("no path while streaming: %w", errors.ErrUnsupported)
	// ErrStageFull: the stage's quota or its disk cannot take what was asked.
	ErrStageFull = errors.New("stage full")
	// ErrStalled: no byte moved for as long as the stall policy allows.
	ErrStalled = errors.New("stalled")
	// ErrLeaseLost: another machine took the job over; this run must not publish.
	ErrLeaseLost = errors.New("lease lost")
	// ErrReadOnly: the sink was opened for reading only.
	ErrReadOnly = errors.New("sink is read-only")
	// ErrNotNow: a Salvager cannot tell yet what a dead run left. The run fails, and the stage is kept for the next one.
	ErrNotNow = errors.New("cannot be told now")
	// ErrOption: an option is not one the source takes, or its value is none. Nothing was touched.
	ErrOption = errors.New("unusable option")
	// ErrPartial: some items of a run failed. The manifest exists and says which.
	ErrPartial = errors.New("some items failed")
)

// Error says what was being done to what when Err happened. Fields that do not apply are empty.
type Error struct {
	Op       string // the operation: "backup", "restore", "put part"
	App      string // the application: "mysql"
	Instance string
	ID       ID     // the backup
	Artifact string // the artifact, item or key concerned
	Advice   string // what an operator can do; see Hint
	Err      error  // the cause; a driver's own error stays reachable by errors.As
}

// Error reads "mysql: back up shop/orders: cause".
func (e *Error) Error() string { return e.within(&Error{}) }

// within is the text of e inside that of outer: the application is named once, and what outer has said already is left out.
func (e *Error) within(outer *Error) string {
	if e.App == outer.App && e.Op == outer.Op && e.Instance == outer.Instance && (e.ID == "" || e.ID == outer.ID) && (e.Artifact == "" || e.Artifact == outer.Artifact) {
		return e.cause()
	}
	var b strings.Builder
	if e.App != "" && e.App != outer.App {
		b.WriteString(e.App + ": ")
	}
	b.WriteString(e.Op)
	for _, s := range []string{e.Instance, string(e.ID), e.Artifact} {
		if s != "" {
			b.WriteString(" " + s)
		}
	}
	if e.Err != nil {
		b.WriteString(": " + e.cause())
	}
	return b.String()
}

func (e *Error) cause() string {
	switch inner := e.Err.(type) { //nolint:errorlint // only an error that follows directly repeats this one's words
	case nil:
		return "unknown error"
	case *Error:
		return inner.within(e)
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint says in one sentence what a tired operator can do, or is empty.
func (e *Error) Hint() string { return e.Advice }

// Hint returns the outermost hint in err's tree, or "".
func Hint(err error) string {
	var h interface{ Hint() string }
	for err != nil {
		if !errors.As(err, &h) {
			return ""
		}
		if s := h.Hint(); s != "" {
			return s
		}
		u, ok := h.(interface{ Unwrap() error })
		if !ok {
			return ""
		}
		err = u.Unwrap()
	}
	return ""
}

// ItemErrors lists what failed in a partial run. It wraps ErrPartial and every cause.
type ItemErrors struct {
	Total  int // items in the run
	Failed []ItemError
}

// ItemError is the failure of one item.
type ItemError struct {
	Item string
	Err  error
}

// Error reads `2 of 7 items failed: "sales": ...; "hr": ...`.
func (e *ItemErrors) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d items failed", len(e.Failed), e.Total)
	sep := ": "
	for _, f := range e.Failed {
		fmt.Fprintf(&b, "%s%q: %v", sep, f.Item, f.Err)
		sep = "; "
	}
	return b.String()
}

// Unwrap returns ErrPartial and every item's cause.
func (e *ItemErrors) Unwrap() []error {
	errs := []error{ErrPartial}
	for _, f := range e.Failed {
		errs = append(errs, f.Err)
	}
	return errs
}
