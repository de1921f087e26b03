package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"

	mysql "github.com/go-sql-driver/mysql"

	"github.com/quiesce-go/quiesce/backup"
)

// Numbers of server errors that change what is done. Names as in the vendors' error message references.
const (
	erDBAccessDenied    = 1044
	erAccessDenied      = 1045
	erUnknownDB         = 1049
	erParse             = 1064
	erNoSuchUser        = 1133
	erNoSuchGrant       = 1141
	erTableAccess       = 1142
	erNoSuchTable       = 1146
	erUnknownVariable   = 1193
	erLockWait          = 1205
	erSpecificAccess    = 1227
	erViewInvalid       = 1356
	erTableDefChanged   = 1412
	erNetPacketTooLarge = 1153

	erFatalReadingBinlog = 1236
)

// number is the server's error number in err, or 0.
func number(err error) uint16 {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}

// denied reports whether the server refused for want of a right, or does not know the statement at all: another way may do.
func denied(err error) bool {
	switch number(err) {
	case erDBAccessDenied, erAccessDenied, erTableAccess, erSpecificAccess, erParse, erUnknownVariable, 1143, 1235, 1105:
		return true
	}
	return false
}

// lost reports whether the connection is gone.
func lost(err error) bool {
	var ne net.Error
	return errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, io.EOF) || errors.As(err, &ne)
}

// fail names the operation and object that met err, with advice where the error is one an operator can act on. A cancelled context stands before the
// driver's account of the connection it broke.
func (s *Source) fail(ctx context.Context, op, object string, err error) error {
	if err == nil {
		return nil
	}
	var have *backup.Error
	if errors.As(err, &have) {
		return err
	}
	err = because(ctx, err)
	return &backup.Error{Op: op, App: application, Instance: s.instance, Artifact: object, Advice: advice(err), Err: err}
}

// because puts the reason why ctx ended before an error that does not tell it.
//
// fail does so with the context at hand. Where a whole backup or restore ends it is done once more with the outermost: a context ends before those derived
// from it, and in between its sessions may already be killed.
func because(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if err == nil || cause == nil || errors.Is(err, cause) {
		return err
	}
	if have, ok := err.(*backup.Error); ok { //nolint:errorlint // only what stands outermost: it says what was being done
		e := *have
		e.Err = errors.Join(cause, have.Err)
		e.Advice = advice(e.Err)
		return &e
	}
	return errors.Join(cause, err)
}

func advice(err error) string {
	switch number(err) {
	case erAccessDenied:
		return "user name, password or host of the account do not match: try the same values with the mariadb or mysql client"
	case erDBAccessDenied, erTableAccess, 1143:
		return "the account may not do this: GRANT it the right named in the message, or leave the object out with Options.Exclude"
	case erSpecificAccess:
		return "the account lacks the privilege named in the message: GRANT it ON *.* to the account"
	case erUnknownDB:
		return "no such schema on the server: look at SHOW DATABASES for its spelling"
	case erLockWait:
		return "another session holds a lock: look at SHOW PROCESSLIST, or raise Options.LockWait"
	case erTableDefChanged:
		return "the table was altered while the backup ran: run it again when no DDL runs"
	case erNetPacketTooLarge, 1301:
		return "a row is larger than max_allowed_packet: raise it on the server"
	case 1040, 1203, 1226:
		return "the server has no connection left for us: lower Options.Connections or raise max_connections"
	case 1290, 1836:
		return "the server runs read-only: switch it off, or restore into another server"
	case 1449:
		return "the definer's account does not exist: restore accounts first, or pass the restore option definer=current"
	}
	switch {
	case number(err) != 0:
		return ""
	case errors.Is(err, context.Canceled):
		return ""
	case lost(err):
		return "the server is not reachable or broke the connection: check that it runs, its address and its error log"
	}
	return ""
}
