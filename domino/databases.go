package domino

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/notes"
)

const (
	// copyBlock is how much of a file is copied at once; after each, Domino is told that it need not record changes below.
	copyBlock = 1 << 20
	// changeBlock is how much change information is asked for at once.
	changeBlock = 64 << 10

	databasePrefix = "databases/"
	deltaSuffix    = ".delta"

	metaSum    = "crc32c"
	metaSize   = "size"
	metaLogID  = "log_id"
	metaDBIID  = "dbiid"
	metaExtent = "first_extent"
)

func newSum() hash.Hash32 { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }

func sumText(sum hash.Hash32) string { return fmt.Sprintf("%08x", sum.Sum32()) }

// queue hands out databases to threads, and notes each before it is begun.
type queue struct {
	mu   sync.Mutex
	list []wanted
	next int
	// again are those to be tried once more at the end.
	again []wanted
}

func (q *queue) take(m *marker) (w wanted, ok bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next == len(q.list) {
		return w, false, nil
	}
	if q.next%ahead == 0 {
		var names []string
		for _, w := range q.list[q.next:min(q.next+ahead, len(q.list))] {
			names = append(names, w.name)
		}
		if err := m.announce(names); err != nil {
			return w, false, err
		}
	}
	w = q.list[q.next]
	q.next++
	return w, true, nil
}

// databases copies those of a plan, Options.Parallel at a time; what is being compacted is tried once more when the others are done.
func (r *run) databases(ctx context.Context, p *plan) ([]backup.Item, error) {
	q := &queue{list: p.take}
	items, err := r.pass(ctx, q, false)
	if err == nil && len(q.again) > 0 {
		var more []backup.Item
		more, err = r.pass(ctx, &queue{list: q.again}, true)
		items = append(items, more...)
	}
	items = append(items, p.failed...)
	slices.SortFunc(items, func(a, b backup.Item) int { return strings.Compare(a.Name, b.Name) })
	return items, err
}

func (r *run) pass(ctx context.Context, q *queue, last bool) (items []backup.Item, err error) {
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	for range min(r.s.opt.Parallel, len(q.list)) {
		g.Go(func() error {
			return r.worker(gctx, q, func(w wanted, it *backup.Item, err error) error {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case errors.Is(err, errVanished):
					r.warn("%s vanished while the run was under way", w.name)
					return nil
				case later(err) && !last:
					q.again = append(q.again, w)
					return nil
				case err != nil:
					items = append(items, r.failed(ctx, w, err))
				default:
					items = append(items, *it)
				}
				r.st.ItemDone()
				return nil
			})
		})
	}
	return items, g.Wait()
}

// worker copies databases on a thread of its own until there are no more. When its process dies it goes on with another one.
func (r *run) worker(ctx context.Context, q *queue, done func(w wanted, it *backup.Item, err error) error) error {
	host := r.s.host() // of its own, so that a process that dies takes one database with it
	defer func() {
		if err := host.close(); err != nil {
			r.req.Log.Warn("the process of Notes did not end as it should", "err", err)
		}
	}()
	var t *thread
	defer func() {
		if t != nil {
			_ = t.End() // the process ends next
		}
	}()
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		w, ok, err := q.take(r.marker)
		if !ok || err != nil {
			return err
		}
		if t == nil {
			if t, err = host.thread(r.calls); err != nil {
				t = nil
				r.marker.end(w.name)
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if err := done(w, nil, err); err != nil { // no process: it fails by its name, and so do those that come
					return err
				}
				continue
			}
		}
		it, err := r.database(ctx, t, w)
		switch {
		case err != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		case stageError(err) != nil:
			return err
		case t.lost(unlocal(err)):
			t = nil
		}
		if err := done(w, it, err); err != nil {
			return err
		}
	}
}

