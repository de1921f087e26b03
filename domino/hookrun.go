package domino

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/hook"
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
func (h *hookSource) Backup(ctx context.Context, req backup.Request, st *backup.Stage) (out backup.Result, err error) {
	if req.Kind == backup.Log && h.opt.NoLog {
		return out, h.base.refuse("back up the log of", "", adviceStyle, "the configuration says that the server keeps no log that can be archived (no_log)")
	}
	r := &hookRun{h: h, req: req, r: &run{s: h.base, req: req, st: st, now: seen{}}, databases: map[string]*hookDatabase{}}
	if ctx.Err() == nil {
		b := &switchboard{} // until a load expects calls, all are refused
		err = h.attending(ctx, b, func(serving context.Context) error {
			out, err = r.all(ctx, serving, b)
			return err
		})
	}
	if err = errors.Join(err, context.Cause(ctx)); err != nil {
		return backup.Result{}, h.base.fail(ctx, "back up", "", err)
	}
	return out, nil
}

// hookRun is one call of Backup.
type hookRun struct {
	h   *hookSource
	req backup.Request
	// r copies files as for a Source.
	r *run

	// at is where the chain stood, and what this run adds to it.
	mu        sync.Mutex
	at        epoch
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

// all is the run: in a full the databases and then the log, so that it reaches over them; in a log run the log first, since what Domino has to offer says whether the chain goes on. What takes long ends with serving.
func (r *hookRun) all(ctx, serving context.Context, b *switchboard) (out backup.Result, err error) {
	note, err := r.h.loadHookState(r.req.Job)
	if err != nil {
		return out, err
	}
	r.at = note.resume(r.req)
	if r.r.inv, err = r.h.base.lookIn(ctx, r.h.opt.DataDir, dataValue); err != nil {
		return out, err
	}
	log := func() error {
		if r.h.opt.NoLog || ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return r.load(serving, b, "-t", r.extent)
	}
	if r.req.Kind == backup.Log && !r.at.anew {
		if err := log(); err != nil {
			return out, err
		}
	}
	all := r.req.Kind == backup.Full || r.at.reason != ""
	options := "-i"
	if all {
		options = "-b"
	}
	if ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	if err := r.load(serving, b, options, r.file); err != nil {
		return out, err
	}
	if all && len(r.databases) == 0 {
		return out, &backup.Error{Op: "back up", App: application, Instance: r.h.base.opt.Instance, Err: errors.New("domino handed over no database"), Advice: hookAdvice}
	}
	if r.req.Kind == backup.Full {
		if err := log(); err != nil {
			return out, err
		}
	}
	return r.result(serving, all)
}

// result makes items of what was taken, and takes what Domino's backup does not cover.
func (r *hookRun) result(ctx context.Context, full bool) (out backup.Result, err error) {
	p := &plan{full: full}
	if r.req.Kind == backup.Log {
		p.reason = r.at.reason
	}
	items, untaken := r.items(full)
	if full && !r.h.opt.SkipFiles {
		it, err := r.r.files(ctx, p)
		if err != nil {
			return out, err
		}
		if !it.Failed() && !r.h.opt.NoLog { // so that everything can be restored to one time
			it.Stream, it.End = r.at.Epoch, extentPosition(r.at.begin)
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
	if !r.h.opt.NoLog && (r.req.Kind == backup.Full || !r.at.anew) {
		it, err := r.link(ctx)
		if err != nil {
			return out, err
		}
		items = append(items, it)
	}
	return backup.Result{Items: items, Untaken: untaken, Warnings: slices.Concat(r.r.inv.warnings, r.r.warnings), Meta: map[string]string{"data": r.h.opt.DataDir, metaWay: string(Hook)},
		Pending: &acknowledged{r.h, r.req.Job, r.at.hookState}}, nil
}

// items are the databases, and the names of those that Domino did not hand over.
func (r *hookRun) items(full bool) (items []backup.Item, untaken []string) {
	r.at.Owed = ""
	for name, db := range r.databases {
		if db.item.Stream != "" { // the chain may have begun anew since it was handed over
			db.item.Stream, db.item.End = r.at.Epoch, extentPosition(r.at.begin)
		}
		switch {
		case db.copy && !db.delta:
			r.at.Owed = "Domino takes databases for safe whose change information it did not hand over"
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
	if full {
		for _, f := range r.r.inv.databases {
			if r.databases[f.name] != nil {
				continue
			}
			if a := r.req.Anchors[f.name]; a.Full == nil {
				untaken = append(untaken, f.name) // Domino leaves it out
				continue
			}
			items = append(items, r.r.failed(context.Background(), wanted{file: f}, &backup.Error{Op: "back up", App: application, Instance: r.h.base.opt.Instance, Artifact: f.name,
				Err: errors.New("domino handed it over before, and this time it did not"), Advice: "look into the backup log in dominobackup.nsf: it is damaged or in use, or was excluded there"}))
		}
		if len(untaken) > 0 {
			r.r.warn("Domino did not hand over %d databases that are in its data directory, which its exclusions or its own errors explain: %s", len(untaken), abbreviated(untaken))
		}
	}
	slices.SortFunc(items, func(a, b backup.Item) int { return strings.Compare(a.Name, b.Name) })
	return items, untaken
}

// link is the item of the log.
func (r *hookRun) link(ctx context.Context) (backup.Item, error) {
	now := r.h.base.opt.Now()
	from := r.at.from
	if from.IsZero() {
		from = now
		if !r.upTo.IsZero() && r.upTo.Before(now) {
			from = r.upTo
		}
	}
	it := backup.Item{Name: itemLog, Kind: backup.Log, Stream: r.at.Epoch, Begin: extentPosition(r.at.begin), End: extentPosition(r.at.Accepted), PointInTime: true,
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
	next := r.at.hookState
	change(&next)
	if next.Told && next == r.at.hookState {
		return nil
	}
	next.Told, next.Durable = true, false
	if err := r.h.saveHookState(r.req.Job, next); err != nil {
		return err
	}
	r.at.hookState = next
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
	n := r.at.Accepted
	end := info.ModTime()
	if now := r.h.base.opt.Now(); end.After(now) {
		end = now
	}
	end = laterOf(end, laterOf(r.at.from, r.upTo))
	from := r.at.from
	if from.IsZero() {
		from = end
	}
	it := backup.Item{Name: itemLog, Kind: backup.Log, Stream: r.at.Epoch, Begin: extentPosition(r.at.begin), End: extentPosition(n + 1), PointInTime: true, Window: backup.Window{From: from, To: end}}
	note, err := json.Marshal(it)
	if err != nil {
		return "", err
	}
	a := backup.Artifact{Name: fmt.Sprintf("%s%s/%020d", logPrefix, r.at.Epoch, n), Item: itemLog, Role: backup.RoleLog,
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

// series begins the chain anew when the log is another one. A log run, whose databases come behind the log, then takes these, and leaves the log to the next run.
func (r *hookRun) series(id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at.LogID == "" || r.at.LogID == id {
		return nil
	}
	if !r.upTo.IsZero() {
		return fmt.Errorf("extents of two logs came in one run: %s and %s", r.at.LogID, id)
	}
	r.at = epoch{hookState: hookState{Epoch: hookEpoch + string(r.req.ID), Run: r.req.ID, LogID: id, Databases: r.at.Databases, Told: r.at.Told}, anew: true, reason: "the log of the server was begun anew (LogID)"}
	if r.req.Kind == backup.Log {
		return fmt.Errorf("%s, and its extents come with the next run, once all databases are taken", r.at.reason)
	}
	return nil
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
		db = &hookDatabase{item: backup.Item{Name: name, Kind: backup.Full, Window: backup.Window{From: at, To: at}, Checkpoint: wayNote(Hook)}}
		if r.req.Kind == backup.Log {
			if db.item.Reason = r.at.reason; r.at.reason == "" {
				db.item.Reason = "Domino counts it as new, or as a new instance (DBIID)"
			}
		}
		if instanceOf(c.Reference) && !r.h.opt.NoLog {
			db.item.Stream, db.item.Incarnation, db.item.End = r.at.Epoch, c.Reference, extentPosition(r.at.begin)
		}
		r.databases[name] = db
	}
	return db
}

// instanceOf reports whether what Domino said of a database is an instance id (DBIID), which it has when it is logged.
func instanceOf(reference string) bool { return strings.Trim(reference, "0:- ") != "" }

// copy takes a database that is in backup mode and written to.
func (r *hookRun) copy(ctx context.Context, c hook.Call, name, ref string, db *hookDatabase) error {
	note, err := json.Marshal(db.item)
	if err != nil {
		return err
	}
	a := backup.Artifact{Name: databasePrefix + name, Item: name, Role: backup.RoleData,
		Meta: map[string]string{metaReference: ref, metaDBIID: c.Reference, metaAs: c.Name, metaStart: c.Start, metaItem: string(note)}}
	if damage, err := r.r.checked(ctx, a, c.File, true); err != nil || damage != nil {
		return errors.Join(err, damage)
	}
	if err := r.tell(func(s *hookState) { s.Databases = true }); err != nil {
		return err
	}
	r.mu.Lock()
	db.copy = true
	r.mu.Unlock()
	r.r.st.ItemDone()
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
	h     *hookSource
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
func (h *hookSource) Salvage(_ context.Context, d *backup.DeadRun) (out backup.Salvaged, err error) {
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
	out.Meta = map[string]string{"data": h.opt.DataDir, metaWay: string(Hook)}
	return out, nil
}

var (
	_ Source          = (*hookSource)(nil)
	_ backup.Salvager = (*hookSource)(nil)
)
