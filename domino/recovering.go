package domino

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/notes"
)

// group is databases that one recovery brings to one time.
type group struct {
	id    notes.UNID
	until time.Time
	// alone says that the plan has no log for them.
	alone bool
}

// groupsOf arranges databases that have a place in a log by what one recovery can do.
func groupsOf(targets []*target) (order []group, groups map[group][]*target) {
	groups = map[group][]*target{}
	for _, t := range targets {
		if !t.logged {
			continue
		}
		g := group{t.id, t.until, !t.rolled}
		if groups[g] == nil {
			order = append(order, g)
		}
		groups[g] = append(groups[g], t)
	}
	return order, groups
}

// recoverAll fetches every database and rolls them forward, all of one series to one time in one call, so that no extent is fetched twice. A database that is not logged is only fetched.
func (x *restoring) recoverAll(ctx context.Context) error {
	for _, t := range x.c.targets {
		if t.logged {
			continue
		}
		if x.c.opt.replica {
			return x.s.refuse("restore", t.item, "leave out replica=new; Domino gives a new replica id only to what it recovers with log", "it is not logged")
		}
		if err := x.fetch(ctx, t); err != nil {
			return err
		}
	}
	order, groups := groupsOf(x.c.targets)
	for _, g := range order {
		if err := x.recoverGroup(ctx, g, groups[g]); err != nil {
			return err
		}
	}
	return nil
}

// recoverGroup recovers databases together. One that cannot be recovered is given up, and the others are fetched anew, since a recovery that failed may have spoilt the copies.
func (x *restoring) recoverGroup(ctx context.Context, g group, list []*target) error {
	flags := notes.RecoverPointInTime
	if x.c.opt.replica {
		flags |= notes.RecoverZapReplicaID
	}
	for len(list) > 0 {
		var paths []string
		for _, t := range list {
			if err := x.fetch(ctx, t); err != nil {
				return err
			}
			paths = append(paths, t.temp)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		done, err := x.t.Recover(x.calls, paths, flags, g.until, func(_ context.Context, id notes.UNID, number uint32, path string) error {
			return x.put(ctx, id, number, path)
		})
		if err == nil {
			x.r.Log.Info("recovered", "databases", len(list), "until", g.until, "last", done.Last)
			return nil
		}
		err = fmt.Errorf("roll forward to %s: %w", g.until.UTC().Format(time.RFC3339Nano), err)
		if ctx.Err() != nil || !isStatus(err) {
			return err
		}
		if g.alone && !x.c.opt.replica && said(err, notes.StatusRMMQLogError, notes.StatusRMCannotRecover, notes.StatusRMFixupDB, notes.StatusTransLogMissingSegs) {
			return x.unrecovered(ctx, list)
		}
		if done.Failed < 0 || done.Failed >= len(list) || said(err, notes.StatusRMScanInProgress, notes.StatusRMMQLogError) {
			return err
		}
		bad := list[done.Failed]
		x.failed = append(x.failed, x.s.fail(ctx, "recover", bad.item, err))
		list = slices.Delete(list, done.Failed, done.Failed+1)
		x.c.targets = slices.DeleteFunc(x.c.targets, func(t *target) bool { return t == bad })
	}
	return nil
}

// unrecovered fetches databases anew that are restored without log: what Domino needs of it even to bring them to the moment of their full is gone from the server. The copies are consistent; Domino opens them after
// a fixup.
func (x *restoring) unrecovered(ctx context.Context, list []*target) error {
	for _, t := range list {
		if err := x.fetch(ctx, t); err != nil {
			return err
		}
		x.set.Warn(fmt.Sprintf("%s is as it was when its full began, and could not be recovered, since the plan has no log and the server has none of that time: run \"load fixup -f %s\" before it is used", t.item, t.item))
	}
	return nil
}

// rehearsalPrefix begins the name of the directory a rehearsal makes where it is told none.
const rehearsalPrefix = "quiesce-rehearsal"

// Rehearse implements backup.Rehearser. scratch is a directory below the data directory that does not exist or is empty. The databases of the plan are restored into it as new replicas and new instances,
// opened, and removed with the directory; plain files and objects of the attachment store are read and compared, and put nowhere. A database without log keeps its replica id, so it is only read.
func (s *capiSource) Rehearse(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet, scratch string) error {
	if len(r.Options) > 0 {
		return s.fail(ctx, "rehearse", "", fmt.Errorf("%w: a rehearsal takes no options", backup.ErrOption))
	}
	if scratch == "" {
		scratch = rehearsalPrefix
	}
	o, err := parseRestoreOptions(map[string]string{"to": scratch, "replica": "new"})
	if err != nil {
		return s.fail(ctx, "rehearse", "", err)
	}
	return s.fail(ctx, "rehearse", "", s.rehearse(ctx, r, set, o))
}

var _ backup.Rehearser = (*capiSource)(nil)
