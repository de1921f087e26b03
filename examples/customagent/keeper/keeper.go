package keeper

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrNoWAL means that the database is not in WAL mode: it has no log that could be kept.
var ErrNoWAL = errors.New("the database has no write-ahead log")

// Options shape a Keeper. The zero value works.
type Options struct {
	// Every is the time between two looks of Keep, and so how fine the times of the log are. Default 1 second.
	Every time.Duration
	// Checkpoint is the length of the write-ahead log, in frames, from which Keep writes it into the database. Default 1000, as SQLite does.
	Checkpoint int64
	// Logger is told of looks of Keep that fail. Default discards.
	Logger *slog.Logger
}

// Keeper keeps the log of one database. It may be used by many goroutines; several, in several processes, may keep the same database.
type Keeper struct {
	path         string
	o            Options
	app, journal *sql.DB

	mu      sync.Mutex // one look at a time
	keeping bool
	hold    *hold // while keeping, after the first look
}

// New makes a Keeper of the database at path. It does no I/O. Nil options work.
func New(path string, o *Options) (*Keeper, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	k := &Keeper{path: path, o: *cmp.Or(o, &Options{})}
	k.o.Every, k.o.Checkpoint = cmp.Or(k.o.Every, time.Second), cmp.Or(k.o.Checkpoint, 1000)
	k.o.Logger = cmp.Or(k.o.Logger, slog.New(slog.DiscardHandler))
	if k.app, err = Open(path, "mode=rw"); err != nil {
		return nil, err
	}
	k.journal, err = Open(path+"-quiesce", "_pragma=journal_mode(wal)")
	return k, err
}

// Open prepares connections to a SQLite file with further parameters of its URI. Each connection lives for one use.
func Open(path, parameters string) (*sql.DB, error) {
	u := url.URL{Scheme: "file", Path: "/" + strings.TrimPrefix(filepath.ToSlash(path), "/"), RawQuery: "_txlock=immediate&_pragma=busy_timeout(5000)&" + parameters}
	db, err := sql.Open("sqlite", u.String())
	if err == nil {
		db.SetMaxIdleConns(0)
	}
	return db, err
}

// Close gives back what New and Hold took. Keep must have returned.
func (k *Keeper) Close() error {
	k.keep(false)
	return errors.Join(k.app.Close(), k.journal.Close())
}

// Path is the database.
func (k *Keeper) Path() string { return k.path }

// Sizes returns about how many bytes the database and its log have on disk.
func (k *Keeper) Sizes() (data, log int64, err error) {
	size := func(suffix string) int64 {
		info, serr := os.Stat(k.path + suffix)
		if serr != nil && !errors.Is(serr, fs.ErrNotExist) {
			err = errors.Join(err, serr)
		}
		if serr != nil {
			return 0
		}
		return info.Size()
	}
	fresh := size("-wal")
	return size("") + fresh, size("-quiesce") + size("-quiesce-wal") + fresh, err
}

// Busy reports whether err says that somebody else holds what was needed.
func Busy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// Hold looks at the database and holds its log from now on, until Keep ends. On error nothing is held yet, and the next look tries again.
func (k *Keeper) Hold(ctx context.Context) error {
	k.keep(true)
	return k.look(ctx, func() error { return nil })
}

// keep says whether looks move the hold.
func (k *Keeper) keep(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keeping = on; !on {
		k.release()
	}
}

// Keep holds the log and looks at it every Options.Every, until ctx ends. Looks that fail are told to Options.Logger and repeated. A full that is taken
// before the first look is over may have nothing to continue it: call Hold before.
func (k *Keeper) Keep(ctx context.Context) {
	k.keep(true)
	defer k.keep(false)
	tick := time.NewTicker(k.o.Every)
	defer tick.Stop()
	for {
		if err := k.look(ctx, func() error { return nil }); err != nil && ctx.Err() == nil {
			k.o.Logger.Warn("look at the log", "instance", k.path, "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
