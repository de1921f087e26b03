package agent

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// runner starts what is due of one job as it is configured now. When the configuration changes another runner takes its place, with its times.
type runner struct {
	a   *Agent
	job *Job
	mem *memory
	log *slog.Logger

	// Guarded by the agent's lock.
	entries []*entry
	settled bool // the entries have their times
	stop    context.CancelFunc

	// Of the goroutine.
	relearn time.Time // when to ask the target again for the history
	pause   time.Duration
	busy    int // how often in a row the job was held by somebody else
}

func (a *Agent) newRunners(jobs []Job) []*runner {
	rs := make([]*runner, len(jobs))
	for i := range jobs {
		j := jobs[i]
		if a.memory[j.Name] == nil {
			a.memory[j.Name] = newMemory()
		}
		es, _ := j.Schedule.entries(a.now()) // validated before
		rs[i] = &runner{a: a, job: &j, mem: a.memory[j.Name], log: a.o.Logger.With("job", j.Name), entries: es, stop: func() {}}
	}
	return rs
}

// follow takes over the times of the runner before, where the schedule is the same or its run is due already. What is new begins now, and is returned.
func (r *runner) follow(old *runner, now time.Time) (begun map[string]time.Time) {
	if !old.settled {
		return nil
	}
	r.settled = true
	begun = make(map[string]time.Time)
	for _, e := range r.entries {
		e.set(e.table.next(now, now), r.job.Schedule.Jitter, false)
		begun[e.key] = now
		for _, o := range old.entries {
			if o.key == e.key && (o.table.same(e.table) || o.due(now)) {
				e.at, e.start, e.caughtUp = o.at, o.start, o.caughtUp
				delete(begun, e.key)
			}
		}
	}
	return begun
}

// loop works until ctx ends. Actions run with the context actions, which ends later.
func (r *runner) loop(ctx, actions context.Context) {
	r.learn(ctx)
	r.settle(ctx)
	for r.wait(ctx) {
		if !r.relearn.IsZero() && !r.relearn.After(r.a.now()) {
			if r.learn(ctx); r.mem.learned() && r.a.state.lost(r.job.Name) {
				r.unsettle()
				r.settle(ctx)
			}
			continue
		}
		if !r.hold(ctx) {
			continue
		}
		if t, ok := r.next(ctx); ok {
			r.carryOut(ctx, actions, t)
		}
		r.a.leave()
		r.mem.give()
	}
}

// carryOut performs a task. One that found the job held by another machine, or by the lease of a program that died, is tried again, unless
// the other has made it unnecessary.
func (r *runner) carryOut(ctx, actions context.Context, t task) {
	if r.busy > 0 && t.action == ActionBackup {
		if r.learn(ctx); !t.scheduled.After(taken(r.mem.seen(), t.kind)) {
			r.log.Info("another machine has made the backup", "kind", t.kind, "scheduled", t.scheduled)
			r.busy = 0
			r.a.state.serve(ctx, r.job.Name, t.served)
			return
		}
	}
	if r.a.perform(actions, r.job, r.mem, t).Outcome != OutcomeBusy {
		r.busy = 0
		return
	}
	lease := cmp.Or(r.job.Config.LeaseTTL, time.Minute)
	r.again(t, lease<<min(r.busy, 4))
	r.busy++
}

// again puts a task back on the timetable, unless its schedule comes sooner.
func (r *runner) again(t task, after time.Duration) {
	r.a.mu.Lock()
	defer r.a.mu.Unlock()
	start := r.a.now().Add(after)
	for _, e := range r.entries {
		if e.action == t.action && e.kind == t.kind && (e.at.IsZero() || start.Before(e.start)) {
			e.at, e.start, e.caughtUp = t.scheduled, start, t.caughtUp
		}
	}
}

