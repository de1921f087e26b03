package oracle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

// mortalEnv holds the rehearsal that a process of its own is to do, in JSON.
const mortalEnv = "QUIESCE_TEST_REHEARSAL"

// mortalRehearsal is done by a process that may be killed. It needs no connection to the database.
type mortalRehearsal struct {
	Objects, Scratch, State, SQLPlus, RMAN string
}

// mortalMain is the main function of that process.
func mortalMain(what string) error {
	var r mortalRehearsal
	if err := json.Unmarshal([]byte(what), &r); err != nil {
		return err
	}
	ctx := context.Background()
	sink := backuptest.NewMemSink()
	err := filepath.WalkDir(r.Objects, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		key, err := filepath.Rel(r.Objects, path)
		if err != nil {
			return err
		}
		return sink.Put(ctx, filepath.ToSlash(key), bytes.NewReader(b))
	})
	if err != nil {
		return err
	}
	src, err := New("oracle://nobody:x@127.0.0.1:1/none", &Options{StateDir: r.State, Auxiliary: "AUX", SQLPlus: r.SQLPlus, RMAN: r.RMAN})
	if err != nil {
		return err
	}
	p, err := backup.New(backup.Config{Job: "lab", Source: src, Sink: sink})
	if err != nil {
		return err
	}
	plan, err := p.Plan(ctx, backup.Target{})
	if err != nil {
		return err
	}
	return errors.Join(p.Rehearse(ctx, plan, r.Scratch, backup.RestoreOptions{}), src.Close())
}

// export writes what is at the target to a folder.
func (l *lab) export(dir string) {
	l.t.Helper()
	for _, key := range l.sink.Keys("") {
		b, ok := l.sink.Object(key)
		require.True(l.t, ok, key)
		path := filepath.Join(dir, filepath.FromSlash(key))
		require.NoError(l.t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(l.t, os.WriteFile(path, b, 0o600))
	}
}

// What a rehearsal leaves that is killed, the next one ends and removes; the original is not touched by either.
func TestAKilledRehearsalIsCleanedUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mode    Mode
		at      string
		running bool
	}{
		"before it starts": {"", "STARTUP", true}, "mounted": {"", "ALTER DATABASE RENAME FILE", true}, "recovering": {"", "ALTER DATABASE RECOVER LOGFILE", true}, "opening": {"", "ALTER DATABASE OPEN RESETLOGS", true},
		"ending": {"", "SHUTDOWN ABORT", false}, "RMAN restoring": {ModeRMAN, "RESTORE DATABASE", true}, "RMAN recovering": {ModeRMAN, "RECOVER DATABASE", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, &Options{Mode: c.mode}, nil)
			aux, scratch := l.stageRehearsal()
			truth := l.history(1)
			before := l.files()
			r := mortalRehearsal{Objects: filepath.Join(l.dir, "objects"), Scratch: scratch, State: l.opt.StateDir, SQLPlus: l.opt.SQLPlus, RMAN: l.opt.RMAN}
			l.export(r.Objects)
			what, err := json.Marshal(r)
			require.NoError(t, err)
			self, err := os.Executable()
			require.NoError(t, err)
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), mortalEnv+"="+string(what))
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			started := make(chan struct{})
			gone := make(chan struct{})
			l.during(c.at, func() {
				<-started
				_ = cmd.Process.Kill() // Wait tells
				<-gone
			})
			require.NoError(t, cmd.Start())
			close(started)
			werr := cmd.Wait()
			close(gone)
			require.ErrorContains(t, werr, "killed", out.String())
			require.NotEmpty(t, leftovers(t, scratch))
			// The program that it had started goes on for a while.
			require.Eventually(t, func() bool { return aux.Sessions() == 0 && (aux.State() != oraclesim.Down) == c.running }, time.Minute, 10*time.Millisecond)

			notes, err := l.rehearse(backup.Target{}, scratch, nil)
			require.NoError(t, err)
			assert.NotEmpty(t, notes["opened"])
			assert.Equal(t, oraclesim.Down, aux.State())
			assert.Empty(t, leftovers(t, scratch))
			assert.Equal(t, before, l.files())
			assert.Equal(t, oraclesim.Open, l.sim.State())
			assert.Len(t, l.contents(), len(truth))
		})
	}
}

// A rehearsal that is cancelled cleans up itself.
func TestACancelledRehearsalCleansUp(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"STARTUP", "ALTER DATABASE RECOVER DATABASE", "VALIDATE CHECK LOGICAL"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nil, nil)
			aux, scratch := l.stageRehearsal()
			l.history(1)
			before := l.files()
			p, plan := l.planned(backup.Target{})
			ctx, cancel := context.WithCancel(t.Context())
			l.during(at, cancel)
			require.ErrorIs(t, p.Rehearse(ctx, plan, scratch, backup.RestoreOptions{}), context.Canceled)
			assert.Equal(t, oraclesim.Down, aux.State())
			assert.Empty(t, leftovers(t, scratch))
			assert.Equal(t, before, l.files())
		})
	}
}

// What a dead validation left, RMAN forgets and the folder loses, and nothing else.
func TestADeadValidationIsCleanedUp(t *testing.T) {
	t.Parallel()
	l := newLab(t, &Options{Mode: ModeRMAN}, nil)
	_, scratch := l.stageRehearsal()
	l.rmanHistory(1)
	own := filepath.Join(l.dir, "own")
	require.NoError(t, os.MkdirAll(own, 0o700))
	l.rmanMust("BACKUP AS COPY DATAFILE 4 FORMAT '" + own + "/4.dbf' TAG 'OWN';")
	known := l.knownNames()
	in, err := l.source().incarnation(t.Context())
	require.NoError(t, err)
	dir, lock, err := lockRehearsal(scratch, "validate-"+strconv.FormatUint(in.DBID, 10))
	require.NoError(t, err)
	require.NoError(t, lock.Release())
	require.NoError(t, os.MkdirAll(dir, 0o700))
	for from, to := range map[string]string{filepath.Join(own, "4.dbf"): "4.dbf", l.archived()[0]: "log.arc"} {
		b, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, to), b, 0o600))
	}
	l.rmanMust("CATALOG START WITH '" + dir + "/' NOPROMPT;")
	require.Len(t, l.knownNames(), len(known)+2)
	_, err = l.rehearse(backup.Target{}, scratch, map[string]string{"method": "validate"})
	require.NoError(t, err)
	assert.ElementsMatch(t, known, l.knownNames())
	assert.Empty(t, leftovers(t, scratch))
	assert.FileExists(t, filepath.Join(own, "4.dbf"))
}
