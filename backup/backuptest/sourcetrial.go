package backuptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// trialJob is the job of all trials.
const trialJob = "trial"

// trialPart is the part size of trials, the smallest there is.
const trialPart = 64 << 10

// trial is one application with a pipeline to a sink in memory, for one rule.
type trial struct {
	app   Application
	mem   *MemSink
	sink  *FaultySink
	dir   string
	log   syncBuffer
	probe *probe // of the last pipeline

	streaming bool
	change    func(*probe)       // applied to the probe of every pipeline
	events    func(backup.Event) // told every event
	errs      []error            // of all runs, for those who look for secrets
}

func newTrial(fresh NewApplication) (*trial, error) {
	app, err := fresh()
	if err != nil {
		return nil, fmt.Errorf("new application: %w", err)
	}
	dir, err := os.MkdirTemp("", "backuptest-")
	if err != nil {
		return nil, errors.Join(err, closeApplication(app))
	}
	mem := NewMemSink()
	return &trial{app: app, mem: mem, sink: NewFaultySink(mem), dir: dir}, nil
}

func (tr *trial) close() error {
	return errors.Join(closeApplication(tr.app), os.RemoveAll(tr.dir))
}

// stager makes the stages, as the application's server needs them.
func (tr *trial) stager() backup.DirStager {
	if s, ok := tr.app.(Staging); ok {
		return s.StageIn(tr.dir)
	}
	return backup.DirStager{Dir: tr.dir}
}

