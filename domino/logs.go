package domino

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/notes"
)

const (
	logPrefix  = "log/"
	iniPrefix  = "config/"
	metaNumber = "number"
	metaPart   = "partial"
	metaFile   = "file" // the name Domino had given the extent
)

// archiving runs do while this process archives the log.
func archiving(ctx, calls context.Context, s *capiSource, t *thread, do func() error) (err error) {
	if err := t.ArchivingBegin(calls); err != nil {
		return fmt.Errorf("begin archiving the log: %w", err)
	}
	defer func() {
		undo, stop := s.undoing(ctx)
		defer stop()
		if eerr := t.ArchivingEnd(undo); eerr != nil {
			err = errors.Join(err, fmt.Errorf("end archiving the log: %w", eerr))
		}
	}()
	return do()
}

// offered asks what there is to archive.
func (r *run) offered(ctx context.Context, t *thread) (o *offer, err error) {
	err = archiving(ctx, r.calls, r.s, t, func() error {
		o, err = list(ctx, r.calls, r.s, t)
		return err
	})
	return o, err
}

// list goes through the extents. With the answer that no full one waits Domino still names the current one (derived from [UG Incremental Archiving of Logs]).
func list(ctx, calls context.Context, s *capiSource, t *thread) (*offer, error) {
	o := &offer{at: s.opt.Now()}
	next := t.FirstLog
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		e, err := next(calls)
		next = t.NextLog
		if said(err, notes.StatusNoTransLogsToArchive) {
			if e.Path != "" && !e.LogID.IsZero() {
				o.current = &e
			}
			return o, o.whole()
		}
		if err != nil {
			return nil, fmt.Errorf("ask for the log to archive: %w", err)
		}
		if o.full = append(o.full, e); len(o.full) > 1<<20 {
			return nil, errors.New("ask for the log to archive: Domino goes on without an end")
		}
	}
}

// log takes the extents that are new, and what is in the current one.
func (r *run) log(ctx context.Context, p *plan) (backup.Item, error) {
	it := backup.Item{Name: itemLog, Kind: backup.Log, PointInTime: true}
	t, err := r.host.thread(r.calls)
	if err == nil {
		err = archiving(ctx, r.calls, r.s, t, func() error { return r.archive(ctx, t, p, &it) })
	}
	if t != nil && !t.lost(unlocal(err)) {
		_ = t.End() // the process ends next
	}
	switch {
	case err == nil:
		return it, nil
	case ctx.Err() != nil:
		return it, context.Cause(ctx)
	case stageError(err) != nil || r.req.Kind == backup.Log && len(p.take) == 0:
		return it, err
	}
	// The databases that were copied are worth having.
	p.done = nil
	return r.failed(ctx, wanted{file: file{name: itemLog}}, err), nil
}

func (r *run) archive(ctx context.Context, t *thread, p *plan, it *backup.Item) error {
	o, err := list(ctx, r.calls, r.s, t)
	if err != nil {
		return err
	}
	if _, ok := o.first(); !ok {
		return local{errors.New("Domino names no extent of its log, not even the current one")} //nolint:staticcheck // a name
	}
	p.logID = o.id()
	p.last, p.parent = lastLog(r.req.Anchors, p.logID)
	c := chooseLog(o, p.last)
	if c.gap != "" {
		r.warn("%s: another program archives the log too, or the server was told to give it up", c.gap)
	}
	for _, e := range c.store {
		if err := r.extent(ctx, e, false); err != nil {
			return err
		}
	}
	next := c.begin
	if n := len(o.full); n > 0 {
		next = max(next, o.full[n-1].Number+1)
	}
	end := o.at
	if o.current == nil {
		if end, err = endOf(o, p.last); err != nil {
			return err
		}
	} else if err := r.extent(ctx, *o.current, true); err != nil {
		return err
	}
	if err := r.notesINI(ctx, itemLog); err != nil {
		return err
	}
	p.done = o.full
	return r.link(p, it, c, next, complete(end))
}

// complete is the last moment of which a copy made at a time has all changes. They are dated by the tick, and of the tick in which the copy was made there may be more.
func complete(at time.Time) time.Time { return at.Truncate(tick).Add(-1) }

// endOf is up to when the log goes where Domino names no current extent: the last change of the last full one.
func endOf(o *offer, last *logCheckpoint) (time.Time, error) {
	if len(o.full) == 0 {
		if last == nil {
			return time.Time{}, local{errors.New("there is no log yet")}
		}
		return last.At, nil
	}
	info, err := os.Stat(o.full[len(o.full)-1].Path)
	if err != nil {
		return time.Time{}, local{err}
	}
	at := info.ModTime()
	if at.After(o.at) {
		at = o.at
	}
	if last != nil {
		at = laterOf(at, last.At)
	}
	return at, nil
}

