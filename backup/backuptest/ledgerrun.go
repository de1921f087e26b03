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

	"github.com/quiesce-go/quiesce/backup"
)

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
		Seed: db.Seed, Ballast: db.Ballast, Path: db.Path, File: db.File, Parent: it.Parent, At: it.Window.To}
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
	h := fileHead{What: backup.Log, DB: db, Stream: it.Stream, From: it.Begin, To: it.End, Base: st.Base,
		Parent: it.Parent, Since: it.Window.From, At: it.Window.To}
	if run.s.l.o.TruncatesItself && run.s.o.ServerFiles && !run.st.Streaming() {
		return run.serverLog(ctx, it, h, txs)
	}
	err = run.file(ctx, it.Name, ledgerArtifact(it.Name, "log"), backup.RoleLog, h, func(f *fileWriter) error {
		for _, t := range txs {
			if err := f.record(t); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && run.s.l.o.TruncatesItself {
		err = run.conn.yield(h) // the server has seen that the last byte arrived
	}
	return err
}

// serverLog lets the server write the log, which it gives up in the same call.
func (run *ledgerRun) serverLog(ctx context.Context, it *backup.Item, h fileHead, txs []tx) error {
	a := backup.Artifact{Name: ledgerArtifact(it.Name, "log"), Item: it.Name, Role: backup.RoleLog}
	slot, err := run.st.Reserve(ctx, a, int64(len(txs))*100)
	if err != nil {
		return err
	}
	path := slot.ServerPath
	if path == "" {
		path = slot.Path
	}
	if err := run.conn.backupLog(ctx, h, txs, path); isOwn(err) {
		return errors.Join(err, slot.Close())
	} else if err != nil {
		return err // the log may be given up and the answer lost: the slot stays open, for Salvage
	}
	return slot.Commit()
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
