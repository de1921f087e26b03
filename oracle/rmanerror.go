package oracle

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sijms/go-ora/v2/network"
)

// rmanBanner is before every error stack that RMAN prints [BRU 24].
const rmanBanner = "RMAN-00569"

var rmanLine = regexp.MustCompile(`^(RMAN|ORA)-(\d{5}):`)

// rmanError is an error stack of RMAN. What is at its bottom is the cause [BRU 24].
type rmanError struct {
	lines []string
	// rman are the numbers of RMAN's own errors, the one at the bottom first.
	rman []int
	// server is the error of the database in it, the one at the bottom first; nil when there is none.
	server *network.OracleError
}

// rmanStack is the last error stack in what RMAN printed; nil when there is none.
func rmanStack(text string) error {
	at := strings.LastIndex(text, rmanBanner)
	if at < 0 {
		return nil
	}
	e := &rmanError{}
	var ora []string
	for _, line := range strings.Split(text[at:], "\n") {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "RMAN>"))
		m := rmanLine.FindStringSubmatch(line)
		if m == nil || strings.HasPrefix(line, rmanBanner) || strings.HasPrefix(line, "RMAN-00571") {
			continue
		}
		e.lines = append(e.lines, line)
		n, err := strconv.Atoi(m[2])
		if err != nil {
			continue // five digits are a number
		}
		if m[1] == "RMAN" {
			e.rman = slices.Insert(e.rman, 0, n)
			continue
		}
		ora = slices.Insert(ora, 0, line)
		e.server = &network.OracleError{ErrCode: n, ErrMsg: strings.Join(ora, "\n")}
	}
	return e
}

// Error is the cause, and what it came of.
func (e *rmanError) Error() string {
	if len(e.lines) == 0 {
		return "RMAN reports an error without a number"
	}
	last := e.lines[len(e.lines)-1]
	if len(e.lines) == 1 {
		return last
	}
	return fmt.Sprintf("%s (%s)", last, strings.Join(e.lines[:len(e.lines)-1], "; "))
}

// Unwrap is what the server said.
func (e *rmanError) Unwrap() error {
	if e.server == nil {
		return nil
	}
	return e.server
}

// has reports whether one of RMAN's own errors is in the stack.
func (e *rmanError) has(numbers ...int) bool {
	return slices.ContainsFunc(e.rman, func(n int) bool { return slices.Contains(numbers, n) })
}

// Numbers of RMAN's own errors.
const (
	rmanLogLost      = 6059 // an archived log that it knows is not there
	rmanNoLog        = 20242
	rmanNotConnected = 6171
	rmanTargetError  = 4005 // of the target database, at the login
	rmanNoSession    = 6403
)

// Hint says what an operator can do.
func (e *rmanError) Hint() string { return advice(e) }

// advice is that for errors which mean something else in RMAN, or are its own; else empty.
func (e *rmanError) advice() string {
	switch {
	case slices.ContainsFunc(codes(e), func(n int) bool { return slices.Contains([]int{19502, 19504, 27040, 27044, 27061, 27063, 27072}, n) }):
		return "the server's own account writes the pieces, on the server's machine: it needs the folder (the stage, or Options.ScratchDir), the right to write there, and room for all of a backup"
	case e.has(rmanTargetError, rmanNotConnected, rmanNoSession):
		return "try the same with rman in a terminal: ORACLE_HOME and ORACLE_SID in the environment, for / an account in the OSDBA or OSBACKUP group, else Options.RMANConnect"
	case e.has(rmanLogLost, rmanNoLog) || said(e, 19625):
		return (&gap{}).Hint()
	case said(e, 19566):
		return "a block of the data file is damaged on the server: VALIDATE DATABASE names it in V$DATABASE_BLOCK_CORRUPTION; repair it by RMAN's RECOVER ... BLOCK or from a backup"
	}
	return ""
}
