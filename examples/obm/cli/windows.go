package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/quiesce-go/quiesce/backup"
)

func (in *invocation) windows() *cobra.Command {
	var items []string
	cmd := &cobra.Command{
		Use:   "windows JOB",
		Short: "the times a job can be restored to, and the gaps",
		Long: `Print, per item, the span of restorable times and the gaps in it with their reasons.
A span begins at the end of a full. Times are by the application's own clock. Without logs only the moments
of the backups themselves can be restored; the time between two of them is a gap.`,
		Example:           in.examples("windows shop", "windows shop --item orders --json"),
		Args:              in.args(cobra.ExactArgs(1)),
		ValidArgsFunction: in.jobNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := in.open(cmd.Context())
			if err != nil {
				return err
			}
			defer o.Close()
			j, err := o.job(args[0])
			if err != nil {
				return err
			}
			p, err := o.pipeline(j)
			if err != nil {
				return err
			}
			h, err := p.History(cmd.Context())
			if err != nil {
				return err
			}
			covers, err := coverages(h, items)
			if err != nil {
				return err
			}
			all := []ItemWindow{}
			for _, c := range covers {
				all = append(all, itemWindow(c))
			}
			return in.print(all, func(w io.Writer) { printCoverages(w, covers) })
		},
	}
	cmd.Flags().StringArrayVar(&items, "item", nil, "only this `item`; may be repeated")
	return cmd
}

// coverages are those of the items named, or of all.
func coverages(h backup.History, items []string) ([]backup.Coverage, error) {
	all := h.Coverages()
	if len(items) == 0 {
		return all, nil
	}
	var some []backup.Coverage
	var known []string
	for _, c := range all {
		known = append(known, c.Item)
	}
	for _, name := range items {
		c := h.Coverage(name)
		if len(c.Spans) == 0 && !has(all, name) {
			return nil, &backup.Error{Op: "find item", Artifact: name, Err: backup.ErrNoBackup, Advice: fmt.Sprintf("the items of the job are %q", known)}
		}
		some = append(some, c)
	}
	return some, nil
}

func has(all []backup.Coverage, item string) bool {
	for _, c := range all {
		if c.Item == item {
			return true
		}
	}
	return false
}

func itemWindow(c backup.Coverage) ItemWindow {
	w := ItemWindow{Item: c.Item, Gaps: append([]backup.Gap{}, c.Gaps...)}
	if n := len(c.Spans); n > 0 {
		w.From, w.To = c.Spans[0].From, c.Spans[n-1].To
	}
	return w
}

func printCoverages(w io.Writer, all []backup.Coverage) {
	if len(all) == 0 {
		fmt.Fprintln(w, "nothing can be restored: there are no backups")
		return
	}
	for _, c := range all {
		fmt.Fprintln(w, c.Item)
		if len(c.Spans) == 0 {
			fmt.Fprintln(w, "  nothing can be restored")
		}
		for i, s := range c.Spans {
			if s.PointInTime {
				fmt.Fprintf(w, "  %s  to  %s, every moment\n", moment(s.From), moment(s.To))
			} else {
				fmt.Fprintf(w, "  %s\n", moment(s.To))
			}
			if i < len(c.Gaps) {
				fmt.Fprintf(w, "    gap: %s\n", c.Gaps[i].Why)
			}
		}
	}
}
