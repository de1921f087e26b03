package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/examples/customagent/keeper"
)

const application = "sqlite"

// Source is the agent of one SQLite database. It may be used by many goroutines.
type Source struct {
	k    *keeper.Keeper
	name string // of the only item
	o    Options
}

// Options shape a Source. The zero value works.
type Options struct {
	// Resolution is how long nobody may have looked at the log for a restore to stop at any moment of that time. Default 10 seconds.
	Resolution time.Duration
}

// New makes the agent of the database that k keeps. It does no I/O. Nil options work.
func New(k *keeper.Keeper, o *Options) *Source {
	s := &Source{k: k, name: filepath.Base(k.Path()), o: *cmp.Or(o, &Options{})}
	s.o.Resolution = cmp.Or(s.o.Resolution, 10*time.Second)
	return s
}

// Describe implements backup.Source.
func (s *Source) Describe() backup.Description {
	return backup.Description{Application: application, Instance: s.k.Path(), Kinds: []backup.Kind{backup.Full, backup.Log}, PointInTime: true}
}

// Check implements backup.Checker. A look tries all that a run needs.
func (s *Source) Check(ctx context.Context, _ backup.StageDir) []backup.Finding {
	snap, err := s.k.Look(ctx)
	if err == nil {
		err = snap.Close()
	}
	err = s.fail(ctx, "check", "", err)
	return []backup.Finding{{What: "the database has a write-ahead log, and a journal beside it", Err: err, Hint: backup.Hint(err)}}
}

// Estimate implements backup.Estimator.
func (s *Source) Estimate(_ context.Context, r backup.Request) (int64, error) {
	data, log, err := s.k.Sizes()
	if r.Kind == backup.Full || r.Anchors[s.name].Full == nil {
		log = data
	}
	return log, s.fail(context.Background(), "estimate", r.ID, err)
}

// Backup implements backup.Source.
func (s *Source) Backup(ctx context.Context, r backup.Request, st *backup.Stage) (res backup.Result, err error) {
	defer func() { err = s.fail(ctx, "back up", r.ID, err) }()
	snap, err := s.k.Look(ctx)
	if err != nil {
		return res, err
	}
	defer snap.Close()
	it := s.plan(r, snap)
	a, pages := backup.Artifact{Name: artifact, Item: s.name, Role: backup.RoleData}, snap.Pages(ctx)
	if it.Kind == backup.Log {
		a.Role, pages = backup.RoleLog, snap.Changes(ctx, number(it.Begin))
		unwatched, err := snap.Unwatched(ctx, number(it.Begin))
		if err != nil {
			return res, err
		}
		it.PointInTime = unwatched <= s.o.Resolution
	}
	if err := stage(ctx, st, a, pages); err != nil {
		return res, err
	}
	return backup.Result{Items: []backup.Item{it}, Pending: pending{s}}, nil
}

// plan decides what the item becomes: a log link, or a full and why.
func (s *Source) plan(r backup.Request, snap *keeper.Snapshot) backup.Item {
	it := backup.Item{Name: s.name, Kind: backup.Full, Stream: snap.Stream, End: position(snap.Pos), Window: backup.Window{From: snap.Time, To: snap.Time}}
	a := r.Anchors[s.name]
	switch {
	case r.Kind == backup.Full:
	case a.Full == nil:
		it.Reason = "it has no full yet"
	case a.Last.Stream != snap.Stream:
		it.Reason = snap.Reason
	case a.Last.End < position(snap.Kept) || a.Last.End > it.End:
		it.Reason = "the journal does not reach back to the last backup"
	default:
		it.Kind, it.Parent, it.Begin, it.Window.From = backup.Log, a.Last.ID, a.Last.End, a.Last.Window.To
	}
	return it
}

// position writes the number of a change so that positions order as text.
func position(pos int64) backup.Position { return backup.Position(fmt.Sprintf("%019d", pos)) }

// number reads a position. What is none, as before the first change, is 0.
func number(p backup.Position) int64 {
	n, _ := strconv.ParseInt(string(p), 10, 64)
	return n
}

// pending lets the journal forget what is durable.
type pending struct{ s *Source }

// Commit implements backup.Pending. Only here log is given up.
func (p pending) Commit(ctx context.Context, m *backup.Manifest) error {
	it, _ := m.Item(p.s.name)
	return p.s.fail(ctx, "commit", m.ID, p.s.k.Forget(ctx, it.Stream, number(it.End)))
}

// Abort implements backup.Pending. Nothing is open: the snapshot ended with Backup.
func (p pending) Abort(context.Context) error { return nil }

// fail dresses an error for who reads nothing else.
func (s *Source) fail(ctx context.Context, op string, id backup.ID, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = errors.Join(cause, err)
	}
	e := &backup.Error{Op: op, App: application, Instance: s.k.Path(), ID: id, Err: err}
	switch {
	case errors.Is(err, keeper.ErrNoWAL):
		e.Advice = "run PRAGMA journal_mode=WAL on it once"
	case errors.Is(err, backup.ErrExists):
		e.Advice = "restore under another name, or stop what uses the database and allow overwriting"
	case keeper.Busy(err):
		e.Advice = "some program has the database open, or holds a transaction; end it and try again"
	}
	return e
}
