package domino

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// maxUnanswered is after how many databases in a row of which Domino told nothing no other is asked for.
const maxUnanswered = 3

// referring is the check of what restored databases refer to: each object of the attachment store must be there.
type referring struct {
	x    *restoring
	ask  *console
	base string
	// stored are the objects in the backups of the plan, by name; nil until they are needed.
	stored map[string]placed
	// unseen are objects in their place that Domino does not know of yet.
	unseen int
	// unknown are databases that Domino told nothing of, and why is the first reason.
	unknown []string
	why     error
}

// exact reports whether only those objects are put back to which the restored databases refer, rather than all in the backups.
func (x *restoring) exact() bool {
	return len(x.s.opt.Console) > 0 && len(x.c.targets) > 0 && len(x.c.attachments) > 0 && len(x.r.Target.Select) > 0
}

// references asks Domino which objects the databases refer to that are not in the attachment store, puts those back that the backups of the plan have, and returns an error for each database that still lacks some.
// What could not be asked is a warning, and then all objects are put back.
func (x *restoring) references(ctx context.Context, names []string) error {
	if len(x.s.opt.Console) == 0 || len(names) == 0 {
		return nil
	}
	base, err := x.store()
	switch {
	case err != nil:
		return err
	case base == "" && x.exact():
		return x.attachments(ctx) // which says that there is none
	case base == "":
		return nil
	}
	r := &referring{x: x, ask: x.s.console(x.c.data), base: base}
	var errs []error
	for i, silent := 0, 0; i < len(names); i++ {
		err := r.complete(ctx, names[i])
		switch {
		case ctx.Err() != nil:
			return errors.Join(append(errs, context.Cause(ctx))...)
		case !errors.Is(err, errAsking):
			silent = 0
			errs = append(errs, x.s.fail(ctx, "complete the attachments of", names[i], err))
			continue
		case r.why == nil:
			r.why = err
		}
		if silent++; silent == maxUnanswered {
			r.unknown = append(r.unknown, names[i:]...)
			break
		}
		r.unknown = append(r.unknown, names[i])
	}
	return errors.Join(append(errs, r.end(ctx))...)
}

// errAsking: what a database refers to could not be asked for.
var errAsking = errors.New("its attachments could not be checked")

// complete puts back what a database refers to.
func (r *referring) complete(ctx context.Context, db string) error {
	for round := 0; ; round++ {
		listed, err := r.ask.missing(ctx, db)
		if err != nil {
			return fmt.Errorf("%w: %w", errAsking, err)
		}
		var gone []string
		var causes []error
		put, there := 0, 0
		for _, name := range listed {
			is, err := r.bring(ctx, name, round == 0)
			switch {
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case err != nil:
				causes = append(causes, fmt.Errorf("%s: %w", name, err))
			case is == objectPut:
				put++
			case is == objectThere:
				there++
			default:
				gone = append(gone, name)
			}
		}
		r.x.r.Log.Info("objects that a database refers to", "database", db, "missing", len(listed), "put back", put)
		if put > 0 {
			continue // and let Domino say that they are there
		}
		r.unseen += there
		return r.lost(db, gone, causes)
	}
}

// lost is the error of a database that refers to what is nowhere.
func (r *referring) lost(db string, gone []string, causes []error) error {
	if len(gone)+len(causes) == 0 {
		return nil
	}
	err := errors.Join(causes...)
	if len(gone) > 0 {
		r.x.r.Log.Warn("objects that are lost", "database", db, "objects", gone)
		err = errors.Join(fmt.Errorf("%d objects that are neither in the attachment store nor in the backups of this plan: %s", len(gone), abbreviated(gone)), err)
	}
	hint := `objects that came to the store after the time asked for, or were in use then, are in later backups: restore the item "attachments" without a time; in a cluster of release 14 "tell daosmgr repair" fetches what another server has`
	if len(r.x.c.attachments) == 0 {
		hint = `restore the item "attachments" too, which was not among what was restored; then "tell daosmgr listnlo -o out.txt MISSING DATABASE" on the console names what is still missing`
	}
	return &backup.Error{Op: "complete the attachments of", App: application, Instance: r.x.s.opt.Instance, Artifact: db, Advice: hint, Err: fmt.Errorf("%w: the database is restored, and documents in it refer to %w", backup.ErrPartial, err)}
}

// fate is what became of an object that Domino misses.
type fate int

const (
	objectGone fate = iota
	objectPut
	objectThere
)

// bring puts an object where Domino looks for it. One that is there already Domino does not know of before it counts again.
func (r *referring) bring(ctx context.Context, name string, fetch bool) (fate, error) {
	p, stored := r.find(name)
	at := name
	if path.Dir(name) == "." && stored { // the list has no directory: where it was
		at = strings.TrimPrefix(p.entry.Name, attachmentPrefix)
	}
	if !filepath.IsLocal(filepath.FromSlash(at)) {
		return objectGone, fmt.Errorf("%q is no place in the attachment store", at)
	}
	to := filepath.Join(r.base, filepath.FromSlash(at))
	info, err := os.Stat(to)
	switch {
	case err == nil && stored && info.Size() != p.entry.Size:
		return objectGone, fmt.Errorf("%s has %d bytes, and %d in the backup; delete it and restore again", to, info.Size(), p.entry.Size)
	case err == nil:
		return objectThere, nil
	case !os.IsNotExist(err):
		return objectGone, err
	case !stored || !fetch:
		return objectGone, nil
	}
	return objectPut, r.x.create(ctx, p, to, to+unfinished, 0o640)
}

// find is an object in the backups of the plan.
func (r *referring) find(name string) (placed, bool) {
	key := func(name string) string { return strings.ToUpper(path.Base(name)) }
	if r.stored == nil {
		r.stored = map[string]placed{}
		for _, step := range r.x.c.attachments {
			for _, e := range step.Entries {
				if strings.HasPrefix(e.Name, attachmentPrefix) {
					r.stored[key(e.Name)] = placed{step, e}
				}
			}
		}
	}
	p, ok := r.stored[key(name)]
	return p, ok
}

// end puts all objects back when Domino could not say which, lets it count again, and says what is not known.
func (r *referring) end(ctx context.Context) error {
	x := r.x
	if x.exact() {
		if len(r.unknown) > 0 {
			if err := x.attachments(ctx); err != nil {
				return err
			}
		} else {
			for range x.c.attachments {
				x.set.ItemDone()
			}
		}
	}
	if len(r.unknown) > 0 {
		x.set.Warn(fmt.Sprintf(`whether all objects of the attachment store are there to which %d databases refer could not be asked: %s: %v. Look on the console: "tell daosmgr listnlo -o out.txt MISSING DATABASE"`,
			len(r.unknown), abbreviated(r.unknown), r.why))
	}
	if err := r.ask.send(ctx, "tell daosmgr resync"); err != nil {
		x.set.Warn(fmt.Sprintf(`the server could not be told to count references to objects again; do it on the console ("tell daosmgr resync"): %v`, err))
	}
	if r.unseen > 0 {
		x.set.Warn(fmt.Sprintf("%d objects are in the attachment store and the server does not know of them before it has counted again", r.unseen))
	}
	return nil
}
