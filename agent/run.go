package agent

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// running is one Run under way.
type running struct {
	ctx     context.Context // ends when nothing new may start; it lives as long as Run
	actions context.Context // ends when what is under way must end too
	wg      sync.WaitGroup
	closing bool
}

var (
	errRunning  = errors.New("agent: it is running already")
	errStopping = errors.New("the agent stops, and the time of grace has passed")
)

// Run starts what is due until ctx ends, then stops as Options.Grace says and returns nil. A second Run at the same time is an error.
func (a *Agent) Run(ctx context.Context) error {
	actions, abandon := context.WithCancelCause(context.WithoutCancel(ctx))
	defer abandon(nil)
	run := &running{ctx: ctx, actions: actions}
	if err := a.start(run); err != nil {
		return err
	}
	watch, unwatch := context.WithCancel(context.WithoutCancel(ctx))
	var watching sync.WaitGroup
	watching.Go(func() { a.obs.run(watch) })

	<-ctx.Done()
	a.mu.Lock()
	run.closing = true
	a.mu.Unlock()
	a.finish(run, abandon)
	unwatch()
	watching.Wait()
	a.mu.Lock()
	a.running = nil
	a.mu.Unlock()
	return nil
}

func (a *Agent) start(run *running) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running != nil {
		return errRunning
	}
	a.running = run
	for _, r := range a.runners {
		r.settled = false
		r.start(run)
	}
	return nil
}

// start sets the runner to work. The caller holds the agent's lock.
func (r *runner) start(run *running) {
	ctx, cancel := context.WithCancel(run.ctx)
	r.stop = cancel
	run.wg.Go(func() {
		defer cancel()
		r.loop(ctx, run.actions)
	})
}

// finish waits for the actions under way, for as long as grace lasts, then cancels them and waits for that.
func (a *Agent) finish(run *running, abandon context.CancelCauseFunc) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		run.wg.Wait()
	}()
	if a.o.Grace > 0 {
		t := a.o.Clock.NewTimer(a.o.Grace)
		defer t.Stop()
		select {
		case <-done:
		case <-t.C():
		}
	}
	abandon(errStopping)
	<-done
}

// Update puts other jobs in place of those given to New. Actions in progress finish as they were begun; nothing is lost or done twice. Schedules that stay
// the same keep their next time. On error nothing changes.
func (a *Agent) Update(jobs []Job) error {
	jobs = slices.Clone(jobs)
	if err := joined(validateJobs(jobs, a.now())); err != nil {
		return err
	}
	begun := a.replace(jobs)
	for job, upTo := range begun {
		a.state.serve(context.Background(), job, upTo)
	}
	return nil
}

// replace puts runners of other jobs in place and returns the schedules that begin with it.
func (a *Agent) replace(jobs []Job) (begun map[string]map[string]time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	begun = make(map[string]map[string]time.Time)
	old := make(map[string]*runner)
	for _, r := range a.runners {
		old[r.job.Name] = r
		r.stop()
	}
	a.obs.setJobs(jobs)
	a.runners = a.newRunners(jobs)
	for _, r := range a.runners {
		if before := old[r.job.Name]; before != nil {
			begun[r.job.Name] = r.follow(before, a.now())
		}
		if a.running != nil && !a.running.closing {
			r.start(a.running)
		}
	}
	return begun
}

// due is when each schedule of each job starts next.
func (a *Agent) due() map[string]map[string]time.Time {
	all := make(map[string]map[string]time.Time)
	for _, s := range a.Status() {
		all[s.Job] = s.Next
	}
	return all
}
