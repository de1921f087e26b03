package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
)

func (in *invocation) backup() *cobra.Command {
	var kind string
	var options []string
	cmd := &cobra.Command{
		Use:   "backup JOB",
		Short: "one backup now",
		Long: `Take one backup now, with the job's hooks and, when it was proven, its retention. A log or differential without anything to build on
becomes a full, and the record says why. Exit code 3 means that some items failed; the backup is good for the others.`,
		Example:           in.examples("backup shop", "backup shop --kind log", "backup shop --option copy_only=true", "backup shop --json | jq -r .id"),
		Args:              in.args(cobra.ExactArgs(1)),
		ValidArgsFunction: in.jobNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := backup.ParseKind(kind)
			if err != nil {
				return usagef("--kind takes full, differential or log", "%w", err)
			}
			o, err := pairs(options)
			if err != nil {
				return err
			}
			return in.act(cmd.Context(), args[0], func(ctx context.Context, a *agent.Agent, j agent.Job) (agent.Record, error) {
				return a.BackupWith(ctx, j.Name, backup.BackupOptions{Kind: k, Options: o})
			})
		},
	}
	cmd.Flags().StringVar(&kind, "kind", string(backup.Full), "full, differential or log")
	cmd.Flags().StringArrayVar(&options, "option", nil, "a switch of the application's agent, `name=value`; may be repeated")
	completeFlag(cmd, "kind", words(string(backup.Full), string(backup.Differential), string(backup.Log)))
	return cmd
}

// act opens the configuration, does one action of a job with progress shown, and prints its record.
func (in *invocation) act(ctx context.Context, job string, do func(context.Context, *agent.Agent, agent.Job) (agent.Record, error)) error {
	o, err := in.open(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	j, err := o.job(job)
	if err != nil {
		return err
	}
	rec, err := o.do(func(a *agent.Agent) (agent.Record, error) { return do(ctx, a, j) })
	if rec.Job == "" { // it was not even begun
		return err
	}
	if perr := in.print(rec, func(w io.Writer) { printRecord(w, rec) }); perr != nil {
		return perr
	}
	return err
}

// do runs one action of an agent with progress shown. The error carries the record's outcome.
func (o *opened) do(action func(*agent.Agent) (agent.Record, error)) (agent.Record, error) {
	show := o.in.progress()
	defer show.Close()
	a, err := o.agent(show.event)
	if err != nil {
		return agent.Record{}, usage(err)
	}
	rec, err := action(a)
	if err != nil {
		err = &outcomeError{outcome: rec.Outcome, err: err}
	}
	return rec, err
}

// printRecord tells what an action did.
func printRecord(w io.Writer, r agent.Record) {
	fmt.Fprintf(w, "%s: %s %s", r.Job, r.Action, r.Outcome)
	if r.ID != "" {
		fmt.Fprintf(w, ", %s", r.ID)
	}
	fmt.Fprintf(w, ", in %s\n", took(r.Finished.Sub(r.Started)))
	if r.Reason != "" {
		fmt.Fprintf(w, "  a %s instead of a %s: %s\n", r.Kind, r.Asked, r.Reason)
	}
	if r.ID != "" && r.Proof != nil {
		fmt.Fprintf(w, "  %s in %d parts, %s at the target, proof: %s\n", size(r.Bytes), r.Parts, size(r.StoredBytes), r.Proof)
	}
	for _, it := range r.Items {
		printItem(w, it)
	}
	if r.Pruned != nil && len(r.Pruned.Remove) > 0 {
		fmt.Fprintf(w, "  removed by the retention: %d\n", len(r.Pruned.Remove))
	}
	for _, text := range r.Warnings {
		fmt.Fprintf(w, "  warning: %s\n", text)
	}
}

func printItem(w io.Writer, it backup.Item) {
	switch {
	case it.Failed():
		fmt.Fprintf(w, "  %s: failed: %s\n", it.Name, it.Error)
	case it.Kind == backup.Log:
		fmt.Fprintf(w, "  %s: log from %s to %s\n", it.Name, moment(it.Window.From), moment(it.Window.To))
	default:
		fmt.Fprintf(w, "  %s: %s, consistent at %s\n", it.Name, it.Kind, moment(it.Window.To))
	}
	if it.Reason != "" {
		fmt.Fprintf(w, "    %s\n", it.Reason)
	}
}
