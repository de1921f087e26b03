package exchange

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// Backup implements backup.Source: a full of every group with the system state, or their new logs with fulls of those groups whose chain these do not continue.
func (s *Source) Backup(ctx context.Context, req backup.Request, st *backup.Stage) (backup.Result, error) {
	copyOnly, err := s.copyOnly(req)
	if err != nil {
		return backup.Result{}, err
	}
	r := &run{s: s, req: req, st: st, copyOnly: copyOnly}
	out, err := r.all(ctx)
	if err != nil {
		undo, stop := s.undoing(ctx)
		defer stop()
		return backup.Result{}, s.fail(ctx, "back up", "", errors.Join(err, r.open.abort(undo)))
	}
	return out, nil
}

// copyOnly reads the options of a run.
func (s *Source) copyOnly(req backup.Request) (is bool, err error) {
	if text, ok := req.Options[optionCopy]; ok {
		if is, err = strconv.ParseBool(text); err != nil {
			return false, s.fail(context.Background(), "back up", "", fmt.Errorf("%w: %s=%q: want true or false", backup.ErrOption, optionCopy, text))
		}
	}
	if is && req.Kind != backup.Full {
		return false, s.fail(context.Background(), "back up", "", fmt.Errorf("%w: %s=true is for fulls: a log run truncates what other backups rely on", backup.ErrOption, optionCopy))
	}
	return is, nil
}

// undoing is a context for what must be ended although the run was cancelled.
func (s *Source) undoing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), s.opt.EndTimeout)
}

// run is one call of Backup.
type run struct {
	s        *Source
	req      backup.Request
	st       *backup.Stage
	copyOnly bool
	site     *site
	// began is when the run did, by the clock of the server.
	began time.Time
	// open is what the run has open in Exchange.
	open *pending

	mu       sync.Mutex
	warnings []string
}

func (r *run) warn(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
}

// all is the run, in order: the system state first, then the groups.
func (r *run) all(ctx context.Context) (out backup.Result, err error) {
	r.open = &pending{s: r.s, log: r.req.Log, job: r.req.Job, keep: r.s.opt.KeepLogs || r.copyOnly}
	if ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	kept, err := r.s.endLeft(ctx, r.req.Job) // the pipeline has asked for it; others may not
	if err != nil {
		return out, err
	}
	r.began = r.s.opt.Now()
	r.open.began = r.began
	if r.site, err = r.s.look(ctx); err != nil {
		return out, err
	}
	r.warnings = slices.Clone(r.site.warnings)
	r.warnings = append(r.warnings, r.s.reportRestores(ctx)...)
	if kept != nil && !r.savesState() { // a full tells it when it fails to save another
		r.warn("what an earlier run saved of the system state is still on the server, and is removed by a later run: %v", kept)
	}
	tasks := r.decide()
	if err := r.possible(tasks); err != nil {
		return out, err
	}
	if r.open.marker, err = r.s.newMarker(r.req, r.site.way); err != nil {
		return out, err
	}
	items := r.site.failures(r.req.Kind)
	r.st.Expect(len(tasks)+len(items)+truth(r.savesState()), r.s.bytes(ctx, r.site.way, tasks))
	if r.savesState() {
		it, err := r.systemState(ctx)
		if err != nil {
			return out, err
		}
		items = append(items, it)
		r.st.ItemDone()
	}
	var taken []backup.Item
	if r.site.way == WayESE {
		taken, err = r.streamed(ctx, tasks)
	} else {
		taken, err = r.snapped(ctx, tasks)
	}
	if err != nil {
		return out, err
	}
	items = append(items, taken...)
	out = backup.Result{Items: items, Meta: r.meta(), Warnings: r.warnings}
	if r.req.Kind == backup.Full {
		out.Untaken = r.site.untaken
		if r.s.opt.SkipSystemState {
			out.Untaken = append(slices.Clone(out.Untaken), itemSystem)
		}
	}
	if r.open.idle() {
		undo, stop := r.s.undoing(ctx)
		defer stop()
		return out, r.open.abort(undo)
	}
	out.Pending = r.open
	return out, nil
}

// decide says what the run takes of each group.
func (r *run) decide() []*task {
	var tasks []*task
	for _, t := range r.site.targets {
		tasks = append(tasks, r.s.decide(r.req, r.site.way, t))
	}
	return tasks
}

// possible refuses a run that can take nothing.
func (r *run) possible(tasks []*task) error {
	if len(tasks) == 0 && len(r.site.unknown)+len(r.site.shut)+r.site.elsewhere == 0 {
		return r.s.refuse("back up", "", "look at what include and exclude leave of it, and whether its databases are mounted", "there is no database to back up on %s", r.s.opt.Instance)
	}
	for _, k := range tasks {
		if k.refusal == "" {
			return nil
		}
	}
	if len(tasks) > 0 && len(r.site.unknown)+len(r.site.shut) == 0 {
		return r.s.refuse("back up the logs of", tasks[0].Name, adviceCircular, "%s", tasks[0].refusal)
	}
	return nil
}

// savesState reports whether the run takes the system state.
func (r *run) savesState() bool { return r.req.Kind == backup.Full && !r.s.opt.SkipSystemState }

func (r *run) meta() map[string]string {
	m := map[string]string{metaWay: string(r.site.way)}
	if v := r.site.layout.Version; v != "" {
		m[metaVersion] = v
	}
	if h := r.s.here(r.site); h != "" {
		m[metaServer] = h
	}
	return m
}

// outcome sorts what became of an item: its error ends the run, or the item failed and the run goes on.
func (r *run) outcome(ctx context.Context, k *task, it backup.Item, err error) (backup.Item, error) {
	switch {
	case err == nil:
		r.st.ItemDone()
		return it, nil
	case ctx.Err() != nil:
		return it, err
	case stagingError(err) != nil:
		return it, r.s.fail(ctx, "back up", k.Name, err)
	}
	r.st.ItemDone()
	return r.failed(ctx, k, err), nil
}

// failed is the item of a group that could not be backed up.
func (r *run) failed(ctx context.Context, k *task, err error) backup.Item {
	err = r.s.fail(ctx, "back up", k.Name, err)
	text := err.Error()
	if hint := backup.Hint(err); hint != "" {
		text += " (" + hint + ")"
	}
	r.req.Log.Warn("group failed", "item", k.Name, "err", err)
	return backup.Item{Name: k.Name, Kind: k.kind, Reason: k.reason, Error: text}
}

// refused is the item of a group that has no log backups.
func (r *run) refused(ctx context.Context, k *task) backup.Item {
	r.st.ItemDone()
	return r.failed(ctx, k, r.s.refuse("back up the logs of", k.Name, adviceCircular, "%s", k.refusal))
}

// atWork tells the pipeline that something is done while no byte passes.
func (r *run) atWork(do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	tick := time.NewTicker(workTick)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			r.st.Moved()
		}
	}
}

const workTick = 20 * time.Second

var _ backup.Source = (*Source)(nil)
