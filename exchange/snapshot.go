package exchange

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/ese"
)

// snapped takes the groups of a server that is backed up by snapshots: logs from where they lie, since a closed one is never written again, and fulls from one snapshot of all groups that need one.
func (r *run) snapped(ctx context.Context, tasks []*task) (items []backup.Item, err error) {
	var fulls []*task
	for _, k := range tasks {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if k.kind == backup.Log && k.refusal == "" {
			it, again, err := r.closedLogs(ctx, k)
			if !again {
				if it, err = r.outcome(ctx, k, it, err); err != nil {
					return nil, err
				}
				items = append(items, it)
				continue
			}
		}
		if k.refusal != "" {
			items = append(items, r.refused(ctx, k))
			continue
		}
		fulls = append(fulls, k)
	}
	if len(fulls) == 0 {
		return items, nil
	}
	taken, err := r.snapshot(ctx, fulls, len(items) == 0)
	if err != nil {
		return nil, err
	}
	return append(items, taken...), nil
}

// closedLogs takes the logs of a group that are new and closed. again: the task has changed, and nothing was taken.
func (r *run) closedLogs(ctx context.Context, k *task) (it backup.Item, again bool, err error) {
	files, err := live().list(k.LogDir)
	if err != nil {
		return it, false, fmt.Errorf("list the logs: %w", err)
	}
	c := r.capture(k, live())
	heads, unread, err := readHeads(ctx, c.from, k.LogBase, files)
	if err != nil {
		return it, false, err
	}
	for name := range unread {
		if n, _ := ese.ParseLogName(name); n.Generation == 0 {
			delete(unread, name) // the server holds the log that it writes open for itself alone
		}
	}
	take, again, err := r.wanted(k, heads, unread)
	if err != nil || again {
		return it, again, err
	}
	var up time.Time
	if n := len(take); n > 0 {
		up = take[n-1].head.Created.In(r.s.opt.Zone)
	}
	ends, err := c.take(ctx, take, heads, time.Time{})
	if err != nil {
		return it, false, err
	}
	if err := c.note(ctx); err != nil {
		return it, false, err
	}
	it, err = c.link(later(up, ends))
	return it, false, err
}

// request is the snapshot that some fulls need.
func (r *run) request(fulls []*task) ShadowRequest {
	q := ShadowRequest{Major: r.site.layout.Major, Copy: r.open.keep, WorkDir: r.s.workDir(r.req.Job), Note: r.open.marker.note}
	whole := true
	for _, k := range fulls {
		q.Include = append(q.Include, k.Group)
		for _, d := range k.Databases {
			q.Files = append(q.Files, d.File)
			if d.StreamFile != "" {
				q.Files = append(q.Files, d.StreamFile)
			}
		}
		q.Files = append(q.Files, k.LogDir)
		if k.SystemDir != "" {
			q.Files = append(q.Files, k.SystemDir)
		}
		whole = whole && k.whole()
	}
	for _, g := range r.site.layout.Groups {
		if !slices.ContainsFunc(fulls, func(k *task) bool { return k.Name == g.Name }) {
			q.Exclude = append(q.Exclude, g)
		}
	}
	if whole = whole && len(q.Exclude) == 0; r.site.layout.Major < majorComponents && !whole && !q.Copy {
		q.Copy = true
		r.warn("logs are not truncated: before Exchange 2010 a snapshot that leaves some of the databases out would truncate the logs of all")
	}
	return q
}

// majorComponents is the version from which on single databases can be left out of what the writer is told about: Exchange 2010.
const majorComponents = 14

// snapshot takes fulls out of one snapshot. alone: nothing else is in the run, whose error it then is when there is no snapshot.
func (r *run) snapshot(ctx context.Context, fulls []*task, alone bool) (items []backup.Item, err error) {
	if err := r.makeWorkDir(); err != nil {
		return nil, err
	}
	r.open.workDir = r.s.workDir(r.req.Job)
	q := r.request(fulls)
	var shadow Shadow
	err = r.atWork(func() (err error) {
		shadow, err = r.s.opt.Tools.Shadows.Create(ctx, q)
		return err
	})
	if err != nil {
		r.open.unmade(ctx)
	}
	switch {
	case err == nil:
	case ctx.Err() != nil || alone:
		return nil, fmt.Errorf("make a snapshot: %w", err)
	default:
		for _, k := range fulls {
			r.st.ItemDone()
			items = append(items, r.failed(ctx, k, fmt.Errorf("make a snapshot: %w", err)))
		}
		return items, nil
	}
	r.open.shadow = shadow
	spoiled := ""
	for _, k := range fulls {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		it, err := r.fromShadow(ctx, k, shadow)
		if it, err = r.outcome(ctx, k, it, err); err != nil {
			return nil, err
		}
		if it.Failed() {
			spoiled = k.Name
		}
		items = append(items, it)
	}
	if spoiled != "" && !q.Copy {
		r.warn("no logs are truncated after this snapshot, which is given up as a whole because the backup of %s failed", spoiled)
		r.open.spoiled = true
	}
	return items, nil
}

// fromShadow takes one group.
func (r *run) fromShadow(ctx context.Context, k *task, shadow Shadow) (it backup.Item, err error) {
	from := disk{shadow.Path}
	c := r.capture(k, from)
	if err := c.all(ctx); err != nil {
		return it, err
	}
	files, err := from.list(k.LogDir)
	if err != nil {
		return it, fmt.Errorf("list the logs in the snapshot: %w", err)
	}
	heads, unread, err := readHeads(ctx, from, k.LogBase, files)
	if err != nil {
		return it, err
	}
	take, _, err := r.wanted(k, heads, unread)
	if err != nil {
		return it, err
	}
	if _, err := c.take(ctx, take, heads, time.Time{}); err != nil {
		return it, err
	}
	if err := c.checkpointFile(ctx); err != nil {
		return it, err
	}
	if err := c.note(ctx); err != nil {
		return it, err
	}
	if err := c.recoverable(); err != nil {
		return it, err
	}
	return c.full(r.moment(c, shadow))
}

// moment is as of when a full from a snapshot is. Without the log that was being written, which a passive copy does not have, that is no later than the last log tells.
func (r *run) moment(c *capture, shadow Shadow) time.Time {
	n := len(c.logs)
	if n == 0 || c.partial {
		return shadow.Time()
	}
	return c.logs[n-1].Log.Created.In(r.s.opt.Zone)
}

// checkpointFile adds the checkpoint file of the group, if there is one.
func (c *capture) checkpointFile(ctx context.Context) error {
	base, dir := c.task.LogBase, c.task.SystemDir
	if base == "" || dir == "" {
		return nil
	}
	path := join(dir, base+".chk")
	f, _, err := c.from.open(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	return c.control(ctx, path)
}
