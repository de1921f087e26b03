package agent

import (
	"context"

	"github.com/quiesce-go/quiesce/backup"
)

// observer turns what the agent does into metrics, spans and notices.
type observer struct{}

func newObserver(o Options, st *stateStore) *observer { return &observer{} }

// begin is called at the start of an action; the action runs with the context it returns.
func (o *observer) begin(ctx context.Context, job *Job, act Action, kind backup.Kind) context.Context {
	return ctx
}

// finished is called after each action, with the context begin returned and the history read after it.
func (o *observer) finished(ctx context.Context, job *Job, r Record, h backup.History) {}

// event is called for every event of a pipeline.
func (o *observer) event(ev backup.Event) {}

// seen is called whenever a job's history was read from its target.
func (o *observer) seen(job *Job, h backup.History) {}

// run works until ctx ends, while the agent runs.
func (o *observer) run(ctx context.Context) {}
