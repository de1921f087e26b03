package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// filler writes rows and invents what is in them.
type filler struct {
	ctx   context.Context // of one build; a filler does not outlive it
	rnd   *rand.Rand
	batch int
	rows  int
	tell  func(rows int)
}

func (g *filler) statements(c *sql.Conn, all []string) error {
	for _, s := range all {
		if _, err := c.ExecContext(g.ctx, s); err != nil {
			line, _, _ := strings.Cut(s, "\n")
			return fmt.Errorf("%.60s: %w", line, err)
		}
	}
	return nil
}

// table inserts n rows, many with one statement. row returns the values of row i.
func (g *filler) table(c *sql.Conn, name, columns string, n int, row func(i int) []any) error {
	for done := 0; done < n; {
		k := min(g.batch, n-done)
		var args []any
		for i := range k {
			args = append(args, row(done+i)...)
		}
		one := "(?" + strings.Repeat(",?", len(args)/k-1) + ")"
		q := "INSERT INTO " + quote(name) + " (" + columns + ") VALUES " + one + strings.Repeat(","+one, k-1)
		if _, err := c.ExecContext(g.ctx, q, args...); err != nil {
			return fmt.Errorf("table %q: %w", name, err)
		}
		done += k
		g.rows += k
		g.tell(g.rows)
	}
	return nil
}

// pick returns one of the choices.
func pick(g *filler, choices ...string) string { return choices[g.rnd.IntN(len(choices))] }

// maybe returns v, or NULL one time in six.
func (g *filler) maybe(v any) any {
	if g.rnd.IntN(6) == 0 {
		return nil
	}
	return v
}

func (g *filler) money(from, to int) string {
	return fmt.Sprintf("%d.%02d", from+g.rnd.IntN(to-from), g.rnd.IntN(100))
}

func (g *filler) date(year, span int) string {
	return time.Date(year, 1, 1+g.rnd.IntN(span*365), 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
}

// moment is a time in 2025, to the microsecond.
func (g *filler) moment() time.Time {
	return time.Date(2025, 1, 1, 0, 0, 0, 1000*g.rnd.IntN(1e6), time.UTC).Add(time.Duration(g.rnd.IntN(365*24*3600)) * time.Second)
}

func (g *filler) name() string {
	return pick(g, "Søren", "Ольга", "李小龍", "José", "Zoë", "Nguyễn", "महेश", "Ann-Marie", "O'Neill", "🦊") + " " +
		pick(g, "Ærø", "Иванова", "山田", "García", "Müller", "van der Berg", "Ñuñez", "Smith \"Smitty\"", "back\\slash")
}

func (g *filler) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.rnd.Uint32())
	}
	return b
}

func (g *filler) json() string {
	return fmt.Sprintf(`{"colour": %q, "sizes": [%d, %d], "stock": {"warehouse": %d}, "label": "naïve ☕"}`,
		pick(g, "red", "grün", "青"), g.rnd.IntN(50), g.rnd.IntN(50), g.rnd.IntN(1000))
}

// text is n words that compress about as well as real ones.
func (g *filler) text(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(pick(g, "order", "arrived", "yesterday", "and", "the", "box", "was", "grün", "with", "a", "little", "dent", "but", "inside", "everything", "worked,",
			"thank", "you", "für", "die", "schnelle", "Lieferung", "naïve", "café", "that's", "100%", "satisfaction", "中文", "текст", "emoji 🎉", "tab\there", "line\nbreak"))
		if g.rnd.IntN(40) == 0 {
			fmt.Fprintf(&b, " %d", g.rnd.Uint32())
		}
	}
	return b.String() + "."
}
