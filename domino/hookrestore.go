package domino

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/hook"
	"github.com/quiesce-go/quiesce/domino/nsf"
)

// Restore implements backup.Restorer: it waits for Domino's restore task, which an administrator starts by a request in dominobackup.nsf, and brings the files that it asks for. It ends when all databases of the plan
// were asked for and Domino has said that it is through; when nothing is asked for any more; or when nothing came at all within Options.RestoreTimeout, which is an error, as is a database that was not asked for.
// Domino decides where files go and up to when it rolls forward. Files beside the databases are put back first.
func (h *hookSource) Restore(ctx context.Context, req backup.RestoreRequest, set *backup.RestoreSet) error {
	if len(req.Options) > 0 {
		return h.base.fail(ctx, "restore", "", fmt.Errorf("%w: a restore by Domino's own task takes none here; the request in dominobackup.nsf has them", backup.ErrOption))
	}
	r := &hookRestore{h: h, req: req, set: set, byReference: map[string]placed{}, byName: map[string]placed{}, wanted: map[string]bool{}}
	if err := h.base.only(Hook, "Domino's own restore asks for the references that it was given with its backup, and this one has none", set); err != nil {
		return err
	}
	r.index()
	if err := r.beside(ctx); err != nil {
		return h.base.fail(ctx, "restore", "", err)
	}
	if len(r.wanted) == 0 {
		return nil
	}
	p := newCalling(r.bring)
	err := h.attending(ctx, &switchboard{now: p}, func(ctx context.Context) error {
		req.Log.Info("waiting for the restore task of Domino", "databases", len(r.missing()), "at", h.opt.CallDir)
		err := p.wait(ctx, h.opt.RestoreTimeout, h.opt.RestoreTimeout, func() bool { return len(r.missing()) == 0 })
		p.close()
		missing := r.missing()
		switch {
		case !errors.Is(err, errSilent):
			return err
		case len(missing) == 0:
			set.Warn("Domino did not say that its restore was through; let Post-Restore Command call quiesce-hook done")
			return nil
		}
		return &backup.Error{Op: "restore", App: application, Instance: h.base.opt.Instance, Artifact: missing[0],
			Err:    fmt.Errorf("%w: %d of %d files of databases were not asked for: %s", errSilent, len(missing), len(r.wanted), abbreviated(missing)),
			Advice: "request them in dominobackup.nsf while the restore waits, and let Restore DB Command and Restore Translog Command call quiesce-hook, as doc/domino.md shows"}
	})
	if err == nil && r.rest.attachmentBase != "" {
		err = r.rest.references(ctx, r.placed)
	}
	return h.base.fail(ctx, "restore", "", err)
}

// hookRestore is one restore.
type hookRestore struct {
	h   *hookSource
	req backup.RestoreRequest
	set *backup.RestoreSet
	// rest is the restore of what is no database.
	rest *restoring
	// byReference has what was given to Domino when a file was taken; byName is for requests without it.
	byReference, byName map[string]placed

	mu     sync.Mutex
	wanted map[string]bool // artifacts of databases, and whether they were brought
	placed []string        // databases as Domino has them now
}

