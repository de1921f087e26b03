package domino

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/notes"
)

// Backup implements backup.Source: a full of all databases, files and attachments with the log, or the log alone with fulls of those databases whose chain it cannot continue.
func (s *capiSource) Backup(ctx context.Context, req backup.Request, st *backup.Stage) (backup.Result, error) {
	r := &run{s: s, req: req, st: st, host: s.host(), now: seen{}}
	var stop context.CancelFunc
	r.calls, stop = s.calls(ctx)
	defer stop()
	out, err := r.all(ctx)
	if cerr := r.host.close(); cerr != nil {
		req.Log.Warn("the process of Notes did not end as it should", "err", cerr)
	}
	if err != nil {
		return backup.Result{}, s.fail(ctx, "back up", "", err)
	}
	return out, nil
}

// run is one call of Backup.
type run struct {
	s    *capiSource
	req  backup.Request
	st   *backup.Stage
	host *host
	// calls is for functions of Domino; see Source.calls.
	calls context.Context
	inv   *inventory
	style notes.LogStyle
	// archives says that log can be archived.
	archives bool
	was      seen
	marker   *marker

	mu       sync.Mutex
	warnings []string
	now      seen
}

func (r *run) warn(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
}

// all is the run, in order: databases first, then what they refer to, and the log last, so that it reaches over all of them.
func (r *run) all(ctx context.Context) (out backup.Result, err error) {
	if ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	t, err := r.host.thread(r.calls)
	if err != nil {
		return out, err
	}
	defer func() {
		if !t.lost(err) {
			_ = t.End() // the process ends next
		}
	}()
	if err = r.survey(ctx, t); err != nil {
		return out, err
	}
	p, err := r.decide(ctx, t)
	if err != nil {
		return out, err
	}
	left, id, err := r.s.leftInBackup(r.req.Job)
	if err != nil {
		return out, err
	}
	if len(left) > 0 {
		r.warn("run %s of this job died and left databases in backup, which Domino has not ended since: %s; restart the server to release them", id, abbreviated(left))
	}
	if r.marker, err = r.s.newMarker(r.req, left); err != nil {
		return out, err
	}
	defer func() {
		if cerr := r.marker.close(); cerr != nil {
			r.req.Log.Warn("the note of what is in backup stays", "err", cerr)
		}
	}()
	r.expect(p)
	items, err := r.take(ctx, p)
	if err != nil {
		return out, err
	}
	r.remember(p)
	out = backup.Result{Items: items, Untaken: r.inv.left, Meta: r.meta(), Warnings: slices.Concat(r.inv.warnings, r.warnings)}
	if len(p.done) > 0 {
		out.Pending = &archived{s: r.s, log: r.req.Log, id: p.logID, extents: p.done}
	}
	return out, nil
}

// take copies what was decided.
func (r *run) take(ctx context.Context, p *plan) (items []backup.Item, err error) {
	items, err = r.databases(ctx, p)
	if err != nil {
		return nil, err
	}
	if p.full && !r.s.opt.SkipFiles {
		it, err := r.files(ctx, p)
		if err != nil {
			return nil, err
		}
		items = append(items, it)
		r.st.ItemDone()
	}
	if r.inv.attachments != "" && !r.s.opt.SkipAttachments {
		it, err := r.attachments(ctx, p)
		if err != nil {
			return nil, err
		}
		items = append(items, it)
		r.st.ItemDone()
	}
	if p.log {
		it, err := r.log(ctx, p)
		if err != nil {
			return nil, err
		}
		items = append(items, it)
		r.st.ItemDone()
	}
	return items, nil
}

// survey asks the server what it is, and looks at its data directory.
func (r *run) survey(ctx context.Context, t *thread) error {
	var err error
	r.style, err = t.LogStyle(r.calls)
	switch {
	case said(err, notes.StatusServerNotTransLogged):
	case err != nil:
		return fmt.Errorf("ask for the style of the log: %w", err)
	default:
		r.archives = r.style == notes.LogArchive
	}
	if !r.archives && r.req.Kind == backup.Log {
		return r.s.refuse("back up the log of", "", adviceStyle, "the server %s, and no extents of it can be archived", styleName(r.style, err))
	}
	if r.inv, err = r.s.look(ctx, r.calls, t); err != nil {
		return err
	}
	r.was = r.s.loadSeen(r.req.Job)
	return nil
}

func styleName(style notes.LogStyle, err error) string {
	switch {
	case err != nil:
		return "keeps no transaction log"
	case style == notes.LogCircular:
		return "keeps its transaction log in circular style"
	case style == notes.LogLinear:
		return "keeps its transaction log in linear style"
	case style == notes.LogArchive:
		return "keeps its transaction log in archive style"
	}
	return fmt.Sprintf("keeps its transaction log in style %d, which this program does not know", style)
}

