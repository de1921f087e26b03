package mysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mysql/binlog"
)

// placeBinlog begins the places that Locate knows.
const placeBinlog = "binlog:"

// Locate implements backup.Locator. The place is "binlog:FILE:POSITION", as SHOW BINLOG EVENTS and mysqlbinlog show where an event begins: a restore stops before the transaction that begins there, or with
// backup.Target.After behind it. To stop at a GTID, restore to the latest state with the option stop_at_gtid or stop_before_gtid.
func (s *Source) Locate(_ context.Context, _ backup.History, item, where string) (backup.Target, error) {
	fail := func(err error) (backup.Target, error) {
		return backup.Target{}, &backup.Error{Op: "locate", App: application, Instance: s.instance, Artifact: item, Advice: "write binlog:FILE:POSITION, such as binlog:mysql-bin.000042:1337", Err: fmt.Errorf("%w: %q: %w", backup.ErrOption, where, err)}
	}
	text, ok := strings.CutPrefix(where, placeBinlog)
	n := strings.LastIndexByte(text, ':')
	if !ok || n <= 0 {
		return fail(errors.New("is no place in a binary log"))
	}
	pos, err := strconv.ParseUint(text[n+1:], 10, 64)
	if err != nil {
		return fail(err)
	}
	return backup.Target{Position: place{file: text[:n], pos: pos}.position()}, nil
}

// stop says which transaction is the first that is not replayed.
type stop struct {
	step *backup.RestoreStep
	// gtid, unless empty, ends the replay: before the transaction of that name, or behind it.
	gtid   string
	before bool
	// after: UntilPosition means behind the transaction that begins there.
	after bool
	found bool
}

// here reports whether the replay ends before a transaction at a place.
func (s *stop) here(t *binlog.Transaction, at place) bool {
	switch {
	case s.found: // the one before was the last
		return true
	case after(t, s.step.Until):
		return true
	case s.gtid != "" && t.GTID == s.gtid:
		s.found = true
		return s.before
	}
	until := s.step.UntilPosition
	if until == "" {
		return false
	}
	if here := at.position(); s.after {
		return here > until
	} else {
		return here >= until
	}
}