// hold waits until the job is free and there is room for one more action.
func (r *runner) hold(ctx context.Context) bool {
	select {
	case r.mem.busy <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	if r.a.enter(ctx) != nil {
		r.mem.give()
		return false
	}
	return true
}

// learn asks the target for the history, at the start and, while that fails, again and again.
func (r *runner) learn(ctx context.Context) {
	t := &turn{a: r.a, job: r.job, mem: r.mem, log: r.log}
	r.relearn = time.Time{}
	if _, err := t.history(ctx); err != nil && ctx.Err() == nil {
		r.pause = min(max(2*r.pause, time.Minute), 15*time.Minute)
		r.relearn = r.a.now().Add(r.pause)
		r.log.Warn("the target cannot be asked for the history", "again", r.pause, "err", err)
	}
}

func (r *runner) unsettle() {
	r.a.mu.Lock()
	defer r.a.mu.Unlock()
	r.settled = false
}

// settle gives all schedules their next time, and the strongest missed backup and missed upkeep the time they should have started.
func (r *runner) settle(ctx context.Context) {
	lost := r.a.state.lost(r.job.Name)
	served := make(map[string]time.Time)
	r.a.mu.Lock()
	now, s := r.a.now(), r.job.Schedule
	madeUp := false
	for _, e := range r.entries {
		if r.settled {
			break
		}
		anchor, known := r.anchor(e, lost, now)
		if known {
			served[e.key] = anchor
		}
		late := e.table.missed(anchor, now, s.catchUp())
		if late.IsZero() || e.action == ActionBackup && madeUp {
			e.set(e.table.next(anchor, now), s.Jitter, false)
			continue
		}
		madeUp = madeUp || e.action == ActionBackup
		e.set(now, s.Jitter, true)
		e.at = late
	}
	r.settled = true
	r.a.mu.Unlock()
	r.a.state.serve(ctx, r.job.Name, served)
}

// anchor is up to when an entry has been seen to: what the state says or, for a backup, the target. A schedule that neither knows is new and begins now; known
// is false when the target could not be asked.
func (r *runner) anchor(e *entry, lost bool, now time.Time) (anchor time.Time, known bool) {
	anchor = r.a.state.served(r.job.Name, e.key)
	known = !anchor.IsZero()
	if e.action == ActionBackup && (known || lost) {
		if at := taken(r.mem.seen(), e.kind); at.After(anchor) {
			anchor, known = at, true
		}
	}
	if anchor.IsZero() {
		return now, !lost || r.mem.learned() || e.action != ActionBackup
	}
	if anchor.After(now) {
		anchor = now // the clock was set back
	}
	return anchor, known
}

// lookAgain is how soon the machine's clock is looked at again: timers stand still while a machine sleeps, and clocks are set.
const lookAgain = time.Minute

// wait returns true when something is due, and false when ctx has ended.
func (r *runner) wait(ctx context.Context) bool {
	for ctx.Err() == nil {
		until := r.wake()
		d := lookAgain
		if !until.IsZero() {
			d = min(until.Sub(r.a.now()), lookAgain)
		}
		if d <= 0 {
			return true
		}
		_ = sleep(ctx, r.a.o.Clock, d) // the loop looks at ctx
	}
	return false
}

// wake is the earliest time at which there is something to do; zero when there is none.
func (r *runner) wake() time.Time {
	r.a.mu.Lock()
	defer r.a.mu.Unlock()
	first := r.relearn
	for _, e := range r.entries {
		if !e.at.IsZero() && (first.IsZero() || e.start.Before(first)) {
			first = e.start
		}
	}
	return first
}

// next takes what is due off the timetable; false when the runner was stopped meanwhile, or nothing is due any more.
func (r *runner) next(ctx context.Context) (task, bool) {
	r.a.mu.Lock()
	defer r.a.mu.Unlock()
	now := r.a.now()
	e, covered := pick(r.entries, now)
	if e == nil || ctx.Err() != nil {
		return task{}, false
	}
	t := r.task(e)
	t.scheduled, t.caughtUp, t.served = e.at, e.caughtUp, make(map[string]time.Time)
	for _, c := range covered {
		t.served[c.key] = c.at
		c.set(c.table.next(c.at, now), r.job.Schedule.Jitter, false)
	}
	return t, true
}

func (r *runner) task(e *entry) task {
	switch e.action {
	case ActionVerify:
		return verifyTask(backup.VerifyOptions{Level: r.job.Verify.Level, Sample: r.job.Verify.Sample})
	case ActionRehearse:
		return rehearseTask(backup.Target{}, r.job.Rehearse)
	case ActionPrune:
		return task{action: ActionPrune, do: (*turn).prune}
	}
	return task{action: ActionBackup, kind: e.kind, do: (*turn).backup}
}
