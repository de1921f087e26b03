package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/ese"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
)

// readHint is how much one read of the streaming API asks for [BAC].
const readHint = 65535

// jetCircular is what the engine answers to a log backup with circular logging [ESE].
const jetCircular = -526

// streamed takes the groups by the streaming API, one after another. Each has a session of its own, which stays open until the fate of the backup is known.
func (r *run) streamed(ctx context.Context, tasks []*task) (items []backup.Item, err error) {
	for _, k := range tasks {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		it, err := r.stream(ctx, k)
		if err == nil && it.Failed() {
			items = append(items, it)
			continue
		}
		if it, err = r.outcome(ctx, k, it, err); err != nil {
			return nil, err
		}
		items = append(items, it)
	}
	return items, nil
}

// stream takes one group: what was decided, and a full when that turns out to lead nowhere.
func (r *run) stream(ctx context.Context, k *task) (backup.Item, error) {
	for {
		if k.refusal != "" {
			return r.refused(ctx, k), nil
		}
		it, again, err := r.session(ctx, k)
		if err != nil || !again {
			return it, err
		}
	}
}

// session takes one group in one session. again: the task has changed, and nothing was taken.
func (r *run) session(ctx context.Context, k *task) (it backup.Item, again bool, err error) {
	o, g, err := r.begin(ctx, k)
	if err != nil {
		return it, false, err
	}
	defer func() {
		if err != nil || again {
			undo, stop := r.s.undoing(ctx)
			defer stop()
			err = errors.Join(err, o.end(undo, false))
		}
	}()
	kind := esebcli.Full
	if k.kind == backup.Log {
		kind = esebcli.LogsOnly
	}
	err = o.session.Setup(ctx, g.ID, kind)
	if k.kind == backup.Log && answered(err, esebcli.HrMissingFullBackup) {
		k.promote("the server knows of no full backup of it by the streaming API that logs can continue")
		return it, true, nil
	}
	if k.kind == backup.Log && answered(err, esebcli.FromJET(jetCircular)) {
		k.refuse()
		return it, true, nil
	}
	if err != nil {
		return it, false, fmt.Errorf("begin the backup: %w", err)
	}
	o.setup = true
	c := r.capture(k, streams{o.session})
	if k.kind == backup.Full {
		if err := c.all(ctx); err != nil {
			return it, false, err
		}
	}
	files, err := o.session.LogFiles(ctx)
	if err != nil {
		return it, false, fmt.Errorf("ask for the logs: %w", err)
	}
	up := r.s.opt.Now()
	heads, unread, err := readHeads(ctx, c.from, k.LogBase, files)
	if err != nil {
		return it, false, err
	}
	take, again, err := r.wanted(k, heads, unread)
	if err != nil || again {
		return it, again, err
	}
	if k.kind == backup.Full {
		if err := c.patches(ctx, files); err != nil {
			return it, false, err
		}
	}
	if _, err := c.take(ctx, take, heads, up); err != nil {
		return it, false, err
	}
	if err := c.note(ctx); err != nil {
		return it, false, err
	}
	if k.kind == backup.Full {
		if err := c.recoverable(); err != nil {
			return it, false, err
		}
		it, err = c.full(up)
	} else {
		it, err = c.link(up)
	}
	if err != nil {
		return it, false, err
	}
	o.good, o.truncate = !r.copyOnly, !r.open.keep && k.whole()
	o.last = k.last.Generation
	if n := len(c.logs); n > 0 {
		o.last = c.logs[n-1].Log.Generation
	}
	r.open.sessions = append(r.open.sessions, o)
	return it, false, nil
}

// wanted are the logs that the task takes of those there are. again: it takes something else, as the task says now.
func (r *run) wanted(k *task, heads []serverLog, unread map[string]error) (take []serverLog, again bool, err error) {
	if k.kind == backup.Full {
		chain, left, why := lastChain(heads)
		for name, err := range unread {
			n, _ := ese.ParseLogName(name)
			if n.Generation == 0 || len(chain) == 0 || n.Generation > chain[0].head.Generation {
				return nil, false, fmt.Errorf("read the header of %s: %w", name, err)
			}
			r.warn("%s: log %s cannot be read and is left out: %v", k.Name, name, err)
		}
		if len(left) > 0 {
			r.warn("%s: logs up to %s are left out, no recovery can use them any more: %v", k.Name, left[len(left)-1].name, why)
		}
		return chain, false, nil
	}
	if n := len(heads); k.LogDir == "" && n > 0 && heads[n-1].head.Circular { // where the management tells, it knows better than a log that was begun before
		k.refuse()
		return nil, true, nil
	}
	for name, err := range unread {
		if n, ok := ese.ParseLogName(name); ok && n.Generation >= k.last.next() {
			return nil, false, fmt.Errorf("read the header of %s: %w", name, err)
		}
	}
	take, why := k.last.fresh(heads)
	if why != "" {
		k.promote(why)
		return nil, true, nil
	}
	return take, false, nil
}

