package agent

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// observer turns what the agent does into metrics, spans and notices. It sees the agent through six calls and keeps, per job, the
// little that collection needs, so that nothing is read from a target when somebody scrapes.
type observer struct {
	clock   Clock
	log     *slog.Logger
	metrics *metrics
	spans   *spans
	board   *noticeBoard
	changed chan struct{} // holds one signal: a recovery point or an objective moved

	mu      sync.Mutex
	jobs    map[string]*jobView
	due     func() map[string]map[string]time.Time // when each job's actions are due; nil before the agent says so
	running bool
}

// jobView is what the observer remembers of one job.
type jobView struct {
	name, application string
	objective         time.Duration
	upkeep            []Action  // verify and rehearse, where they are scheduled
	started           time.Time // when this process first had to do with the job; zero before
	watched           time.Time // when any agent with this state first saw it
	read              bool      // the history was read since started
	stored            stored
	success           map[runKey]time.Time
	failed            map[runKey]bool // by the kind that was asked for
	active            *activeRun
}

// runKey is one way in which a job is kept busy.
type runKey struct {
	action Action
	kind   backup.Kind
}

// activeRun is one action in progress.
type activeRun struct {
	key      runKey
	started  time.Time
	span     *actionSpan
	progress backup.Progress
}

func newObserver(o Options, st *stateStore) *observer {
	clock, log := o.Clock, o.Logger
	if clock == nil {
		clock = machineClock{}
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ob := &observer{
		clock: clock, log: log, spans: newSpans(o.Tracer), board: newNoticeBoard(st, o.Notifiers, clock, log),
		changed: make(chan struct{}, 1), jobs: map[string]*jobView{},
	}
	ob.setJobs(o.Jobs)
	m, err := newMetrics(o.Meter, ob)
	if err != nil {
		log.Warn("no metrics: the meter refused an instrument", "err", err)
	}
	ob.metrics = m
	ob.board.count = m.noticed
	return ob
}

// setJobs says which jobs there are. What is known of those that stay is kept.
func (o *observer) setJobs(jobs []Job) {
	o.mu.Lock()
	defer o.mu.Unlock()
	old := o.jobs
	o.jobs = map[string]*jobView{}
	names := make([]string, len(jobs))
	for i := range jobs {
		names[i] = jobs[i].Name
		v := old[names[i]]
		if v == nil {
			v = newView(&jobs[i])
		}
		v.configure(&jobs[i])
		o.jobs[v.name] = v
	}
	o.board.setJobs(names)
	o.signal()
}

// setDue says where to ask when each job's actions are due.
func (o *observer) setDue(due func() map[string]map[string]time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.due = due
}

// newView is what is known of a job from its configuration. It reads no state: New does not.
func newView(job *Job) *jobView {
	v := &jobView{name: job.Name, success: map[runKey]time.Time{}, failed: map[runKey]bool{}}
	v.configure(job)
	return v
}

// configure takes over what the configuration says. A run that began under the one before must not bring that back, so only setJobs calls it.
func (v *jobView) configure(job *Job) {
	v.objective, v.upkeep = job.Objective, nil
	if job.Schedule.Verify != "" {
		v.upkeep = append(v.upkeep, ActionVerify)
	}
	if job.Schedule.Rehearse != "" {
		v.upkeep = append(v.upkeep, ActionRehearse)
	}
	if job.Application != "" {
		v.application = job.Application
	}
}

// met returns the view of a job that something happens to, with what is remembered of it. For a job that was taken out of the
// configuration while its last action goes on, it is a view that nobody collects. The caller holds o.mu.
func (o *observer) met(job *Job) *jobView {
	v := o.jobs[job.Name]
	if v == nil {
		v = newView(job)
	}
	o.recall(v)
	return v
}

func (o *observer) recall(v *jobView) {
	if v.started.IsZero() {
		v.started = o.clock.Now()
		o.board.recall(v)
	}
}

// recallAll remembers every job; a job whose first run is a week ahead is watched too.
func (o *observer) recallAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, v := range o.jobs {
		o.recall(v)
	}
}

