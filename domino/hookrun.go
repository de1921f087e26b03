package domino

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/hook"
	"github.com/quiesce-go/quiesce/domino/nsf"
)

// Notes on artifacts of a hook run: what Domino asks for when it restores, and what a Salvager needs.
const (
	metaReference = "reference"
	metaStart     = "backup_start"
	metaItem      = "item" // the item of an artifact as it would stand in the manifest
	metaAs        = "name" // what Domino calls the file
	modeTranslog  = "TRANSLOG"
)

// Backup implements backup.Source. Domino is asked for its log, then for all databases, or in a log run for those that are new or have a new DBIID.
func (h *HookSource) Backup(ctx context.Context, req backup.Request, st *backup.Stage) (out backup.Result, err error) {
	if req.Kind == backup.Log && h.opt.NoLog {
		return out, h.base.refuse("back up the log of", "", adviceStyle, "the configuration says that the server keeps no log that can be archived (no_log)")
	}
	r := &hookRun{h: h, req: req, r: &run{s: h.base, req: req, st: st, now: seen{}}, databases: map[string]*hookDatabase{}}
	err = h.attending(ctx, func(ctx context.Context, b *switchboard) error {
		out, err = r.all(ctx, b)
		return err
	})
	if err != nil {
		return backup.Result{}, h.base.fail(ctx, "back up", "", err)
	}
	return out, nil
}

// hookRun is one call of Backup.
type hookRun struct {
	h   *HookSource
	req backup.Request
	// r copies files as for a Source.
	r *run

	begin  uint64    // extents before this run
	from   time.Time // up to when the log at the target goes
	reason string    // why all databases are taken in a log run

	mu        sync.Mutex
	state     hookState
	number    int // of references
	databases map[string]*hookDatabase
	upTo      time.Time // the last change of the last extent

	log sync.Mutex // extents come one after the other
}

// hookDatabase is a database as Domino handed it over.
type hookDatabase struct {
	item  backup.Item
	copy  bool
	delta bool
	// err is why the last try failed, which Domino was told.
	err error
}

func (r *hookRun) all(ctx context.Context, b *switchboard) (out backup.Result, err error) {
	if ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	old, err := r.h.loadHookState(r.req.Job)
	if err != nil {
		return out, err
	}
	r.state, r.begin, r.from, r.reason = old.resume(r.req)
	if r.r.inv, err = r.h.base.lookIn(ctx, r.h.opt.DataDir, dataValue); err != nil {
		return out, err
	}
	if !r.h.opt.NoLog {
		if _, err := r.load(ctx, b, "-t", r.extent); err != nil {
			return out, err
		}
	}
	full := r.req.Kind == backup.Full || r.reason != ""
	options := "-i"
	if full {
		options = "-b"
	}
	if _, err := r.load(ctx, b, options, r.file); err != nil {
		return out, err
	}
	if full && len(r.databases) == 0 {
		return out, &backup.Error{Op: "back up", App: application, Instance: r.h.base.opt.Instance, Err: errors.New("domino handed over no database"), Advice: hookAdvice}
	}
	return r.result(ctx, full)
}

// result makes items of what was taken, and takes what Domino's backup does not cover.
func (r *hookRun) result(ctx context.Context, full bool) (out backup.Result, err error) {
	p := &plan{full: full}
	if r.req.Kind == backup.Log {
		p.reason = r.reason
	}
	items, untaken := r.items(full)
	if full && !r.h.opt.SkipFiles {
		it, err := r.r.files(ctx, p)
		if err != nil {
			return out, err
		}
		items = append(items, it)
	}
	if r.r.inv.attachments != "" && !r.h.opt.SkipAttachments {
		it, err := r.r.attachments(ctx, p)
		if err != nil {
			return out, err
		}
		items = append(items, it)
	}
	if !r.h.opt.NoLog {
		it, err := r.link(ctx)
		if err != nil {
			return out, err
		}
		items = append(items, it)
	}
	return backup.Result{Items: items, Untaken: untaken, Warnings: slices.Concat(r.r.inv.warnings, r.r.warnings), Meta: map[string]string{"data": r.h.opt.DataDir, "way": "hook"},
		Pending: &acknowledged{r.h, r.req.Job, r.state}}, nil
}

