package oracle

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sijms/go-ora/v2/network"

	"github.com/quiesce-go/quiesce/backup"
)

// Numbers of errors that change what is done [ERR].
const (
	oraAllOffline    = 1140 // nothing to end
	oraNoneInBackup  = 1142
	oraInBackup      = 1146
	oraNotInBackup   = 1199
	oraNeedsEnd      = 10873
	oraCancelled     = 1013
	oraNoRights      = 1031
	oraNoObject      = 942
	oraNoColumn      = 904
	oraNoData        = 1403
	oraFileOperation = 22288
	oraNoSuchDir     = 22285
	oraCompilation   = 6550 // of PL/SQL: what follows says why, PLS-00201 that a package may not be executed
)

// cancelled is a call that a context ended, with what the driver said then.
type cancelled struct{ cause, said error }

func (e *cancelled) Error() string { return e.cause.Error() }

// Unwrap is the cause only: what the driver says of a call that it broke off is not what the server thinks of it.
func (e *cancelled) Unwrap() error { return e.cause }

// unsent is the end of a context before the call was made.
type unsent struct{ error }

func (e *unsent) Unwrap() error { return e.error }

var number = regexp.MustCompile(`ORA-(\d{5})`)

// codes are the numbers of Oracle's own errors in err, the first one first. A stack has several: 01113 comes with 01110.
func codes(err error) []int {
	var e *network.OracleError
	if !errors.As(err, &e) {
		return nil
	}
	out := []int{e.ErrCode}
	for _, m := range number.FindAllStringSubmatch(e.ErrMsg, -1) {
		if n, err := strconv.Atoi(m[1]); err == nil && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// said reports whether the server answered with one of these numbers.
func said(err error, numbers ...int) bool {
	return slices.ContainsFunc(codes(err), func(n int) bool { return slices.Contains(numbers, n) })
}

// class is what an error asks for.
type class string

const (
	classNone          class = ""
	classRetry         class = "retry"         // it may be gone soon
	classConfiguration class = "configuration" // somebody must change something
	classChain         class = "chain"         // a full mends it
	classHarmless      class = "harmless"      // what was asked for is so already
)

// classes are the numbers by what they ask for.
func classify(err error) class {
	for _, n := range codes(err) {
		switch n {
		case oraAllOffline, oraNoneInBackup, oraNotInBackup:
			return classHarmless
		case 308, 310, 326, 328, 1190, 19505, 19625:
			return classChain
		case 1033, 1034, 1089, 1090, 1092, 1154, 257, 16014, 16038, 19809, 3113, 3114, 3135, 1012, 12170, 12516, 12518, 12520, 12528, 12537, 12541, 12543, 12547:
			return classRetry
		}
		if adviceFor(n) != "" {
			return classConfiguration
		}
	}
	if lost(err) {
		return classRetry
	}
	return classNone
}

// lost reports whether the connection is gone, so that nobody knows what became of the statement.
func lost(err error) bool {
	var ne net.Error
	return said(err, 28, 1012, 1092, 3113, 3114, 3135, 12537, 12547) || errors.As(err, &ne) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, network.ErrConnReset)
}

// outcome is what is known of a statement.
type outcome int

const (
	done      outcome = iota
	refused           // none of it was carried out: the server said no, or was never asked
	brokenOff         // the server ended it in the middle
	doubtful          // no answer came: it may have been carried out, or may be yet
)

func outcomeOf(err error) outcome {
	var un *unsent
	switch {
	case err == nil:
		return done
	case errors.As(err, &un):
		return refused
	}
	var c *cancelled
	if errors.As(err, &c) {
		err = c.said
	}
	switch {
	case lost(err), len(codes(err)) == 0:
		return doubtful
	case said(err, oraCancelled):
		return brokenOff
	}
	return refused
}

// unsupported reports whether this server does not know, or does not grant, what was asked for; another way may do.
func unsupported(err error) bool {
	return said(err, oraNoObject, oraNoColumn, oraNoRights, 900, 1219, 22286)
}

// fail names the operation and object that met err, with advice where it is one an operator can act on.
func (s *Source) fail(ctx context.Context, op, object string, err error) error {
	if err == nil {
		return nil
	}
	var have *backup.Error
	if errors.As(err, &have) {
		return err
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = &cancelled{cause: cause, said: err}
	}
	return &backup.Error{Op: op, App: application, Instance: s.instance, Artifact: object, Advice: advice(err), Err: tidy(err)}
}

// tidy leaves out what the driver adds to the server's words.
func tidy(err error) error {
	if text := err.Error(); strings.Contains(text, positionText) {
		return &worded{text: positions.ReplaceAllString(text, ""), err: err}
	}
	return err
}

const positionText = " error occur at position: "

var positions = regexp.MustCompile(`\n?` + positionText + `\d+`)

// worded is an error in better words.
type worded struct {
	text string
	err  error
}

func (w *worded) Error() string { return strings.TrimSpace(w.text) }
func (w *worded) Unwrap() error { return w.err }

// advice says what an operator can do about err, or nothing.
func advice(err error) string {
	var re *rmanError
	if errors.As(err, &re) && re.advice() != "" {
		return re.advice()
	}
	for _, n := range codes(err) {
		if text := adviceFor(n); text != "" {
			return text
		}
	}
	var c *cancelled
	switch {
	case errors.As(err, &c) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded):
		return "the server took the connection and did not answer in time: look at its listener.log and alert log, and for a firewall in between"
	case errors.As(err, &c), len(codes(err)) > 0:
		return ""
	case lost(err):
		return "the server is not reachable or broke the connection: check that it and its listener run (lsnrctl status), host and port, and its alert log"
	}
	return ""
}

