package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// dataSession is what tables are made and filled under: nothing is checked or changed that the source had accepted.
var dataSession = settings{SQLMode: "NO_AUTO_VALUE_ON_ZERO", TimeZone: "+00:00"}

// definitions writes everything that is not rows.
func (r *run) definitions(ctx context.Context, c *session) error {
	for _, cat := range r.cats {
		e, err := r.schema(ctx, c, cat)
		if err != nil {
			return err
		}
		r.idx.Schemas = append(r.idx.Schemas, e)
	}
	if r.s.opt.NoAccounts || r.srv.reduced {
		return nil
	}
	return r.accounts(ctx, c)
}

func (r *run) schema(ctx context.Context, c *session, cat *catalog) (schemaEntry, error) {
	e := schemaEntry{Name: cat.schema, Artifact: element(cat.schema) + "/schema.sql"}
	row, ok, err := c.one(ctx, "SHOW CREATE DATABASE "+quote(cat.schema))
	if err == nil && !ok {
		err = errors.New("no definition")
	}
	if err != nil {
		return e, r.s.fail(ctx, "read the definition of", "schema "+cat.schema, err)
	}
	def, _, err := c.one(ctx, "SELECT DEFAULT_CHARACTER_SET_NAME AS cs, DEFAULT_COLLATION_NAME AS co FROM information_schema.SCHEMATA WHERE SCHEMA_NAME="+
		literal(cat.schema))
	if err != nil {
		return e, r.s.fail(ctx, "read the defaults of", "schema "+cat.schema, err)
	}
	if def.vals != nil {
		e.Charset, e.Collation = def.get("cs"), def.get("co")
	}
	if e.Create, err = r.writeScript(ctx, e.Artifact, script{what: "schema " + quote(cat.schema), create: row.get("create database")}); err != nil {
		return e, err
	}
	// A view's definition is printed with short names to a session that uses its schema.
	if err := c.exec(ctx, "USE "+quote(cat.schema)); err != nil {
		return e, r.s.fail(ctx, "use", "schema "+cat.schema, err)
	}
	for _, step := range []func(context.Context, *session, *catalog, *schemaEntry) error{
		r.tables, r.sequences, r.views, r.triggers, r.routines, r.events,
	} {
		if err := step(ctx, c, cat, &e); err != nil {
			return e, err
		}
	}
	return e, nil
}

func (r *run) writeScript(ctx context.Context, name string, s script) (span, error) {
	content, at := s.build()
	if err := put(ctx, r.st, name, backup.RoleSchema, content); err != nil {
		return at, r.s.fail(ctx, "stage", name, err)
	}
	return at, nil
}

func (r *run) tables(ctx context.Context, c *session, cat *catalog, e *schemaEntry) error {
	for _, t := range cat.tables {
		row, ok, err := c.one(ctx, "SHOW CREATE TABLE "+qualified(t.schema, t.name))
		if err == nil && !ok {
			err = errors.New("no definition")
		}
		if number(err) == erNoSuchTable {
			r.warn(fmt.Sprintf("%s was dropped while the backup began and is not in it", t))
			r.forget(t)
			continue
		}
		if err != nil {
			return r.s.fail(ctx, "read the definition of", t.String(), err)
		}
		t.entry.Create, err = r.writeScript(ctx, element(t.schema)+"/"+element(t.name)+"/table.sql", script{
			what: "table " + qualified(t.schema, t.name), use: t.schema, set: dataSession, create: row.get("create table"), after: loadHint(t.schema, t.entry)})
		if err != nil {
			return err
		}
		e.Tables = append(e.Tables, t.entry)
	}
	return nil
}

func (r *run) sequences(ctx context.Context, c *session, cat *catalog, e *schemaEntry) error {
	for _, name := range cat.sequences {
		what := qualified(cat.schema, name)
		row, _, err := c.one(ctx, "SHOW CREATE SEQUENCE "+what)
		if err != nil {
			return r.s.fail(ctx, "read the definition of", "sequence "+what, err)
		}
		val, _, err := c.one(ctx, "SELECT next_not_cached_value AS v, cycle_count AS n FROM "+what)
		if err != nil {
			return r.s.fail(ctx, "read the value of", "sequence "+what, err)
		}
		o := &objectEntry{Kind: sequenceObject, Name: name, Artifact: element(cat.schema) + "/" + element(name) + "/sequence.sql",
			Session: dataSession, Value: val.get("v"), Round: val.get("n")}
		o.Create, err = r.writeScript(ctx, o.Artifact, script{what: "sequence " + what, use: cat.schema, set: dataSession, create: row.get("create table"),
			after: setval(quote(name), o) + ";\n"})
		if err != nil {
			return err
		}
		e.Objects = append(e.Objects, o)
	}
	return nil
}

// setval moves a sequence to where it was: the value is the next one, not one already used.
func setval(name string, o *objectEntry) string {
	return fmt.Sprintf("SELECT SETVAL(%s, %s, 0, %s)", name, o.Value, o.Round)
}

func (r *run) views(ctx context.Context, c *session, cat *catalog, e *schemaEntry) error {
	for _, name := range cat.views {
		o := &objectEntry{Kind: viewObject, Name: name, Artifact: element(cat.schema) + "/" + element(name) + "/view.sql"}
		row, ok, err := c.one(ctx, "SHOW CREATE VIEW "+quote(name))
		if err == nil && !ok {
			err = errors.New("no definition")
		}
		if err != nil {
			return r.s.fail(ctx, "read the definition of", "view "+cat.schema+"."+name, err)
		}
		if o.Invalid = c.warnedOf(ctx, erViewInvalid); o.Invalid {
			r.warn(fmt.Sprintf("view %s.%s does not work on the server: it refers to something that is gone or not allowed", cat.schema, name))
		}
		if err := r.program(ctx, cat.schema, o, row, "create view"); err != nil {
			return err
		}
		e.Objects = append(e.Objects, o)
	}
	return nil
}

