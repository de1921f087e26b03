package oraclesim

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// clock goes one second at each look.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 3, 4, 5, 6, 7, 0, time.FixedZone("", 2*3600))}
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Second)
}

type lab struct {
	*Instance
	t     *testing.T
	dir   string
	clock *clock
	db    *sql.DB
	conn  *sql.Conn
}

func newLab(t *testing.T, change func(*Config)) *lab {
	t.Helper()
	l := &lab{t: t, dir: t.TempDir(), clock: newClock()}
	c := Config{SID: "ORCL", Dir: filepath.Join(l.dir, "db"), Now: l.clock.read, Blocks: 12, Seed: 7}
	if change != nil {
		change(&c)
	}
	i, err := Create(c)
	require.NoError(t, err)
	l.Instance = i
	l.connect()
	return l
}

func (l *lab) connect() {
	l.t.Helper()
	if l.db != nil {
		l.db.Close()
	}
	l.db = l.OpenDB(Login{})
	l.t.Cleanup(func() { l.db.Close() })
	conn, err := l.db.Conn(l.t.Context())
	require.NoError(l.t, err)
	l.conn = conn
}

func (l *lab) exec(query string) error {
	_, err := l.conn.ExecContext(l.t.Context(), query)
	return err
}

func (l *lab) must(queries ...string) {
	l.t.Helper()
	for _, q := range queries {
		require.NoError(l.t, l.exec(q), q)
	}
}

func (l *lab) refused(code int, query string) {
	l.t.Helper()
	err := l.exec(query)
	require.Error(l.t, err, query)
	assert.Contains(l.t, err.Error(), fmt.Sprintf("ORA-%05d", code), query)
}

func (l *lab) one(query string) string {
	l.t.Helper()
	var v sql.NullString
	require.NoError(l.t, l.conn.QueryRowContext(l.t.Context(), query).Scan(&v), query)
	return v.String
}

// write commits n rows, one a second.
func (l *lab) write(n int) {
	l.t.Helper()
	for range n {
		l.clock.tick()
		_, err := l.Commit("USERS", "row of "+l.clock.read().Format(time.TimeOnly))
		require.NoError(l.t, err)
	}
}

// copyTo copies files to a folder, by name.
func copyTo(t *testing.T, dir string, paths ...string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o750))
	for _, p := range paths {
		b, err := os.ReadFile(p)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(p)), b, 0o640))
	}
}

// hot makes a full backup: the data files, in backup mode or not, control file, parameters.
func (l *lab) hot(dir string, mode bool) {
	l.t.Helper()
	if mode {
		l.must("ALTER DATABASE BEGIN BACKUP")
	}
	require.NoError(l.t, os.MkdirAll(dir, 0o750))
	for n, f := range l.Files() {
		copyTo(l.t, dir, f.Path)
		l.write(2)
		if n%2 == 0 {
			require.NoError(l.t, l.Checkpoint())
		}
	}
	if mode {
		l.must("ALTER DATABASE END BACKUP")
	}
	l.must("ALTER SYSTEM ARCHIVE LOG CURRENT", "ALTER DATABASE BACKUP CONTROLFILE TO '"+dir+"/control.bak'", "CREATE PFILE='"+dir+"/init.ora' FROM SPFILE")
}

// logs copies the archived logs.
func (l *lab) logs(dir string) {
	l.t.Helper()
	rows, err := l.conn.QueryContext(l.t.Context(), "SELECT NAME FROM V$ARCHIVED_LOG WHERE NAME IS NOT NULL AND DEST_ID = 1")
	require.NoError(l.t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		require.NoError(l.t, rows.Scan(&name))
		copyTo(l.t, dir, name)
	}
	require.NoError(l.t, rows.Err())
}

// restore puts a backup in place of the database, which dies, and mounts it.
func (l *lab) restore(dir string) {
	l.t.Helper()
	files, controls := l.Files(), l.params.list("control_files")
	l.Crash()
	for _, f := range files {
		require.NoError(l.t, os.RemoveAll(f.Path))
		if _, err := os.Stat(filepath.Join(dir, filepath.Base(f.Path))); err == nil {
			copyTo(l.t, filepath.Dir(f.Path), filepath.Join(dir, filepath.Base(f.Path)))
		}
	}
	for _, c := range controls {
		b, err := os.ReadFile(filepath.Join(dir, "control.bak"))
		require.NoError(l.t, err)
		require.NoError(l.t, os.WriteFile(c, b, 0o640))
	}
	require.NoError(l.t, l.Startup(Mounted))
	l.connect()
}