// patches adds the patch files that Exchange 2000 writes up to its first service pack [SDK03].
func (c *capture) patches(ctx context.Context, files []string) error {
	for _, f := range files {
		if strings.EqualFold(path.Ext(baseName(f)), ".pat") {
			if err := c.file(ctx, "patches", filePatch, f, map[string]string{}, plain); err != nil {
				return err
			}
		}
	}
	return nil
}

// openGroup is a group that is in backup by the streaming API.
type openGroup struct {
	name    string
	session esebcli.Session
	// setup: the group is in backup. good: it was taken, and the server is told so. truncate: its logs up to last may go then.
	setup, good, truncate bool
	last                  uint32
	ended                 bool
}

// begin opens a session and finds the group in it.
func (r *run) begin(ctx context.Context, k *task) (*openGroup, *esebcli.Instance, error) {
	session, instances, err := r.s.opt.Tools.Streaming.Prepare(ctx, r.s.opt.Server, esebcli.InformationStore)
	if err != nil {
		return nil, nil, fmt.Errorf("begin a session of the streaming API: %w", err)
	}
	o := &openGroup{name: k.Name, session: session}
	for i := range instances {
		if strings.EqualFold(instances[i].Name, k.Name) {
			return o, &instances[i], nil
		}
	}
	undo, stop := r.s.undoing(ctx)
	defer stop()
	return nil, nil, errors.Join(errors.New("the server no longer has this storage group"), o.end(undo, false))
}

// end ends the session, and before it the backup of the group.
func (o *openGroup) end(ctx context.Context, success bool) error {
	if o.ended {
		return nil
	}
	o.ended = true
	var err error
	if o.setup {
		if err = o.session.EndInstance(ctx, success); err != nil {
			err = fmt.Errorf("end the backup of %s: %w", o.name, err)
		}
	}
	if eerr := o.session.End(ctx); eerr != nil {
		err = errors.Join(err, fmt.Errorf("end the session of %s: %w", o.name, eerr))
	}
	return err
}

// truncateLogs lets the server delete the logs that are in backups. What it would delete is looked at before: a log that is in none stays.
func (o *openGroup) truncateLogs(ctx context.Context) error {
	files, err := o.session.TruncateLogFiles(ctx)
	if err != nil {
		return fmt.Errorf("ask which logs of %s would be truncated: %w", o.name, err)
	}
	for _, f := range files {
		n, ok := ese.ParseLogName(baseName(f))
		if !ok || n.Generation == 0 || n.Generation > o.last {
			return fmt.Errorf("logs of %s were not truncated: the server would delete %s, and the last that is in a backup is 0x%X", o.name, baseName(f), o.last)
		}
	}
	if len(files) == 0 {
		return nil
	}
	if err := o.session.TruncateLogs(ctx); err != nil {
		return fmt.Errorf("truncate the logs of %s: %w", o.name, err)
	}
	return nil
}

// streams is an origin: files as the streaming API hands them out.
type streams struct{ session esebcli.Session }

func (s streams) open(ctx context.Context, path string) (io.ReadCloser, int64, error) {
	f, size, err := s.session.OpenFile(ctx, path, readHint)
	if err != nil {
		return nil, 0, err
	}
	return &streamedFile{ctx: ctx, f: f}, size, nil
}

// streamedFile is a file of a session. It keeps the context of open, because it lives within the copy of one file.
type streamedFile struct {
	ctx context.Context
	f   esebcli.File
}

func (f *streamedFile) Read(p []byte) (int, error) { return f.f.Read(f.ctx, p) }

// Close must reach the library however the run went.
func (f *streamedFile) Close() error { return f.f.Close(context.WithoutCancel(f.ctx)) }
