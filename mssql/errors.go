package mssql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"

	driver "github.com/microsoft/go-mssqldb"

	"github.com/quiesce-go/quiesce/backup"
)

// Numbers of errors and messages that change what is done, from the list of Database Engine events and errors.
const (
	infoProgress     = 3211
	infoMasterDone   = 3150
	errTerminating   = 3013
	errShutdown      = 3119 // problems were identified while planning for the restore statement
	errBusy          = 3023
	errInUse         = 3101
	errNoBase        = 3035
	errNoLogChain    = 4214
	errSimpleLog     = 4208
	errPermission    = 262
	errNoObject      = 208
	errNoRight       = 229
	errNoServerRight = 300
	errSyntax        = 102
	errNoFunction    = 195
	errNoAlter       = 15247
	errNoCredential  = 15151 // it does not exist, or may not be touched
)

// refusal is what the server said when it gave a statement up: the cause comes first, "terminating abnormally" last.
type refusal struct{ all []driver.Error }

// causes are the messages that say why. What only says that the statement ended is left out, unless there is nothing else.
func (r *refusal) causes() []driver.Error {
	out := slices.DeleteFunc(slices.Clone(r.all), func(e driver.Error) bool { return e.Number == errTerminating || e.Number == errShutdown })
	if len(out) == 0 {
		return r.all
	}
	return out
}

// Error reads "Cannot open backup device 'x'. Operating system error 3(...). (error 3201)".
func (r *refusal) Error() string {
	var b strings.Builder
	for i, e := range r.causes() {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s (error %d)", e.Message, e.Number)
	}
	return b.String()
}

// Unwrap is the driver's own error, of the cause.
func (r *refusal) Unwrap() error {
	e := r.causes()[0]
	e.All = r.all
	return e
}

// told turns what the driver returns into a refusal when the server's own words are in it, so that the cause is seen and not the last message.
func told(err error) error {
	var have *refusal
	var e driver.Error
	if err == nil || errors.As(err, &have) || !errors.As(err, &e) {
		return err
	}
	all := e.All
	if len(all) == 0 {
		all = []driver.Error{e}
	}
	return &refusal{all}
}

// number is the server's number for the cause in err, or 0.
func number(err error) int32 {
	var e driver.Error
	if errors.As(told(err), &e) {
		return e.Number
	}
	return 0
}

// said reports whether one of the messages in err has the number.
func said(err error, n int32) bool {
	var r *refusal
	return errors.As(told(err), &r) && slices.ContainsFunc(r.all, func(e driver.Error) bool { return e.Number == n })
}

// unchained reports whether a link could not be taken or applied because the chain is not what it needs: a full mends it.
func unchained(err error) bool {
	switch number(err) {
	case errNoBase, errNoLogChain, 3136, 4305, 4312, 4326, 4330:
		return true
	}
	return false
}

// damaged reports whether the server found a backup, or the database it read, to be damaged.
func damaged(err error) bool {
	switch number(err) {
	case 824, 3043, 3182, 3183, 3186, 3189, 3203, 3241, 3242, 3243, 3256, 3266:
		return true
	}
	return false
}

// unsupported reports whether this server does not know, or does not grant, what was asked for; another way may do.
func unsupported(err error) bool {
	switch number(err) {
	case errPermission, errNoObject, errNoRight, errNoServerRight, errSyntax, errNoFunction, 207, 297, 371, 916, 4121:
		return true
	}
	return false
}

// lost reports whether the connection is gone.
func lost(err error) bool {
	var stream driver.StreamError
	var server driver.ServerError
	var ne net.Error
	return errors.As(err, &stream) || errors.As(err, &server) || errors.As(err, &ne) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, errBadConn)
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
	err = told(err)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = errors.Join(cause, err)
	}
	return &backup.Error{Op: op, App: application, Instance: s.instance, Artifact: object, Advice: advice(err), Err: err}
}

// advice says what an operator can do about err, or nothing.
func advice(err error) string {
	if text := adviceForEndpoint(err); text != "" {
		return text
	}
	if text := adviceFor(number(err)); text != "" {
		return text
	}
	switch {
	case number(err) != 0, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return ""
	case lost(err):
		return "the server is not reachable or broke the connection: check that it runs, its address, that TCP/IP is enabled, and its error log"
	}
	return ""
}

