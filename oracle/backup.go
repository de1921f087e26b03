package oracle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/quiesce-go/quiesce/backup"
)

// Backup implements backup.Source: a full with data files, in ModeRMAN a differential with what changed in them, or the archived logs since the last link, and with each the control
// file and all else that inventory.json lists. A log becomes a full when it would continue nothing; the item says why.
func (s *Source) Backup(ctx context.Context, req backup.Request, st *backup.Stage) (backup.Result, error) {
	r := &run{s: s, req: req, st: st, files: s.files(req.Job)}
	out, err := r.all(ctx)
	if cerr := r.files.close(ctx); cerr != nil {
		// The bytes are safe; what stays behind is harmless, and the next run drops it.
		req.Log.Warn("DIRECTORY objects stay", "err", cerr)
		out.Warnings = append(out.Warnings, staying(cerr))
	}
	if err != nil {
		return backup.Result{}, s.fail(ctx, "back up", "", err)
	}
	return out, nil
}

// run is one call of Backup.
type run struct {
	s     *Source
	req   backup.Request
	st    *backup.Stage
	files files
	inv   *Inventory
	ch    choice
	// rman makes the backup in ModeRMAN; nil in others.
	rman *rmanCopier
	// present are the data files as they were at the last look, with those that came to be since the survey.
	present []DataFile

	mu       sync.Mutex
	warnings []string
	doubtful map[string]string
}

func (r *run) warn(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
}

// copier copies the data files of a full, in a way that redo makes consistent.
type copier interface {
	// data returns from where redo is needed, where the copies are consistent and when that was.
	data(ctx context.Context, r *run) (span, error)
}

// span is a stretch of redo, with the moment of its end by the server's clock.
type span struct {
	from, end SCN
	at        time.Time
}

func (r *run) all(ctx context.Context) (backup.Result, error) {
	err := r.s.with(ctx, func(c *session) (err error) {
		r.inv, err = c.survey(ctx)
		return err
	})
	if err != nil {
		return backup.Result{}, r.s.fail(ctx, "look at", "", err)
	}
	if r.ch, err = r.s.decide(r.req.Kind, r.inv, r.req.Anchors[itemName]); err != nil {
		return backup.Result{}, err
	}
	if err := r.s.archives(r.inv); err != nil {
		return backup.Result{}, err
	}
	if r.s.opt.Mode == ModeRMAN {
		if r.rman, err = r.newRMAN(ctx); err != nil {
			return backup.Result{}, err
		}
	}
	for _, text := range r.ch.warns {
		r.warn("%s", text)
	}
	it, err := r.item(ctx)
	if err != nil {
		if r.rman != nil {
			r.rman.abandon(ctx)
		}
		return backup.Result{}, err
	}
	r.st.ItemDone()
	out := backup.Result{Items: []backup.Item{it}, Meta: r.meta(), Warnings: r.warnings}
	if it.Kind == backup.Log && r.s.opt.PurgeArchived {
		out.Pending = &purge{s: r.s, job: r.req.Job, inv: r.inv, log: r.req.Log}
	}
	if r.rman != nil {
		out.Pending = &rmanPending{m: r.rman, then: out.Pending}
	}
	return out, nil
}

// item takes what was decided, and a full when the logs turn out to have a gap.
func (r *run) item(ctx context.Context) (backup.Item, error) {
	switch r.ch.kind {
	case backup.Log:
		it, err := r.log(ctx)
		var g *gap
		if !errors.As(err, &g) || g.waiting {
			return it, err
		}
		r.ch.last = nil
		if err := r.instead(ctx, g.what); err != nil {
			return it, err
		}
	case backup.Differential:
		it, err := r.differential(ctx)
		var u *unfit
		if !errors.As(err, &u) {
			return it, err
		}
		if err := r.instead(ctx, u.why); err != nil {
			return it, err
		}
	}
	if r.rman != nil {
		return r.full(ctx, r.rman)
	}
	return r.full(ctx, hotCopier{})
}

// instead takes a full, and says why.
func (r *run) instead(ctx context.Context, why string) error {
	r.ch.kind, r.ch.reason = backup.Full, why
	r.req.Log.Info("another backup is taken", "kind", backup.Full, "why", why)
	if r.rman == nil {
		return nil
	}
	return r.rman.again(ctx)
}

// differential takes what changed in the data files since the last full, and the logs that make it consistent.
func (r *run) differential(ctx context.Context) (backup.Item, error) {
	var known *records
	err := r.s.with(ctx, func(c *session) (err error) {
		known, err = c.records(ctx)
		return err
	})
	if err != nil {
		return backup.Item{}, r.s.fail(ctx, "look at the backups that are known of", "", err)
	}
	if why := known.applies(r.ch.base.Tag, r.inv.ResetlogsSCN, r.ch.base.Checkpoints); why != "" {
		return backup.Item{}, &unfit{why}
	}
	r.rman.parent = r.ch.base
	return r.full(ctx, r.rman)
}

