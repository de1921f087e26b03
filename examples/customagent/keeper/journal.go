package keeper

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
)

// The journal is a small database beside the protected one. It keeps what was committed until a backup of it is durable: one row for every
// page that changed between two looks. state is what it knows about itself, in one row.
const schema = `
	CREATE TABLE IF NOT EXISTS log (pos INTEGER, time INTEGER, since INTEGER, size INTEGER, no INTEGER, data BLOB, PRIMARY KEY (pos, no));
	CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY, stream TEXT, reason TEXT, pos INTEGER, kept INTEGER, looked INTEGER, frame INTEGER, seal BLOB);
	INSERT OR IGNORE INTO state VALUES (1, '', '', 0, 0, 0, 0, x'')`

type state struct {
	stream string // names a history without a gap
	reason string // why it began
	pos    int64  // of the newest change
	kept   int64  // changes after this one are in the journal
	looked int64  // when somebody looked last, in milliseconds since 1970
	mark   mark   // how far the write-ahead log is in the journal
}

func readState(ctx context.Context, tx *sql.Tx) (st state, err error) {
	err = tx.QueryRowContext(ctx, "SELECT stream, reason, pos, kept, looked, frame, seal FROM state").
		Scan(&st.stream, &st.reason, &st.pos, &st.kept, &st.looked, &st.mark.frame, &st.mark.seal)
	return st, err
}

// look brings the journal up to date and then, before anybody can commit again, calls inside.
func (k *Keeper) look(ctx context.Context, inside func() error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	// A look is short. If its transaction ended with ctx, writers would be let in while we still count on the lock.
	ctx = context.WithoutCancel(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	lock, err := k.app.BeginTx(ctx, nil) // immediate: readers go on, writers wait
	if err != nil {
		return err
	}
	defer lock.Rollback()
	at, err := k.capture(ctx, lock)
	if err == nil && k.keeping && (k.hold == nil || k.hold.at != at) {
		err = k.rehold(ctx, at)
	}
	if err == nil {
		err = inside()
	}
	return err
}

// capture copies what was committed since the last look into the journal. It is durable when capture returns.
func (k *Keeper) capture(ctx context.Context, lock *sql.Tx) (at mark, err error) {
	tx, err := k.journal.BeginTx(ctx, nil)
	if err != nil {
		return at, err
	}
	defer tx.Rollback()
	exec := func(query string, args ...any) {
		if err == nil {
			_, err = tx.ExecContext(ctx, query, args...)
		}
	}
	exec(schema)
	st, rerr := readState(ctx, tx)
	w, werr := readWAL(k.path+"-wal", st.mark)
	since, mode := st.looked, ""
	merr := lock.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode)
	// The next millisecond: nothing that was read was committed after it.
	cerr := lock.QueryRowContext(ctx, "SELECT max(?, 1 + CAST(unixepoch('subsec') * 1000 AS INTEGER))", since).Scan(&st.looked)
	if err == nil && mode != "wal" {
		err = ErrNoWAL
	}
	if err = errors.Join(err, rerr, werr, merr, cerr); err != nil {
		return at, err
	}
	switch {
	case st.stream == "":
		st.begin("its log was not kept before")
	case !w.found && !k.hold.leads(k.path, st.mark, w.mark):
		st.begin("its write-ahead log was reset by somebody else, or the file was replaced")
		exec("DELETE FROM log")
	case len(w.pages) > 0:
		st.pos++
		for no, page := range w.pages {
			exec("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)", st.pos, st.looked, since, w.size, no, page)
		}
	}
	exec("REPLACE INTO state VALUES (1, ?, ?, ?, ?, ?, ?, ?)", st.stream, st.reason, st.pos, st.kept, st.looked, w.frame, []byte(w.seal))
	if err == nil {
		err = tx.Commit()
	}
	return w.mark, err
}

// begin starts a new history: only a full leads to it.
func (st *state) begin(reason string) { st.stream, st.reason, st.kept = rand.Text(), reason, st.pos }

// Forget gives up the changes of a stream up to a position. What is unknown or forgotten already stays so.
func (k *Keeper) Forget(ctx context.Context, stream string, upTo int64) error {
	_, err := k.journal.ExecContext(ctx, "UPDATE state SET kept = max(kept, ?) WHERE stream = ?", upTo, stream)
	if err == nil {
		_, err = k.journal.ExecContext(ctx, "DELETE FROM log WHERE pos <= (SELECT kept FROM state)")
	}
	return err
}
