package oraclesim

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// slowly copies a file in small pieces, so that writes go on between them.
func slowly(t *testing.T, from, to string) {
	t.Helper()
	r, err := os.Open(from)
	require.NoError(t, err)
	defer r.Close()
	w, err := os.Create(to)
	require.NoError(t, err)
	_, err = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, 3000))
	require.NoError(t, err)
	require.NoError(t, w.Close())
}

func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		l := newLab(t, func(c *Config) {
			c.Seed, c.LogBlocks, c.Blocks, c.Threads = seed, 48, 40, 2
			c.Tablespaces = []Tablespace{{Name: "USERS", Files: 2}, {Name: "BIG", Bigfile: true}}
		})
		dir := t.TempDir()
		stop, done := make(chan struct{}), make(chan error, 1)
		var once sync.Once
		end := func() { once.Do(func() { close(stop) }) }
		t.Cleanup(end)
		go func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				l.clock.tick()
				space := []string{"USERS", "BIG"}[n%2]
				if _, err := l.CommitOn(1+n%2, space, fmt.Sprint("row ", n)); err != nil && code(err) != 1653 {
					done <- err
					return
				}
				if n%7 == 0 {
					if err := l.Checkpoint(); err != nil {
						done <- err
						return
					}
				}
				time.Sleep(time.Millisecond) // the copy is what is being tested
			}
		}()
		for _, space := range []string{"SYSTEM", "SYSAUX", "UNDOTBS1", "USERS", "BIG"} {
			l.must("ALTER TABLESPACE " + space + " BEGIN BACKUP")
			for _, f := range l.Files() {
				if f.Tablespace == space {
					slowly(t, f.Path, filepath.Join(dir, filepath.Base(f.Path)))
				}
			}
			l.must("ALTER TABLESPACE " + space + " END BACKUP")
		}
		l.must("ALTER SYSTEM ARCHIVE LOG CURRENT", "ALTER DATABASE BACKUP CONTROLFILE TO '"+dir+"/control.bak'")
		past := l.SCN()
		end()
		require.NoError(t, <-done)
		l.must("ALTER SYSTEM ARCHIVE LOG CURRENT")
		truth, err := l.Contents()
		require.NoError(t, err)
		for _, r := range truth {
			assert.NotEmpty(t, r.Text)
		}
		l.logs(dir)
		for _, clause := range []string{"UNTIL CANCEL", fmt.Sprintf("UNTIL CHANGE %d", past+1)} {
			l.restore(dir)
			require.NoError(t, l.recoverThreads("DATABASE "+clause+" USING BACKUP CONTROLFILE", dir), "seed %d", seed)
			l.must("ALTER DATABASE OPEN RESETLOGS")
			var want []Record
			for _, r := range truth {
				if clause == "UNTIL CANCEL" || r.SCN <= past {
					want = append(want, r)
				}
			}
			got, err := l.Contents()
			require.NoError(t, err)
			assert.Equal(t, texts(want), texts(got), "seed %d, %s", seed, clause)
		}
	}
}

// recoverThreads is recover where a log of another thread may be asked for without its sequence: the SCN then tells which it is.
func (l *lab) recoverThreads(clause, dir string) error {
	l.t.Helper()
	err := l.exec("ALTER DATABASE RECOVER " + clause)
	for code(err) == 279 {
		var scn uint64
		var at, clock string
		var thread int
		_, serr := fmt.Sscanf(err.Error(), "ORA-00279: change %d generated at %s %s needed for thread %d", &scn, &at, &clock, &thread)
		require.NoError(l.t, serr, err.Error())
		all, gerr := filepath.Glob(filepath.Join(dir, fmt.Sprint(thread)+"_*"))
		require.NoError(l.t, gerr)
		next := ""
		for _, path := range all {
			f, rerr := readRedo(path)
			require.NoError(l.t, rerr)
			if f.First <= scn && scn < f.Next {
				next = path
			}
		}
		if next == "" {
			return l.exec("ALTER DATABASE RECOVER CANCEL")
		}
		err = l.exec("ALTER DATABASE RECOVER LOGFILE '" + next + "'")
	}
	return err
}

// A copy that goes on behind END BACKUP, or begins before BEGIN BACKUP, is not repaired.
func TestCopiesThatCrossBackupMode(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		l := newLab(t, nil)
		dir := t.TempDir()
		l.hot(dir, true)
		f := l.Files()[3]
		head := func() []byte {
			b, err := os.ReadFile(f.Path)
			require.NoError(t, err)
			return b[:len(b)/2]
		}
		tail := func() []byte {
			b, err := os.ReadFile(f.Path)
			require.NoError(t, err)
			return b[len(b)/2:]
		}
		var copied []byte
		if late {
			l.must("ALTER TABLESPACE USERS BEGIN BACKUP")
			copied = head()
			l.must("ALTER TABLESPACE USERS END BACKUP")
			l.write(2)
			require.NoError(t, l.Checkpoint())
			copied = append(copied, tail()...)
		} else {
			copied = head()
			l.must("ALTER TABLESPACE USERS BEGIN BACKUP")
			copied = append(copied, tail()...)
			l.must("ALTER TABLESPACE USERS END BACKUP")
		}
		l.must("ALTER SYSTEM ARCHIVE LOG CURRENT", "ALTER DATABASE DATAFILE 4 OFFLINE")
		require.NoError(t, os.WriteFile(f.Path, copied, 0o600))
		err := l.exec("ALTER DATABASE RECOVER AUTOMATIC TABLESPACE USERS")
		require.Error(t, err)
		assert.Contains(t, err.Error(), "ORA-01578", "late: %v", late)
	}
}
