package mssql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// survey is what a run found before its first backup.
type survey struct {
	server server
	tasks  []*task // largest first, so that the longest backup does not begin last
	// untaken are databases of the job that this run was not asked for, or leaves out.
	untaken []string
	// missing are databases that were asked for by name and are not there.
	missing []string
}

// task is one database of a run.
type task struct {
	facts  *facts
	base   base
	choice choice
	// own are the backups of it that this run took.
	own []mtf.GUID
}

// survey asks the server and decides for every database.
func (s *Source) survey(ctx context.Context, c *session, a ask, r backup.Request) (survey, error) {
	v, err := c.probe(ctx)
	if err != nil {
		return survey{}, err
	}
	w := survey{server: v}
	var names []string
	all, err := c.databases(ctx, v, func(name string) bool {
		names = append(names, name)
		if s.filter.takes(name) && !a.only.takes(name) {
			w.untaken = append(w.untaken, name)
		}
		return s.filter.takes(name) && a.only.takes(name)
	})
	if err != nil {
		return w, err
	}
	w.missing = slices.Compact(slices.Sorted(slices.Values(append(s.filter.missing(names), a.only.missing(names)...))))
	for _, f := range all {
		f.named = s.filter.names(f.name) || a.only.names(f.name)
		t := &task{facts: f}
		if t.base, err = newBase(r.Anchors[f.name]); err != nil {
			t.base = base{} // a record nobody can read is no base
			r.Log.Warn("a record of the last backup cannot be read, a full is taken", "item", f.name, "err", err)
		}
		t.choice = decide(a, *f, t.base, policy{skipSimple: s.opt.SkipSimple, anyReplica: s.opt.AnyReplica})
		if t.choice.reason != "" {
			t.choice.reason += c.stranger(ctx, t)
		}
		if t.choice.skip != "" {
			w.untaken = append(w.untaken, f.name)
		}
		w.tasks = append(w.tasks, t)
	}
	slices.Sort(w.untaken)
	slices.SortFunc(w.tasks, func(x, y *task) int {
		return cmp.Or(cmp.Compare(y.facts.bytes, x.facts.bytes), cmp.Compare(x.facts.name, y.facts.name))
	})
	return w, nil
}

// stranger looks into msdb for the backup of another tool that broke the chain, to name it. It is empty when there is none or msdb does not tell: what is
// decided does not hang on it, since msdb may have been purged, and is per replica.
func (c *session) stranger(ctx context.Context, t *task) string {
	f, b := t.facts, t.base
	if b.last == nil || !f.known || f.family != b.lastSet.FamilyGUID || f.model == simple {
		return ""
	}
	rows, err := c.query(ctx, "SELECT TOP (50) backup_set_uuid, type, first_lsn, last_lsn, backup_finish_date, user_name, media_set_id FROM msdb.dbo.backupset "+
		"WHERE database_name = @p1 AND is_copy_only = 0 ORDER BY backup_set_id DESC", f.name)
	if err != nil {
		return ""
	}
	for _, r := range rows {
		id, e1 := r.guid("backup_set_uuid")
		last, e2 := r.lsn("last_lsn")
		if errors.Join(e1, e2) != nil || id == b.fullSet.GUID || id == b.lastSet.GUID || slices.Contains(t.own, id) {
			continue
		}
		kind := ""
		switch strings.TrimSpace(r.text("type")) {
		case "L":
			if last.Compare(b.lastSet.LastLSN) > 0 {
				kind = "log"
			}
		case "D":
			if id == f.baseGUID {
				kind = "full"
			}
		}
		if kind == "" {
			continue
		}
		text := fmt.Sprintf(" (msdb: %s backup of %s by %s", kind, r.time("backup_finish_date").Format("2006-01-02 15:04:05"), r.text("user_name"))
		if d, ok, err := c.one(ctx, "SELECT physical_device_name FROM msdb.dbo.backupmediafamily WHERE media_set_id = @p1", r.int("media_set_id")); err == nil && ok {
			text += " to " + d.text("physical_device_name")
		}
		return text + ")"
	}
	return ""
}