// failed is the item of a database that could not be copied.
func (r *run) failed(ctx context.Context, w wanted, err error) backup.Item {
	err = r.s.fail(ctx, "back up", w.name, err)
	text := err.Error()
	if hint := backup.Hint(err); hint != "" {
		text += " (" + hint + ")"
	}
	r.req.Log.Warn("database failed", "item", w.name, "err", err)
	it := backup.Item{Name: w.name, Kind: backup.Full, Reason: w.reason, Error: text}
	if w.moved != nil && w.moved.Logged {
		it.Stream, it.Incarnation = w.moved.LogID.String(), w.moved.DBIID.String()
	}
	return it
}

var errVanished = local{errors.New("the database is no longer there")}

// local is an error of this process, not of that of Notes: reading a file, or damage.
type local struct{ error }

func (l local) Unwrap() error { return l.error }

// unlocal is err, or nil where the process of Notes had no part in it.
func unlocal(err error) error {
	var l local
	if errors.As(err, &l) {
		return nil
	}
	return err
}

// staging is an error of the stage, which ends the run.
type staging struct{ error }

func (e staging) Unwrap() error { return e.error }

func stageError(err error) error {
	var e staging
	if errors.As(err, &e) {
		return err
	}
	return nil
}

// database copies one database.
func (r *run) database(ctx context.Context, t *thread, w wanted) (it *backup.Item, err error) {
	h, err := t.Open(r.calls, w.name)
	if err != nil {
		r.marker.end(w.name)
		if _, serr := os.Stat(w.path); said(err, notes.StatusNoExist) && os.IsNotExist(serr) {
			return nil, errVanished
		}
		return nil, fmt.Errorf("open it: %w", err)
	}
	defer func() {
		if err == nil || isStatus(err) || unlocal(err) == nil {
			ctx, stop := r.s.undoing(ctx)
			defer stop()
			_ = t.Close(ctx, h) // nothing was written through it
		}
	}()
	if dir, derr := t.IsDirectory(r.calls, h); derr != nil || dir {
		r.marker.end(w.name)
		if derr == nil {
			derr = local{errors.New("it is a directory, not a database")}
		}
		return nil, derr
	}
	d := &dump{run: r, t: t, w: w, h: h}
	return d.take(ctx)
}

// dump is the backup of one database between NSFBackupStart and NSFBackupEnd.
type dump struct {
	*run
	t    *thread
	w    wanted
	h    notes.Handle
	c    notes.BackupContext
	size int64
	at   time.Time
	info notes.LogInfo
	sum  hash.Hash32
	// changes is how much change information there was.
	changes int64
	before  stamp
}

