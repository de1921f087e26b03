package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/quiesce-go/quiesce/backup"
)

func (in *invocation) hold() *cobra.Command {
	var reason string
	cmd := in.holding(func(ctx context.Context, p *backup.Pipeline, id backup.ID) (string, error) {
		return reason, p.Hold(ctx, id, reason)
	})
	cmd.Use, cmd.Short = "hold JOB ID", "keep a backup from every prune"
	cmd.Long = "Put a backup on legal hold: it, and what its chain needs, is not pruned until unhold. list shows what is on hold."
	cmd.Example = in.examples("hold shop 20261122T020000123Z-9f8e7d6c --reason 'audit 2026'")
	cmd.Flags().StringVar(&reason, "reason", "held by hand", "why, for whoever wonders later")
	return cmd
}

func (in *invocation) unhold() *cobra.Command {
	cmd := in.holding(func(ctx context.Context, p *backup.Pipeline, id backup.ID) (string, error) {
		return "", p.Unhold(ctx, id)
	})
	cmd.Use, cmd.Short = "unhold JOB ID", "end a hold"
	cmd.Long = "End the legal hold of a backup. The next prune may remove it."
	cmd.Example = in.examples("unhold shop 20261122T020000123Z-9f8e7d6c")
	return cmd
}

// holding is a command that changes the hold of a backup. change returns the reason that now holds, or "".
func (in *invocation) holding(change func(context.Context, *backup.Pipeline, backup.ID) (string, error)) *cobra.Command {
	return &cobra.Command{
		Args:              in.args(cobra.ExactArgs(2)),
		ValidArgsFunction: in.jobThenID,
		RunE: func(cmd *cobra.Command, args []string) error {
			id := backup.ID(args[1])
			o, err := in.open(cmd.Context())
			if err != nil {
				return err
			}
			defer o.Close()
			j, h, err := o.history(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if _, ok := h.Find(id); !ok {
				return &backup.Error{Op: "find", ID: id, Err: backup.ErrNoBackup, Advice: "list shows the backups of the job"}
			}
			p, err := o.pipeline(j)
			if err != nil {
				return err
			}
			reason, err := change(cmd.Context(), p, id)
			if err != nil {
				return err
			}
			held := Held{Job: j.Name, ID: id, Reason: reason}
			return in.print(held, func(w io.Writer) {
				if held.Reason == "" {
					fmt.Fprintf(w, "%s is no longer on hold\n", id)
					return
				}
				fmt.Fprintf(w, "%s is on hold: %s\n", id, held.Reason)
			})
		},
	}
}