// pipeline makes a pipeline with a new agent, as a new process does.
func (tr *trial) pipeline() (*backup.Pipeline, error) {
	tr.probe = &probe{inner: tr.app.Source()}
	if tr.change != nil {
		tr.change(tr.probe)
	}
	cfg := backup.Config{
		Job:      trialJob,
		Source:   tr.probe.source(),
		Sink:     tr.sink,
		PartSize: trialPart,
		Workers:  2,
		LeaseTTL: 5 * time.Second,
		Events:   tr.events,
		Logger:   slog.New(slog.NewTextHandler(&tr.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if !tr.streaming {
		cfg.Stager = tr.stager()
	}
	return backup.New(cfg)
}

// backup runs one backup.
func (tr *trial) backup(ctx context.Context, kind backup.Kind) (*backup.Manifest, error) {
	p, err := tr.pipeline()
	if err != nil {
		return nil, err
	}
	m, err := p.Backup(ctx, kind)
	if err != nil {
		tr.errs = append(tr.errs, err)
		return m, fmt.Errorf("%s backup: %w", kind, err)
	}
	return m, nil
}

// series runs one backup of each kind, with changes before each, and returns the manifests.
func (tr *trial) series(ctx context.Context, kinds ...backup.Kind) ([]*backup.Manifest, error) {
	var list []*backup.Manifest
	for _, k := range kinds {
		if err := tr.app.Mutate(ctx, 5); err != nil {
			return nil, fmt.Errorf("mutate: %w", err)
		}
		m, err := tr.backup(ctx, k)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

// restore plans and restores.
func (tr *trial) restore(ctx context.Context, t backup.Target, o backup.RestoreOptions) error {
	p, err := tr.pipeline()
	if err != nil {
		return err
	}
	plan, err := p.Plan(ctx, t)
	if err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	if err := p.Restore(ctx, plan, o); err != nil {
		tr.errs = append(tr.errs, err)
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

// lost destroys the content, restores it and compares it with the fingerprint.
func (tr *trial) lost(ctx context.Context, t backup.Target, want string) error {
	if err := tr.app.Lose(ctx); err != nil {
		return fmt.Errorf("lose: %w", err)
	}
	if err := tr.restore(ctx, t, backup.RestoreOptions{}); err != nil {
		return err
	}
	return tr.holds(ctx, want, "the restored content")
}

// holds compares the content with a fingerprint.
func (tr *trial) holds(ctx context.Context, want, what string) error {
	got, err := tr.app.Fingerprint(ctx)
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	if got != want {
		return fmt.Errorf("%s has fingerprint %s, want %s", what, got, want)
	}
	return nil
}

// roundTrip takes a series of backups and restores the latest state.
func (tr *trial) roundTrip(ctx context.Context, kinds ...backup.Kind) error {
	if _, err := tr.series(ctx, kinds...); err != nil {
		return err
	}
	want, err := tr.app.Fingerprint(ctx)
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	if err := quiesced(ctx, tr.app, "after the backups"); err != nil {
		return err
	}
	return tr.lost(ctx, backup.Target{}, want)
}

// probe stands between pipeline and agent: it passes all on, and sees and changes what a rule needs. It has every ability and does the neutral thing where
// the agent lacks one.
type probe struct {
	inner backup.Source

	ctx     func(context.Context) context.Context // replaces the context of Backup and Restore
	request func(backup.Request) backup.Request
	pending func(backup.Pending) backup.Pending

	mu      sync.Mutex
	results []backup.Result
	errs    []error
}

func (p *probe) Describe() backup.Description { return p.inner.Describe() }

func (p *probe) Backup(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
	if p.ctx != nil {
		ctx = p.ctx(ctx)
	}
	if p.request != nil {
		r = p.request(r)
	}
	res, err := p.inner.Backup(ctx, r, st)
	p.mu.Lock()
	p.results, p.errs = append(p.results, res), append(p.errs, err)
	p.mu.Unlock()
	if p.pending != nil && res.Pending != nil {
		res.Pending = p.pending(res.Pending)
	}
	return res, err
}

func (p *probe) Restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	if p.ctx != nil {
		ctx = p.ctx(ctx)
	}
	if in, ok := p.inner.(backup.Restorer); ok {
		return in.Restore(ctx, r, set)
	}
	return fmt.Errorf("%T is no Restorer: %w", p.inner, errors.ErrUnsupported)
}

func (p *probe) Verify(ctx context.Context, set *backup.RestoreSet) error {
	if in, ok := p.inner.(backup.Verifier); ok {
		return in.Verify(ctx, set)
	}
	return fmt.Errorf("%T is no Verifier: %w", p.inner, errors.ErrUnsupported)
}

func (p *probe) Rehearse(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet, scratch string) error {
	if in, ok := p.inner.(backup.Rehearser); ok {
		return in.Rehearse(ctx, r, set, scratch)
	}
	return fmt.Errorf("%T is no Rehearser: %w", p.inner, errors.ErrUnsupported)
}

func (p *probe) Check(ctx context.Context, dir backup.StageDir) []backup.Finding {
	if in, ok := p.inner.(backup.Checker); ok {
		return in.Check(ctx, dir)
	}
	return nil
}

func (p *probe) Estimate(ctx context.Context, r backup.Request) (int64, error) {
	if in, ok := p.inner.(backup.Estimator); ok {
		return in.Estimate(ctx, r)
	}
	return 0, nil
}

func (p *probe) Recover(ctx context.Context, job string, h backup.History) error {
	if in, ok := p.inner.(backup.Recoverer); ok {
		return in.Recover(ctx, job, h)
	}
	return nil
}

// source is the probe with what only some agents can do.
func (p *probe) source() backup.Source {
	if s, ok := p.inner.(backup.Salvager); ok {
		return salvagingProbe{p, s}
	}
	return p
}

// salvagingProbe is the probe of an agent that is a Salvager, which has no neutral form.
type salvagingProbe struct {
	*probe
	backup.Salvager
}

// last is the error of the agent's last Backup.
func (p *probe) last() (error, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.errs) == 0 {
		return nil, false
	}
	return p.errs[len(p.errs)-1], true
}

// forgotten is the Pending of a process that died: nobody ever calls it.
type forgotten struct{}

func (forgotten) Commit(context.Context, *backup.Manifest) error { return nil }
func (forgotten) Abort(context.Context) error                    { return nil }

// repeated calls a Pending twice and keeps all errors, as cleanup paths do that do not know of each other.
type repeated struct {
	backup.Pending
	errs            *[]error
	commits, aborts *int
}

func (r repeated) Commit(ctx context.Context, m *backup.Manifest) error {
	*r.commits++
	err := r.Pending.Commit(ctx, m)
	*r.errs = append(*r.errs, err, r.Pending.Commit(ctx, m))
	return err
}

func (r repeated) Abort(ctx context.Context) error {
	*r.aborts++
	err := r.Pending.Abort(ctx)
	*r.errs = append(*r.errs, err, r.Pending.Abort(ctx))
	return err
}

// lookCtx ends when it has been looked at so many times, which strikes every place where an agent or its stage asks whether to go on.
type lookCtx struct {
	context.Context
	cancel context.CancelCauseFunc

	mu   sync.Mutex
	left int
}

// errLooked is the cause with which a lookCtx ends.
var errLooked = errors.New("cancelled by the rule")

func cancelAtLook(ctx context.Context, n int) *lookCtx {
	ctx, cancel := context.WithCancelCause(ctx)
	return &lookCtx{Context: ctx, cancel: cancel, left: n}
}

func (c *lookCtx) look() {
	c.mu.Lock()
	c.left--
	over := c.left <= 0
	c.mu.Unlock()
	if over {
		c.cancel(errLooked)
	}
}

// struck reports whether the context has ended by a look.
func (c *lookCtx) struck() bool { return errors.Is(context.Cause(c.Context), errLooked) }

func (c *lookCtx) Done() <-chan struct{} { c.look(); return c.Context.Done() }
func (c *lookCtx) Err() error            { c.look(); return c.Context.Err() }

// syncBuffer is a bytes.Buffer for many goroutines.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