// take begins the backup, copies and ends it; on any failure the backup is aborted, on a context of its own.
func (d *dump) take(ctx context.Context) (it *backup.Item, err error) {
	if d.before, err = statOf(d.w.path); err != nil {
		d.marker.end(d.w.name)
		return nil, local{err}
	}
	d.marker.begin(d.w.name)
	d.c, d.size, err = d.t.BackupStart(d.calls, d.h)
	if err != nil {
		if isStatus(err) && !said(err, notes.StatusBackupAlreadyInProgress) {
			d.marker.end(d.w.name)
		}
		return nil, fmt.Errorf("begin its backup: %w", err)
	}
	d.at = d.s.opt.Now() // the image is that of a moment before: a restore to a time from here on finds all of it
	ended := false
	defer func() {
		if ended || err != nil && !isStatus(err) && unlocal(err) != nil && stageError(err) == nil && ctx.Err() == nil {
			return // the process is dead, and the note stays
		}
		undo, stop := d.s.undoing(ctx)
		defer stop()
		if aerr := d.t.BackupEnd(undo, d.h, d.c, true); aerr == nil || isStatus(aerr) {
			d.marker.end(d.w.name)
		}
	}()
	if d.info, err = d.t.LogInfo(d.calls, d.h); err != nil {
		return nil, fmt.Errorf("ask what the log knows of it: %w", err)
	}
	d.w.moved = &d.info
	stamp, err := d.copy(ctx, func() error {
		if err := d.t.BackupEnd(d.calls, d.h, d.c, false); err != nil {
			return fmt.Errorf("end its backup: %w", err)
		}
		ended = true
		d.marker.end(d.w.name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return d.item(stamp)
}

func (d *dump) item(after *stamp) (*backup.Item, error) {
	note, err := json.Marshal(databaseCheckpoint{Stamp: after})
	if err != nil {
		return nil, err
	}
	it := &backup.Item{Name: d.w.name, Kind: backup.Full, Reason: d.w.reason, Window: backup.Window{From: d.at, To: d.at}, Checkpoint: note}
	if d.info.Logged && d.archives {
		it.Stream, it.Incarnation = d.info.LogID.String(), d.info.DBIID.String()
		it.End = position(d.info.Extent, d.at)
	}
	return it, nil
}

func (d *dump) artifact() backup.Artifact {
	a := backup.Artifact{Name: databasePrefix + d.w.name, Item: d.w.name, Role: backup.RoleData, Meta: map[string]string{metaSize: strconv.FormatInt(d.size, 10)}}
	if d.info.Logged {
		a.Meta[metaLogID], a.Meta[metaDBIID], a.Meta[metaExtent] = d.info.LogID.String(), d.info.DBIID.String(), strconv.FormatUint(uint64(d.info.Extent), 10)
	}
	return a
}

// copy copies the file with its change information: applied to the copy where that is a file, else beside it. end ends the backup, before anything is kept.
func (d *dump) copy(ctx context.Context, end func() error) (*stamp, error) {
	if d.st.Streaming() {
		return d.beside(ctx, end)
	}
	slot, err := d.st.Reserve(ctx, d.artifact(), d.size)
	if err != nil {
		return nil, staging{err}
	}
	defer func() { _ = slot.Close() }() // discards, unless it was committed
	f, err := os.OpenFile(slot.Path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, staging{err}
	}
	err = d.read(ctx, f)
	if cerr := f.Close(); err == nil && cerr != nil {
		err = staging{cerr}
	}
	if err != nil {
		return nil, err
	}
	if err := d.apply(ctx, slot.ServerPath); err != nil {
		return nil, err
	}
	after, err := d.ending(end)
	if err != nil {
		return nil, err
	}
	if err := d.rehash(ctx, slot.Path); err != nil {
		return nil, err
	}
	slot.Annotate(metaSum, sumText(d.sum))
	if err := slot.Commit(); err != nil {
		return nil, staging{err}
	}
	return after, nil
}

// ending ends the backup between two looks at the file: it is known to be the one in the copy only when nothing touched it before, and Domino itself writes into its header at the end.
func (d *dump) ending(end func() error) (*stamp, error) {
	still, err := statOf(d.w.path)
	if err != nil {
		return nil, local{err}
	}
	if err := end(); err != nil {
		return nil, err
	}
	after, err := statOf(d.w.path)
	if err != nil || !d.info.Logged && (still != d.before || d.changes > 0) {
		return nil, nil //nolint:nilerr // without a stamp the next log run looks at the database
	}
	return &after, nil
}

func statOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stamp{info.ModTime().UnixNano(), info.Size()}, nil
}

// read copies as many bytes as the database had when its backup began, telling Domino how far it is, and stops the recording of changes.
func (d *dump) read(ctx context.Context, w io.Writer) error {
	path, err := d.t.Path(d.calls, d.h)
	if err != nil {
		return fmt.Errorf("ask where it is: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return local{err}
	}
	defer f.Close()
	d.sum = newSum()
	buf := make([]byte, min(copyBlock, max(d.size, 1)))
	for at := int64(0); at < d.size; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := io.ReadFull(f, buf[:min(int64(len(buf)), d.size-at)])
		if err != nil {
			return local{fmt.Errorf("read it: %d of %d bytes came: %w", at+int64(n), d.size, err)}
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return staging{err}
		}
		_, _ = d.sum.Write(buf[:n])
		at += int64(n)
		if err := d.t.BackupHighWater(d.calls, d.h, d.c, at); err != nil {
			return fmt.Errorf("tell how much of it was read: %w", err)
		}
	}
	if err := d.t.BackupStop(d.calls, d.h, d.c); err != nil {
		return fmt.Errorf("stop recording its changes: %w", err)
	}
	if d.changes, err = d.t.ChangeInfoSize(d.calls, d.h, d.c); err != nil {
		return fmt.Errorf("ask how much of it changed: %w", err)
	}
	return nil
}

// each yields the change information in the order in which it must be applied.
func (d *dump) each(ctx context.Context, do func(block []byte) error) error {
	buf := make([]byte, changeBlock)
	var total int64
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := d.t.NextChangeInfo(d.calls, d.h, d.c, buf)
		if err != nil {
			return fmt.Errorf("ask for its changes: %w", err)
		}
		if n == 0 {
			break
		}
		if err := do(buf[:n]); err != nil {
			return err
		}
		total += int64(n)
	}
	if total != d.changes {
		return local{fmt.Errorf("Domino announced %d bytes of change information and gave %d", d.changes, total)} //nolint:staticcheck // a name
	}
	return nil
}

// apply applies the change information to the copy, which then shows the database as it was when its backup began.
func (d *dump) apply(ctx context.Context, path string) error {
	return applying(ctx, d.calls, d.s, d.t, path, d.changes, func(block func([]byte) error) error { return d.each(ctx, block) })
}

// applying applies the change information that feed yields to the copy at path.
func applying(ctx, calls context.Context, s *capiSource, t *thread, path string, size int64, feed func(func([]byte) error) error) (err error) {
	a, err := t.ApplyStart(calls, path, size)
	if err != nil {
		return fmt.Errorf("begin to apply the changes to the copy: %w", err)
	}
	err = feed(func(block []byte) error {
		if err := t.Apply(calls, a, block); err != nil {
			return fmt.Errorf("apply changes to the copy: %w", err)
		}
		return nil
	})
	if err != nil {
		undo, stop := s.undoing(ctx)
		defer stop()
		_ = t.ApplyEnd(undo, a, true) // the copy is thrown away
		return err
	}
	if err := t.ApplyEnd(calls, a, false); err != nil {
		return fmt.Errorf("end applying changes to the copy: %w", err)
	}
	return nil
}

// rehash reads the copy again when changes were applied to it, for its checksum.
func (d *dump) rehash(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return staging{err}
	}
	defer f.Close()
	d.sum = newSum()
	if _, err := io.CopyBuffer(struct{ io.Writer }{d.sum}, until{ctx, f}, make([]byte, copyBlock)); err != nil {
		return staging{err}
	}
	return nil
}

