package oracle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/oracle"
)

// shell runs a script for bash on the machine of a server, under its account, and returns what was printed.
type shell func(ctx context.Context, script string) (string, error)

// onThisMachine is the shell where the test runs beside the server.
func onThisMachine(ctx context.Context, script string) (string, error) {
	return byCommand("bash")(ctx, script)
}

// byCommand gives the script to a command.
func byCommand(command string) shell {
	return func(ctx context.Context, script string) (string, error) {
		words := strings.Fields(command)
		cmd := exec.CommandContext(ctx, words[0], words[1:]...) //nolint:gosec // the one who runs the tests names it
		cmd.Stdin = strings.NewReader(script)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			return out.String(), fmt.Errorf("%s: %w: %s", command, err, out.String())
		}
		return out.String(), nil
	}
}

const (
	ledger       = "SYSTEM.QUIESCE_LEDGER"
	archivedLogs = "SELECT NAME FROM V$ARCHIVED_LOG WHERE NAME IS NOT NULL"
	// asText makes SQL*Plus print values and nothing else.
	asText = "SET HEADING OFF\nSET PAGESIZE 0\nSET FEEDBACK OFF\nSET LINESIZE 4000\nSET TRIMSPOOL ON\nSET TAB OFF\nSET NUMWIDTH 20\n"
	// strict ends SQL*Plus at the first error.
	strict = "SET DEFINE OFF\nWHENEVER SQLERROR EXIT FAILURE\nWHENEVER OSERROR EXIT FAILURE\n"
	// loginAfter bounds the wait for the listener to learn of an instance that was started.
	loginAfter = 3 * time.Minute
)

// genuine is a real database, in a container or elsewhere.
type genuine struct {
	dsn           string
	local, remote string
	run           shell
	beside        bool
	// files are those of the database in its first state; their copies lie in the folder first, numbered. Of archived logs there are only the names.
	files    []string
	archived []string
}

// openGenuine takes a copy of the database as it is, which fresh puts back.
func openGenuine(t *testing.T, dsn, local, remote string, run shell, beside bool) *genuine {
	t.Helper()
	s := &genuine{dsn: dsn, local: local, remote: remote, run: run, beside: beside}
	ctx := t.Context()
	mode, err := s.query(ctx, "SELECT LOG_MODE FROM V$DATABASE")
	require.NoError(t, err)
	require.Equal(t, []string{"ARCHIVELOG"}, mode, "the database must be in ARCHIVELOG")
	_, err = s.sqlplus(ctx, strict+"CREATE TABLE "+ledger+" (N NUMBER PRIMARY KEY, ENTRY VARCHAR2(3000) NOT NULL);\n")
	if err != nil && !strings.Contains(err.Error(), "ORA-00955") { // it is there
		require.NoError(t, err)
	}
	_, err = s.sqlplus(ctx, strict+"DELETE FROM "+ledger+";\nCOMMIT;\n")
	require.NoError(t, err)
	for _, q := range []string{"SELECT NAME FROM V$DATAFILE", "SELECT NAME FROM V$CONTROLFILE", "SELECT MEMBER FROM V$LOGFILE", "SELECT NAME FROM V$TEMPFILE"} {
		names, err := s.query(ctx, q)
		require.NoError(t, err)
		s.files = append(s.files, names...)
	}
	s.archived, err = s.query(ctx, archivedLogs)
	require.NoError(t, err)
	_, err = s.sqlplus(ctx, strict+"SHUTDOWN IMMEDIATE\n")
	require.NoError(t, err)
	_, err = s.run(ctx, "set -e\n"+s.eachFile("rm -rf "+quoted(s.first())+"; mkdir -p "+quoted(s.first()), func(file, copied string) string {
		return "cp --sparse=always " + file + " " + copied
	}))
	require.NoError(t, err)
	t.Cleanup(func() { // the server is left as it was found
		ctx := context.Background()
		if err := s.reset(ctx); err != nil {
			t.Errorf("bring the database back: %v", err)
			return
		}
		if _, err := s.sqlplus(ctx, strict+"DROP TABLE "+ledger+" PURGE;\n"); err != nil {
			t.Errorf("remove the ledger: %v", err)
		}
		if err := s.remove(ctx, s.first()); err != nil {
			t.Errorf("remove the copy: %v", err)
		}
	})
	return s
}

func (s *genuine) first() string { return s.remote + "/first" }

// eachFile is a script that does something with each file of the first state and its copy.
func (s *genuine) eachFile(before string, do func(file, copied string) string) string {
	lines := []string{before}
	for i, f := range s.files {
		lines = append(lines, do(quoted(f), quoted(s.first()+"/"+strconv.Itoa(i))))
	}
	return strings.Join(lines, "\n") + "\n"
}

// fresh brings the database back to its first state.
func (s *genuine) fresh(t *testing.T) *genuine {
	t.Helper()
	require.NoError(t, s.reset(t.Context()))
	require.NoError(t, os.MkdirAll(filepath.Join(s.local, "scratch"), 0o777))
	require.NoError(t, os.Chmod(filepath.Join(s.local, "scratch"), 0o777)) //nolint:gosec // the server is another user
	return s
}

