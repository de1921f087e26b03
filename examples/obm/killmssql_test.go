//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent/config"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/examples/obm/cli"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
)

const killSQLConfig = `
sink: file://%[1]s/target
stage: {dir: stage, server_dir: 'S:\stage'}
seal: {plain: true}
transfer: {part_size: 64KiB, workers: 2, lease: 1s}
agent: {listen: none}
jobs:
  sales:
    application: mssql
    mssql: {dsn: %[2]q, include: [shop, books]}
`

// sqlMoment is a state of a database that was the last one until some time later.
type sqlMoment struct {
	database string
	at       time.Time
	records  []string
}

// killSQLWorld is a server whose log backups are killed.
type killSQLWorld struct {
	*sqlServer
	dir     string
	rnd     *rand.Rand
	moments []sqlMoment
	records int
}

// Log backups are killed at random times, and in the moment between the end of BACKUP LOG, which truncates the log, and its being known to the program. Nothing is lost: no
// chain is mended by another kind of backup, and each database comes back as it was at every recorded moment.
func TestKilledLogBackups(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	if text, ok := os.LookupEnv("QUIESCE_CRASH_SEED"); ok {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("QUIESCE_CRASH_SEED=%d", seed)
	w := newKillSQLWorld(t, rand.New(rand.NewPCG(seed, 2)))
	begun := time.Now()
	w.write(t)
	w.backup(t)
	usual := time.Since(begun)

	killed := map[string]int{}
	for deaths := 0; deaths < (crashPoints(t)+1)/2; {
		w.write(t)
		if how, died := w.kill(t, usual); died {
			killed[how]++
			deaths++
		}
		w.write(t)
		if w.rnd.IntN(3) > 0 {
			w.backup(t)
		} // else it dies again before anything is well
	}
	w.backup(t)
	require.Empty(t, filesBelow(filepath.Join(w.dir, "stage")))
	w.obm(t, "verify", "sales", "--level", "format")
	salvaged := w.unbroken(t)
	w.restores(t)
	t.Logf("killed: %v; %d runs salvaged; usual run %s; %d restores", killed, salvaged, usual, len(w.moments))
}

func newKillSQLWorld(t *testing.T, rnd *rand.Rand) *killSQLWorld {
	w := &killSQLWorld{dir: t.TempDir(), rnd: rnd}
	require.NoError(t, os.Mkdir(filepath.Join(w.dir, "stage"), 0o700))
	var authority []byte
	var err error
	w.sqlServer, authority, err = newSQLServer("SALES", map[string]string{`S:\stage`: filepath.Join(w.dir, "stage")}, nil)
	require.NoError(t, err)
	require.NoError(t, w.start())
	t.Cleanup(func() { w.stop() })
	for _, db := range []string{"shop", "books"} {
		require.NoError(t, w.CreateDatabase(db, mssqlsim.Full))
	}
	trusted := filepath.Join(w.dir, "ca.pem")
	require.NoError(t, os.WriteFile(trusted, authority, 0o600))
	require.NoError(t, os.WriteFile(w.config(), fmt.Appendf(nil, killSQLConfig, w.dir, w.dsn(trusted)), 0o600))
	w.obm(t, "backup", "sales")
	return w
}

func (w *killSQLWorld) config() string { return filepath.Join(w.dir, "obm.yaml") }

// write lets the databases go on, and remembers their states.
func (w *killSQLWorld) write(t *testing.T) {
	for _, db := range []string{"shop", "books"} {
		for range 1 + w.rnd.IntN(2) {
			w.records++
			require.NoError(t, w.Insert(db, fmt.Sprintf("%s %d", db, w.records)))
		}
		records, err := w.Contents(db)
		require.NoError(t, err)
		w.moments = append(w.moments, sqlMoment{db, w.now(), records})
	}
}

// obm is the program in this process, for what is not killed.
func (w *killSQLWorld) obm(t *testing.T, args ...string) string {
	t.Helper()
	var out, log bytes.Buffer
	p := &cli.Program{Applications: config.Registry{"mssql": config.App(openMSSQL)}, Stdout: &out, Stderr: &log}
	code := p.Run(t.Context(), append([]string{"--config", w.config()}, args...))
	require.Zero(t, code, "obm %s\n%s%s", strings.Join(args, " "), &out, &log)
	return out.String()
}

// child is the program as a process that takes a log backup, and is killed when ctx ends.
func (w *killSQLWorld) child(ctx context.Context, log *bytes.Buffer) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "obm", "--config", w.config(), "backup", "sales", "--kind", "log")
	cmd.Stdout, cmd.Stderr = log, log
	return cmd
}

