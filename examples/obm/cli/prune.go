package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
)

func (in *invocation) prune() *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "prune [JOB]",
		Short: "remove what the retention does not keep",
		Long: `Apply the retention of a job, or of all, now. Whatever its rules say, what the newest state of every item needs stays, and so do
backups on hold. With --dry-run the command only says what it would remove, and why the others stay.`,
		Example:           in.examples("prune --dry-run", "prune shop", "prune shop --dry-run --json | jq .remove"),
		Args:              in.args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: in.jobNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := in.open(cmd.Context())
			if err != nil {
				return err
			}
			defer o.Close()
			jobs, err := o.jobs(args)
			if err != nil {
				return err
			}
			all := Pruned{Remove: []backup.ID{}, Keep: []backup.Kept{}}
			failed := each(cmd.Context(), jobs, func(j agent.Job) error {
				plan, err := o.prune(cmd.Context(), j, dry)
				if plan != nil {
					all.Remove, all.Keep = append(all.Remove, plan.Remove...), append(all.Keep, plan.Keep...)
				}
				return err
			})
			return errors.Join(in.print(all, func(w io.Writer) { printPruned(w, all, dry) }), failed)
		},
	}
	cmd.Flags().BoolVarP(&dry, "dry-run", "n", false, "remove nothing")
	return cmd
}

// prune applies the retention of a job, or only says what that would do.
func (o *opened) prune(ctx context.Context, j agent.Job, dry bool) (*backup.PrunePlan, error) {
	if !dry {
		rec, err := o.do(func(a *agent.Agent) (agent.Record, error) { return a.Prune(ctx, j.Name) })
		return rec.Pruned, err
	}
	p, err := o.pipeline(j)
	if err != nil {
		return nil, err
	}
	return p.PlanPrune(ctx, j.Retention)
}

func printPruned(w io.Writer, p Pruned, dry bool) {
	verb := "removed"
	if dry {
		verb = "would remove"
	}
	for _, id := range p.Remove {
		fmt.Fprintf(w, "%s %s\n", verb, id)
	}
	for _, k := range p.Keep {
		fmt.Fprintf(w, "keep %s: %s\n", k.ID, strings.Join(k.Because, "; "))
	}
	if len(p.Remove)+len(p.Keep) == 0 {
		fmt.Fprintln(w, "no backups")
	}
}
