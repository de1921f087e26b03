package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/quiesce-go/quiesce/agent"
)

func (in *invocation) rehearse() *cobra.Command {
	var f targetFlags
	var to string
	var options []string
	cmd := &cobra.Command{
		Use:   "rehearse JOB",
		Short: "restore somewhere harmless and look at it",
		Long: `Restore into a scratch place, check what came up and remove it. The backups used earn the highest proof, "restored".
The place is --to, or rehearse.to of the job's configuration, in the form the application's agent documents.`,
		Example:           in.examples("rehearse shop --to 'root@tcp(127.0.0.1:3307)/'", "rehearse shop --item orders"),
		Args:              in.args(cobra.ExactArgs(1)),
		ValidArgsFunction: in.jobNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := in.target(cmd.Context(), args[0], f)
			if err != nil {
				return err
			}
			extra, err := pairs(options)
			if err != nil {
				return err
			}
			return in.act(cmd.Context(), args[0], func(ctx context.Context, a *agent.Agent, j agent.Job) (agent.Record, error) {
				r := j.Rehearse
				if to != "" {
					r.Scratch = to
				}
				if r.Scratch == "" {
					return agent.Record{}, usagef("give --to, or a scratch place in the job's configuration", "job %s has no place to rehearse in", j.Name)
				}
				if len(f.items) > 0 {
					r.Items = f.items
				}
				if len(extra) > 0 {
					r.Options = extra
				}
				return a.Rehearse(ctx, j.Name, t, r)
			})
		},
	}
	f.register(in, cmd, false)
	flags := cmd.Flags()
	flags.StringVar(&to, "to", "", "the scratch `place`; default from the configuration")
	flags.StringArrayVar(&options, "option", nil, "a switch of the application's agent, `name=value`; may be repeated")
	return cmd
}