// warnedOf reports whether the last statement came with that warning.
func (c *session) warnedOf(ctx context.Context, number int) bool {
	rs, err := c.rows(ctx, "SHOW WARNINGS")
	return err == nil && slices.ContainsFunc(rs, func(r row) bool { return r.get("code") == strconv.Itoa(number) })
}

// program writes an object whose text somebody typed, with the session it was typed in.
func (r *run) program(ctx context.Context, schema string, o *objectEntry, row row, column string) error {
	create := row.get(column)
	if create == "" {
		return &backup.Error{Op: "read the definition of", App: application, Instance: r.s.instance, Artifact: fmt.Sprintf("%s %s.%s", o.Kind, schema, o.Name),
			Err:    errors.New("the server does not show its text"),
			Advice: "the account needs SHOW_ROUTINE (MySQL 8.0.20 and later) or SELECT on mysql.proc (MariaDB), TRIGGER, EVENT and SHOW VIEW"}
	}
	o.Session = settings{
		SQLMode: row.get("sql_mode"), TimeZone: row.get("time_zone"), Charset: row.get("character_set_client"),
		Collation: row.get("collation_connection"), DatabaseCollation: row.get("database collation"),
	}
	if r.srv.reduced {
		// It reports the session's charset instead of the object's.
		o.Session = settings{SQLMode: o.Session.SQLMode, TimeZone: o.Session.TimeZone}
	}
	var err error
	o.Create, err = r.writeScript(ctx, o.Artifact, script{what: string(o.Kind) + " " + qualified(schema, o.Name), use: schema, set: o.Session,
		create: create, body: o.Kind != viewObject})
	return err
}

func (r *run) triggers(ctx context.Context, c *session, cat *catalog, e *schemaEntry) error {
	// In the order in which they fire: triggers for the same event are made again one after the other.
	rs, err := c.rows(ctx, "SELECT TRIGGER_NAME AS `trigger`, EVENT_OBJECT_TABLE AS `table` FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA="+
		literal(cat.schema)+" ORDER BY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER")
	if err != nil || len(rs) == 0 {
		rs, err = c.rows(ctx, "SHOW TRIGGERS FROM "+quote(cat.schema))
	}
	if err != nil {
		return r.s.fail(ctx, "list the triggers of", cat.schema, err)
	}
	for _, row := range rs {
		name, table := row.get("trigger"), row.get("table")
		if !r.s.filter.table(cat.schema, table) {
			continue
		}
		def, _, err := c.one(ctx, "SHOW CREATE TRIGGER "+qualified(cat.schema, name))
		if err != nil {
			return r.s.fail(ctx, "read the definition of", "trigger "+cat.schema+"."+name, err)
		}
		o := &objectEntry{Kind: triggerObject, Name: name, Table: table,
			Artifact: element(cat.schema) + "/" + element(table) + "/trigger." + element(name) + ".sql"}
		if err := r.program(ctx, cat.schema, o, def, "sql original statement"); err != nil {
			return err
		}
		e.Objects = append(e.Objects, o)
	}
	return nil
}

func (r *run) routines(ctx context.Context, c *session, cat *catalog, e *schemaEntry) error {
	if !r.s.filter.whole(cat.schema) {
		return nil
	}
	kinds := []objectKind{functionObject, procedureObject}
	if r.srv.atLeast(MariaDB, 10, 3, 5) {
		kinds = append(kinds, packageObject, packageBodyObject)
	}
	for _, kind := range kinds {
		rs, err := c.rows(ctx, "SHOW "+string(kind)+" STATUS WHERE Db="+literal(cat.schema))
		if err != nil && r.srv.reduced {
			continue
		}
		if err != nil {
			return r.s.fail(ctx, "list the routines of", cat.schema, err)
		}
		for _, row := range rs {
			if row.get("db") != cat.schema && !strings.EqualFold(row.get("db"), cat.schema) {
				continue
			}
			if err := r.named(ctx, c, cat.schema, kind, row.get("name"), e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) events(ctx context.Context, c *session, cat *catalog, e *schemaEntry) error {
	if !r.s.filter.whole(cat.schema) {
		return nil
	}
	rs, err := c.rows(ctx, "SHOW EVENTS FROM "+quote(cat.schema))
	if err != nil {
		if r.srv.reduced {
			return nil
		}
		return r.s.fail(ctx, "list the events of", cat.schema, err)
	}
	for _, row := range rs {
		if err := r.named(ctx, c, cat.schema, eventObject, row.get("name"), e); err != nil {
			return err
		}
	}
	return nil
}

// named writes a routine, package or event.
func (r *run) named(ctx context.Context, c *session, schema string, kind objectKind, name string, e *schemaEntry) error {
	def, _, err := c.one(ctx, "SHOW CREATE "+string(kind)+" "+qualified(schema, name))
	if err != nil {
		return r.s.fail(ctx, "read the definition of", string(kind)+" "+schema+"."+name, err)
	}
	o := &objectEntry{Kind: kind, Name: name,
		Artifact: element(schema) + "/" + strings.ReplaceAll(string(kind), " ", "-") + "." + element(name) + ".sql"}
	if err := r.program(ctx, schema, o, def, "create "+string(kind)); err != nil {
		return err
	}
	e.Objects = append(e.Objects, o)
	return nil
}
