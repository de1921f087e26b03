package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/examples/customagent/keeper"
	"github.com/quiesce-go/quiesce/examples/customagent/sqlite"
)

func TestSource(t *testing.T) { backuptest.TestSource(t, newLibrary) }

// maxLines is what the example promises: an agent is a small thing.
const maxLines = 300

func TestAgentIsSmall(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	lines := 0
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") || f == "doc.go" {
			continue
		}
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
				lines++
			}
		}
	}
	assert.Positive(t, lines)
	assert.Less(t, lines, maxLines, "lines of code, without blank lines and comments")
}

// job is a library with a target.
type job struct {
	*library
	sink *backuptest.MemSink
}

func newJob(t *testing.T) *job {
	l, err := openLibrary()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return &job{l, backuptest.NewMemSink()}
}

func (j *job) pipeline(t *testing.T) *backup.Pipeline {
	p, err := backup.New(backup.Config{Job: "library", Source: j.Source(), Sink: j.sink, PartSize: 64 << 10, Workers: 2})
	require.NoError(t, err)
	return p
}

// run takes a backup and returns its only item.
func (j *job) run(t *testing.T, kind backup.Kind) backup.Item {
	m, err := j.pipeline(t).Backup(t.Context(), kind)
	require.NoError(t, err)
	require.Len(t, m.Items, 1)
	return m.Items[0]
}

// restore restores under another name and returns where.
func (j *job) restore(t *testing.T, at time.Time) (string, error) {
	p := j.pipeline(t)
	name := fmt.Sprintf("restored %d.db", at.UnixNano())
	plan, err := p.Plan(t.Context(), backup.Target{Time: at, Select: []backup.Selection{{Name: filepath.Base(j.path), As: name}}})
	if err == nil {
		err = plan.Err()
	}
	if err != nil {
		return "", err
	}
	return filepath.Join(j.dir, name), p.Restore(t.Context(), plan, backup.RestoreOptions{Overwrite: true})
}

// value asks a database for a number.
func value(t *testing.T, path, query string) (n int) {
	db, err := keeper.Open(path, "mode=rw")
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&n))
	return n
}

// TestTimesAreTrue restores to many times of a history that was written while backups ran. What comes back was committed before the time,
// and all that was committed a resolution before it is there.
func TestTimesAreTrue(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	j.o.Resolution = 400 * time.Millisecond
	j.run(t, backup.Full)

	type commit struct{ begun, done time.Time }
	var history []commit
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() {
		failed = j.use(context.WithoutCancel(ctx), "rw", func(db *sql.Conn) error {
			for ctx.Err() == nil {
				c := commit{begun: time.Now()}
				if _, err := db.ExecContext(context.WithoutCancel(ctx), "INSERT INTO visit VALUES (randomblob(2000))"); err != nil {
					return err
				}
				c.done = time.Now()
				history = append(history, c)
				time.Sleep(3 * time.Millisecond)
			}
			return nil
		})
	})
	for range 4 {
		time.Sleep(150 * time.Millisecond)
		it := j.run(t, backup.Log)
		assert.Equal(t, backup.Log, it.Kind, it.Reason)
	}
	cancel()
	wg.Wait()
	require.NoError(t, failed)
	last := j.run(t, backup.Log)

	restored := 0
	for i := 0; i < len(history); i += 1 + len(history)/25 {
		at := history[i].done
		path, err := j.restore(t, at)
		if err != nil {
			continue // on a machine this slow nobody looked for longer than the resolution: the link says so
		}
		restored++
		n := value(t, path, "SELECT count(*) FROM visit")
		if n > 0 {
			assert.False(t, history[n-1].begun.After(at), "visit %d was begun after %s", n, at)
		}
		if n < len(history) {
			missing := at.Sub(history[n].done)
			assert.LessOrEqual(t, missing, j.o.Resolution+2*time.Millisecond, "visit %d was committed %s before %s and is missing", n+1, missing, at)
		}
		require.NoError(t, os.Remove(path))
	}
	t.Logf("%d commits, %d times restored", len(history), restored)
	path, err := j.restore(t, last.Window.To)
	require.NoError(t, err)
	assert.Len(t, history, value(t, path, "SELECT count(*) FROM visit"))
}

