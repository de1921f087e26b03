package sqlite_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/examples/customagent/keeper"
	"github.com/quiesce-go/quiesce/examples/customagent/sqlite"
)

var _ interface {
	backup.Source
	backup.Restorer
	backup.Verifier
	backup.Rehearser
	backup.Checker
} = (*sqlite.Source)(nil)

// library is the application of the tests: a database with books and loans, whose every past content is known. Like a program that is started for each request it
// opens the database for each change; what stays is the keeper.
type library struct {
	dir, path string
	o         sqlite.Options
	frames    int64 // Options.Checkpoint of the keeper: so small that the log begins anew every few changes
	k         *keeper.Keeper
	stop      func()

	mu   sync.Mutex
	past map[string]bool
	n    int
}

func newLibrary() (backuptest.Application, error) { return openLibrary() }

func openLibrary() (*library, error) {
	dir, err := os.MkdirTemp("", "library-")
	if err != nil {
		return nil, err
	}
	l := &library{dir: dir, path: filepath.Join(dir, "a library?#%41.db"), past: map[string]bool{}, frames: 20, o: sqlite.Options{Resolution: time.Minute}}
	ctx := context.Background()
	err = l.use(ctx, "rwc", func(db *sql.Conn) error {
		_, err := db.ExecContext(ctx, `PRAGMA journal_mode=WAL;
			CREATE TABLE book (id INTEGER PRIMARY KEY, title TEXT, text BLOB);
			CREATE TABLE loan (book INTEGER, who TEXT);
			CREATE TABLE visit (who TEXT);`)
		return err
	})
	if err == nil {
		err = l.Mutate(ctx, 40)
	}
	if err == nil {
		err = l.keep()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return l, nil
}

// keep starts what a service does beside the application.
func (l *library) keep() (err error) {
	if l.k, err = keeper.New(l.path, &keeper.Options{Every: 30 * time.Millisecond, Checkpoint: l.frames}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	_ = l.k.Hold(ctx) // the database may be lost just now
	var wg sync.WaitGroup
	wg.Go(func() { l.k.Keep(ctx) })
	l.stop = func() { cancel(); wg.Wait() }
	return nil
}

// kill ends the service; what it had in memory is gone.
func (l *library) kill() error {
	l.stop()
	return l.k.Close()
}

// use opens the database as a program does that knows nothing of backups.
func (l *library) use(ctx context.Context, mode string, do func(*sql.Conn) error) error {
	db, err := keeper.Open(l.path, "_pragma=synchronous(off)&mode="+mode) // the tests cut no power
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return do(conn)
}

func (l *library) Source() backup.Source { return sqlite.New(l.k, &l.o) }

func (l *library) Mutate(ctx context.Context, n int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.use(ctx, "rw", func(db *sql.Conn) error {
		for range n {
			l.n++
			var query string
			switch l.n % 7 {
			case 5:
				query = "UPDATE book SET text = randomblob(9000) WHERE id % 3 = ?1 % 3"
			case 6:
				query = "DELETE FROM book WHERE id = ?1 - 4"
			default:
				query = "BEGIN IMMEDIATE; INSERT INTO book VALUES (?1, 'title ' || ?1, randomblob(5000)); INSERT INTO loan VALUES (?1, 'reader'); COMMIT"
			}
			if _, err := db.ExecContext(ctx, query, l.n); err != nil {
				return err
			}
			f, err := fingerprint(ctx, db)
			if err != nil {
				return err
			}
			l.past[f] = true
		}
		return nil
	})
}

func (l *library) Fingerprint(ctx context.Context) (f string, err error) {
	err = l.use(ctx, "rw", func(db *sql.Conn) error {
		f, err = fingerprint(ctx, db)
		return err
	})
	return f, err
}

func fingerprint(ctx context.Context, db *sql.Conn) (string, error) {
	rows, err := db.QueryContext(ctx, `SELECT id, title, text, (SELECT count(*) FROM loan WHERE book = id) FROM book ORDER BY id`)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	sum := sha256.New()
	for rows.Next() {
		var id, loans int
		var title string
		var text []byte
		if err := rows.Scan(&id, &title, &text, &loans); err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%d %q %x %d\n", id, title, text, loans)
	}
	return fmt.Sprintf("%x", sum.Sum(nil)[:8]), rows.Err()
}

func (l *library) Committed(_ context.Context, f string) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.past[f], nil
}

func (l *library) Lose(context.Context) error {
	err := l.kill()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if rerr := os.Remove(l.path + suffix); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	return errors.Join(err, l.keep())
}

// Quiesced finds a lock or a snapshot that was left open. The keeper's own hold is let go meanwhile, so the next log run may become a full.
func (l *library) Quiesced(ctx context.Context) error {
	err := l.kill()
	if _, serr := os.Stat(l.path); serr == nil {
		// Only the last who has the database open can take it out of WAL mode.
		err = errors.Join(err, l.use(ctx, "rw&_pragma=busy_timeout(0)", func(db *sql.Conn) error {
			_, err := db.ExecContext(ctx, "PRAGMA journal_mode=DELETE; PRAGMA journal_mode=WAL")
			return err
		}))
	}
	return errors.Join(err, l.keep())
}

func (l *library) Truncations(ctx context.Context) (int, error) {
	snap, err := l.k.Look(ctx)
	if err != nil {
		return 0, err
	}
	return int(snap.Kept), snap.Close()
}

func (l *library) Now(ctx context.Context) (time.Time, error) {
	snap, err := l.k.Look(ctx)
	if err != nil {
		return time.Time{}, err
	}
	at := snap.Time
	for !time.Now().After(at) {
		time.Sleep(time.Millisecond)
	}
	return at, snap.Close()
}

func (l *library) ResetLog(ctx context.Context) error {
	if err := l.kill(); err != nil {
		return err
	}
	err := l.use(ctx, "rw", func(db *sql.Conn) error {
		_, err := db.ExecContext(ctx, "INSERT INTO visit VALUES ('a'); PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO visit VALUES ('b')")
		return err
	})
	return errors.Join(err, l.keep())
}

func (l *library) Scratch(context.Context) (string, func(context.Context) error, error) {
	dir := filepath.Join(l.dir, "scratch")
	return dir, func(context.Context) error {
		left, err := os.ReadDir(dir)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%s is left", left[0].Name())
		}
		return err
	}, os.MkdirAll(dir, 0o700)
}

func (l *library) Close() error { return errors.Join(l.kill(), os.RemoveAll(l.dir)) }
