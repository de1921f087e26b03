//go:build unix

package main

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/dbserver"
)

const killMySQLConfig = `
sink: file://%[1]s/target
stage: {dir: stage}
seal: {plain: true}
transfer: {part_size: 64KiB, workers: 2, lease: 1s}
jobs:
  staged:
    application: mysql
    mysql: {dsn: %[2]q, chunk_size: 64KiB, connections: 2}
  streaming:
    application: mysql
    mysql: {dsn: %[2]q, chunk_size: 64KiB, connections: 2}
    stage: {stream: true}
`

// A backup of a real server is killed at random times. The server is left without a session or a lock of ours, so definitions can be changed; the next run
// that finds the job free succeeds, with all rows.
func TestKilledBackupOfServer(t *testing.T) {
	t.Parallel()
	srv, err := dbserver.Start(t.Context(), &dbserver.Options{Binlog: true})
	if errors.Is(err, dbserver.ErrNotInstalled) && os.Getenv("QUIESCE_MYSQL_REQUIRED") == "" {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { _ = srv.Stop() })
	db, err := sql.Open("mysql", srv.DSN())
	require.NoError(t, err)
	defer db.Close()
	for _, stmt := range []string{
		"CREATE USER quiesce IDENTIFIED BY 'secret'", "GRANT ALL ON *.* TO quiesce",
		"CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT PRIMARY KEY, what VARCHAR(100))",
		"INSERT INTO shop.orders SELECT seq, CONCAT(MD5(seq), SHA1(seq)) FROM shop.seq_1_to_60000",
	} {
		_, err := db.ExecContext(t.Context(), stmt)
		require.NoError(t, err, stmt)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "obm.yaml")
	dsn := fmt.Sprintf("quiesce:secret@unix(%s)/", srv.Socket())
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, killMySQLConfig, dir, dsn), 0o600))
	obm := func(args ...string) (int, string) {
		var log bytes.Buffer
		cmd := exec.CommandContext(t.Context(), "obm", append([]string{"--config", config}, args...)...)
		cmd.Stdout, cmd.Stderr = &log, &log
		err := cmd.Run()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			return exit.ExitCode(), log.String()
		}
		require.NoError(t, err)
		return 0, log.String()
	}
	begun := time.Now()
	for _, job := range []string{"staged", "streaming"} {
		code, log := obm("backup", job)
		require.Zero(t, code, "%s", log)
	}
	usual := time.Since(begun) / 2

	deaths, busy := 0, 0
	for run := 0; deaths < 5; run++ {
		job := []string{"staged", "streaming"}[run%2]
		cmd := exec.CommandContext(t.Context(), "obm", "--config", config, "backup", job)
		require.NoError(t, cmd.Start())
		time.Sleep(time.Duration((0.1 + 0.8*rand.Float64()) * float64(usual)))
		_ = cmd.Process.Kill() // it may have ended
		if cmd.Wait() != nil {
			deaths++
		}
		// The server notices in its own time that the other end is gone; then nothing of the session is left.
		require.Eventually(t, func() bool {
			var n int
			err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'quiesce'").Scan(&n)
			return err == nil && n == 0
		}, patience, 20*time.Millisecond)
		_, err := db.ExecContext(t.Context(), fmt.Sprintf("SET STATEMENT lock_wait_timeout=1 FOR ALTER TABLE shop.orders ADD COLUMN c%d INT", run))
		require.NoError(t, err, "a lock was left")

		code, log := obm("backup", job)
		for end := time.Now().Add(patience); code == 5 && time.Now().Before(end); code, log = obm("backup", job) {
			busy++
			time.Sleep(100 * time.Millisecond)
		}
		require.Zero(t, code, "%s", log)
		code, log = obm("verify", job, "--level", "format")
		require.Zero(t, code, "%s", log)
	}
	t.Logf("%d killed, the job was still taken %d times; usual run %s", deaths, busy, usual)

	code, log := obm("restore", "streaming", "--item", "shop", "--as", "copy", "--yes")
	require.Zero(t, code, "%s", log)
	var want, got string
	require.NoError(t, db.QueryRowContext(t.Context(), "CHECKSUM TABLE shop.orders").Scan(new(string), &want))
	require.NoError(t, db.QueryRowContext(t.Context(), "CHECKSUM TABLE copy.orders").Scan(new(string), &got))
	require.Equal(t, want, got)
	require.Empty(t, filesBelow(filepath.Join(dir, "stage")))
}
