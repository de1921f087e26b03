package backuptest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// LedgerApplication is the name of the Ledger in manifests and errors.
const LedgerApplication = "ledger"

// LedgerLogItem is the item of the log that all databases share in SharedLog mode.
const LedgerLogItem = "_log"

// LedgerSource is the agent of a Ledger. It takes fulls, differentials and logs, promotes what cannot be a link to a full with the reason,
// keeps its session open until the fate of the backup is known, truncates log in Pending.Commit only, and restores to any moment.
//
// Every database is an item. In SharedLog mode LedgerLogItem is one more, and a log run takes it and whichever databases need a full.
type LedgerSource struct {
	l *Ledger
	o LedgerSourceOptions
}

// LedgerSourceOptions shape a LedgerSource.
type LedgerSourceOptions struct {
	// Owner marks the sessions of this agent, so that it recovers its own only; empty means "quiesce".
	Owner string
	// Password of the server; empty means the right one.
	Password string
	// ServerFiles lets the server write the ballast itself where the stage has a path.
	ServerFiles bool
	// Rows is how many accounts are read at a time; 0 means 4.
	Rows int
}

// Source returns an agent of the Ledger. Nil options work. Agents hold no state: a new one continues where another ended.
func (l *Ledger) Source(o *LedgerSourceOptions) *LedgerSource {
	s := &LedgerSource{l: l}
	if o != nil {
		s.o = *o
	}
	if s.o.Owner == "" {
		s.o.Owner = "quiesce"
	}
	if s.o.Password == "" {
		s.o.Password = l.o.Password
	}
	if s.o.Rows == 0 {
		s.o.Rows = 4
	}
	return s
}

// Describe implements backup.Source.
func (s *LedgerSource) Describe() backup.Description {
	return backup.Description{
		Application: LedgerApplication,
		Instance:    s.l.o.Instance,
		Kinds:       []backup.Kind{backup.Full, backup.Differential, backup.Log},
		PointInTime: true,
		Positions:   true,
	}
}

// undoTime bounds the work that undoes a backup.
const undoTime = 10 * time.Second

// Backup implements backup.Source.
func (s *LedgerSource) Backup(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
	res, err := s.backup(ctx, r, st)
	if err != nil {
		return backup.Result{}, s.error("backup", r.ID, err)
	}
	return res, nil
}

func (s *LedgerSource) backup(ctx context.Context, r backup.Request, st *backup.Stage) (res backup.Result, err error) {
	conn, err := s.l.connect(ctx, s.o.Password)
	if err != nil {
		return res, err
	}
	ses, err := conn.begin(ctx, s.o.Owner, r.ID)
	if err != nil {
		return res, err
	}
	defer func() {
		if err != nil {
			undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
			defer cancel()
			err = errors.Join(err, conn.end(undo, s.o.Owner, ses.ID))
		}
	}()
	run := &ledgerRun{s: s, conn: conn, ses: ses, r: r, st: st}
	items, err := run.items(ctx, run.plan())
	if err != nil {
		return res, err
	}
	r.Log.Info("ledger copied", "items", len(items), "session", ses.ID)
	return backup.Result{
		Items:   items,
		Meta:    map[string]string{"version": "1", "session": fmt.Sprint(ses.ID)},
		Pending: &ledgerPending{s: s, conn: conn, session: ses.ID},
	}, nil
}

// ledgerPending is the session that stays open until the fate of the backup is known.
type ledgerPending struct {
	s       *LedgerSource
	conn    *ledgerConn
	session int

	mu   sync.Mutex
	over bool
}

// Commit truncates the log that m holds and ends the session.
func (p *ledgerPending) Commit(ctx context.Context, m *backup.Manifest) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return nil
	}
	if err := p.conn.finish(ctx, p.s.o.Owner, p.session, m); err != nil {
		return p.s.error("commit", m.ID, err)
	}
	p.over = true
	return nil
}

// Abort ends the session and leaves the log alone.
func (p *ledgerPending) Abort(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return nil
	}
	if err := p.conn.end(ctx, p.s.o.Owner, p.session); err != nil {
		return p.s.error("abort", "", err)
	}
	p.over = true
	return nil
}

// finish truncates what m holds and ends the session.
func (c *ledgerConn) finish(ctx context.Context, owner string, session int, m *backup.Manifest) error {
	for _, it := range m.Items {
		if c.l.o.TruncatesItself || it.Failed() || it.Kind != backup.Log {
			continue
		}
		db := it.Name
		if db == LedgerLogItem {
			db = ""
		}
		if err := c.truncate(ctx, db, it.Stream, it.End); err != nil {
			return err
		}
	}
	return c.end(ctx, owner, session)
}

// error dresses a failure.
func (s *LedgerSource) error(op string, id backup.ID, err error) error {
	e := &backup.Error{Op: op, App: LedgerApplication, Instance: s.l.o.Instance, ID: id, Err: err}
	switch {
	case errors.Is(err, ErrLedgerGone):
		e.Advice = "start the server again; the next run ends what this one left"
	case errors.Is(err, ErrLedgerBusy):
		e.Advice = "another backup of this server runs, or one died; a run through a pipeline recovers what it left"
	case errors.Is(err, ErrLedgerDenied):
		e.Advice = "check the password of the backup account"
	case errors.Is(err, backup.ErrExists):
		e.Advice = "drop the database first, restore it under another name, or allow overwriting"
	}
	return e
}

var _ interface {
	backup.Source
	backup.Restorer
	backup.Locator
	backup.Verifier
	backup.Rehearser
	backup.Checker
	backup.Estimator
	backup.Recoverer
} = (*LedgerSource)(nil)
