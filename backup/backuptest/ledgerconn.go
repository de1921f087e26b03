package backuptest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// ledgerConn is what an agent has of the server: calls over a connection, each of which may find it gone.
type ledgerConn struct{ l *Ledger }

// databaseError is a failure of one database; the others go on.
type databaseError struct {
	db  string
	err error
}

func (e *databaseError) Error() string { return fmt.Sprintf("database %s: %v", e.db, e.err) }
func (e *databaseError) Unwrap() error { return e.err }

func (l *Ledger) connect(ctx context.Context, password string) (*ledgerConn, error) {
	c := &ledgerConn{l}
	if err := c.call(ctx, ""); err != nil {
		return nil, err
	}
	if password != l.o.Password {
		return nil, ErrLedgerDenied
	}
	return c, nil
}

// call is the way to the server and back. db is the database concerned, or empty.
func (c *ledgerConn) call(ctx context.Context, db string) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if d := c.l.o.Delay; d > 0 {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(d):
		}
	}
	l := c.l
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	if fn := l.atCall[l.calls]; fn != nil {
		fn()
	}
	if l.armed && !l.gone {
		if l.left <= 0 {
			l.gone = true
			if err := l.commitLocked(event{Op: opCrash}); err != nil {
				return err
			}
		}
		l.left--
	}
	if l.gone {
		return ErrLedgerGone
	}
	if err := l.failing[db]; err != nil {
		return &databaseError{db, err}
	}
	return nil
}

// begin opens a session with a snapshot of all databases.
func (c *ledgerConn) begin(ctx context.Context, owner string, run backup.ID) (*session, error) {
	if err := c.call(ctx, ""); err != nil {
		return nil, err
	}
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	if err := c.l.commitLocked(event{Op: opBegin, Owner: owner, Run: run}); err != nil {
		return nil, err
	}
	return c.l.state.Sessions[c.l.state.serial], nil
}

// sessions lists the open sessions of an owner.
func (c *ledgerConn) sessions(ctx context.Context, owner string) ([]*session, error) {
	if err := c.call(ctx, ""); err != nil {
		return nil, err
	}
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	var list []*session
	for _, id := range slices.Sorted(maps.Keys(c.l.state.Sessions)) {
		if s := c.l.state.Sessions[id]; s.Owner == owner {
			list = append(list, s)
		}
	}
	return list, nil
}

// end closes a session and takes every database of its owner out of backup mode. Ending what is over does nothing.
func (c *ledgerConn) end(ctx context.Context, owner string, id int) error {
	if err := c.call(ctx, ""); err != nil {
		return err
	}
	l := c.l
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range l.state.names() {
		if l.state.DBs[name].mode == owner {
			if err := l.commitLocked(event{Op: opMode, DB: name, Owner: owner}); err != nil {
				return err
			}
		}
	}
	if _, ok := l.state.Sessions[id]; !ok {
		return nil
	}
	return l.commitLocked(event{Op: opEnd, Session: id})
}

// mode puts a database into backup mode, or takes it out. A database dropped meanwhile is in no mode.
func (c *ledgerConn) mode(ctx context.Context, owner, db string, on bool) error {
	if err := c.call(ctx, ""); err != nil {
		return err
	}
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	if _, ok := c.l.state.DBs[db]; !ok {
		return nil
	}
	return c.l.commitLocked(event{Op: opMode, DB: db, Owner: owner, On: on})
}

// accountRow is an account as it is read.
type accountRow struct {
	Account string `json:"account"`
	Balance int64  `json:"balance"`
}

// rows reads up to n accounts of the session's snapshot after the given one that changed after seq since.
func (c *ledgerConn) rows(ctx context.Context, ses *session, db, after string, since uint64, n int) ([]accountRow, error) {
	if err := c.call(ctx, db); err != nil {
		return nil, err
	}
	d := ses.Snap[db]
	var list []accountRow
	for _, a := range slices.Sorted(maps.Keys(d.Rows)) {
		if a > after && d.Rows[a].Changed > since {
			list = append(list, accountRow{a, d.Rows[a].Balance})
		}
		if len(list) == n {
			break
		}
	}
	return list, nil
}

