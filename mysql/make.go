package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mysql/internal/sqltext"
)

// tableTarget is a table on its way back.
type tableTarget struct {
	*tableEntry
	in   *target
	def  *sqltext.Table
	bare bool // indexes are added after the rows
	left int  // chunks not loaded yet
}

// deferAbove is how many bytes a table must have for its indexes to be built after its rows: below, one more ALTER costs more than it saves.
const deferAbove = 4 << 20

// definitions reads all statements and rewrites them for their new schema, before anything is changed: what cannot be rewritten must be refused now.
func (r *restoring) definitions(ctx context.Context) error {
	for _, t := range r.targets {
		create, err := r.statement(ctx, t.entry.Artifact, t.entry.Create)
		if err != nil {
			return err
		}
		if t.create, err = databaseAs(create, t.as); err != nil {
			return fmt.Errorf("%s: %w", t.entry.Artifact, err)
		}
		ren := r.rename(t)
		for _, e := range t.entry.Tables {
			sql, err := r.statement(ctx, e.Artifact, e.Create)
			if err != nil {
				return err
			}
			if t.as != t.entry.Name {
				sql = ren.Table(sql)
			}
			def, err := sqltext.ParseTable(sql)
			if err != nil {
				return fmt.Errorf("%s: %w", e.Artifact, err)
			}
			t.tables = append(t.tables, &tableTarget{tableEntry: e, in: t, def: def, left: len(e.Chunks),
				bare: e.Bytes > deferAbove && strings.EqualFold(e.Engine, "InnoDB")})
		}
		for _, e := range t.entry.Objects {
			o := &objectTarget{objectEntry: e, in: t}
			if o.create, err = r.statement(ctx, e.Artifact, e.Create); err != nil {
				return err
			}
			if err := r.adapt(o, ren); err != nil {
				return err
			}
			t.objs = append(t.objs, o)
		}
	}
	return nil
}

func (r *restoring) statement(ctx context.Context, name string, at span) (string, error) {
	b, err := get(ctx, r.m, name)
	if err != nil {
		return "", err
	}
	return at.in(name, b)
}

// rename is how names in t's definitions change.
func (r *restoring) rename(t *target) sqltext.Rename {
	ren := sqltext.Rename{Old: t.entry.Name, New: t.as, Fold: r.idx.Server.LowerCase == "1" || r.idx.Server.LowerCase == "2"}
	for _, e := range t.entry.Tables {
		ren.Clash = ren.Clash || e.Name == t.entry.Name
	}
	for _, o := range t.entry.Objects {
		ren.Clash = ren.Clash || o.Kind == viewObject && o.Name == t.entry.Name
	}
	return ren
}

// adapt rewrites an object's text for its new schema and definer.
func (r *restoring) adapt(o *objectTarget, ren sqltext.Rename) error {
	mode := sqltext.ParseMode(o.Session.SQLMode)
	if o.Kind == viewObject {
		mode = sqltext.Mode{}
	}
	if r.definer {
		o.create = sqltext.DropDefiner(o.create, mode)
	}
	if o.in.as == o.in.entry.Name {
		return nil
	}
	var err error
	switch {
	case o.Kind == sequenceObject:
		o.create = ren.Table(o.create)
	case o.Kind == viewObject && !r.idx.Server.Reduced: // there a view's text is what somebody typed
		o.create, err = ren.View(o.create)
	default:
		if ren.InStrings(o.create, mode) {
			r.log.Warn("a text inside the definition names the old schema and is left as it is", "object", o.what(), "schema", ren.Old)
		}
		o.create, err = ren.Body(o.create, mode)
	}
	if err != nil {
		return &backup.Error{Op: "restore", App: application, Instance: r.s.instance, Artifact: o.what() + " as " + o.in.as,
			Err: fmt.Errorf("%w: %w", err, backup.ErrRefused), Advice: "restore the schema under its own name on another server, or change the definition at the source"}
	}
	return nil
}

func (o *objectTarget) what() string {
	return fmt.Sprintf("%s %s.%s", o.Kind, o.in.entry.Name, o.Name)
}

// databaseAs makes CREATE DATABASE `a` ... one that may meet an existing schema, under the name as.
func databaseAs(sql, as string) (string, error) {
	toks := sqltext.Scan(sql, sqltext.Mode{})
	for i, t := range toks {
		if t.Kind == sqltext.Quoted && i >= 2 {
			return "CREATE DATABASE IF NOT EXISTS " + quote(as) + sql[t.To:], nil
		}
	}
	return "", fmt.Errorf("no name in %.60q: %w", sql, backup.ErrCorrupt)
}

func (r *restoring) makeSchemas(ctx context.Context, c *session) error {
	for _, t := range r.targets {
		q := t.create
		if t.exists {
			if t.entry.Charset == "" {
				continue
			}
			q = "ALTER DATABASE " + quote(t.as) + " CHARACTER SET " + t.entry.Charset + " COLLATE " + t.entry.Collation
		}
		if err := c.exec(ctx, q); err != nil {
			return r.s.fail(ctx, "create", "schema "+t.as, err)
		}
	}
	return nil
}

func (r *restoring) makeSequences(ctx context.Context, c *session) error {
	return r.each(func(o *objectTarget) error {
		if o.Kind != sequenceObject {
			return nil
		}
		if err := r.make(ctx, c, o); err != nil {
			return err
		}
		_, err := c.rows(ctx, setval(qualified(o.in.as, o.Name), o.objectEntry))
		return r.s.fail(ctx, "set the value of", o.what(), err)
	})
}