// items are the databases, and the names of those that Domino did not hand over.
func (r *hookRun) items(full bool) (items []backup.Item, untaken []string) {
	r.state.Owed = ""
	for name, db := range r.databases {
		switch {
		case db.copy && !db.delta:
			r.state.Owed = "Domino takes databases for safe whose change information it did not hand over"
			db.err = &backup.Error{Op: "back up", App: application, Instance: r.h.base.opt.Instance, Artifact: name, Err: errors.New("domino handed over a copy without its change information (.DELTA), which is inconsistent"),
				Advice: "in the configuration document of dominobackup.nsf enable Backup disable direct Apply and Backup keep empty Delta Files"}
			fallthrough
		case !db.copy:
			it := r.r.failed(context.Background(), wanted{file: file{name: name}, reason: db.item.Reason}, db.err)
			it.Stream, it.Incarnation = db.item.Stream, db.item.Incarnation
			items = append(items, it)
		default:
			items = append(items, db.item)
		}
	}
	slices.SortFunc(items, func(a, b backup.Item) int { return strings.Compare(a.Name, b.Name) })
	if !full {
		return items, nil
	}
	for _, f := range r.r.inv.databases {
		if r.databases[f.name] == nil {
			untaken = append(untaken, f.name)
		}
	}
	if len(untaken) > 0 {
		r.r.warn("Domino did not hand over %d databases that are in its data directory, which its exclusions or its own errors explain: %s", len(untaken), abbreviated(untaken))
	}
	return items, untaken
}

// link is the item of the log.
func (r *hookRun) link(ctx context.Context) (backup.Item, error) {
	now := r.h.base.opt.Now()
	from := r.from
	if from.IsZero() {
		from = now
		if !r.upTo.IsZero() && r.upTo.Before(now) {
			from = r.upTo
		}
	}
	it := backup.Item{Name: itemLog, Kind: backup.Log, Stream: r.state.Epoch, Begin: extentPosition(r.begin), End: extentPosition(r.state.Accepted), PointInTime: true,
		Window: backup.Window{From: from, To: laterOf(from, r.upTo)}}
	if last := r.req.Anchors[itemLog].Last; last != nil && last.Stream == it.Stream {
		it.Parent = last.ID
	}
	return it, r.list(ctx, it)
}

// list keeps what the link says of itself with it, so that a link without an extent has something too.
func (r *hookRun) list(ctx context.Context, it backup.Item) error {
	w, err := r.r.st.Create(ctx, backup.Artifact{Name: logPrefix + "link.json", Item: itemLog, Role: backup.RoleControl})
	if err != nil {
		return staging{err}
	}
	defer func() { _ = w.Close() }() // discards, unless it was committed
	text, err := json.Marshal(it)
	if err != nil {
		return err
	}
	sum := newSum()
	if _, err := (writers{w, sum}).Write(text); err != nil {
		return staging{err}
	}
	w.Annotate(metaSum, sumText(sum))
	if err := w.Commit(); err != nil {
		return staging{err}
	}
	return nil
}

// reference is what Domino is given for a file, and gives back when it restores it.
func (r *hookRun) reference() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.number++
	return fmt.Sprintf("%s/%06d", r.req.ID, r.number)
}

// tell notes on disk that Domino is about to be told, with what changes by that.
func (r *hookRun) tell(change func(*hookState)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.state
	change(&next)
	if next.Told && next == r.state {
		return nil
	}
	next.Told, next.Durable = true, false
	if err := r.h.saveHookState(r.req.Job, next); err != nil {
		return err
	}
	r.state = next
	return nil
}

