package mysql

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/dbserver"
)

// stockClient is the command line client of the machine, or a skip.
func stockClient(t *testing.T) string {
	t.Helper()
	for _, c := range []string{"mariadb", "mysql"} {
		if p, err := exec.LookPath(c); err == nil {
			return p
		}
	}
	t.Skip("no mariadb or mysql client")
	return ""
}

// TestStockClientRestores follows the last section of FORMAT.md: the artifacts alone, a stock client, LOAD DATA as the comment says.
func TestStockClientRestores(t *testing.T) {
	t.Parallel()
	client := stockClient(t)
	srv, db := startServer(t, nil)
	if srv.Installation().Flavour == dbserver.MySQL && strings.HasSuffix(client, "mariadb") {
		t.Skip("the client is MariaDB's, the server is not")
	}
	db.SetMaxOpenConns(1)
	exec1(t, db, "CREATE USER bk@`127.0.0.1`; GRANT ALL ON *.* TO bk@`127.0.0.1`")
	sqlFile(t, srv, "types-and-objects.sql")
	exec1(t, db, extras(isMariaDB(srv))...)
	before := picture(t, srv, userSchemas(t, db)...)
	st, _ := dumpTo(t, newSource(t, srv, nil))
	dropAll(t, db)
	dir := t.TempDir()
	for name, content := range st.files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, content, 0o600))
	}
	run := func(in string) error {
		cmd := exec.Command(client, "--no-defaults", "--user=root", "--socket="+srv.Socket(), "--local-infile=1")
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(in)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Logf("%.300s\n%s", in, out)
		}
		return err
	}
	// matching is what a shell's glob gives, in its order.
	matching := func(patterns ...string) (names []string) {
		for _, p := range patterns {
			m, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(p)))
			require.NoError(t, err)
			slices.Sort(m)
			names = append(names, m...)
		}
		return names
	}
	for _, f := range matching("*/schema.sql", "*/*/sequence.sql", "*/*/table.sql") {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		require.NoError(t, run(string(b)), f)
	}
	for _, f := range matching("*/*/data.*.tsv") {
		def, err := os.ReadFile(filepath.Join(filepath.Dir(f), "table.sql"))
		require.NoError(t, err)
		_, load, ok := strings.Cut(string(def), "-- LOAD DATA")
		require.True(t, ok)
		load = strings.Replace(load, "'data.00001.tsv'", literal(f), 1)
		require.NoError(t, run("SET NAMES binary; SET foreign_key_checks=0, sql_mode='NO_AUTO_VALUE_ON_ZERO', time_zone='+00:00'; LOAD DATA"+load), f)
	}
	todo := matching("*/function.*.sql", "*/procedure.*.sql", "*/package.*.sql", "*/package-body.*.sql", "*/event.*.sql", "*/*/trigger.*.sql", "*/*/view.sql")
	for round := 0; len(todo) > 0; round++ {
		require.Less(t, round, 5, "these cannot be made: %v", todo)
		todo = slices.DeleteFunc(todo, func(f string) bool {
			b, err := os.ReadFile(f)
			require.NoError(t, err)
			return run(string(b)) == nil
		})
	}
	require.Equal(t, before, picture(t, srv, userSchemas(t, db)...))
}