// key of a file for which Domino gives no reference: what it said of it when it was taken.
func (r *hookRestore) key(reference, name, start string) string {
	return strings.Join([]string{reference, strings.ToLower(strings.ReplaceAll(name, `\`, "/")), start}, "\x00")
}

func (r *hookRestore) index() {
	for _, step := range r.set.Steps() {
		for _, e := range step.Entries {
			ref := e.Meta[metaReference]
			if ref == "" {
				continue
			}
			p := placed{step, e}
			r.byReference[ref] = p
			if e.Role == backup.RoleLog { // a log and the name of its file make an extent, whichever backup it came with
				r.byName[r.key(e.Meta[metaLogID], e.Meta[metaAs], "")] = p
				continue
			}
			r.byName[r.key("", e.Meta[metaAs], e.Meta[metaStart])] = p
			r.wanted[e.Name] = false
		}
	}
}

func (r *hookRestore) missing() (names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, brought := range r.wanted {
		if !brought {
			names = append(names, strings.TrimPrefix(name, databasePrefix))
		}
	}
	slices.Sort(names)
	return names
}

// find is the artifact that Domino asks for. Change information may be asked for by the reference of its database.
func (r *hookRestore) find(c hook.Call) (placed, bool) {
	delta := strings.EqualFold(filepath.Ext(c.To), deltaSuffix) || strings.EqualFold(filepath.Ext(strings.ReplaceAll(c.Name, `\`, "/")), deltaSuffix)
	p, ok := r.byReference[c.Ref]
	if !ok {
		for _, k := range []string{r.key(c.Reference, c.Name, ""), r.key("", c.Name, c.Start)} {
			if p, ok = r.byName[k]; ok {
				break
			}
		}
	}
	if ok && delta && !strings.HasSuffix(p.entry.Name, deltaSuffix) {
		e, found := p.step.Find(p.entry.Name + deltaSuffix)
		return placed{p.step, e}, found
	}
	return p, ok
}

// bring answers a call of the restore task.
func (r *hookRestore) bring(ctx context.Context, c hook.Call) (string, error) {
	if c.Op != hook.Restore {
		return "", errors.New("a restore is waiting here, not a backup")
	}
	p, ok := r.find(c)
	if !ok {
		return "", &backup.Error{Op: "restore", App: application, Instance: r.h.base.opt.Instance, Artifact: c.Name, Err: fmt.Errorf("%w: %q (log or instance %s, taken %s) is not in the backups of this plan", backup.ErrNoBackup, c.Ref, c.Reference, c.Start),
			Advice: "plan the restore to the time that Domino restores to; extents that an older full needs are in the plan of a later time or of an earlier full"}
	}
	is, err := there(c.To)
	if err != nil {
		return "", err
	}
	if is && !r.req.Overwrite {
		return "", &backup.Error{Op: "restore", App: application, Instance: r.h.base.opt.Instance, Artifact: c.To, Err: backup.ErrExists, Advice: "let Domino restore under another name, or allow overwriting"}
	}
	x := &restoring{s: r.h.base, r: r.req, set: r.set}
	if err := x.create(ctx, p, c.To, c.To+unfinished, 0o640); err != nil {
		return "", err
	}
	r.set.Moved()
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, is := r.wanted[p.entry.Name]; is && !r.wanted[p.entry.Name] {
		r.wanted[p.entry.Name] = true
		if !strings.HasSuffix(p.entry.Name, deltaSuffix) {
			r.placed = append(r.placed, nameOf(r.h.opt.DataDir, c.To))
			r.set.ItemDone()
		}
	}
	return p.entry.Meta[metaReference], nil
}

// temporarySuffix ends the name under which Domino restores a database before it puts it in place.
const temporarySuffix = ".dad"

// nameOf is how Domino will name a database: below its data directory, or by its full path.
func nameOf(data, path string) string {
	if strings.EqualFold(filepath.Ext(path), temporarySuffix) {
		path = path[:len(path)-len(temporarySuffix)]
	}
	if rel, err := filepath.Rel(data, path); err == nil && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel)
	}
	return path
}

// beside puts plain files and attachments back, which Domino's restore does not know.
func (r *hookRestore) beside(ctx context.Context) error {
	inv, err := r.h.base.lookIn(ctx, r.h.opt.DataDir, dataValue)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	c := &course{data: r.h.opt.DataDir, opt: restoreOptions{}}
	n := 0
	for _, step := range r.set.Steps() {
		switch step.Item.Name {
		case itemFiles:
			c.files = append(c.files, step)
		case itemAttachments:
			c.attachments = append(c.attachments, step)
		case itemLog:
			continue
		}
		n++
	}
	r.set.Expect(n)
	there, err := c.occupied()
	if err != nil {
		return err
	}
	for name := range r.wanted {
		at, err := place(r.h.opt.DataDir, strings.TrimPrefix(name, databasePrefix))
		if err != nil {
			return err
		}
		if _, err := os.Lstat(at); err == nil && !strings.HasSuffix(name, deltaSuffix) {
			there = append(there, at)
		}
	}
	if len(there) > 0 && !r.req.Overwrite {
		return &backup.Error{Op: "restore", App: application, Instance: r.h.base.opt.Instance, Artifact: there[0], Err: fmt.Errorf("%d of the files are there: %w", len(there), backup.ErrExists),
			Advice: "allow overwriting: Domino restores under the name that its own request says, and nothing is replaced that it does not replace itself"}
	}
	x := &restoring{s: r.h.base, r: r.req, set: r.set, c: c}
	r.rest = x
	if inv != nil {
		x.attachmentBase = inv.attachments
	}
	for _, f := range c.plainFiles() {
		if err := x.plain(ctx, f); err != nil {
			return err
		}
	}
	for range c.files {
		r.set.ItemDone()
	}
	if len(c.attachments) == 0 {
		return nil
	}
	if x.attachmentBase == "" {
		r.set.Warn("notes.ini names no attachment store (DAOSBasePath), and its objects were not restored")
		return nil
	}
	return x.attachments(ctx)
}

// Verify implements backup.Verifier, without a server: every artifact is read to its end and compared with the size and checksum of when it was taken; a database must begin as one, be as long as its header says, and
// have its change information; the extents of a link must all be there. Only a recovery tells whether Domino can use them.
func (h *hookSource) Verify(ctx context.Context, set *backup.RestoreSet) error {
	return h.base.verify(ctx, set)
}

// hooked proves a step of the way hook.
func (v *verifying) hooked(ctx context.Context) error {
	extents := 0
	for _, e := range v.step.Entries {
		var check nsf.Checker
		if err := v.copy(ctx, e, &check); err != nil {
			return err
		}
		if e.Meta[metaItem] == "" {
			continue
		}
		if e.Role == backup.RoleLog {
			extents++
			continue
		}
		if _, err := check.Finish(e.Size); err != nil {
			return v.corrupt(e.Name, err)
		}
		if _, ok := v.step.Find(e.Name + deltaSuffix); !ok {
			return v.corrupt(e.Name, errors.New("its change information is missing, without which the copy is inconsistent"))
		}
	}
	switch it := v.step.Item; it.Name {
	case itemFiles:
		return nil
	case itemAttachments:
		return v.lists()
	case itemLog:
		begin, _ := strconv.ParseUint(string(it.Begin), 10, 64) // what is no number does not fit below
		if end, err := strconv.ParseUint(string(it.End), 10, 64); err != nil || uint64(extents) != end-begin {
			return v.corrupt(it.Name, fmt.Errorf("it has %d extents, and should have those from %s to before %s", extents, it.Begin, it.End))
		}
	default:
		if _, ok := v.step.Find(databasePrefix + it.Name); !ok {
			return v.corrupt(it.Name, errors.New("the backup has no copy of it"))
		}
	}
	return nil
}