// extent takes a file of the log. Domino gives it up once it is told that it was processed.
func (r *hookRun) extent(ctx context.Context, c hook.Call) (ref string, err error) {
	if c.Mode != modeTranslog {
		return "", fmt.Errorf("an extent of the log was expected (mode %s), and this is %s in mode %q: another backup of Domino runs", modeTranslog, c.Name, c.Mode)
	}
	if c.Reference == "" {
		return "", errors.New("parameter 3, the LogID, is empty, and without it an extent cannot be told from others")
	}
	r.log.Lock()
	defer r.log.Unlock()
	if err := r.series(c.Reference); err != nil {
		return "", err
	}
	ref = r.reference()
	info, err := os.Stat(c.File)
	if err != nil {
		return "", err
	}
	n := r.state.Accepted
	end := info.ModTime()
	if now := r.h.base.opt.Now(); end.After(now) {
		end = now
	}
	end = laterOf(end, laterOf(r.from, r.upTo))
	from := r.from
	if from.IsZero() {
		from = end
	}
	it := backup.Item{Name: itemLog, Kind: backup.Log, Stream: r.state.Epoch, Begin: extentPosition(r.begin), End: extentPosition(n + 1), PointInTime: true, Window: backup.Window{From: from, To: end}}
	note, err := json.Marshal(it)
	if err != nil {
		return "", err
	}
	a := backup.Artifact{Name: fmt.Sprintf("%s%s/%020d", logPrefix, r.state.Epoch, n), Item: itemLog, Role: backup.RoleLog,
		Meta: map[string]string{metaReference: ref, metaLogID: c.Reference, metaAs: c.Name, metaStart: c.Start, metaItem: string(note)}}
	if err := r.r.plain(ctx, a, c.File); err != nil {
		return "", err
	}
	if err := r.tell(func(s *hookState) { s.LogID, s.Accepted = c.Reference, n+1 }); err != nil {
		return "", err
	}
	r.upTo = end
	return ref, nil
}

// series begins the chain anew when the log is another one.
func (r *hookRun) series(id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.state.LogID == "" || r.state.LogID == id:
		return nil
	case r.upTo.IsZero():
		r.reason = "the log of the server was begun anew (LogID)"
		r.state = hookState{Epoch: "hook-" + string(r.req.ID), Run: r.req.ID}
		r.begin, r.from = 0, time.Time{}
		return nil
	}
	return fmt.Errorf("extents of two logs came in one run: %s and %s", r.state.LogID, id)
}

