package sink

import (
	"context"
	"errors"
	"io/fs"
	"net/http"

	"gocloud.dev/gcerrors"

	"github.com/quiesce-go/quiesce/backup"
)

// kindError gives an error of a driver the kind callers test for, and keeps the driver's own text and type.
type kindError struct {
	kind error
	err  error
}

func (e *kindError) Error() string   { return e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.kind, e.err} }

// classify translates an error of a bucket into the kinds the contract names.
func classify(err error) error {
	kind := error(nil)
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		kind = fs.ErrNotExist
	case gcerrors.FailedPrecondition, gcerrors.AlreadyExists:
		kind = fs.ErrExist
	case gcerrors.PermissionDenied:
		kind = fs.ErrPermission
	case gcerrors.InvalidArgument:
		kind = fs.ErrInvalid
	case gcerrors.Unimplemented:
		kind = errors.ErrUnsupported
	}
	if kind == nil || errors.Is(err, kind) {
		return err
	}
	return &kindError{kind: kind, err: err}
}

// Retryable reports whether trying again could help against err. What it does not know it takes for a fault of the network.
//
// Not worth another try are: a context that ended, absent and existing objects, missing rights, invalid arguments, what the target does not
// support, a full disk, a read-only sink, damage, missing keys, and answers of an HTTP service in the 400s except 408, 409, 425 and 429.
func Retryable(err error) bool {
	var final *finalError
	if err == nil || isDiskFull(err) || errors.As(err, &final) {
		return false
	}
	for _, kind := range []error{
		context.Canceled, fs.ErrNotExist, fs.ErrExist, fs.ErrPermission, fs.ErrInvalid, fs.ErrClosed, errors.ErrUnsupported,
		backup.ErrReadOnly, backup.ErrCorrupt, backup.ErrKey, backup.ErrLeaseLost, backup.ErrStalled,
	} {
		if errors.Is(err, kind) {
			return false
		}
	}
	switch gcerrors.Code(err) {
	case gcerrors.NotFound, gcerrors.AlreadyExists, gcerrors.InvalidArgument, gcerrors.Unimplemented,
		gcerrors.FailedPrecondition, gcerrors.PermissionDenied, gcerrors.Canceled:
		return false
	}
	return retryableStatus(httpStatus(err))
}

func retryableStatus(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status < 400 || status >= 500
}

// httpStatus is the status of the HTTP answer behind err, or 0. The SDKs of AWS and Azure offer it by method, so none is imported here.
func httpStatus(err error) int {
	var r interface{ HTTPStatusCode() int }
	if errors.As(err, &r) {
		return r.HTTPStatusCode()
	}
	return 0
}

// isConflict reports whether a service refused because of another request in flight.
func isConflict(err error) bool { return httpStatus(err) == http.StatusConflict }
