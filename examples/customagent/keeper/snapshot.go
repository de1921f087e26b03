package keeper

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"time"
)

// Snapshot is the database and its journal at one moment. It must be closed.
type Snapshot struct {
	// Stream names a history without a gap; Reason is why it began.
	Stream, Reason string
	// Pos is the newest change. The journal holds those after Kept.
	Pos, Kept int64
	Time      time.Time

	data, log *sql.Tx
}

// Look brings the journal up to date and returns a snapshot. Writers wait while it begins, for some milliseconds, and go on while it is read.
func (k *Keeper) Look(ctx context.Context) (*Snapshot, error) {
	s := new(Snapshot)
	err := k.look(ctx, func() (err error) {
		if s.data, err = snapshot(ctx, k.app); err == nil {
			s.log, err = snapshot(ctx, k.journal)
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	st, err := readState(ctx, s.log)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.Stream, s.Reason, s.Pos, s.Kept, s.Time = st.stream, st.reason, st.pos, st.kept, time.UnixMilli(st.looked).UTC()
	return s, nil
}

// snapshot begins a transaction that sees the database as it is now. It does not end with ctx but by Rollback: a transaction that ends by
// its context does so a moment later, when the caller already told that nothing is open any more.
func snapshot(ctx context.Context, db *sql.DB) (*sql.Tx, error) {
	tx, err := db.BeginTx(context.WithoutCancel(ctx), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	// SQLite takes the snapshot at the first read.
	if _, err := tx.ExecContext(ctx, "SELECT count(*) FROM sqlite_schema"); err != nil {
		return nil, errors.Join(err, tx.Rollback())
	}
	return tx, nil
}

// Page is an image of a page.
type Page struct {
	Pos  int64     // the change it belongs to
	Time time.Time // when that was seen: everything of it was committed before
	Size uint32    // pages of the database after the change
	No   uint32    // from 1
	Data []byte
}

// Pages yields the whole database.
func (s *Snapshot) Pages(ctx context.Context) iter.Seq2[Page, error] {
	return pages(ctx, s.data, "SELECT ?, ?, page_count, pgno, data FROM pragma_page_count, sqlite_dbpage", s.Pos, s.Time.UnixMilli())
}

// Changes yields the pages that changed after a position, in the order of the changes.
func (s *Snapshot) Changes(ctx context.Context, after int64) iter.Seq2[Page, error] {
	return pages(ctx, s.log, "SELECT pos, time, size, no, data FROM log WHERE pos > ? ORDER BY pos, no", after)
}

func pages(ctx context.Context, tx *sql.Tx, query string, args ...any) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		rows, err := tx.QueryContext(ctx, query, args...)
		if err != nil {
			yield(Page{}, err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			var p Page
			var ms int64
			err := rows.Scan(&p.Pos, &ms, &p.Size, &p.No, &p.Data)
			p.Time = time.UnixMilli(ms)
			if !yield(p, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Page{}, err)
		}
	}
}

// Unwatched is the longest time, of all changes after a position, that nobody had looked before the change was seen.
func (s *Snapshot) Unwatched(ctx context.Context, after int64) (time.Duration, error) {
	var ms int64
	err := s.log.QueryRowContext(ctx, "SELECT coalesce(max(time - since), 0) FROM log WHERE pos > ?", after).Scan(&ms)
	return time.Duration(ms) * time.Millisecond, err
}

// Close ends the snapshot. It is idempotent.
func (s *Snapshot) Close() (err error) {
	for _, tx := range []*sql.Tx{s.data, s.log} {
		if tx != nil {
			if rerr := tx.Rollback(); !errors.Is(rerr, sql.ErrTxDone) {
				err = errors.Join(err, rerr)
			}
		}
	}
	return err
}