// kill ends a log backup as kill -9 does: after a time, or when the server has just ended a BACKUP LOG, before its answer has left.
func (w *killSQLWorld) kill(t *testing.T, usual time.Duration) (how string, died bool) {
	var log bytes.Buffer
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	cmd := w.child(ctx, &log)
	how = "any time"
	if w.rnd.IntN(2) == 0 {
		how = "log just truncated"
		nth := 1 + w.rnd.IntN(2)
		w.atLogEnd(func() {
			if nth--; nth == 0 {
				kill()
			}
		})
	}
	require.NoError(t, cmd.Start())
	if how == "any time" {
		time.Sleep(time.Duration(w.rnd.Float64() * 1.2 * float64(usual)))
		kill() // it may have ended
	}
	err := cmd.Wait()
	w.atLogEnd(nil)
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, context.Canceled): // it ended first
		return how, false
	case errors.As(err, &exit) && killed(exit):
		return how, true
	}
	require.True(t, errors.As(err, &exit) && notNow(exit.ExitCode(), log.String()), "it ended by itself: %v\n%s", err, &log)
	return how, false
}

// notNow tells that a run could not begin yet, since the one before was killed a moment ago.
func notNow(code int, log string) bool {
	return code == 5 || code == 1 && strings.Contains(log, "a log backup is still at work on the server")
}

// backup takes a log backup that must succeed as soon as the dead are gone.
func (w *killSQLWorld) backup(t *testing.T) {
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		var log bytes.Buffer
		err := w.child(t.Context(), &log).Run()
		if err == nil {
			return
		}
		exit := (*exec.ExitError)(nil)
		require.True(t, errors.As(err, &exit) && notNow(exit.ExitCode(), log.String()) && time.Now().Before(end), "%v\n%s", err, &log)
	}
}

// unbroken requires that after the first backup each is a log that goes on where the one before ended, and counts those that a later run brought home.
func (w *killSQLWorld) unbroken(t *testing.T) (salvaged int) {
	end := map[string]backup.Position{}
	for _, m := range manifestsAt(t, filepath.Join(w.dir, "target", "sales")) { // by name, and so in the order of their runs
		if m.Abandoned != "" {
			continue
		}
		if m.Resumed {
			salvaged++
		}
		for _, it := range m.Items {
			require.Empty(t, it.Error)
			require.Empty(t, it.Reason, "%s of %s: the chain was mended", m.ID, it.Name)
			if it.Kind != backup.Log {
				continue // the first, which the first log overlaps
			}
			if before, ok := end[it.Name]; ok {
				require.Equal(t, before, it.Begin, "%s of %s", m.ID, it.Name)
			}
			end[it.Name] = it.End
		}
	}
	require.Len(t, end, 2)
	return salvaged
}

// restores brings every database back as it was at every moment.
func (w *killSQLWorld) restores(t *testing.T) {
	for i, m := range w.moments {
		as := fmt.Sprintf("copy%d", i)
		w.obm(t, "restore", "sales", "--item", m.database, "--as", as, "--at", m.at.Format(time.RFC3339Nano), "--yes")
		got, err := w.Contents(as)
		require.NoError(t, err)
		require.Equal(t, m.records, got, "%s at %s", m.database, m.at)
		w.DropDatabase(as)
	}
}
