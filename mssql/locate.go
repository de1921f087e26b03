package mssql

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// Prefixes of the places that Locate knows.
const (
	placeLSN        = "lsn:"
	placeMark       = "mark:"
	placeBeforeMark = "before-mark:"
)

// Locate implements backup.Locator. The places are "lsn:N", just before the record with that LSN, in decimal as RESTORE HEADERONLY and sys.fn_dblog show it; "mark:NAME",
// just behind the newest transaction marked with that name, and "before-mark:NAME", just before it. Marks are looked up in msdb.dbo.logmarkhistory of the server of s: when it is
// gone, restore with the option stop_at_mark or stop_before_mark.
func (s *Source) Locate(ctx context.Context, _ backup.History, item, where string) (backup.Target, error) {
	fail := func(sentinel error, advice, format string, args ...any) (backup.Target, error) {
		return backup.Target{}, &backup.Error{Op: "locate", App: application, Instance: s.instance, Artifact: item, Advice: advice,
			Err: fmt.Errorf("%w: %s", sentinel, fmt.Sprintf(format, args...))}
	}
	if text, ok := strings.CutPrefix(where, placeLSN); ok {
		lsn, err := mtf.ParseLSN(text)
		if err != nil {
			return fail(backup.ErrOption, "write an LSN in decimal, as RESTORE HEADERONLY shows it", "%q: %v", where, err)
		}
		return backup.Target{Position: positionOf(lsn)}, nil
	}
	name, after := strings.CutPrefix(where, placeMark)
	if !after {
		var before bool
		if name, before = strings.CutPrefix(where, placeBeforeMark); !before {
			return fail(backup.ErrOption, "write lsn:N, mark:NAME or before-mark:NAME", "%q is no place in a log", where)
		}
	}
	c, err := s.open(ctx)
	if err != nil {
		return backup.Target{}, err
	}
	defer c.close()
	rows, err := c.query(ctx, "SELECT * FROM msdb.dbo.logmarkhistory")
	if err != nil {
		return backup.Target{}, s.fail(ctx, "look up marks of", item, err)
	}
	rows = slices.DeleteFunc(rows, func(r row) bool {
		return !strings.EqualFold(r.text("database_name"), item) || !strings.EqualFold(r.text("mark_name"), name)
	})
	var newest mtf.LSN
	for _, r := range rows {
		lsn, err := r.lsn("lsn")
		if err != nil {
			return backup.Target{}, s.fail(ctx, "look up marks of", item, err)
		}
		if lsn.Compare(newest) > 0 {
			newest = lsn
		}
	}
	if newest.IsZero() {
		return fail(backup.ErrNoBackup, "look at msdb.dbo.logmarkhistory for the names of marks", "%q has no mark %q", item, name)
	}
	return backup.Target{Position: positionOf(newest), After: after}, nil
}

var _ backup.Locator = (*Source)(nil)