func (r *restoring) makeTables(ctx context.Context, c *session) error {
	for _, t := range r.targets {
		if err := c.exec(ctx, "USE "+quote(t.as)); err != nil {
			return r.s.fail(ctx, "use", "schema "+t.as, err)
		}
		for _, tab := range t.tables {
			if err := c.exec(ctx, tab.def.Create(tab.bare)); err != nil {
				return r.s.fail(ctx, "create", "table "+t.as+"."+tab.Name, err)
			}
		}
	}
	return nil
}

func (r *restoring) makeForeignKeys(ctx context.Context, c *session) error {
	for _, t := range r.targets {
		if err := c.exec(ctx, "USE "+quote(t.as)); err != nil {
			return r.s.fail(ctx, "use", "schema "+t.as, err)
		}
		for _, tab := range t.tables {
			fk := tab.def.ForeignKeys()
			if fk == "" {
				continue
			}
			if err := c.exec(ctx, "ALTER TABLE "+quote(tab.Name)+" "+fk); err != nil {
				return r.s.fail(ctx, "add the foreign keys of", "table "+t.as+"."+tab.Name, err)
			}
		}
	}
	return nil
}

func (r *restoring) each(f func(*objectTarget) error) error {
	for _, t := range r.targets {
		for _, o := range t.objs {
			if err := f(o); err != nil {
				return err
			}
		}
	}
	return nil
}

// ofKind makes the objects of some kinds, kind by kind.
func (r *restoring) ofKind(ctx context.Context, c *session, kinds ...objectKind) error {
	for _, k := range kinds {
		err := r.each(func(o *objectTarget) error {
			if o.Kind != k {
				return nil
			}
			return r.make(ctx, c, o)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *restoring) makeRoutines(ctx context.Context, c *session) error {
	return r.ofKind(ctx, c, packageObject, packageBodyObject, functionObject, procedureObject)
}

func (r *restoring) makeTriggers(ctx context.Context, c *session) error {
	return r.ofKind(ctx, c, triggerObject)
}

func (r *restoring) makeEvents(ctx context.Context, c *session) error {
	return r.ofKind(ctx, c, eventObject)
}

// makeViews makes all views of all schemas, in rounds: a view that needs another one waits for the next round, until a round makes none.
func (r *restoring) makeViews(ctx context.Context, c *session) error {
	var waiting []*objectTarget
	_ = r.each(func(o *objectTarget) error {
		if o.Kind == viewObject {
			waiting = append(waiting, o)
		}
		return nil
	})
	for len(waiting) > 0 {
		var failed []*objectTarget
		var errs []error
		for _, o := range waiting {
			if err := r.make(ctx, c, o); err != nil {
				if number(err) == 0 {
					return err
				}
				failed, errs = append(failed, o), append(errs, err)
			}
		}
		if len(failed) == len(waiting) {
			return r.badViews(failed, errs)
		}
		waiting = failed
	}
	return nil
}

// badViews forgives the views that did not work at the source either.
func (r *restoring) badViews(failed []*objectTarget, errs []error) error {
	var bad []error
	for i, o := range failed {
		if o.Invalid {
			r.log.Warn("a view that did not work at the source is not restored", "view", o.what(), "err", errs[i])
			continue
		}
		bad = append(bad, errs[i])
	}
	return errors.Join(bad...)
}

// make runs an object's statement in the session it was written in, then puts the session back.
func (r *restoring) make(ctx context.Context, c *session, o *objectTarget) error {
	if err := r.enter(ctx, c, o); err != nil {
		return r.s.fail(ctx, "prepare for", o.what(), err)
	}
	err := c.exec(ctx, o.create)
	if err2 := r.leave(ctx, c, o); err == nil && err2 != nil {
		err = err2
	}
	return r.s.fail(ctx, "create", o.what(), err)
}

func (r *restoring) enter(ctx context.Context, c *session, o *objectTarget) error {
	do := []string{"USE " + quote(o.in.as)}
	if d := o.Session.DatabaseCollation; d != "" && d != o.in.entry.Collation {
		// Parameters without a charset take the schema's, as it was when the routine was made.
		do = append(do, "ALTER DATABASE "+quote(o.in.as)+" COLLATE "+d)
	}
	if o.Kind != viewObject || o.Session.SQLMode != "" {
		do = append(do, "SET SESSION sql_mode="+literal(r.mode(o.Session.SQLMode)))
	}
	if o.Session.TimeZone != "" {
		do = append(do, "SET SESSION time_zone="+literal(o.Session.TimeZone))
	}
	for _, q := range append(do, o.Session.charsets()...) {
		if err := c.exec(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

func (r *restoring) leave(ctx context.Context, c *session, o *objectTarget) error {
	do := []string{"SET NAMES utf8mb4", "SET SESSION sql_mode='NO_AUTO_VALUE_ON_ZERO'", "SET SESSION time_zone='+00:00'"}
	if d := o.Session.DatabaseCollation; d != "" && d != o.in.entry.Collation {
		do = append(do, "ALTER DATABASE "+quote(o.in.as)+" CHARACTER SET "+o.in.entry.Charset+" COLLATE "+o.in.entry.Collation)
	}
	for _, q := range do {
		if err := c.exec(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// mode drops what the server no longer knows of a sql_mode and would refuse (error 1231).
func (r *restoring) mode(m string) string {
	if !r.srv.atLeast(MySQL, 8, 0, 0) {
		return m
	}
	gone := []string{"NO_AUTO_CREATE_USER", "NO_FIELD_OPTIONS", "NO_KEY_OPTIONS", "NO_TABLE_OPTIONS", "DB2", "MAXDB", "MSSQL", "MYSQL323", "MYSQL40", "ORACLE", "POSTGRESQL"}
	return strings.Join(slices.DeleteFunc(strings.Split(m, ","), func(s string) bool { return slices.Contains(gone, s) }), ",")
}
