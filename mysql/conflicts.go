package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// conflicts finds what stands in the way and either refuses or notes how to remove it. It changes nothing.
func (r *restoring) conflicts(ctx context.Context, c *session) error {
	var there []string
	for _, t := range r.targets {
		t.exists = slices.ContainsFunc(r.srv.schemas, func(s string) bool { return r.same(s, t.as) })
		if !t.exists {
			continue
		}
		found, err := r.inTheWay(ctx, c, t)
		if err != nil {
			return r.s.fail(ctx, "look for what exists in", "schema "+t.as, err)
		}
		there = append(there, found...)
	}
	if len(there) == 0 || r.req.Overwrite {
		return nil
	}
	return &backup.Error{Op: "restore into", App: application, Instance: r.s.instance,
		Err:    fmt.Errorf("%s: %w", some(there), backup.ErrExists),
		Advice: "drop them, restore under another name, or allow overwriting"}
}

func (r *restoring) same(a, b string) bool {
	return a == b || r.srv.folds() && strings.EqualFold(a, b)
}

// inTheWay lists the existing objects whose names the backup needs.
func (r *restoring) inTheWay(ctx context.Context, c *session, t *target) ([]string, error) {
	need := map[string]bool{} // tables, views and sequences share one space of names
	routines := map[string]bool{}
	for _, tab := range t.entry.Tables {
		need[r.fold(tab.Name)] = true
	}
	for _, o := range t.entry.Objects {
		switch o.Kind {
		case viewObject, sequenceObject:
			need[r.fold(o.Name)] = true
		case triggerObject:
		default:
			routines[string(o.Kind)+" "+strings.ToLower(o.Name)] = true
		}
	}
	var found []string
	rs, err := c.rows(ctx, "SHOW FULL TABLES FROM "+quote(t.as))
	if err != nil {
		return nil, err
	}
	for _, row := range rs {
		name, kind := row.col(0), "TABLE"
		if !need[r.fold(name)] {
			continue
		}
		switch strings.ToUpper(row.col(1)) {
		case "VIEW":
			kind = "VIEW"
		case "SEQUENCE":
			kind = "SEQUENCE"
		}
		found = append(found, fmt.Sprintf("%s %s", strings.ToLower(kind), qualified(t.as, name)))
		t.drops = append(t.drops, "DROP "+kind+" IF EXISTS "+qualified(t.as, name))
	}
	for _, kind := range []string{"function", "procedure", "package body", "package", "event"} {
		if !slices.ContainsFunc(t.entry.Objects, func(o *objectEntry) bool { return string(o.Kind) == kind }) {
			continue
		}
		q := "SHOW " + kind + " STATUS WHERE Db=" + literal(t.as)
		if kind == "event" {
			q = "SHOW EVENTS FROM " + quote(t.as)
		}
		rs, err := c.rows(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, row := range rs {
			if !r.same(row.get("db"), t.as) || !routines[kind+" "+strings.ToLower(row.get("name"))] {
				continue
			}
			found = append(found, kind+" "+qualified(t.as, row.get("name")))
			t.drops = append(t.drops, "DROP "+kind+" IF EXISTS "+qualified(t.as, row.get("name")))
		}
	}
	return found, nil
}

func (r *restoring) fold(name string) string {
	if r.srv.folds() {
		return strings.ToLower(name)
	}
	return name
}

// clear removes what is in the way; Overwrite was given, or there is nothing.
func (r *restoring) clear(ctx context.Context, c *session) error {
	for _, t := range r.targets {
		for _, q := range t.drops {
			if err := drop(ctx, c, q); err != nil {
				return r.s.fail(ctx, "overwrite", strings.TrimPrefix(q, "DROP "), err)
			}
		}
	}
	return nil
}

// drop runs one of the DROP statements. MariaDB before 11.4 knows the word PACKAGE in its Oracle mode only (10.11: error 1064).
func drop(ctx context.Context, c *session, q string) error {
	if !strings.HasPrefix(q, "DROP package ") {
		return c.exec(ctx, q)
	}
	if err := c.exec(ctx, "SET @quiesce_mode=@@sql_mode, SESSION sql_mode='ORACLE'"); err != nil {
		return err
	}
	if err := c.exec(ctx, q); err != nil {
		return err
	}
	return c.exec(ctx, "SET SESSION sql_mode=@quiesce_mode")
}