var needs280 = regexp.MustCompile(`for thread (\d+) is in sequence #(\d+)`)

// recover plays the conversation with the logs of a folder until there are no more, and returns the last answer.
func (l *lab) recover(clause, dir string) error {
	l.t.Helper()
	err := l.exec("ALTER DATABASE RECOVER " + clause)
	for err != nil && strings.HasPrefix(err.Error(), "ORA-00279") {
		m := needs280.FindStringSubmatch(err.Error())
		require.NotNil(l.t, m, err.Error())
		all, gerr := filepath.Glob(filepath.Join(dir, m[1]+"_"+m[2]+"_*"))
		require.NoError(l.t, gerr)
		if len(all) == 0 {
			return l.exec("ALTER DATABASE RECOVER CANCEL")
		}
		err = l.exec("ALTER DATABASE RECOVER LOGFILE '" + all[0] + "'")
	}
	return err
}

func texts(all []Record) (texts []string) {
	for _, r := range all {
		texts = append(texts, r.Text)
	}
	return texts
}

func TestHotBackupAndRecoveryToAnyMoment(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	dir := filepath.Join(l.dir, "backup")
	l.write(5)
	l.hot(dir, true)
	end := l.SCN()
	l.write(6)
	l.must("ALTER SYSTEM ARCHIVE LOG CURRENT")
	l.write(3)
	l.must("ALTER SYSTEM ARCHIVE LOG CURRENT")
	truth, err := l.Contents()
	require.NoError(t, err)
	l.logs(dir)
	for _, r := range truth {
		if r.SCN <= end {
			continue
		}
		l.restore(dir)
		require.NoError(t, l.recover("DATABASE UNTIL CHANGE "+strconv.FormatUint(r.SCN, 10)+" USING BACKUP CONTROLFILE", dir))
		l.must("ALTER DATABASE OPEN RESETLOGS")
		got, err := l.Contents()
		require.NoError(t, err)
		var want []Record
		for _, w := range truth {
			if w.SCN < r.SCN {
				want = append(want, w)
			}
		}
		assert.Equal(t, texts(want), texts(got), "until change %d", r.SCN)

		l.restore(dir)
		require.NoError(t, l.recover("DATABASE UNTIL TIME '"+r.At.Format("2006-01-02:15:04:05")+"' USING BACKUP CONTROLFILE", dir))
		l.must("ALTER DATABASE OPEN RESETLOGS")
		got, err = l.Contents()
		require.NoError(t, err)
		assert.Equal(t, texts(want), texts(got), "until time %s", r.At)
	}
	l.restore(dir)
	require.NoError(t, l.recover("DATABASE UNTIL CANCEL USING BACKUP CONTROLFILE", dir))
	l.must("ALTER DATABASE OPEN RESETLOGS")
	got, err := l.Contents()
	require.NoError(t, err)
	assert.Equal(t, texts(truth), texts(got))
	assert.Equal(t, "1", l.one("SELECT SEQUENCE# FROM V$LOG WHERE STATUS = 'CURRENT'"))
	assert.Equal(t, "2", l.one("SELECT COUNT(*) FROM V$DATABASE_INCARNATION"))
}

func TestCopiesOutsideBackupModeAreTorn(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	dir := filepath.Join(l.dir, "backup")
	l.write(5)
	l.hot(dir, false)
	l.write(5)
	l.must("ALTER SYSTEM ARCHIVE LOG CURRENT")
	l.logs(dir)
	l.restore(dir)
	err := l.recover("DATABASE UNTIL CANCEL USING BACKUP CONTROLFILE", dir)
	require.Error(t, err)
	assert.Contains(t, err.Error(), "ORA-01578")
	l.refused(1194, "ALTER DATABASE OPEN RESETLOGS")
}
