package domino

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/notes"
)

// said reports whether Domino answered with one of these.
func said(err error, answers ...notes.Status) bool {
	var st notes.Status
	return errors.As(err, &st) && slices.Contains(answers, st)
}

// later reports whether what failed may work in a while: the database is being compacted or replicated.
func later(err error) bool {
	return said(err, notes.StatusCompactMode, notes.StatusCantBackupDuringCompact, notes.StatusAlreadyLocked)
}

// fail names the operation and object that met err, with advice where it is one an operator can act on.
func (s *capiSource) fail(ctx context.Context, op, object string, err error) error {
	if err == nil {
		return nil
	}
	var have *backup.Error
	if errors.As(err, &have) {
		return err
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w (%w)", cause, err)
	}
	return &backup.Error{Op: op, App: application, Instance: s.opt.Instance, Artifact: object, Advice: advice(err), Err: err}
}

// refuse is a thing that state or options forbid. Nothing was touched.
func (s *capiSource) refuse(op, object, hint, format string, args ...any) error {
	return &backup.Error{Op: op, App: application, Instance: s.opt.Instance, Artifact: object, Advice: hint, Err: fmt.Errorf("%w: %s", backup.ErrRefused, fmt.Sprintf(format, args...))}
}

const (
	adviceStyle      = "set archive style in the Transactional Logging tab of the server document and restart the server; with other styles only fulls can be taken"
	adviceInBackup   = "let the other backup of the database end; if the program died, its mark stays until the server is restarted or the program's own reset command is used"
	adviceArchiving  = "another program archives the transaction log; let it end, and let one program alone archive it, or each finds gaps"
	adviceProcess    = "look at the console log and for an NSD file in IBM_TECHNICAL_SUPPORT or HCL_TECHNICAL_SUPPORT; run the agent as the user of the server, on its machine"
	adviceState      = "let the state directory be one that this process may write to, with room"
	adviceUnreadable = "run the agent as the user of the server, who owns its files"
)

// advice says what an operator can do about err, or nothing.
func advice(err error) string {
	var st notes.Status
	if errors.As(err, &st) {
		return adviceFor(st)
	}
	switch hint := backup.Hint(err); {
	case hint != "":
		return hint
	case errors.Is(err, errGaveUp):
		return adviceProcess
	case errors.Is(err, fs.ErrPermission):
		return adviceUnreadable
	}
	return ""
}

// adviceFor is by answer, where the agent knows more than the status says of itself.
func adviceFor(st notes.Status) string {
	switch st {
	case notes.StatusBackupAlreadyInProgress:
		return adviceInBackup
	case notes.StatusTransLogArchiveInProgress:
		return adviceArchiving
	case notes.StatusTransLogNotArchived, notes.StatusServerNotTransLogged:
		return adviceStyle
	case notes.StatusDBInUse:
		return "close the database for its users (drop all, dbcache flush), give it longer (offline wait), or restore under another name"
	}
	return st.Hint()
}
