package oracle

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// Prefixes of the places that Locate knows.
const (
	placeSCN      = "scn:"
	placeSequence = "sequence:"
)

// Locate implements backup.Locator. The places are "scn:N", just before that SCN, and "sequence:THREAD/N", just before the first change of that log, as RMAN's UNTIL SEQUENCE has
// it, in the newest incarnation that has it. Logs are looked up in V$ARCHIVED_LOG of the database of s, mounted or open: when it is gone, restore to an SCN.
func (s *Source) Locate(ctx context.Context, _ backup.History, item, where string) (backup.Target, error) {
	fail := func(sentinel error, hint, format string, args ...any) (backup.Target, error) {
		return backup.Target{}, &backup.Error{Op: "locate", App: application, Instance: s.instance, Artifact: item, Advice: hint, Err: fmt.Errorf("%w: %s", sentinel, fmt.Sprintf(format, args...))}
	}
	const forms = "write scn:N or sequence:THREAD/N"
	if text, ok := strings.CutPrefix(where, placeSCN); ok {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil || n == 0 || SCN(n) == NoSCN {
			return fail(backup.ErrOption, forms, "%q has no SCN", where)
		}
		return backup.Target{Position: SCN(n).Position()}, nil
	}
	text, ok := strings.CutPrefix(where, placeSequence)
	if !ok {
		return fail(backup.ErrOption, forms, "%q is no place in a log", where)
	}
	left, right, _ := strings.Cut(text, "/")
	thread, err1 := strconv.ParseUint(left, 10, 32)
	sequence, err2 := strconv.ParseUint(right, 10, 64)
	if err1 != nil || err2 != nil || thread == 0 {
		return fail(backup.ErrOption, forms, "%q has no thread and sequence", where)
	}
	var dbid uint64
	var first, resetlogs SCN
	err := s.with(ctx, func(c *session) error {
		if err := c.one(ctx, "SELECT DBID FROM V$DATABASE", func(r row) { dbid = r.uint("DBID") }); err != nil {
			return err
		}
		query := fmt.Sprintf("SELECT FIRST_CHANGE#, RESETLOGS_CHANGE# FROM V$ARCHIVED_LOG WHERE THREAD# = %d AND SEQUENCE# = %d", thread, sequence)
		return c.each(ctx, query, func(r row) {
			if n := r.scn("RESETLOGS_CHANGE#"); first == 0 || n >= resetlogs {
				first, resetlogs = r.scn("FIRST_CHANGE#"), n
			}
		})
	})
	if err != nil {
		return backup.Target{}, s.fail(ctx, "look up the logs of", item, err)
	}
	if first == 0 {
		return fail(backup.ErrNoBackup, "look at V$ARCHIVED_LOG for its logs, or restore to an SCN", "the database knows no log of thread %d sequence %d", thread, sequence)
	}
	return backup.Target{Position: first.Position(), Stream: streamOf(dbid, resetlogs)}, nil
}

var _ backup.Locator = (*Source)(nil)