// ballast reads the session's snapshot of the deterministic content.
func (c *ledgerConn) ballast(ctx context.Context, ses *session, db string, p []byte, off int64) (int, error) {
	if err := c.call(ctx, db); err != nil {
		return 0, err
	}
	d := ses.Snap[db]
	n := int(max(0, min(int64(len(p)), d.Ballast-off)))
	fillBallast(p[:n], d.Seed, off)
	return n, nil
}

// dump lets the server write the deterministic content to a file of its own.
func (c *ledgerConn) dump(ctx context.Context, ses *session, db, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return &databaseError{db, err}
	}
	defer f.Close()
	buf := make([]byte, ballastBlock)
	for off := int64(0); ; {
		n, err := c.ballast(ctx, ses, db, buf, off)
		if err != nil {
			return err
		}
		if n == 0 {
			return f.Close()
		}
		if _, err := f.Write(buf[:n]); err != nil {
			return err // the stage's disk, not the database
		}
		off += int64(n)
	}
}

// readLog reads the transactions of db's log after from up to the session's moment.
func (c *ledgerConn) readLog(ctx context.Context, ses *session, db string, from uint64) ([]tx, error) {
	if err := c.call(ctx, db); err != nil {
		return nil, err
	}
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	st, ok := c.l.state.stream(db)
	if !ok || st.Name != ses.stream(db).Name || from < st.Truncated {
		return nil, &databaseError{db, ErrLedgerTruncated}
	}
	return c.l.state.log(db, from, ses.Seq), nil
}

// truncate gives up db's log up to a position of the named stream. When that stream is over, there is nothing to give up.
func (c *ledgerConn) truncate(ctx context.Context, db, name string, to backup.Position) error {
	if err := c.call(ctx, ""); err != nil {
		return err
	}
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	st, ok := c.l.state.stream(db)
	if !ok || st.Name != name {
		return nil
	}
	seq, err := st.seq(to)
	if err != nil {
		return err
	}
	return c.l.commitLocked(event{Op: opTruncate, DB: db, Seq: seq})
}

// backupLog lets the server write what readLog gave to a file of its own and give that log up, all in one call. The answer may be lost.
func (c *ledgerConn) backupLog(ctx context.Context, h fileHead, txs []tx, path string) error {
	if err := c.call(ctx, h.DB); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return &databaseError{h.DB, err}
	}
	defer f.Close()
	if err := writeLog(f, h, txs); err != nil {
		return err // the stage's disk, not the database
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := c.yield(h); err != nil {
		return err
	}
	return c.call(ctx, h.DB)
}

// yield is the server giving up the log of a backup that has ended.
func (c *ledgerConn) yield(h fileHead) error {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	st, ok := c.l.state.stream(h.DB)
	if !ok || st.Name != h.Stream {
		return nil
	}
	seq, err := st.seq(h.To)
	if err != nil {
		return err
	}
	err = c.l.commitLocked(event{Op: opTruncate, DB: h.DB, Seq: seq})
	if c.l.truncated != nil {
		c.l.truncated()
	}
	return err
}

// existing lists the databases there are.
func (c *ledgerConn) existing(ctx context.Context) ([]string, error) {
	if err := c.call(ctx, ""); err != nil {
		return nil, err
	}
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	return c.l.state.names(), nil
}

// restore puts databases in place, all or none.
func (c *ledgerConn) restore(ctx context.Context, dbs map[string]*database, overwrite bool) error {
	if err := c.call(ctx, ""); err != nil {
		return err
	}
	return c.l.commit(event{Op: opRestore, Restored: dbs, Overwrite: overwrite})
}

// checkAttached makes sure that the attached file still is what the server knows.
func (d *database) checkAttached() error {
	text, err := os.ReadFile(d.Path)
	if err != nil {
		return fmt.Errorf("attached file: %w", err)
	}
	if fmt.Sprintf("%x", sha256.Sum256(text)) != d.File {
		return fmt.Errorf("attached file %s: %w", d.Path, backup.ErrCorrupt)
	}
	return nil
}
