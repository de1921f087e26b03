package backuptest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
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

// ledgerRun is one backup.
type ledgerRun struct {
	s    *LedgerSource
	conn *ledgerConn
	ses  *session
	r    backup.Request
	st   *backup.Stage
}

// plan decides what every item becomes.
func (run *ledgerRun) plan() []backup.Item {
	var items []backup.Item
	shared := backup.Item{Name: LedgerLogItem, Kind: backup.Log, PointInTime: true}
	for _, db := range slices.Sorted(maps.Keys(run.ses.Snap)) {
		it := run.planDatabase(db)
		if run.ses.Shared == nil || it.Kind != backup.Log {
			items = append(items, it)
			continue
		}
		// The shared log must reach back to where the database that is furthest behind stands.
		if shared.Stream == "" || it.Begin < shared.Begin {
			it.Name = LedgerLogItem
			shared = it
		}
	}
	if shared.Stream != "" {
		items = append(items, shared)
	}
	return items
}

func (run *ledgerRun) planDatabase(db string) backup.Item {
	st := run.ses.stream(db)
	it := backup.Item{
		Name: db, Kind: run.r.Kind, Stream: st.Name, End: st.position(run.ses.Seq),
		Window: backup.Window{From: run.ses.Time, To: run.ses.Time},
	}
	anchor := run.r.Anchors[db]
	full := func(reason string) backup.Item {
		it.Kind, it.Reason = backup.Full, reason
		return it
	}
	switch {
	case run.r.Kind == backup.Full:
		return it
	case anchor.Full == nil || anchor.Last == nil:
		return full("it has no full yet")
	case anchor.Full.Stream != st.Name:
		return full("its log was reset after the last full")
	case run.r.Kind == backup.Differential:
		it.Parent = anchor.Full.ID
		return it
	}
	last := anchor.Last
	from, err := st.seq(last.End)
	if err != nil || last.Stream != st.Name || from > run.ses.Seq {
		return full("the last link does not belong to its log")
	}
	if from < st.Truncated {
		return full("log since the last link is no longer kept")
	}
	it.Parent, it.Begin, it.PointInTime = last.ID, last.End, true
	it.Window.From = last.Window.To
	return it
}

// items copies them all, two at a time. A failure of one database is its own; any other ends the run.
func (run *ledgerRun) items(ctx context.Context, items []backup.Item) ([]backup.Item, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	errs := make([]error, len(items))
	slots := make(chan struct{}, 2)
	for i := range items {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			err := run.item(ctx, &items[i])
			var own *databaseError
			switch {
			case errors.As(err, &own):
				items[i].Error = own.Error()
			case err != nil:
				errs[i] = err
				cancel(err)
			}
		})
	}
	wg.Wait()
	return items, first(errs, context.Cause(ctx))
}

// first prefers the cause of an end over the errors of those who were told to stop.
func first(errs []error, cause error) error {
	if errors.Join(errs...) == nil {
		return nil
	}
	return cause
}

func (run *ledgerRun) item(ctx context.Context, it *backup.Item) error {
	note, err := json.Marshal(map[string]any{"session": run.ses.ID, "seq": run.ses.Seq})
	if err != nil {
		return err
	}
	it.Checkpoint = note
	if it.Kind == backup.Log {
		return run.log(ctx, it)
	}
	if err := run.conn.mode(ctx, run.s.o.Owner, it.Name, true); err != nil {
		return err
	}
	err = run.data(ctx, it)
	if err != nil && !isOwn(err) {
		return err // the session's end leaves backup mode too
	}
	return errors.Join(err, run.conn.mode(ctx, run.s.o.Owner, it.Name, false))
}

func isOwn(err error) bool {
	var own *databaseError
	return errors.As(err, &own)
}