// file takes a database or the change information of one.
func (r *hookRun) file(ctx context.Context, c hook.Call) (ref string, err error) {
	if c.Mode == modeTranslog {
		return "", fmt.Errorf("a database was expected, and this is %s in mode %s: another backup of Domino runs", c.Name, c.Mode)
	}
	name := strings.TrimLeft(strings.ReplaceAll(c.Name, `\`, "/"), "/")
	delta := false
	if cut := len(name) - len(deltaSuffix); cut > 0 && strings.EqualFold(name[cut:], deltaSuffix) {
		name, delta = name[:cut], true
	} else if strings.EqualFold(filepath.Ext(c.File), deltaSuffix) {
		delta = true
	}
	if !filepath.IsLocal(filepath.FromSlash(name)) || name == itemLog || name == itemFiles || name == itemAttachments {
		return "", fmt.Errorf("%q is not the name of a database below the data directory", c.Name)
	}
	db := r.database(name, c)
	ref = r.reference()
	if delta {
		err = r.change(ctx, c, name, ref, db)
	} else {
		err = r.copy(ctx, c, name, ref, db)
	}
	r.mu.Lock()
	db.err = err
	r.mu.Unlock()
	if err != nil {
		return "", err
	}
	return ref, nil
}

// database is what is known of a database in this run.
func (r *hookRun) database(name string, c hook.Call) *hookDatabase {
	r.mu.Lock()
	defer r.mu.Unlock()
	db := r.databases[name]
	if db == nil {
		at := r.h.base.opt.Now()
		db = &hookDatabase{item: backup.Item{Name: name, Kind: backup.Full, Window: backup.Window{From: at, To: at}}}
		if r.req.Kind == backup.Log {
			if db.item.Reason = r.reason; r.reason == "" {
				db.item.Reason = "Domino counts it as new, or as a new instance (DBIID)"
			}
		}
		if instance := strings.Trim(c.Reference, "0:- "); instance != "" && !r.h.opt.NoLog {
			db.item.Stream, db.item.Incarnation, db.item.End = r.state.Epoch, c.Reference, extentPosition(r.begin)
		}
		r.databases[name] = db
	}
	return db
}

// copy takes a database that is in backup mode and written to.
func (r *hookRun) copy(ctx context.Context, c hook.Call, name, ref string, db *hookDatabase) error {
	note, err := json.Marshal(db.item)
	if err != nil {
		return err
	}
	a := backup.Artifact{Name: databasePrefix + name, Item: name, Role: backup.RoleData,
		Meta: map[string]string{metaReference: ref, metaDBIID: c.Reference, metaAs: c.Name, metaStart: c.Start, metaItem: string(note)}}
	if err := r.checked(ctx, a, c.File); err != nil {
		return err
	}
	if err := r.tell(func(*hookState) {}); err != nil {
		return err
	}
	r.mu.Lock()
	db.copy = true
	r.mu.Unlock()
	r.r.st.ItemDone()
	return nil
}

// checked copies a database and looks at its header on the way.
func (r *hookRun) checked(ctx context.Context, a backup.Artifact, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := r.r.st.Create(ctx, a)
	if err != nil {
		return staging{err}
	}
	defer func() { _ = w.Close() }() // discards, unless it was committed
	sum := newSum()
	var check nsf.Checker
	n, err := io.Copy(io.MultiWriter(w, sum, &check), until{ctx, f})
	if err != nil {
		return err
	}
	if _, err := check.Finish(-1); err != nil {
		return fmt.Errorf("the copy is no whole database: %w", err)
	}
	w.Annotate(metaSize, strconv.FormatInt(n, 10))
	w.Annotate(metaSum, sumText(sum))
	if err := w.Commit(); err != nil {
		return staging{err}
	}
	return nil
}

// change takes the change information of a database, without which its copy is inconsistent.
func (r *hookRun) change(ctx context.Context, c hook.Call, name, ref string, db *hookDatabase) error {
	a := backup.Artifact{Name: databasePrefix + name + deltaSuffix, Item: name, Role: backup.RoleData, Meta: map[string]string{metaReference: ref, metaAs: c.Name, metaStart: c.Start}}
	if err := r.r.plain(ctx, a, c.File); err != nil {
		return err
	}
	r.mu.Lock()
	db.delta = true
	r.mu.Unlock()
	return nil
}

// acknowledged notes, once the backup is durable, that what Domino was told is true.
type acknowledged struct {
	h     *HookSource
	job   string
	state hookState
}

// Commit implements backup.Pending.
func (t *acknowledged) Commit(context.Context, *backup.Manifest) error {
	t.state.Durable = true
	return t.h.saveHookState(t.job, t.state)
}

// Abort implements backup.Pending. The note says already that Domino was told of what may not be safe.
func (t *acknowledged) Abort(context.Context) error { return nil }

// Salvage implements backup.Salvager: Domino has given up the extents that a dead run took, and takes its databases for safe. Extents are kept as far as they follow each other, and databases that have their change
// information.
func (h *HookSource) Salvage(_ context.Context, d *backup.DeadRun) (out backup.Salvaged, err error) {
	var link *backup.Item
	var at uint64
	committed := map[string]*backup.StagedArtifact{}
	for _, a := range d.Artifacts {
		if a.Committed {
			committed[a.Name] = a
		}
	}
	for _, a := range d.Artifacts {
		var it backup.Item
		if !a.Committed || json.Unmarshal([]byte(a.Meta[metaItem]), &it) != nil {
			continue
		}
		if a.Role != backup.RoleLog {
			if delta := committed[a.Name+deltaSuffix]; delta != nil {
				out.Items = append(out.Items, it)
				out.Artifacts = append(out.Artifacts, a.Artifact, delta.Artifact)
			}
			continue
		}
		end, err := strconv.ParseUint(string(it.End), 10, 64)
		if err != nil || link != nil && end != at+1 {
			continue
		}
		at, link = end, &it
		out.Artifacts = append(out.Artifacts, a.Artifact)
	}
	if link != nil {
		out.Items = append(out.Items, *link)
	}
	return out, nil
}

var (
	_ backup.Source   = (*HookSource)(nil)
	_ backup.Salvager = (*HookSource)(nil)
)
