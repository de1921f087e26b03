package dbserver

import (
	"database/sql"
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func start(t *testing.T, o *Options) *Server {
	t.Helper()
	s, err := Start(t.Context(), o)
	if errors.Is(err, ErrNotInstalled) && os.Getenv("QUIESCE_MYSQL_REQUIRED") == "" {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { s.Stop() })
	return s
}

func TestStartKillRestartStop(t *testing.T) {
	t.Parallel()
	s := start(t, &Options{Binlog: true, LocalInfile: true, Args: []string{"--max_allowed_packet=33554432"}})
	db, err := sql.Open("mysql", s.DSN())
	require.NoError(t, err)
	defer db.Close()

	var bin, infile, packet int
	require.NoError(t, db.QueryRow("SELECT @@log_bin, @@local_infile, @@global.max_allowed_packet").Scan(&bin, &infile, &packet))
	require.Equal(t, []int{1, 1, 33554432}, []int{bin, infile, packet})
	_, err = db.Exec("CREATE DATABASE d")
	require.NoError(t, err)

	s.Kill()
	require.Error(t, db.Ping(), "a killed server answers")
	require.NoError(t, s.Restart(t.Context()))
	_, err = db.Exec("CREATE TABLE d.t (id INT)")
	require.NoError(t, err, "the data did not survive a restart")

	require.NoError(t, s.Stop())
	require.NoError(t, s.Stop(), "Stop is not idempotent")
	require.NoDirExists(t, s.dir)
}

func TestFailedStartTellsWhyAndLeavesNothing(t *testing.T) {
	t.Parallel()
	before := leftovers(t)
	_, err := Start(t.Context(), &Options{Args: []string{"--no-such-option-at-all"}})
	if errors.Is(err, ErrNotInstalled) && os.Getenv("QUIESCE_MYSQL_REQUIRED") == "" {
		t.Skip(err)
	}
	require.ErrorContains(t, err, "no-such-option-at-all", "the server's own words are missing")
	for dir := range leftovers(t) {
		if before[dir] {
			continue
		}
		b, _ := os.ReadFile(dir + "/log")
		require.NotContains(t, string(b), "no-such-option-at-all", "the failed server's directory stayed")
	}
}

func leftovers(t *testing.T) map[string]bool {
	t.Helper()
	all, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	m := map[string]bool{}
	for _, e := range all {
		if len(e.Name()) > 3 && e.Name()[:3] == "qdb" {
			m[os.TempDir()+"/"+e.Name()] = true
		}
	}
	return m
}
