package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// dataset is what a server is filled with. The same size gives the same rows, on every machine.
type dataset struct {
	prefix string // of schema names; empty on a server of our own
	orders int
	full   bool // with the objects that only real servers know
	batch  int  // rows in one INSERT
}

// schemas are the names of the three schemas.
func (d dataset) schemas() []string {
	return []string{d.prefix + "shop", d.prefix + "staff", d.prefix + "blog"}
}

// accounts are the accounts that belong to the data. A server of yours keeps its own.
func (d dataset) accounts() []string {
	if !d.full || d.prefix != "" {
		return nil
	}
	return []string{"'shop_app'@'localhost'", "'clerk'@'192.0.2.%'"}
}

// describe says for people what there is besides tables, and why when there is nothing.
func (d dataset) describe() []string {
	if !d.full {
		return []string{"the embedded server is for a first look: no views, triggers, routines, events or accounts; install mariadb-server for a real one"}
	}
	text := "with views, a trigger, routines and an event"
	if len(d.accounts()) > 0 {
		text += ", and accounts with grants"
	}
	return []string{text}
}

// expect is about how many rows build makes.
func (d dataset) expect() int {
	return d.orders*4 + max(d.orders/4, 3) + max(d.orders/20, 8) + 11*max(d.orders/100, 5) + 6*max(d.orders/25, 4)
}

// build fills the server. tell is called with the number of rows so far.
func (d dataset) build(ctx context.Context, db *sql.DB, tell func(rows int)) (rows int, err error) {
	g := &filler{ctx: ctx, batch: d.batch, tell: tell, rnd: rand.New(rand.NewPCG(1, 2))}
	steps := []func(*filler, *sql.Conn, string) error{d.shop, d.staff, d.blog}
	for i, schema := range d.schemas() {
		if _, err := db.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS "+quote(schema)+characterSet); err != nil {
			return g.rows, fmt.Errorf("make schema %q: %w", schema, err)
		}
		if err := d.fill(ctx, db, g, schema, steps[i]); err != nil {
			return g.rows, fmt.Errorf("fill schema %q: %w", schema, err)
		}
	}
	return g.rows, nil
}

// fill runs one step on a connection whose default schema is the one to fill.
func (d dataset) fill(ctx context.Context, db *sql.DB, g *filler, schema string, step func(*filler, *sql.Conn, string) error) error {
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, s := range []string{"SET NAMES utf8mb4", "SET time_zone = '+00:00'", "USE " + quote(schema)} {
		if _, err := c.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return step(g, c, schema)
}

func (d dataset) shop(g *filler, c *sql.Conn, _ string) error {
	customers, products := max(d.orders/4, 3), max(d.orders/20, 8)
	if err := g.statements(c, shopTables[:]); err != nil {
		return err
	}
	err := g.table(c, "customers", "name, email, country, born, credit, seen, note", customers, func(i int) []any {
		return []any{g.name(), fmt.Sprintf("customer%06d@example.org", i), pick(g, "DE", "FR", "JP", "BR", "IN", "SE"), g.maybe(g.date(1940, 60)),
			g.money(-5000, 20000), g.maybe(g.moment().Format("2006-01-02 15:04:05.000000")), g.maybe(g.text(12))}
	})
	if err != nil {
		return err
	}
	err = g.table(c, "products", "title, price, weight, attributes, photo", products, func(i int) []any {
		return []any{fmt.Sprintf("%s %s %d", pick(g, "Ergonomic", "Größe L", "軽い", "Практичный", "Petit"), pick(g, "chair", "lamp", "teapot", "bicycle"), i),
			g.money(1, 900), g.maybe(g.rnd.Float64() * 40), g.maybe(g.json()), g.maybe(g.bytes(200 + g.rnd.IntN(1500)))}
	})
	if err != nil {
		return err
	}
	err = g.table(c, "orders", "customer_id, placed, status, remark", d.orders, func(int) []any {
		return []any{1 + g.rnd.IntN(customers), g.moment().Format("2006-01-02 15:04:05.000"), pick(g, "open", "paid", "sent", "returned"), g.maybe(g.text(8))}
	})
	if err != nil {
		return err
	}
	err = g.table(c, "order_lines", "order_id, line, product_id, quantity, price", d.orders*2, func(i int) []any {
		return []any{1 + i/2, 1 + i%2, 1 + g.rnd.IntN(products), 1 + g.rnd.IntN(9), g.money(1, 900)}
	})
	if err != nil {
		return err
	}
	err = g.table(c, "clicks", "at, page, visitor", d.orders, func(i int) []any {
		if i%10 == 9 { // now and then the same row once more
			return []any{"2026-01-01 00:00:00", "/", make([]byte, 16)}
		}
		return []any{g.maybe(g.moment().Format(time.DateTime)), "/" + pick(g, "", "shop", "shop/teapot", "über-uns"), g.bytes(16)}
	})
	if err != nil || !d.full {
		return err
	}
	if err := g.statements(c, shopViews[:]); err != nil {
		return err
	}
	if err := g.statements(c, shopRoutines[:]); err != nil || d.prefix != "" {
		return err
	}
	return g.statements(c, accountStatements[:])
}

func (d dataset) staff(g *filler, c *sql.Conn, _ string) error {
	n := max(d.orders/100, 5)
	if err := g.statements(c, staffTables[:]); err != nil {
		return err
	}
	err := g.table(c, "employees", "id, manager_id, name, hired, salary, skills", n, func(i int) []any {
		var manager any
		if i > 0 {
			manager = 1 + (i-1)/5
		}
		return []any{i + 1, manager, g.name(), g.date(2005, 20), g.money(20000, 90000) + "25", pick(g, "", "sales", "sales,packing", "repair,accounts")}
	})
	if err != nil {
		return err
	}
	return g.table(c, "shifts", "employee_id, day, starts, hours", n*10, func(i int) []any {
		return []any{1 + i/10, fmt.Sprintf("2026-01-%02d", 1+i%10), pick(g, "06:00:00", "14:00:00", "22:00:00"), pick(g, "8.00", "7.75", "4.50")}
	})
}

func (d dataset) blog(g *filler, c *sql.Conn, _ string) error {
	n := max(d.orders/25, 4)
	if err := g.statements(c, blogTables[:]); err != nil {
		return err
	}
	// Numbers above the signed range are read wrongly by programs that keep them in an int64.
	const high = uint64(1) << 63
	err := g.table(c, "posts", "id, title, body, published, tags", n, func(i int) []any {
		return []any{high + uint64(i), strings.TrimSuffix(g.text(5), "."), g.text(150 + g.rnd.IntN(400)), g.maybe(g.moment().Format(time.DateTime)), g.maybe(g.json())}
	})
	if err != nil {
		return err
	}
	return g.table(c, "comments", "post_id, author, body, written", n*5, func(i int) []any {
		return []any{high + uint64(i/5), g.maybe(g.name()), g.text(20), g.maybe(g.moment().Format(time.DateTime))}
	})
}