// link completes the item of the log. Positions within an extent are by time; where the clock went back they still go on.
func (r *run) link(p *plan, it *backup.Item, c logChoice, next uint32, end time.Time) error {
	from := end
	if p.last != nil && c.gap == "" {
		if end = laterOf(end, p.last.At); p.last.At.Before(from) {
			from = p.last.At
		}
	} else {
		for _, a := range r.req.Anchors {
			if a.Last != nil && a.Last.Stream == p.logID.String() && a.Last.Window.To.Before(from) {
				from = a.Last.Window.To
			}
		}
	}
	note, err := json.Marshal(logCheckpoint{LogID: p.logID, Since: c.since, Next: next, At: end})
	if err != nil {
		return err
	}
	at := end
	if p.parent != nil && position(next, at) <= p.parent.End {
		at = p.last.At.Add(1) // a log run within the tick of the one before
	}
	it.Stream, it.Begin, it.End = p.logID.String(), position(c.begin, time.Time{}), position(next, at)
	it.Window, it.Checkpoint = backup.Window{From: from, To: end}, note
	it.Parent = r.parent(p.logID)
	return nil
}

// parent is the newest backup in the series.
func (r *run) parent(id notes.UNID) (newest backup.ID) {
	for _, a := range r.req.Anchors {
		if a.Last != nil && a.Last.Stream == id.String() {
			newest = max(newest, a.Last.ID)
		}
	}
	return newest
}

// extent copies one extent of the log. The name of its file says nothing of its number, which is why the artifact has one of ours.
func (r *run) extent(ctx context.Context, e notes.Extent, partial bool) error {
	a := backup.Artifact{Name: fmt.Sprintf("%s%s/%010d", logPrefix, e.LogID, e.Number), Item: itemLog, Role: backup.RoleLog,
		Meta: map[string]string{metaLogID: e.LogID.String(), metaNumber: strconv.FormatUint(uint64(e.Number), 10), metaFile: filepath.Base(e.Path)}}
	if partial {
		a.Meta[metaPart] = "true"
	}
	if err := r.plain(ctx, a, e.Path); err != nil {
		return fmt.Errorf("copy extent %d of the log: %w", e.Number, err)
	}
	return nil
}

// plain copies a file to its end.
func (r *run) plain(ctx context.Context, a backup.Artifact, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return local{err}
	}
	defer f.Close()
	w, err := r.st.Create(ctx, a)
	if err != nil {
		return staging{err}
	}
	defer func() { _ = w.Close() }() // discards, unless it was committed
	sum := newSum()
	n, err := copyFile(ctx, w, f, sum)
	if err != nil {
		return err
	}
	w.Annotate(metaSize, strconv.FormatInt(n, 10))
	w.Annotate(metaSum, sumText(sum))
	if err := w.Commit(); err != nil {
		return staging{err}
	}
	return nil
}

// copyFile copies what in yields into the stage and the sum.
func copyFile(ctx context.Context, w io.Writer, in *os.File, sum hash.Hash32) (n int64, err error) {
	size := int64(copyBlock)
	if info, err := in.Stat(); err == nil {
		size = min(size, info.Size()+1)
	}
	buf := make([]byte, size)
	for {
		if ctx.Err() != nil {
			return n, context.Cause(ctx)
		}
		got, err := in.Read(buf)
		if got > 0 {
			_, _ = sum.Write(buf[:got])
			n += int64(got)
			if _, err := w.Write(buf[:got]); err != nil {
				return n, staging{err}
			}
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, local{err}
		}
	}
}

// notesINI adds notes.ini with what it includes to an item.
func (r *run) notesINI(ctx context.Context, item string) error {
	if r.inv.ini == nil || r.s.opt.SkipFiles {
		return nil
	}
	for i, at := range r.inv.ini.paths {
		name := path.Join(item, "notes.ini")
		if i > 0 {
			name = path.Join(item, fmt.Sprintf("include-%02d-%s", i, filepath.Base(at)))
		}
		a := backup.Artifact{Name: iniPrefix + name, Item: item, Role: backup.RoleConfig, Meta: map[string]string{"path": at}}
		if err := r.plain(ctx, a, at); err != nil {
			return fmt.Errorf("copy notes.ini: %w", err)
		}
	}
	return nil
}

// archived is what Domino is told once the backup is durable: these extents are safe.
type archived struct {
	s       *capiSource
	log     *slog.Logger
	id      notes.UNID
	extents []notes.Extent
}

// Commit implements backup.Pending. Domino takes NSFDoneArchivingLog only for what it has just offered, so it is asked again; what it offers no longer has been told before.
func (a *archived) Commit(ctx context.Context, m *backup.Manifest) error {
	if it, ok := m.Item(itemLog); !ok || it.Failed() {
		return nil
	}
	safe := map[uint32]bool{}
	for _, e := range a.extents {
		safe[e.Number] = true
	}
	told := 0
	err := a.s.with(ctx, func(calls context.Context, t *thread) error {
		return archiving(ctx, calls, a.s, t, func() error {
			o, err := list(ctx, calls, a.s, t)
			if err != nil {
				return err
			}
			for _, e := range o.full {
				if e.LogID != a.id || !safe[e.Number] {
					continue
				}
				if err := t.LogDone(calls, e.LogID, e.Number); err != nil {
					return fmt.Errorf("tell that extent %d is archived: %w", e.Number, err)
				}
				told++
			}
			return nil
		})
	})
	a.log.Info("told Domino what is archived", "extents", told)
	return a.s.fail(ctx, "mark as archived the log of", "", err)
}

// Abort implements backup.Pending. Nothing is open: Domino offers the extents again.
func (a *archived) Abort(context.Context) error { return nil }

var _ backup.Pending = (*archived)(nil)