// log takes the archived logs since the last link.
func (r *run) log(ctx context.Context) (backup.Item, error) {
	var done span
	err := r.s.with(ctx, func(c *session) (err error) {
		// The clock first: what was committed before it is below the SCN.
		if done.at, err = c.now(ctx); err != nil {
			return err
		}
		done.end, err = c.scn(ctx)
		return err
	})
	if err != nil {
		return backup.Item{}, r.s.fail(ctx, "look at", "", err)
	}
	from := r.ch.from
	logs, end, err := r.reachable(ctx, from.Next, done.end)
	var g *gap
	if errors.As(err, &g) && !g.waiting && from.End > from.Next {
		why := g.what
		if logs, end, err = r.reachable(ctx, from.End, done.end); err == nil {
			r.warn("times between the last log and the full %s cannot be restored: %s", r.ch.last.ID, why)
			from.goesOn = goesOn{from.End, from.EndAt}
		}
	}
	if err != nil {
		return backup.Item{}, err
	}
	done.from, done.end = from.Next, end
	r.expect(nil, logs)
	if err := r.copyLogs(ctx, logs); err != nil {
		return backup.Item{}, err
	}
	it := backup.Item{
		Name: itemName, Kind: backup.Log, Parent: r.ch.last.ID, Begin: from.Next.Position(), End: end.Position(), PointInTime: true,
		Window: backup.Window{From: earlier(from.NextAt, done.at), To: done.at},
	}
	return r.finish(ctx, it, done, logs, goesOn{end, done.at})
}

// earlier keeps a window in order when the server's clock was put back.
func earlier(a, b time.Time) time.Time {
	if a.After(b) {
		return b
	}
	return a
}

// reachable switches logs and finds the files of those needed.
func (r *run) reachable(ctx context.Context, from, upTo SCN) ([]ArchivedLog, SCN, error) {
	logs, end, err := r.switchLogs(ctx, from, upTo)
	if err != nil {
		var g *gap
		if errors.As(err, &g) && !g.waiting {
			return nil, 0, err
		}
		return nil, 0, r.s.fail(ctx, "archive the logs of", "", err)
	}
	logs = before(logs, end)
	return logs, end, r.locateLogs(ctx, logs)
}

// full takes data files, and the logs that make them consistent.
func (r *run) full(ctx context.Context, by copier) (backup.Item, error) {
	r.expect(r.ch.files, nil)
	done, err := by.data(ctx, r)
	if err != nil {
		return backup.Item{}, err
	}
	// The redo up to END BACKUP must be in an archived log, or the copies are worth nothing [BRU 29.4].
	logs, _, err := r.reachable(ctx, done.from, done.end)
	if err != nil {
		return backup.Item{}, r.s.fail(ctx, "archive the logs of", "", err)
	}
	logs = before(logs, done.end)
	r.expect(r.ch.files, logs)
	if err := r.copyLogs(ctx, logs); err != nil {
		return backup.Item{}, err
	}
	it := backup.Item{Name: itemName, Kind: r.ch.kind, Reason: r.ch.reason, End: done.end.Position(), Window: backup.Window{From: done.at, To: done.at}}
	if it.Kind == backup.Differential {
		it.Parent = r.ch.full
	}
	next := goesOn{done.end, done.at}
	if r.ch.last != nil {
		next = r.ch.from.goesOn
	}
	return r.finish(ctx, it, done, logs, next)
}

// finish adds what goes with every backup, and completes the item.
func (r *run) finish(ctx context.Context, it backup.Item, done span, logs []ArchivedLog, next goesOn) (backup.Item, error) {
	r.inv.Backup = Contents{Kind: string(it.Kind), From: done.from, End: done.end, At: done.at, Logs: logs, Files: map[string]string{}}
	if r.rman != nil {
		r.inv.Backup.RMAN = r.rman.made
	}
	if err := r.surroundings(ctx); err != nil {
		return it, err
	}
	point := checkpoint{DBID: r.inv.DBID, ResetlogsSCN: r.inv.ResetlogsSCN, ResetlogsID: r.inv.ResetlogsID, goesOn: next, End: done.end, EndAt: done.at, Threads: lastSequences(logs)}
	if r.rman != nil && it.Kind == backup.Full {
		point.RMAN = r.rman.base
	}
	note, err := json.Marshal(point)
	if err != nil {
		return it, err
	}
	it.Stream, it.Checkpoint = streamOf(r.inv.DBID, r.inv.ResetlogsSCN), note
	for _, d := range r.inv.DataFiles {
		name := r.inv.objectName(d.Container, d.TablespaceName)
		// What RMAN took is restored whole.
		if r.rman == nil && !slices.Contains(it.Objects, name) && (d.Artifact != "" || it.Kind == backup.Log) {
			it.Objects = append(it.Objects, name)
		}
	}
	return it, nil
}

// expect tells how much is coming.
func (r *run) expect(files []int, logs []ArchivedLog) {
	var bytes int64
	for _, i := range files {
		bytes += r.inv.DataFiles[i].Bytes + r.inv.DataFiles[i].Block1Offset
	}
	for _, l := range logs {
		bytes += l.Bytes
	}
	r.st.Expect(1, bytes)
}

// parallel runs do for each of n things, Options.Files at a time.
func (r *run) parallel(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.s.opt.Files)
	for i := range n {
		g.Go(func() error {
			if gctx.Err() != nil {
				return context.Cause(gctx)
			}
			return do(gctx, i)
		})
	}
	return g.Wait()
}

// meta is what an operator sees with the backup.
func (r *run) meta() map[string]string {
	return map[string]string{
		"database": r.inv.Name, "dbid": strconv.FormatUint(r.inv.DBID, 10), "version": r.inv.Version, "platform": r.inv.Platform, "host": r.inv.Host,
		"incarnation": strconv.FormatUint(uint64(r.inv.ResetlogsSCN), 10), "mode": string(r.s.opt.Mode),
	}
}

var _ backup.Source = (*Source)(nil)