// systemError finds the number of the operating system's error in what the server says of a device, in whatever language: "... error 12175(...)".
var systemError = regexp.MustCompile(`\b(\d+)\(`)

// adviceForEndpoint is for messages about devices at an endpoint.
func adviceForEndpoint(err error) string {
	var r *refusal
	if !errors.As(err, &r) {
		return ""
	}
	for _, e := range r.all {
		_, rest, ours := strings.Cut(e.Message, "s3://")
		if !ours {
			continue
		}
		found := systemError.FindStringSubmatch(rest)
		if found == nil {
			continue
		}
		switch found[1] {
		case "12175":
			return "the server does not trust the endpoint's certificate: on Linux put it into /var/opt/mssql/security/ca-certificates and restart the service, " +
				"on Windows import it into the trusted roots of the local machine; it must be made out to the endpoint's host"
		case "5":
			return "the clocks of the server and of this machine differ by more than 15 minutes, or the credential was changed: set the clocks"
		case "50":
			return "the server found no credential for the endpoint, or got no such bucket there: see the log of this process for the request it refused, and whether something else " +
				"answers at the endpoint's host and port"
		}
		return "the server cannot reach the endpoint: check from the server that its host and port can be connected to, and the log of this process"
	}
	return ""
}

func adviceFor(n int32) string {
	switch n {
	case 3201, 3202:
		return "the server's own account writes and reads the file, on the server's machine: it needs the folder, the right to it and room. " +
			"Where server and agent see the staging folder under different names, set both (dir and server dir)"
	case errSimpleLog:
		return "the recovery model is SIMPLE, which has no log backups: take fulls and differentials, or ALTER DATABASE ... SET RECOVERY FULL"
	case errNoLogChain:
		return "there is no log chain: take a full backup first"
	case errNoBase:
		return "there is no full backup to build on: take a full backup first"
	case errBusy:
		return "another backup, or a change of its files, is at work on the database: let it end, or raise Options.BusyAttempts"
	case errInUse:
		return "other sessions use the database: let the restore throw them out, or stop the application"
	case 3033, 3036, 927, 942, 945:
		return "the database is not in a state in which it can be backed up: look at state_desc in sys.databases and at the server's error log"
	case 3059, 3062:
		return "the database belongs to an availability group and this replica cannot take this backup: run it on another replica, or a copy-only one here"
	case 3041, 3203, 3271, 824, 3043:
		return "the server could not read a page or the file: run DBCC CHECKDB on the database and look at the disk"
	case 3132:
		return "a stripe of the backup is missing: all its files are needed"
	case 3136, 4305, 4312, 4326, 4330, 4335, 4338:
		return "the backups do not follow each other: let the plan choose them, and look at its gaps"
	case 3159:
		return "the newest log of the existing database is not backed up: take a tail backup first, or allow overwriting"
	case 3154, 3141:
		return "a different database has that name: restore under another name, or allow overwriting"
	case 3169, 3168:
		return "the backup is from a newer version, or for system databases another build: restore into a server of the version that took it"
	case 3183, 3189, 3241, 3242, 3243, 3256:
		return "the backup is damaged: verify it and restore from another one"
	case 33111, 15404:
		return "the certificate or key that the backup needs is not in master of this server: CREATE CERTIFICATE ... FROM FILE there first"
	case errPermission, 916, errNoRight, errNoServerRight, 297, 371, 3110:
		return "the login may not do this: a backup needs sysadmin, or db_backupoperator in every database with VIEW SERVER STATE and VIEW ANY DEFINITION; a restore needs dbcreator"
	case errNoAlter:
		return "the login may not create and drop the credential of the endpoint: GRANT ALTER ANY CREDENTIAL to it"
	case 18456:
		return "user name or password do not match: try the same values with sqlcmd"
	case 4060, 911:
		return "no such database, or the login may not open it: look at sys.databases for its spelling and state"
	case 9002:
		return "the transaction log is full: see log_reuse_wait_desc in sys.databases"
	case 1844:
		return "this edition or version cannot do that: set the compression to auto or off"
	}
	return ""
}
