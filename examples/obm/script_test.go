package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/quiesce-go/quiesce/internal/dbserver"
)

// Commands of the scripts beside those of testscript.

// runCode is "code N command...": the command runs and must exit with N. Its output is for stdout and stderr, as exec's is.
func runCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := exitOf(ts, args[1:]); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func exitOf(ts *testscript.TestScript, args []string) int {
	err := ts.Exec(args[0], args[1:]...)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}

// untilFree is "untilfree command...": repeat a command as long as it exits with 5, busy; then it must succeed.
func untilFree(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: untilfree command [args...]")
	}
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		switch got := exitOf(ts, args); {
		case got == 0:
			return
		case got != 5 || time.Now().After(end):
			ts.Fatalf("exit code %d, want 0", got)
		}
	}
}

// patience bounds what is waited for. It is no measure of anything: a machine under load may need long.
const patience = 2 * time.Minute

// await is "await N GLOB": wait until N files match. "await N GLOB REGEXP": until one of them matches N times.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await N GLOB [REGEXP]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		files, err := filepath.Glob(ts.MkAbs(args[1]))
		ts.Check(err)
		n := len(files)
		if len(args) > 2 {
			n = 0
			for _, f := range files {
				text, _ := os.ReadFile(f)
				n = max(n, len(regexp.MustCompile(args[2]).FindAllIndex(text, -1)))
			}
		}
		if n >= want {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%d of %d seen within %s", n, want, patience)
		}
	}
}

// freePort is "freeport NAME": set an environment variable to a free address of this machine.
func freePort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: freeport NAME")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], l.Addr().String())
	ts.Check(l.Close())
}

// condition knows "mariadb": a server is installed, or has to be; and "genuine": files that applications wrote are at hand.
func condition(name string) (bool, error) {
	switch name {
	case "mariadb":
		_, err := dbserver.Find()
		return err == nil || os.Getenv("QUIESCE_MYSQL_REQUIRED") != "", nil
	case "genuine":
		return os.Getenv("QUIESCE_TESTDATA") != "", nil
	}
	return false, fmt.Errorf("no condition %q", name)
}

// mariadb is "mariadb NAME": start a private server for the script and set NAME to its DSN.
func mariadb(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: mariadb NAME")
	}
	s, err := dbserver.Start(context.Background(), &dbserver.Options{Binlog: true})
	ts.Check(err)
	ts.Defer(func() {
		if err := s.Stop(); err != nil {
			ts.Logf("stop the server: %v", err)
		}
	})
	ts.Setenv(args[0], s.DSN())
}

// runSQL is "sql DSN STATEMENT": run a statement and print the rows of a query, tab-separated, to a file named rows.
func runSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sql DSN STATEMENT")
	}
	db, err := sql.Open("mysql", args[0])
	ts.Check(err)
	defer db.Close()
	rows, err := db.Query(args[1])
	ts.Check(err)
	defer rows.Close()
	cols, err := rows.Columns()
	ts.Check(err)
	var out bytes.Buffer
	for rows.Next() {
		vals, ptrs := make([]sql.RawBytes, len(cols)), make([]any, len(cols))
		for i := range vals {
			ptrs[i] = &vals[i]
		}
		ts.Check(rows.Scan(ptrs...))
		var row []string
		for _, v := range vals {
			row = append(row, string(v))
		}
		out.WriteString(strings.Join(row, "\t") + "\n")
	}
	ts.Check(rows.Err())
	ts.Check(os.WriteFile(ts.MkAbs("rows"), out.Bytes(), 0o600))
}

// setMatch is "setmatch NAME FILE REGEXP": set a variable to the first group of the first match in a file, or in stdout.
func setMatch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: setmatch NAME FILE REGEXP")
	}
	m := regexp.MustCompile(args[2]).FindStringSubmatch(ts.ReadFile(args[1]))
	if len(m) < 2 {
		ts.Fatalf("%s does not hold %s", args[1], args[2])
	}
	ts.Setenv(args[0], m[1])
}

// expand is "expand FROM TO": write a file with variables such as $WORK replaced.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: expand FROM TO")
	}
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

// spoil is "spoil FILE OLD NEW": put NEW in place of the first OLD in a file.
func spoil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: spoil FILE OLD NEW")
	}
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, args[1], args[2], 1)), 0o600))
}

// hangUp is "hangup": send SIGHUP to what runs in the background.
func hangUp(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: hangup")
	}
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGHUP))
	}
}

// get is "get URL": ask a server of this machine, as soon as it serves, and write the answer to a file named answer.
func get(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: get URL")
	}
	res, err := http.Get(args[0])
	for end := time.Now().Add(patience); err != nil && time.Now().Before(end); res, err = http.Get(args[0]) {
		time.Sleep(50 * time.Millisecond)
	}
	ts.Check(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	ts.Check(err)
	if res.StatusCode != http.StatusOK {
		ts.Fatalf("%s: %s", res.Status, body)
	}
	ts.Check(os.WriteFile(ts.MkAbs("answer"), body, 0o600))
}