// begin is called at the start of an action; the action runs with the context it returns.
func (o *observer) begin(ctx context.Context, job *Job, act Action, kind backup.Kind) context.Context {
	o.mu.Lock()
	defer o.mu.Unlock()
	v := o.met(job)
	run := &activeRun{key: runKey{act, kind}, started: o.clock.Now()}
	ctx, run.span = o.spans.begin(ctx, v, run.key)
	if v.active == nil { // else the job is taken, and this one will end as busy
		v.active = run
	}
	return context.WithValue(ctx, activeKey{}, run)
}

type activeKey struct{}

// finished is called after each action, with the context begin returned and the history read after it; a nil history was not read.
func (o *observer) finished(ctx context.Context, job *Job, r Record, h backup.History) {
	run, _ := ctx.Value(activeKey{}).(*activeRun)
	o.mu.Lock()
	v := o.met(job)
	if r.Application != "" {
		v.application = r.Application
	}
	if run != nil && v.active == run {
		v.active = nil // from here on no event reaches the span
	}
	attrs := v.attrs(runKey{r.Action, r.Kind})
	before := v.success[runKey{r.Action, r.Kind}]
	v.judge(r)
	if h != nil {
		v.learn(h)
	}
	o.mu.Unlock()

	o.metrics.finished(ctx, attrs, r)
	if run != nil {
		run.span.end(r)
	}
	o.board.finished(r, before)
	o.checkAbsence()
	o.signal()
	o.tellAtOnce(ctx)
}

// judge keeps how the action went. Busy and cancelled say nothing about it.
func (v *jobView) judge(r Record) {
	ran, asked := runKey{r.Action, r.Kind}, runKey{r.Action, cmpKind(r.Asked, r.Kind)}
	switch verdict(r) {
	case good:
		v.success[ran] = r.Finished
		v.failed[asked] = false
	case bad:
		v.failed[asked] = true
	}
}

func cmpKind(asked, ran backup.Kind) backup.Kind {
	if asked != "" {
		return asked
	}
	return ran
}

// learn takes in a history.
func (v *jobView) learn(h backup.History) {
	v.read = true
	v.stored = lookAt(h)
	for k, t := range v.stored.whole {
		if key := (runKey{ActionBackup, k}); t.After(v.success[key]) {
			v.success[key] = t
		}
	}
}

// event is called for every event of a pipeline.
func (o *observer) event(ev backup.Event) {
	switch ev := ev.(type) {
	case backup.RunStarted:
		o.during(ev.Job, func(r *activeRun) { r.span.started(ev) })
	case backup.PhaseStarted:
		o.during(ev.Job, func(r *activeRun) { r.span.phase(ev.Phase) })
	case backup.Progress:
		o.during(ev.Job, func(r *activeRun) { r.progress = ev })
	case backup.Warning:
		o.during(ev.Job, func(r *activeRun) { r.span.warning(ev.Text) })
	case backup.Stalled:
		o.during(ev.Job, func(r *activeRun) { r.span.stalled(ev.For) })
	}
}

func (o *observer) during(job string, f func(*activeRun)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if v := o.jobs[job]; v != nil && v.active != nil {
		f(v.active)
	}
}

// seen is called whenever a job's history was read from its target.
func (o *observer) seen(job *Job, h backup.History) {
	o.mu.Lock()
	o.met(job).learn(h)
	o.mu.Unlock()
	o.checkAbsence()
	o.signal()
}

func (o *observer) signal() {
	select {
	case o.changed <- struct{}{}:
	default:
	}
}

// run works until ctx ends, while the agent runs: it watches the objectives and brings the notices. It should outlive the last action. What is
// untold when ctx ends gets lastWords more; what is then still untold is told by the next agent with the same state.
func (o *observer) run(ctx context.Context) {
	o.setRunning(true)
	defer o.setRunning(false)
	var couriers sync.WaitGroup
	for _, c := range o.board.couriers {
		couriers.Go(func() { c.run(ctx) })
	}
	o.watch(ctx)
	couriers.Wait()
}

func (o *observer) setRunning(on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.running = on
}

// tellAtOnce brings the notices of an action that was called while no agent runs: nobody else would.
func (o *observer) tellAtOnce(ctx context.Context) {
	o.mu.Lock()
	running := o.running
	o.mu.Unlock()
	if !running {
		o.board.tell(ctx)
	}
}