func (s *genuine) reset(ctx context.Context) error {
	// The server writes logs of the same names again. When it is down nobody knows them, and nothing is done.
	if names, err := s.query(ctx, archivedLogs); err == nil {
		for _, name := range names {
			if slices.Contains(s.archived, name) {
				continue
			}
			if err := s.remove(ctx, name); err != nil {
				return err
			}
		}
	}
	if _, err := s.sqlplus(ctx, "SHUTDOWN ABORT\n"); err != nil { // an instance that is down is no error here
		return err
	}
	if _, err := s.run(ctx, "set -e\n"+s.eachFile("", func(file, copied string) string {
		return "rm -f " + file + "; cp --sparse=always " + copied + " " + file
	})); err != nil {
		return err
	}
	return s.start(ctx, "STARTUP\n")
}

// start runs a script that leaves the database open, and waits until the listener lets the agent in.
func (s *genuine) start(ctx context.Context, script string) error {
	out, err := s.sqlplus(ctx, strict+script+"ALTER SYSTEM REGISTER;\n")
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	src, err := oracle.New(s.dsn, &oracle.Options{StateDir: os.TempDir()})
	if err != nil {
		return err
	}
	defer src.Close()
	ctx, cancel := context.WithTimeout(ctx, loginAfter)
	defer cancel()
	for {
		if _, err = src.Estimate(ctx, backup.Request{Kind: backup.Full}); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the database takes no login: %w", err)
		case <-time.After(2 * time.Second):
		}
	}
}

func (s *genuine) modes() []oracle.Mode {
	if s.beside {
		return []oracle.Mode{oracle.ModeLocal, oracle.ModeRemote}
	}
	return []oracle.Mode{oracle.ModeRemote}
}

func (s *genuine) agent(o oracle.Options) (*oracle.Source, error) { return oracle.New(s.dsn, &o) }

func (s *genuine) shared() (local, remote string) { return s.local, s.remote }

func (s *genuine) insert(ctx context.Context, texts ...string) error {
	script := strict
	for _, text := range texts {
		script += "INSERT INTO " + ledger + " SELECT NVL(MAX(N), 0) + 1, '" + strings.ReplaceAll(text, "'", "''") + "' FROM " + ledger + ";\nCOMMIT;\n"
	}
	_, err := s.sqlplus(ctx, script)
	return err
}

func (s *genuine) contents(ctx context.Context) ([]string, error) {
	return s.query(ctx, "SELECT ENTRY FROM "+ledger+" ORDER BY N")
}

// now lets the second end in which something was committed, and the one that it returns begin.
func (s *genuine) now(ctx context.Context) (time.Time, error) {
	time.Sleep(1100 * time.Millisecond)
	out, err := s.query(ctx, "SELECT TO_CHAR(SYS_EXTRACT_UTC(SYSTIMESTAMP), 'YYYY-MM-DD HH24:MI:SS') FROM DUAL")
	if err != nil || len(out) != 1 {
		return time.Time{}, errors.Join(err, fmt.Errorf("the clock says %q", out))
	}
	return time.Parse(time.DateTime, out[0])
}

func (s *genuine) position(ctx context.Context) (backup.Position, error) {
	out, err := s.query(ctx, "SELECT CURRENT_SCN FROM V$DATABASE")
	if err != nil || len(out) != 1 {
		return "", errors.Join(err, fmt.Errorf("the SCN is %q", out))
	}
	n, err := strconv.ParseUint(out[0], 10, 64)
	return oracle.SCN(n + 1).Position(), err
}

func (s *genuine) query(ctx context.Context, q string) ([]string, error) {
	out, err := s.sqlplus(ctx, strict+asText+q+";\n")
	var lines []string
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, err
}

// sqlplus hands the script over by a file, so that nothing that it starts reads on in it.
func (s *genuine) sqlplus(ctx context.Context, script string) (string, error) {
	const end = "END_OF_THE_SCRIPT_OF_QUIESCE"
	return s.run(ctx, "f=$(mktemp /tmp/quiesce-XXXXXX.sql)\ncat >\"$f\" <<'"+end+"'\n"+script+"\nEXIT\n"+end+"\nsqlplus -s -L / as sysdba @\"$f\" </dev/null\nstatus=$?\nrm -f \"$f\"\nexit $status\n")
}

func (s *genuine) exists(ctx context.Context, path string) (bool, error) {
	out, err := s.run(ctx, "if [ -e "+quoted(path)+" ]; then echo there; fi\n")
	return strings.Contains(out, "there"), err
}

func (s *genuine) remove(ctx context.Context, path string) error {
	_, err := s.run(ctx, "rm -rf "+quoted(path)+"\n")
	return err
}

func (s *genuine) lose(ctx context.Context) error { return lose(ctx, s) }

// lose ends the instance and removes data files, control files and online logs.
func lose(ctx context.Context, s server) error {
	var all []string
	for _, q := range []string{"SELECT NAME FROM V$DATAFILE", "SELECT NAME FROM V$CONTROLFILE", "SELECT MEMBER FROM V$LOGFILE"} {
		names, err := s.query(ctx, q)
		if err != nil {
			return err
		}
		all = append(all, names...)
	}
	if _, err := s.sqlplus(ctx, "SHUTDOWN ABORT\n"); err != nil {
		return err
	}
	for _, name := range all {
		if err := s.remove(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// quoted is a word of bash.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
