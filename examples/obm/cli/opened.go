package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/agent/config"
	"github.com/quiesce-go/quiesce/backup"
)

// opened is a configuration with what was built from it. Close it.
type opened struct {
	in    *invocation
	cfg   *config.Config
	built *config.Built
}

// load reads and checks the configuration file.
func (in *invocation) load() (*config.Config, error) {
	cfg, err := config.Load(in.file, config.Options{Registry: in.Applications, Sink: in.Sink, LookupEnv: in.env})
	if problems := (*config.Problems)(nil); errors.As(err, &problems) {
		return nil, usagef("each line names the place and what belongs there; "+in.name()+" config tries again", "what is wrong with the configuration:\n%w", err)
	}
	if err != nil {
		return nil, usage(err)
	}
	return cfg, nil
}

// open loads the configuration and builds its jobs. It makes no contact with an application.
func (in *invocation) open(ctx context.Context) (*opened, error) {
	cfg, err := in.load()
	if err != nil {
		return nil, err
	}
	built, err := cfg.Build(ctx)
	if err != nil {
		return nil, usage(err)
	}
	return &opened{in: in, cfg: cfg, built: built}, nil
}

// Close gives up what Build opened.
func (o *opened) Close() error { return o.built.Close() }

func (o *opened) names() []string {
	var names []string
	for _, j := range o.built.Jobs {
		names = append(names, j.Name)
	}
	return names
}

// job finds a job by its name.
func (o *opened) job(name string) (agent.Job, error) {
	if j, ok := o.built.Job(name); ok {
		return j, nil
	}
	return agent.Job{}, usagef("the jobs in "+o.in.file+" are "+strings.Join(o.names(), ", "), "there is no job %q", name)
}

// jobs are the one named, or all.
func (o *opened) jobs(args []string) ([]agent.Job, error) {
	if len(args) == 0 {
		return o.built.Jobs, nil
	}
	j, err := o.job(args[0])
	return []agent.Job{j}, err
}

// each does something for jobs one after the other. That one job fails keeps no other from its turn; that ctx ends does.
func each(ctx context.Context, jobs []agent.Job, do func(agent.Job) error) error {
	var errs []error
	for _, j := range jobs {
		if err := do(j); err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// pipeline opens the stored backups of a job, for all that needs no application.
func (o *opened) pipeline(j agent.Job) (*backup.Pipeline, error) {
	cfg := j.Config
	cfg.Job, cfg.Now, cfg.Logger = j.Name, o.in.now, o.in.logger()
	return backup.New(cfg)
}

// with opens the application of a job for fn.
func (o *opened) with(ctx context.Context, j agent.Job, fn func(*backup.Pipeline, backup.Source) error) (err error) {
	src, err := j.Open(ctx)
	if err != nil {
		return err
	}
	if c, ok := src.(io.Closer); ok {
		defer func() { err = errors.Join(err, c.Close()) }()
	}
	j.Config.Source = src
	p, err := o.pipeline(j)
	if err != nil {
		return err
	}
	return fn(p, src)
}

// agent makes an agent for one command: it remembers nothing and tells nobody but the person at the keyboard.
func (o *opened) agent(events func(backup.Event)) (*agent.Agent, error) {
	return agent.New(agent.Options{Jobs: o.built.Jobs, Clock: o.in.Clock, Logger: o.in.logger(), Events: events})
}

// logger is for --verbose; the command run has its own.
func (in *invocation) logger() *slog.Logger {
	if !in.verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(in.stderr(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// jobNames completes the first argument with the names of the jobs.
func (in *invocation) jobNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	o, err := in.open(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer o.Close()
	names := o.names()
	slices.Sort(names)
	return names, cobra.ShellCompDirectiveNoFileComp
}

// words completes a flag with fixed words.
func words(all ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(all, cobra.ShellCompDirectiveNoFileComp)
}

// completeFlag sets how a flag is completed. That the flag does not exist is a mistake in this package.
func completeFlag(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(fmt.Sprintf("%s has no flag %s", cmd.Name(), flag))
	}
}
