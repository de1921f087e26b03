package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/dbserver"
)

// play runs the program and returns what a user would see.
func play(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, problems bytes.Buffer
	code = run(t.Context(), args, &out, &problems)
	t.Logf("quickstart %s: status %d\n%s%s", strings.Join(args, " "), code, out.String(), problems.String())
	return code, out.String(), problems.String()
}

// real starts a server that was there before the program; tests skip where none is installed.
func real(t *testing.T) *dbserver.Server {
	t.Helper()
	s, err := dbserver.Start(t.Context(), nil)
	if errors.Is(err, dbserver.ErrNotInstalled) && os.Getenv("QUIESCE_MYSQL_REQUIRED") == "" {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Stop()) })
	return s
}

func TestWholeStoryEmbedded(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	code, out, problems := play(t, "-embedded")
	require.Equal(t, exitDone, code)
	assert.Empty(t, problems)
	at := 0
	for _, step := range []string{"target", "server", "data", "check", "backup", "prove", "windows", "lose", "plan", "restore", "compare", "summary", "next"} {
		i := strings.Index(out[at:], "\n"+step+" ")
		if at == 0 {
			i = strings.Index(out, step+" ")
		}
		require.GreaterOrEqual(t, i, 0, "step %q is missing or out of order", step)
		at += i
	}
	assert.Contains(t, out, "9 tables by checksum, 9 definitions by text: identical")
	left, err := os.ReadDir(tmp)
	require.NoError(t, err)
	assert.Empty(t, left, "something stayed in the temporary directory")
}

func TestWholeStoryOnRealServer(t *testing.T) {
	t.Parallel()
	if _, err := dbserver.Find(); err != nil {
		if os.Getenv("QUIESCE_MYSQL_REQUIRED") == "" {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	code, out, _ := play(t, "-orders", "1500")
	require.Equal(t, exitDone, code)
	// Ten tables; two views, a trigger, two routines, an event and two accounts beside them.
	assert.Contains(t, out, "10 tables by checksum, 18 definitions by text: identical")
	place := regexp.MustCompile(`(?m)^target +([^,]+),`).FindStringSubmatch(out)
	require.NotNil(t, place)
	assert.NoDirExists(t, filepath.Dir(place[1]))
}

func TestYourServer(t *testing.T) {
	t.Parallel()
	s := real(t)
	db, err := open(s.DSN())
	require.NoError(t, err)
	defer db.Close()
	exec(t, db, "CREATE DATABASE shop", "CREATE TABLE shop.precious (id INT PRIMARY KEY)", "INSERT INTO shop.precious VALUES (1), (2)")
	before := everything(t, db)

	t.Run("leaves it as it was", func(t *testing.T) {
		code, out, _ := play(t, "-dsn", s.DSN(), "-orders", "200", "-sink", "file://"+t.TempDir())
		require.Equal(t, exitDone, code)
		assert.Contains(t, out, "schemas quickstart_shop, quickstart_staff, quickstart_blog")
		assert.Contains(t, out, "10 tables by checksum, 16 definitions by text: identical")
		assert.Equal(t, before, everything(t, db))
	})
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var out bytes.Buffer
		code := run(ctx, []string{"-dsn", s.DSN(), "-orders", "200"}, &trigger{w: &out, on: "check ", do: cancel}, io.Discard)
		assert.Equal(t, exitFailed, code, out.String())
		assert.NotContains(t, out.String(), "\nprove")
		assert.Equal(t, before, everything(t, db), "an interrupted run left something behind")
	})
	t.Run("schema exists", func(t *testing.T) {
		exec(t, db, "CREATE DATABASE quickstart_staff", "CREATE TABLE quickstart_staff.mine (id INT)")
		there := everything(t, db)
		code, _, problems := play(t, "-dsn", s.DSN())
		assert.Equal(t, exitFailed, code)
		assert.Contains(t, problems, `quickstart_staff: it exists already`)
		assert.Contains(t, problems, "hint: if it is left over from an earlier run: DROP DATABASE quickstart_staff")
		assert.Equal(t, there, everything(t, db), "a schema that is not ours was touched")
	})
	t.Run("wrong password", func(t *testing.T) {
		exec(t, db, "CREATE USER 'bk'@'%' IDENTIFIED BY 'right'", "CREATE USER 'bk'@'127.0.0.1' IDENTIFIED BY 'right'")
		code, _, problems := play(t, "-dsn", "bk:wrong@tcp("+s.Addr()+")/")
		assert.Equal(t, exitFailed, code)
		assert.Contains(t, problems, "Access denied for user 'bk'")
		assert.Contains(t, problems, "hint: the server answered and refused: check user, password and grants in -dsn")
		assert.NotContains(t, problems, "wrong@")
	})
	t.Run("missing rights", func(t *testing.T) {
		code, _, problems := play(t, "-dsn", "bk:right@tcp("+s.Addr()+")/")
		assert.Equal(t, exitFailed, code)
		assert.Contains(t, problems, "mysql: make schema quickstart_shop: ")
		assert.Contains(t, problems, "hint: the account in -dsn needs all rights")
	})
}

// trigger passes on what is written, and calls do when it has seen a text.
type trigger struct {
	w  io.Writer
	on string
	do func()
}

