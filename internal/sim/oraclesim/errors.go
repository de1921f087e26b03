package oraclesim

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sijms/go-ora/v2/network"
)

// What a hook returns to end more than the statement.
var (
	// ErrKillSession ends the session that runs the statement: it sees ORA-03113, and 03114 or 01012 afterwards.
	ErrKillSession = errors.New("oraclesim: kill the session")
	// ErrKillInstance crashes the instance, as SHUTDOWN ABORT or a power failure do.
	ErrKillInstance = errors.New("oraclesim: kill the instance")
)

// fault makes the error that the driver gives for a stack: the code of its first line, and all lines.
func fault(code int, format string, args ...any) *network.OracleError {
	return &network.OracleError{ErrCode: code, ErrMsg: line(code, format, args...)}
}

func line(code int, format string, args ...any) string {
	return fmt.Sprintf("ORA-%05d: %s", code, fmt.Sprintf(format, args...))
}

// stack puts the lines of further errors below those of err.
func stack(err *network.OracleError, more ...*network.OracleError) *network.OracleError {
	lines := []string{err.ErrMsg}
	for _, m := range more {
		lines = append(lines, m.ErrMsg)
	}
	return &network.OracleError{ErrCode: err.ErrCode, ErrMsg: strings.Join(lines, "\n")}
}

func unknown(text string) error { return fault(900, "oraclesim does not know: %s", text) }

// asFault returns err as an error of the server. What the server does not number is an internal error.
func asFault(err error) *network.OracleError {
	var e *network.OracleError
	if errors.As(err, &e) {
		return e
	}
	return fault(600, "internal error code, arguments: [%s]", err)
}

// code is the number of an error, 0 for none and for those without.
func code(err error) int {
	var e *network.OracleError
	if errors.As(err, &e) {
		return e.ErrCode
	}
	return 0
}

// dataFileFault is the line that names a data file.
func dataFileFault(f *dataFile) *network.OracleError {
	return fault(1110, "data file %d: '%s'", f.No, f.Name)
}

// lrm is a line of another part of the server.
func lrm(text string) *network.OracleError { return &network.OracleError{ErrMsg: text} }