// beside streams the copy as it was read, and the change information after it as an artifact of its own, to be applied by a restore.
func (d *dump) beside(ctx context.Context, end func() error) (*stamp, error) {
	w, err := d.st.Create(ctx, d.artifact())
	if err != nil {
		return nil, staging{err}
	}
	defer func() { _ = w.Close() }() // discards, unless it was committed
	if err := d.read(ctx, w); err != nil {
		return nil, err
	}
	w.Annotate(metaSum, sumText(d.sum))
	w.Annotate("delta", strconv.FormatInt(d.changes, 10))
	name := databasePrefix + d.w.name + deltaSuffix
	delta, err := d.st.Create(ctx, backup.Artifact{Name: name, Item: d.w.name, Role: backup.RoleData, Meta: map[string]string{metaSize: strconv.FormatInt(d.changes, 10)}})
	if err != nil {
		return nil, staging{err}
	}
	defer func() { _ = delta.Close() }()
	sum := newSum()
	err = d.each(ctx, func(block []byte) error {
		_, _ = sum.Write(block)
		if _, err := delta.Write(block); err != nil {
			return staging{err}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	after, err := d.ending(end)
	if err != nil {
		return nil, err
	}
	delta.Annotate(metaSum, sumText(sum))
	if err := w.Commit(); err != nil {
		return nil, staging{err}
	}
	if err := delta.Commit(); err != nil {
		return nil, staging{err}
	}
	return after, nil
}

// until ends a read when its context does.
type until struct {
	ctx context.Context
	r   io.Reader
}

func (u until) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}
