package main

import (
	"bytes"
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// filled starts an embedded server with a small data set.
func filled(t *testing.T) (server, *sql.DB, dataset) {
	t.Helper()
	s, err := startEmbedded()
	require.NoError(t, err)
	d := dataset{orders: 30, batch: 50}
	t.Cleanup(func() { assert.NoError(t, s.Close(context.Background(), false)) })
	db, err := open(s.DSN())
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	_, err = d.build(t.Context(), db, func(int) {})
	require.NoError(t, err)
	return s, db, d
}

func TestFingerprintSeesWhatChanged(t *testing.T) {
	t.Parallel()
	_, db, d := filled(t)
	before, tables, _, err := take(t.Context(), db, d.schemas(), nil)
	require.NoError(t, err)
	assert.Equal(t, 9, tables)

	again, _, _, err := take(t.Context(), db, d.schemas(), nil)
	require.NoError(t, err)
	require.Empty(t, before.differences(again), "the same data give another fingerprint")

	for _, change := range []struct{ sql, want string }{
		{"UPDATE shop.customers SET note = '' WHERE note IS NULL", "table `shop`.`customers` differs"},
		{"UPDATE shop.products SET price = price + 0.01 WHERE id = 1", "table `shop`.`products` differs"},
		{"INSERT INTO shop.clicks VALUES ('2026-01-01 00:00:00', '/', UNHEX(REPEAT('00', 16)))", "table `shop`.`clicks` differs"}, // a row that was there twice
		{"ALTER TABLE staff.shifts ADD COLUMN note INT", "definition TABLE `staff`.`shifts` Create Table differs"},
		{"DROP TABLE blog.comments", "table `blog`.`comments` is missing"},
		{"CREATE TABLE blog.more (id INT)", "table `blog`.`more` is new"},
	} {
		_, err := db.ExecContext(t.Context(), change.sql)
		require.NoError(t, err, change.sql)
		after, _, _, err := take(t.Context(), db, d.schemas(), nil)
		require.NoError(t, err)
		assert.Contains(t, before.differences(after), change.want, change.sql)
		before = after
	}
}

func TestScreen(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	pipe := &screen{w: &b}
	pipe.begin("backup")
	pipe.progress(0.1, "too soon: a short step needs one line only")
	pipe.last = time.Time{}
	pipe.progress(0.5, "half")
	pipe.progress(0.6, "too soon for another line")
	pipe.end("done", "and more")
	assert.Equal(t, "backup    half\nbackup    done\n          and more\n", b.String())

	b.Reset()
	terminal := &screen{w: &b, width: 40}
	terminal.begin("backup")
	terminal.last = time.Time{}
	terminal.progress(0.5, "half of it, with a text longer than the terminal is wide")
	terminal.end("done")
	lines := strings.Split(b.String(), "\r\x1b[K")
	require.Len(t, lines, 4)
	assert.Equal(t, "backup    ...", lines[1])
	assert.True(t, strings.HasPrefix(lines[2], "backup    [############............]"), "the bar is not half full: %q", lines[2])
	assert.Less(t, len(lines[2]), 40, "a line that wraps cannot be rewritten")
	assert.Equal(t, "backup    done\n", lines[3])
}

func TestWordsForPeople(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"999 B", "1.5 kB", "2.0 MB", "3.10 GB"}, []string{size(999), size(1500), size(2e6), size(31e8)})
	assert.Equal(t, []string{"7", "1,000", "12,345,678"}, []string{count(7), count(1000), count(12345678)})
	assert.Equal(t, []string{"1 table", "2 tables"}, []string{many(1, "table"), many(2, "table")})
	assert.Equal(t, "10.0 MB/s", speed(5e6, 500*time.Millisecond))
	assert.Equal(t, "-", speed(5e6, 0))
}
