package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/examples/customagent/keeper"
)

// office is a machine with the private build on it.
type office struct {
	dir  string
	kept *kept
}

// obm runs a command in a program whose databases stay kept from one command to the next, as those of the command run do.
func (o *office) obm(t *testing.T, args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	code = program(o.kept, strings.NewReader(""), &out, &errs).Run(t.Context(), append(args, "--config", filepath.Join(o.dir, "obm-sqlite.yaml")))
	return out.String(), errs.String(), code
}

// record runs a command and reads the record it prints.
func (o *office) record(t *testing.T, args ...string) (r agent.Record) {
	t.Helper()
	out, errs, code := o.obm(t, append(args, "--json")...)
	require.Zero(t, code, errs)
	require.NoError(t, json.Unmarshal([]byte(out), &r), out)
	return r
}

func newOffice(t *testing.T) (*office, *sql.DB) {
	o := &office{dir: t.TempDir(), kept: newKept(t.Context())}
	app, err := keeper.Open(filepath.Join(o.dir, "library.db"), "_pragma=journal_mode(wal)")
	require.NoError(t, err)
	t.Cleanup(func() {
		o.kept.close()
		assert.NoError(t, app.Close())
	})
	execute(t, app, "CREATE TABLE loan (book TEXT)")
	execute(t, app, "INSERT INTO loan VALUES ('first')")
	config := fmt.Sprintf(`
sink: file://%s/target
seal: {plain: true}
agent: {listen: none}
jobs:
  library:
    application: sqlite
    sqlite: {path: library.db, every: 20ms, resolution: 1m}
`, filepath.ToSlash(o.dir))
	require.NoError(t, os.WriteFile(filepath.Join(o.dir, "obm-sqlite.yaml"), []byte(config), 0o600))
	return o, app
}

func execute(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), query)
	require.NoError(t, err)
}

func loans(t *testing.T, db *sql.DB) (all string) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT coalesce(group_concat(book, ' '), '') FROM loan").Scan(&all))
	return all
}

func TestPrivateBuild(t *testing.T) {
	o, app := newOffice(t)
	_, errs, code := o.obm(t, "check")
	require.Zero(t, code, errs)
	full := o.record(t, "backup", "library")
	assert.Equal(t, backup.Full, full.Items[0].Kind)

	execute(t, app, "INSERT INTO loan VALUES ('second')")
	snap, err := o.kept.byPath[filepath.Join(o.dir, "library.db")].Look(t.Context())
	require.NoError(t, err)
	right := snap.Time
	require.NoError(t, snap.Close())
	for !time.Now().After(right) {
		time.Sleep(time.Millisecond)
	}
	execute(t, app, "DELETE FROM loan") // the mistake
	link := o.record(t, "backup", "library", "--kind", "log")
	require.Len(t, link.Items, 1)
	assert.Equal(t, backup.Log, link.Items[0].Kind, link.Items[0].Reason)
	assert.True(t, link.Items[0].PointInTime)

	_, errs, code = o.obm(t, "restore", "library", "--yes")
	assert.Equal(t, 4, code, "replaced without being told: %s", errs)
	assert.Empty(t, loans(t, app))

	elsewhere := filepath.Join(o.dir, "before the mistake.db")
	o.record(t, "restore", "library", "--at", right.Format(time.RFC3339Nano), "--to", elsewhere, "--yes")
	db, err := keeper.Open(elsewhere, "mode=rw")
	require.NoError(t, err)
	defer db.Close()
	assert.Equal(t, "first second", loans(t, db))

	_, errs, code = o.obm(t, "verify", "library", "--level", "format")
	assert.Zero(t, code, errs)
}

func TestBadSettings(t *testing.T) {
	o, _ := newOffice(t)
	bad := "sink: file:///nowhere\nseal: {plain: true}\njobs:\n  library:\n    application: sqlite\n    sqlite: {paht: x}\n"
	require.NoError(t, os.WriteFile(filepath.Join(o.dir, "obm-sqlite.yaml"), []byte(bad), 0o600))
	_, errs, code := o.obm(t, "config")
	assert.Equal(t, 2, code)
	assert.Contains(t, errs, "paht")
	assert.Contains(t, errs, "path")
}
