package exchange

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
)

const (
	adviceCircular   = "turn circular logging off for it and dismount and mount its databases, or take fulls only: with circular logging the server deletes logs that no backup has"
	adviceRights     = "run the agent elevated, as an account with the rights to back up and restore files, on the Exchange server itself"
	adviceInProgress = "another backup of it is under way: let it end, or end it; a backup of a program that died ends when its process is gone"
	adviceDamaged    = "the server itself has this damage: see its event log, move mailboxes to another database or restore, and keep the older backups until a new full is whole"
	adviceMounted    = "mount the database and take a full"
)

// stageFailure is what the stage or its target answered: it ends the run, not only the item.
type stageFailure struct{ error }

func (e stageFailure) Unwrap() error { return e.error }

// stagingError returns the failure of the stage in err's tree, or nil.
func stagingError(err error) error {
	var st stageFailure
	if errors.As(err, &st) {
		return st.error
	}
	return nil
}

// answered reports whether the streaming API answered with one of these.
func answered(err error, answers ...esebcli.HRESULT) bool {
	return slices.ContainsFunc(answers, func(a esebcli.HRESULT) bool { return errors.Is(err, a) }) // there may be several in the tree
}

// fail names the operation and object that met err, with advice where it is one an operator can act on.
func (s *Source) fail(ctx context.Context, op, object string, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w (%w)", cause, err)
	}
	var have *backup.Error
	if errors.As(err, &have) && have.App == application && have.Instance == s.opt.Instance && (have.Artifact != "" || object == "") {
		return err
	}
	return &backup.Error{Op: op, App: application, Instance: s.opt.Instance, Artifact: object, Advice: advise(err), Err: err}
}

// refuse is a thing that state or options forbid. Nothing was touched.
func (s *Source) refuse(op, object, hint, format string, args ...any) error {
	return &backup.Error{Op: op, App: application, Instance: s.opt.Instance, Artifact: object, Advice: hint, Err: fmt.Errorf("%w: %s", backup.ErrRefused, fmt.Sprintf(format, args...))}
}

// damaged is content that is not what its format or its record demands.
func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", backup.ErrCorrupt, fmt.Sprintf(format, args...))
}

// advise says what an operator can do about err, or nothing.
func advise(err error) string {
	switch hint := backup.Hint(err); {
	case answered(err, esebcli.HrBackupInProgress):
		return adviceInProgress
	case answered(err, esebcli.HrPrivilegeNotHeld):
		return adviceRights
	case hint != "":
		return hint
	case errors.Is(err, fs.ErrPermission):
		return adviceRights
	case errors.Is(err, backup.ErrCorrupt):
		return adviceDamaged
	}
	return ""
}