// adviceFor is by number, from the error manual [ERR].
func adviceFor(n int) string {
	switch n {
	case 1123:
		return adviceArchivelog
	case oraInBackup, 1150:
		return adviceInBackup
	case oraNeedsEnd, 1113:
		return adviceEnd
	case 1253, 1254:
		return "RMAN is at work on the file: let its backup end, then run again"
	case 1149:
		return "data files are in backup mode: end it before the database is shut down"
	case 1033, 1034, 1089, 1090, 1092, 1109, 1219, 1507, 16000, 12528:
		return "the database is not open for reading and writing: look at its alert log and at OPEN_MODE in V$DATABASE, and open it"
	case 65040, 65050:
		return "connect to the root container (CDB$ROOT): archived logs, control file and parameters belong to it"
	case 257, 16014, 16038, 19809, 19502:
		return "the server has no room for archived logs: make room in the destination or the recovery area (V$RECOVERY_FILE_DEST)"
	case 1017, 28000, 28001:
		return "user name or password do not match, or the account is locked or expired: try the same values with sqlplus"
	case 28009:
		return "SYS logs in AS SYSDBA only: use an account of your own with DBA PRIVILEGE=SYSBACKUP"
	case oraNoRights, oraNoObject:
		return adviceRights
	case oraNoSuchDir, 22286, 22287:
		return "the login may not create or read the DIRECTORY object: grant CREATE ANY DIRECTORY, or let an administrator create one for that folder with READ on it"
	case oraCompilation:
		return "the login may not execute a package: GRANT EXECUTE ON SYS.UTL_FILE, and ON SYS.DBMS_LOB, to it; a new database grants both to PUBLIC"
	case 29280, 29283, 29289, 29291:
		return "the server could not remove a file by UTL_FILE: the login needs WRITE on the DIRECTORY object of its folder, and the server's account the right to remove files in it"
	case oraFileOperation:
		return "the server cannot read the file by BFILE: no part of its path may be a symbolic link, the oracle account must be able to read it, and ASM cannot be read so; use local mode or RMAN there"
	case 22290:
		return "too many open files in a session: raise session_max_open_files"
	case 1116, 1157, 27037, 27041, 27072:
		return "the server cannot read one of its own files: look at the alert log and at V$RECOVER_FILE"
	case 1580, 27038, 27040, 27044, 27054, 19504:
		return "the server's own account writes the file, on the server's machine: it needs the folder (scratch dir), the right to it and room"
	case 12154, 12505, 12514:
		return "the listener does not know that service: check the name after the slash of the DSN with lsnrctl status"
	case 12516, 12518, 12519, 12520:
		return "the listener has no free handler: raise PROCESSES of the instance, or run with fewer connections"
	case 12170, 12537, 12541, 12543, 12547, 12560, 3113, 3114, 3135, 1012, 28:
		return "the server is not reachable or broke the connection: check that it and its listener run (lsnrctl status), host and port, and its alert log"
	}
	return ""
}

const (
	adviceArchivelog = "the database is in NOARCHIVELOG, which allows no backup while it is open: SHUTDOWN IMMEDIATE, STARTUP MOUNT, ALTER DATABASE ARCHIVELOG, ALTER DATABASE OPEN"
	adviceInBackup   = "somebody else put data files into backup mode, and only who did may end it: see V$BACKUP; if nothing is backing them up, ALTER TABLESPACE ... END BACKUP"
	adviceEnd        = "the instance stopped while data files were in backup mode: STARTUP MOUNT, ALTER DATABASE END BACKUP, ALTER DATABASE OPEN; but if any data file was put back from a backup, RECOVER DATABASE instead of END BACKUP"
	adviceRights     = "connect AS SYSBACKUP or SYSDBA, or grant ALTER DATABASE, ALTER SYSTEM, ALTER TABLESPACE, SELECT ANY DICTIONARY and, in remote mode, CREATE ANY DIRECTORY, DROP ANY DIRECTORY and EXECUTE ON SYS.UTL_FILE"
)