// plan is what a run takes.
type plan struct {
	// full says that files and all attachments are taken too, with the reason where a log was asked for.
	full   bool
	reason string
	// take are the databases to copy, why says for each in a log run why.
	take []wanted
	// failed are those that could not be looked at.
	failed []backup.Item
	log    bool
	logID  notes.UNID
	last   *logCheckpoint
	parent *backup.Link
	// current is what the log was when the run began.
	current *offer
	// done are full extents that are safe once this backup is: Domino is told then.
	done []notes.Extent
}

// wanted is a database to copy.
type wanted struct {
	file
	reason string
	// moved is what the log knows of it, where that was asked already.
	moved *notes.LogInfo
}

// decide says what the run takes.
func (r *run) decide(ctx context.Context, t *thread) (*plan, error) {
	p := &plan{}
	if r.req.Kind == backup.Full {
		p.full, p.log = true, r.archives
		if r.archives {
			o, err := r.offered(ctx, t)
			if err != nil && (!isStatus(err) || ctx.Err() != nil) {
				return nil, err
			}
			p.current = o // without it the log fails by its name later
		}
		for _, db := range r.inv.databases {
			p.take = append(p.take, wanted{file: db})
		}
		return p, nil
	}
	o, err := r.offered(ctx, t)
	if err != nil {
		return nil, err
	}
	p.current = o
	p.last, p.parent = lastLog(r.req.Anchors, o.id())
	if !r.known(o.id()) {
		p.full, p.reason = true, "no full backup in the series of the transaction log that the server writes is at the target"
		for _, db := range r.inv.databases {
			why := p.reason
			switch a := r.req.Anchors[db.name]; {
			case a.Full == nil:
				why = "no full backup of it is at the target"
			case wayOfLink(a.Full) != CAPI:
				why = promoted(a, notes.LogInfo{})
			}
			p.take = append(p.take, wanted{file: db, reason: why})
		}
		return p, nil
	}
	p.log = true
	gap := chooseLog(o, p.last).gap
	for _, db := range r.inv.databases {
		if err := r.consider(ctx, t, p, db, o.id(), gap); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// known reports whether a full of that series is at the target, which log can continue.
func (r *run) known(id notes.UNID) bool {
	for _, a := range r.req.Anchors {
		if a.Full != nil && a.Full.Stream == id.String() || a.Last != nil && a.Last.Stream == id.String() {
			return true
		}
	}
	return false
}

// consider decides about one database in a log run. It opens it only when its file tells that it has changed.
func (r *run) consider(ctx context.Context, t *thread, p *plan, db file, id notes.UNID, gap string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	a := r.req.Anchors[db.name]
	if gap != "" && a.Full != nil && a.Full.Stream != "" {
		p.take = append(p.take, wanted{file: db, reason: gap})
		return nil
	}
	if why := detached(a, p.parent); why != "" {
		p.take = append(p.take, wanted{file: db, reason: why})
		return nil
	}
	if unchanged(db, a, r.was, id) {
		if v, ok := r.was[db.name]; ok {
			r.now[db.name] = v
		}
		return nil
	}
	if a.Full == nil {
		p.take = append(p.take, wanted{file: db, reason: promoted(a, notes.LogInfo{})})
		return nil
	}
	info, err := logInfo(r.calls, t, db.name)
	switch {
	case said(err, notes.StatusNoExist):
		r.warn("%s vanished while the run was under way", db.name)
		return nil
	case err != nil && !isStatus(err):
		return err
	case err != nil:
		p.failed = append(p.failed, r.failed(ctx, wanted{file: db}, fmt.Errorf("look at it: %w", err)))
		return nil
	}
	if why := promoted(a, info); why != "" {
		p.take = append(p.take, wanted{file: db, reason: why, moved: &info})
		return nil
	}
	r.now[db.name] = sight{db.stamp(), info.Logged, info.LogID, info.DBIID}
	return nil
}

// logInfo opens a database to ask what the log knows of it.
func logInfo(ctx context.Context, t *thread, name string) (info notes.LogInfo, err error) {
	h, err := t.Open(ctx, name)
	if err != nil {
		return info, err
	}
	info, err = t.LogInfo(ctx, h)
	return info, errors.Join(err, t.Close(ctx, h))
}

// expect tells how much is coming.
func (r *run) expect(p *plan) {
	n := len(p.take)
	var bytes int64
	for _, w := range p.take {
		bytes += w.size
	}
	if p.full {
		n++
		for _, f := range r.inv.files {
			bytes += f.size
		}
	}
	if p.log {
		n++
	}
	r.st.Expect(n, bytes)
}

// remember keeps what was seen for the next run.
func (r *run) remember(p *plan) {
	for _, w := range p.take {
		delete(r.now, w.name) // its stamp is in its full
	}
	if err := r.s.saveSeen(r.req.Job, r.now); err != nil {
		r.warn("what was seen of the databases could not be kept, and the next log run opens more of them: %v", err)
	}
}

func (r *run) meta() map[string]string {
	m := map[string]string{"data": r.inv.data, metaWay: string(CAPI), "log": strings.TrimPrefix(styleName(r.style, nil), "keeps its transaction log in ")}
	if !r.archives && r.style == notes.LogArchive {
		m["log"] = "none"
	}
	return m
}

// laterOf is the later of two times.
func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
