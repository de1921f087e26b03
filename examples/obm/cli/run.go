package cli

import (
	"context"
	"errors"
	"log/slog"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/agent/config"
)

func (in *invocation) run() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "the agent: do what is due, until stopped",
		Long: `Run the schedules of all jobs: backups, verifications, rehearsals, retention; tell people when something changes; serve metrics for Prometheus at
/metrics and the state at /healthz on agent.listen, by default an address of this machine only.

SIGTERM or Ctrl-C stops it: what is under way may go on for agent.grace, is then cancelled, and leaves nothing open. A second signal ends the
process at once. SIGHUP reads the configuration again; runs under way are not disturbed. A configuration with mistakes changes nothing:
all its problems are logged, and the old one stays. agent.listen and agent.state need a restart.`,
		Example: in.examples("run", "run --config /etc/obm.yaml", "service install"),
		Args:    in.args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return in.underService(cmd.Context(), in.serve)
		},
	}
}

// runner is the agent at work with what it was built from.
type runner struct {
	in    *invocation
	log   *slog.Logger
	agent *agent.Agent
	// built are all configurations since the start: actions in progress may still use what an older one opened.
	built []*opened
}

// serve runs the agent until ctx ends.
func (in *invocation) serve(ctx context.Context) error {
	o, err := in.open(ctx)
	if err != nil {
		return err
	}
	r := &runner{in: in, log: in.agentLog(o.cfg), built: []*opened{o}}
	defer r.close()
	for _, w := range o.cfg.Warnings {
		r.log.Warn("configuration", "problem", w.String())
	}
	m, err := newMetrics()
	if err != nil {
		return err
	}
	defer m.close(ctx)
	notifiers, err := o.notifiers()
	if err != nil {
		return usage(err)
	}
	options := o.built.Options()
	options.Notifiers, options.Meter, options.Logger, options.Clock = notifiers, m.provider, r.log, in.Clock
	r.agent, err = agent.New(options)
	if err != nil {
		return usage(err)
	}
	return r.work(ctx, m)
}

// work runs the agent, the server and the reloads side by side. The first to fail stops the others.
func (r *runner) work(ctx context.Context, m *metrics) error {
	reload := make(chan struct{}, 1)
	r.in.onReload(func() {
		select {
		case reload <- struct{}{}:
		default: // one is waiting already, and will read the newest file
		}
	})
	defer r.in.onReload(nil)
	g, ctx := errgroup.WithContext(ctx)
	serving, stop := context.WithCancel(context.WithoutCancel(ctx)) // the server answers until the agent has stopped
	g.Go(func() error {
		defer stop()
		r.log.Info("agent started", "jobs", len(r.agent.Jobs()), "version", r.in.builtAs().Version)
		err := r.agent.Run(ctx)
		r.log.Info("agent stopped")
		return err
	})
	g.Go(func() error { return r.listen(serving, m) })
	g.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-reload:
				r.reload(ctx)
			}
		}
	})
	return g.Wait()
}

// reload puts the jobs of the file as it is now in place of the old ones. A file with mistakes changes nothing.
func (r *runner) reload(ctx context.Context) {
	o, err := r.in.open(ctx)
	if err == nil {
		if err = r.agent.Update(o.built.Jobs); err != nil {
			err = errors.Join(err, o.Close())
		}
	}
	if err != nil {
		var all *config.Problems
		if !errors.As(err, &all) {
			r.log.Error("configuration not reloaded, the old one stays", "err", err, "hint", r.in.hint(err))
			return
		}
		for _, p := range all.All {
			r.log.Error("configuration not reloaded, the old one stays", "problem", p.String())
		}
		return
	}
	r.built = append(r.built, o)
	r.log.Info("configuration reloaded", "jobs", len(o.built.Jobs))
}

// close gives up everything that was opened. The agent has stopped.
func (r *runner) close() {
	for _, o := range r.built {
		if err := o.Close(); err != nil {
			r.log.Warn("close", "err", err)
		}
	}
}

// agentLog is the logger the configuration asks for.
func (in *invocation) agentLog(cfg *config.Config) *slog.Logger {
	o := &slog.HandlerOptions{Level: cfg.Agent.Log.Level.Level()}
	if in.verbose {
		o.Level = slog.LevelDebug
	}
	if cfg.Agent.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(in.stderr(), o))
	}
	return slog.New(slog.NewTextHandler(in.stderr(), o))
}
