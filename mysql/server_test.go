package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/dbserver"
)

// startServer runs a private server or skips. QUIESCE_MYSQLD names another server binary than the one found.
func startServer(t testing.TB, o *dbserver.Options) (*dbserver.Server, *sql.DB) {
	t.Helper()
	if o == nil {
		o = &dbserver.Options{Binlog: true, LocalInfile: true}
	}
	if path := os.Getenv("QUIESCE_MYSQLD"); path != "" {
		in, err := dbserver.Inspect(path)
		require.NoError(t, err)
		o.Installation = in
	}
	srv, err := dbserver.Start(t.Context(), o)
	if errors.Is(err, dbserver.ErrNotInstalled) && os.Getenv("QUIESCE_MYSQL_REQUIRED") == "" {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { srv.Stop() })
	db, err := sql.Open("mysql", srv.DSN()+"?multiStatements=true")
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	return srv, db
}

func newSource(t testing.TB, srv *dbserver.Server, o *Options) *Source {
	t.Helper()
	s, err := New(srv.DSN(), o)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func isMariaDB(srv *dbserver.Server) bool { return srv.Installation().Flavour == dbserver.MariaDB }

// sqlFile runs one of the SQL files of the test data through the stock client, which understands DELIMITER.
func sqlFile(t testing.TB, srv *dbserver.Server, name string) {
	t.Helper()
	dir := os.Getenv("QUIESCE_TESTDATA")
	if dir == "" {
		t.Skip("QUIESCE_TESTDATA is not set")
	}
	f, err := os.Open(filepath.Join(dir, "mysql", name))
	require.NoError(t, err)
	defer f.Close()
	client := ""
	for _, c := range []string{"mariadb", "mysql"} {
		if p, err := exec.LookPath(c); err == nil {
			client = p
			break
		}
	}
	if client == "" {
		t.Skip("no mariadb or mysql client to load the test data with")
	}
	cmd := exec.Command(client, "--no-defaults", "--user=root", "--socket="+srv.Socket(), "--default-character-set=utf8mb4")
	cmd.Stdin = f
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", name, out)
}

func exec1(t testing.TB, db *sql.DB, stmts ...string) {
	t.Helper()
	for _, q := range stmts {
		_, err := db.Exec(q)
		require.NoError(t, err, "%.200s", q)
	}
}

func query1(t testing.TB, db *sql.DB, q string) string {
	t.Helper()
	var s sql.NullString
	require.NoError(t, db.QueryRow(q).Scan(&s), q)
	return s.String
}

// picture is everything that can be seen of a server: the text of every object, the checksum of every table, the values of sequences, the accounts and
// their grants. Two servers with equal pictures hold the same.
func picture(t testing.TB, srv *dbserver.Server, schemas ...string) map[string]string {
	t.Helper()
	db, err := sql.Open("mysql", srv.DSN()+"?charset=utf8mb4")
	require.NoError(t, err)
	defer db.Close()
	c, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer c.Close()
	s := &session{conn: c, src: &Source{}}
	ctx := t.Context()
	rows := func(q string) []row {
		rs, err := s.rows(ctx, q)
		require.NoError(t, err, q)
		return rs
	}
	pic := map[string]string{}
	text := func(key, q string, cols ...string) {
		for _, r := range rows(q) {
			for _, col := range cols {
				pic[key+" "+col] += r.get(col)
			}
		}
	}
	require.NoError(t, s.exec(ctx, "SET SESSION sql_mode='', time_zone='+00:00'"))
	for _, sc := range schemas {
		text("schema "+sc, "SHOW CREATE DATABASE "+quote(sc), "create database")
		require.NoError(t, s.exec(ctx, "USE "+quote(sc)))
		for _, r := range rows("SHOW FULL TABLES") {
			name, key := r.col(0), sc+"."+r.col(0)
			switch r.col(1) {
			case "VIEW":
				text("view "+key, "SHOW CREATE VIEW "+quote(name), "create view", "character_set_client", "collation_connection")
			case "SEQUENCE":
				text("sequence "+key, "SHOW CREATE SEQUENCE "+quote(name), "create table")
				text("sequence "+key, "SELECT * FROM "+quote(name), "next_not_cached_value", "cycle_count")
			default:
				text("table "+key, "SHOW CREATE TABLE "+quote(name), "create table")
				digest, generated := digestQuery(rows("SHOW FULL COLUMNS FROM "+quote(name)), name)
				text("digest "+key, digest, "n", "x", "s")
				// CHECKSUM TABLE of MariaDB 10.11 gave different answers for one unchanged table with a generated column. Of a versioned
				// table it also counts the times of the versions, which belong to the server that wrote them.
				versioned := strings.Contains(pic["table "+key+" create table"], "SYSTEM VERSIONING")
				if !generated && !versioned {
					text("checksum "+key, "CHECKSUM TABLE "+quote(name)+" EXTENDED", "checksum")
				}
			}
		}
		program := []string{"sql_mode", "character_set_client", "collation_connection", "database collation", "time_zone"}
		for _, r := range rows("SHOW TRIGGERS") {
			text("trigger "+sc+"."+r.get("trigger"), "SHOW CREATE TRIGGER "+quote(r.get("trigger")), append(program, "sql original statement")...)
		}
		kinds := []string{"procedure", "function"}
		if isMariaDB(srv) {
			kinds = append(kinds, "package", "package body")
		}
		for _, k := range kinds {
			for _, r := range rows("SHOW " + k + " STATUS WHERE Db=" + literal(sc)) {
				text(k+" "+sc+"."+r.get("name"), "SHOW CREATE "+k+" "+quote(r.get("name")), append(program, "create "+k)...)
			}
		}
		for _, r := range rows("SHOW EVENTS") {
			text("event "+sc+"."+r.get("name"), "SHOW CREATE EVENT "+quote(r.get("name")), append(program, "create event")...)
		}
	}
	role := "'N'"
	if isMariaDB(srv) {
		role = "is_role"
	}
	for _, r := range rows("SELECT User AS u, Host AS h, " + role + " AS r FROM mysql.user") {
		a := accountEntry{User: r.get("u"), Host: r.get("h"), Role: r.get("r") == "Y"}
		if a.system() || a.Host != "" && a.Host == hostname() {
			continue // root@hostname is unknown to a server with skip_name_resolve
		}
		if !a.Role {
			for _, g := range rows("SHOW CREATE USER " + a.name()) {
				pic["user "+a.name()] = g.col(0)
			}
		}
		var grants []string
		for _, g := range rows("SHOW GRANTS FOR " + a.name()) {
			grants = append(grants, g.col(0))
		}
		slices.Sort(grants)
		pic["grants "+a.name()] = strings.Join(grants, "\n")
	}
	return pic
}

// digestQuery is a checksum in SQL over every byte of every column.
func digestQuery(cols []row, table string) (q string, generated bool) {
	var parts []string
	for _, c := range cols {
		v := "CONCAT(" + quote(c.get("field")) + ")"
		if strings.HasPrefix(c.get("type"), "float") {
			v = "CONCAT(" + quote(c.get("field")) + "+0e0)"
		}
		parts = append(parts, "IFNULL(HEX("+v+"),'N')")
		generated = generated || strings.Contains(c.get("extra"), "GENERATED") && !strings.HasPrefix(c.get("extra"), "DEFAULT_GENERATED")
	}
	sum := "CRC32(CONCAT_WS('/'," + strings.Join(parts, ",") + "))"
	return "SELECT COUNT(*) AS n, BIT_XOR(" + sum + ") AS x, SUM(" + sum + ") AS s FROM " + quote(table), generated
}

// dumpTo and restoreFrom run the engine without a pipeline.
func dumpTo(t testing.TB, s *Source) (*memStage, *run) {
	t.Helper()
	st := newMemStage()
	r, err := s.dump(t.Context(), st, backup.Request{Log: testLog(t)})
	require.NoError(t, err)
	require.Equal(t, indexName, st.order[len(st.order)-1], "the index must come last")
	require.NoError(t, verify(t.Context(), st))
	return st, r
}

func restoreFrom(ctx context.Context, t testing.TB, s *Source, m material, overwrite bool, sel ...backup.Selection) error {
	_, err := s.restore(ctx, backup.RestoreRequest{Target: backup.Target{Select: sel}, Overwrite: overwrite, Log: testLog(t)}, m, nil)
	return err
}

// userSchemas lists what a test made.
func userSchemas(t testing.TB, db *sql.DB) []string {
	t.Helper()
	rs, err := db.Query("SHOW DATABASES")
	require.NoError(t, err)
	defer rs.Close()
	srv := &server{}
	for rs.Next() {
		var s string
		require.NoError(t, rs.Scan(&s))
		srv.schemas = append(srv.schemas, s)
	}
	slices.Sort(srv.schemas)
	return srv.userSchemas()
}

func dropAll(t testing.TB, db *sql.DB) {
	t.Helper()
	for _, s := range userSchemas(t, db) {
		exec1(t, db, "DROP DATABASE "+quote(s))
	}
}

// sessions counts the server's client sessions other than the asking one's pool, and lists what they do.
func sessions(t testing.TB, db *sql.DB) []string {
	t.Helper()
	rs, err := db.Query("SELECT ID, COMMAND, COALESCE(INFO,'') FROM information_schema.PROCESSLIST WHERE ID<>CONNECTION_ID() AND USER NOT IN ('system user','event_scheduler')")
	require.NoError(t, err)
	defer rs.Close()
	var out []string
	for rs.Next() {
		var id int64
		var cmd, info string
		require.NoError(t, rs.Scan(&id, &cmd, &info))
		if cmd != "Daemon" {
			out = append(out, fmt.Sprintf("%d %s %s", id, cmd, info))
		}
	}
	return out
}

// requireNoSessions waits for the server to notice that the connections were closed.
func requireNoSessions(t testing.TB, db *sql.DB) {
	t.Helper()
	var left []string
	require.Eventually(t, func() bool { left = sessions(t, db); return len(left) == 0 }, 30*time.Second, 50*time.Millisecond, "sessions left behind: %v", &left)
}

func hostname() string {
	h, _ := os.Hostname()
	return h
}