// TestKilledKeeper loses the process that keeps the log between two runs, while the application goes on.
func TestKilledKeeper(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	j.o.Resolution = 50 * time.Millisecond
	require.NoError(t, j.kill())
	j.frames = 1 << 20 // nobody checkpoints
	require.NoError(t, j.keep())
	full := j.run(t, backup.Full)
	require.NoError(t, j.use(t.Context(), "rw", func(open *sql.Conn) error { // a database in use keeps its log
		_, err := open.ExecContext(t.Context(), "INSERT INTO visit VALUES ('before')")
		require.NoError(t, err)
		_, err = j.Now(t.Context()) // an empty log that nobody held proves nothing: let this one be seen
		require.NoError(t, err)
		require.NoError(t, j.kill())
		_, err = open.ExecContext(t.Context(), "INSERT INTO visit VALUES ('alone')")
		require.NoError(t, err)
		time.Sleep(2 * j.o.Resolution)
		require.NoError(t, j.keep())
		it := j.run(t, backup.Log)
		assert.Equal(t, backup.Log, it.Kind, it.Reason)
		assert.False(t, it.PointInTime, "nobody knows when the changes were committed")
		_, err = j.restore(t, it.Window.To.Add(-time.Millisecond))
		require.Error(t, err, "a restore to a time in a link that has none")
		path, err := j.restore(t, it.Window.To)
		require.NoError(t, err)
		assert.Equal(t, 2, value(t, path, "SELECT count(*) FROM visit"))
		path, err = j.restore(t, full.Window.To)
		require.NoError(t, err)
		assert.Zero(t, value(t, path, "SELECT count(*) FROM visit"))
		return nil
	}))
}

func TestForeignCheckpointBreaksTheChain(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	j.run(t, backup.Full)
	require.NoError(t, j.ResetLog(t.Context()))
	it := j.run(t, backup.Log)
	assert.Equal(t, backup.Full, it.Kind)
	assert.Contains(t, it.Reason, "reset by somebody else")
	it = j.run(t, backup.Log)
	assert.Equal(t, backup.Log, it.Kind, it.Reason)
}

// TestAnotherJobTookTheLog: the journal forgets what one job has; another one then needs a full.
func TestAnotherJobTookTheLog(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	j.run(t, backup.Full)
	other := &job{j.library, backuptest.NewMemSink()}
	require.NoError(t, j.Mutate(t.Context(), 3))
	other.run(t, backup.Full)
	it := j.run(t, backup.Log)
	assert.Equal(t, backup.Full, it.Kind)
	assert.Contains(t, it.Reason, "does not reach back")
}

func TestRestoreDoesNotReplaceWhatIsInUse(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	j.run(t, backup.Full)
	p := j.pipeline(t)
	plan, err := p.Plan(t.Context(), backup.Target{})
	require.NoError(t, err)
	require.NoError(t, j.use(t.Context(), "rw", func(open *sql.Conn) error {
		require.NoError(t, open.PingContext(t.Context()))
		_, err := open.ExecContext(t.Context(), "INSERT INTO visit VALUES ('kept')")
		require.NoError(t, err)
		err = p.Restore(t.Context(), plan, backup.RestoreOptions{Overwrite: true})
		require.Error(t, err)
		assert.True(t, keeper.Busy(err), err)
		assert.Contains(t, backup.Hint(err), "some program has the database open")
		return nil
	}))
	assert.Equal(t, 1, value(t, j.path, "SELECT count(*) FROM visit"))
	left, err := filepath.Glob(filepath.Join(j.dir, "*-restoring"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestDamagedDatabaseIsReplaced(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	j.run(t, backup.Full)
	want, err := j.Fingerprint(t.Context())
	require.NoError(t, err)
	require.NoError(t, j.kill())
	require.NoError(t, os.WriteFile(j.path, []byte(strings.Repeat("not a database ", 1000)), 0o600))
	require.NoError(t, os.WriteFile(j.path+"-wal", []byte("left"), 0o600))
	require.NoError(t, j.keep())
	p := j.pipeline(t)
	plan, err := p.Plan(t.Context(), backup.Target{})
	require.NoError(t, err)
	require.NoError(t, p.Restore(t.Context(), plan, backup.RestoreOptions{Overwrite: true}))
	got, err := j.Fingerprint(t.Context())
	require.NoError(t, err)
	assert.Equal(t, want, got)
	assert.Equal(t, backup.Full, j.run(t, backup.Log).Kind, "no log leads to a database that was replaced")
}

func TestRestoreStaysBesideTheDatabase(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	j.run(t, backup.Full)
	p := j.pipeline(t)
	plan, err := p.Plan(t.Context(), backup.Target{Select: []backup.Selection{{Name: filepath.Base(j.path), As: "../elsewhere.db"}}})
	require.NoError(t, err)
	require.ErrorContains(t, p.Restore(t.Context(), plan, backup.RestoreOptions{}), "beside the database")
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ pragma, want, hint string }{
		"missing":  {"", "unable to open", ""},
		"rollback": {"journal_mode=DELETE", "no write-ahead log", "journal_mode=WAL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "x.db")
			if c.pragma != "" {
				db, err := keeper.Open(path, "_pragma="+c.pragma)
				require.NoError(t, err)
				_, err = db.ExecContext(t.Context(), "CREATE TABLE a (b)")
				require.NoError(t, errors.Join(err, db.Close()))
			}
			k, err := keeper.New(path, nil)
			require.NoError(t, err)
			defer k.Close()
			found := sqlite.New(k, nil).Check(t.Context(), backup.StageDir{})
			require.Len(t, found, 1)
			require.ErrorContains(t, found[0].Err, c.want)
			assert.Contains(t, found[0].Hint, c.hint)
			if c.pragma == "" {
				assert.NoFileExists(t, path, "a look made the database it was to look at")
			}
		})
	}
}