// data copies a database for a full, or what changed in it for a differential.
func (run *ledgerRun) data(ctx context.Context, it *backup.Item) error {
	db, st := run.ses.Snap[it.Name], run.ses.stream(it.Name)
	h := fileHead{What: it.Kind, DB: it.Name, Stream: it.Stream, To: it.End, Base: st.Base,
		Seed: db.Seed, Ballast: db.Ballast, Path: db.Path, File: db.File}
	since := uint64(0)
	if it.Kind == backup.Differential {
		h.From = run.r.Anchors[it.Name].Full.End
		seq, err := st.seq(h.From)
		if err != nil {
			return err
		}
		since = seq
	}
	err := run.file(ctx, it.Name, ledgerArtifact(it.Name, "accounts"), backup.RoleData, h, func(f *fileWriter) error {
		return run.rows(ctx, it.Name, since, f)
	})
	if err != nil || it.Kind == backup.Differential {
		return err
	}
	if err := run.ballast(ctx, it.Name, db); err != nil {
		return err
	}
	return run.attached(ctx, it.Name, db)
}

func (run *ledgerRun) rows(ctx context.Context, db string, since uint64, f *fileWriter) error {
	after := ""
	for {
		rows, err := run.conn.rows(ctx, run.ses, db, after, since, run.s.o.Rows)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, r := range rows {
			if err := f.record(r); err != nil {
				return err
			}
		}
		after = rows[len(rows)-1].Account
	}
}

func (run *ledgerRun) log(ctx context.Context, it *backup.Item) error {
	db := it.Name
	if run.ses.Shared != nil {
		db = ""
	}
	st := run.ses.stream(db)
	from, err := st.seq(it.Begin)
	if err != nil {
		return err
	}
	txs, err := run.conn.readLog(ctx, run.ses, db, from)
	if err != nil {
		return err
	}
	h := fileHead{What: backup.Log, DB: db, Stream: it.Stream, From: it.Begin, To: it.End, Base: st.Base}
	return run.file(ctx, it.Name, ledgerArtifact(it.Name, "log"), backup.RoleLog, h, func(f *fileWriter) error {
		for _, t := range txs {
			if err := f.record(t); err != nil {
				return err
			}
		}
		return nil
	})
}

// file stages one file of lines.
func (run *ledgerRun) file(ctx context.Context, item, name string, role backup.Role, h fileHead, fill func(*fileWriter) error) error {
	w, err := run.st.Create(ctx, backup.Artifact{Name: name, Item: item, Role: role})
	if err != nil {
		return err
	}
	defer w.Close()
	f, err := newFileWriter(w, h)
	if err != nil {
		return err
	}
	if err := fill(f); err != nil {
		return err
	}
	if err := f.end(); err != nil {
		return err
	}
	w.Annotate("records", fmt.Sprint(f.n))
	return w.Commit()
}

// ballast stages the deterministic content, through us or written by the server.
func (run *ledgerRun) ballast(ctx context.Context, name string, db *database) error {
	if db.Ballast == 0 {
		return nil
	}
	a := backup.Artifact{Name: ledgerArtifact(name, "ballast"), Item: name, Role: backup.RoleData}
	if run.s.o.ServerFiles && !run.st.Streaming() {
		slot, err := run.st.Reserve(ctx, a, db.Ballast)
		if err != nil {
			return err
		}
		defer slot.Close()
		path := slot.ServerPath
		if path == "" {
			path = slot.Path
		}
		if err := run.conn.dump(ctx, run.ses, name, path); err != nil {
			return err
		}
		return slot.Commit()
	}
	w, err := run.st.Create(ctx, a)
	if err != nil {
		return err
	}
	defer w.Close()
	buf := make([]byte, ballastBlock)
	for off := int64(0); off < db.Ballast; {
		n, err := run.conn.ballast(ctx, run.ses, name, buf, off)
		if err != nil {
			return err
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		off += int64(n)
	}
	return w.Commit()
}

func (run *ledgerRun) attached(ctx context.Context, name string, db *database) error {
	if db.Path == "" {
		return nil
	}
	if err := db.checkAttached(); err != nil {
		return &databaseError{name, err}
	}
	a := backup.Artifact{Name: ledgerArtifact(name, "attached"), Item: name, Role: backup.RoleOther, Meta: map[string]string{"path": db.Path}}
	return run.st.Import(ctx, a, db.Path)
}

// ledgerArtifact names an artifact of an item, whatever characters the item's name has.
func ledgerArtifact(item, what string) string { return "db-" + url.PathEscape(item) + "/" + what }

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
		if it.Failed() || it.Kind != backup.Log {
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
	backup.Verifier
	backup.Rehearser
	backup.Checker
	backup.Estimator
	backup.Recoverer
} = (*LedgerSource)(nil)