func (t *trigger) Write(p []byte) (int, error) {
	if strings.Contains(string(p), t.on) {
		t.do()
	}
	return t.w.Write(p)
}

func exec(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		_, err := db.ExecContext(t.Context(), s)
		require.NoError(t, err, s)
	}
}

// everything is the fingerprint of all schemas but the server's own.
func everything(t *testing.T, db *sql.DB) fingerprint {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SHOW DATABASES")
	require.NoError(t, err)
	defer rows.Close()
	var schemas []string
	for rows.Next() {
		var s string
		require.NoError(t, rows.Scan(&s))
		switch s {
		case "mysql", "sys", "information_schema", "performance_schema":
		default:
			schemas = append(schemas, s)
		}
	}
	require.NoError(t, rows.Err())
	f, _, _, err := take(t.Context(), db, schemas, nil)
	require.NoError(t, err)
	f["schemas "+strings.Join(schemas, " ")] = ""
	return f
}

func TestKeep(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	code, out, _ := play(t, "-embedded", "-keep")
	require.Equal(t, exitDone, code)
	assert.Contains(t, out, "age -d -i ")
	for _, pattern := range []string{"*/key.txt", "*/target/quickstart-*/manifests/*.json", "*/target/quickstart-*/runs/*/*/*.age"} {
		found, err := filepath.Glob(filepath.Join(tmp, pattern))
		require.NoError(t, err)
		assert.NotEmpty(t, found, "nothing kept at %s", pattern)
	}
}

func TestOtherTargetsAreLeftClean(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "theirs"), []byte("x"), 0o600))
	code, _, _ := play(t, "-embedded", "-sink", "file://"+dir)
	require.Equal(t, exitDone, code)
	var files []string
	require.NoError(t, filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, d.Name())
		}
		return err
	}))
	assert.Equal(t, []string{"theirs"}, files)

	code, _, _ = play(t, "-embedded", "-sink", "mem://")
	assert.Equal(t, exitDone, code)
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args   []string
		code   int
		stderr []string
	}{
		"unknown flag":   {[]string{"-nonsense"}, exitUsage, []string{"-nonsense", "hint: see -help"}},
		"argument":       {[]string{"now"}, exitUsage, []string{`"now"`, "hint: see -help"}},
		"negative size":  {[]string{"-orders", "-5"}, exitUsage, []string{"-orders -5"}},
		"dsn":            {[]string{"-dsn", "root:secret@localhost:3306"}, exitUsage, []string{"-dsn cannot be read", "hint: the form is USER:PASSWORD@tcp(HOST:PORT)/"}},
		"dsn and schema": {[]string{"-dsn", "root:secret@tcp(localhost)/prod"}, exitUsage, []string{`schema "prod"`, "hint: "}},
		"contradiction":  {[]string{"-dsn", "root@tcp(localhost)/", "-embedded"}, exitUsage, []string{"-embedded", "hint: "}},
		"scheme":         {[]string{"-sink", "carrierpigeon://loft"}, exitUsage, []string{`"carrierpigeon"`, "hint: "}},
		"no scheme":      {[]string{"-sink", "backups"}, exitUsage, []string{"not a URL", "hint: write file:///path"}},
		"no time":        {[]string{"-at", "yesterday"}, exitUsage, []string{`-at "yesterday"`, "hint: write it as 2026-01-31T12:00:00Z"}},
		"past":           {[]string{"-embedded", "-at", "2001-02-03T04:05:06Z"}, exitFailed, []string{"plan restore", "refused", "2001-02-03T04:05:06Z", "hint: "}},
		"future":         {[]string{"-embedded", "-at", "2999-01-01T00:00:00Z"}, exitFailed, []string{"plan restore", "refused", "2999-01-01T00:00:00Z"}},
		"unreachable":    {[]string{"-dsn", "root:secret@tcp(127.0.0.1:1)/"}, exitFailed, []string{"127.0.0.1:1", "hint: is it running"}},
		"target":         {[]string{"-sink", "file:///dev/null/backups"}, exitUsage, []string{"/dev/null"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, _, problems := play(t, c.args...)
			assert.Equal(t, c.code, code)
			for _, want := range c.stderr {
				assert.Contains(t, problems, want)
			}
			assert.NotContains(t, problems, "secret", "a password is shown")
		})
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	code, out, problems := play(t, "-help")
	assert.Equal(t, exitDone, code)
	assert.Empty(t, problems)
	for _, flag := range []string{"-dsn", "-sink", "-orders", "-at", "-embedded", "-keep"} {
		assert.Contains(t, out, "  "+flag)
	}
}

// A story that finds a difference must not end well.
func TestDifferenceFails(t *testing.T) {
	t.Parallel()
	srv, db, d := filled(t)
	before, tables, _, err := take(t.Context(), db, d.schemas(), nil)
	require.NoError(t, err)
	exec(t, db, "DELETE FROM shop.order_lines WHERE order_id = 7 AND line = 1")
	s := &story{out: newScreen(io.Discard), srv: srv, data: d, before: before, tables: tables}
	err = s.compare(t.Context())
	require.ErrorContains(t, err, "1 difference: table `shop`.`order_lines` differs")
}
