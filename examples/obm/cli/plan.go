package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
)

// targetFlags say what to restore and to when; plan, restore and rehearse have them.
type targetFlags struct {
	at    string
	id    string
	items []string
	as    string
	proof string
	place string // of --at, when it is one in an item's log
}

func (f *targetFlags) register(in *invocation, cmd *cobra.Command, rename bool) {
	flags := cmd.Flags()
	flags.StringVar(&f.at, "at", "", "the `time` to return to, by the application's clock: "+momentForms+
		"; with one --item also a place in its log as the application's agent documents it, such as lsn:...")
	flags.StringVar(&f.id, "id", "", "return to the end of exactly this `backup` instead")
	flags.StringArrayVar(&f.items, "item", nil, "only this `item`, or object inside an item; may be repeated")
	flags.StringVar(&f.proof, "min-proof", "", "refuse backups proven less than this: bytes, format or restored")
	if rename {
		flags.StringVar(&f.as, "as", "", "restore the one --item under this `name`")
	}
	cmd.MarkFlagsMutuallyExclusive("at", "id")
	completeFlag(cmd, "at", words("now", "1h ago", "yesterday 23:59"))
	completeFlag(cmd, "min-proof", words("bytes", "format", "restored"))
	completeFlag(cmd, "id", in.ids)
}

// target is what the flags of a command on a job amount to. For a place in a log it asks the job's application, whose agent alone knows such places.
func (in *invocation) target(ctx context.Context, job string, f targetFlags) (backup.Target, error) {
	t, err := f.target(in)
	if err != nil || f.place == "" {
		return t, err
	}
	o, err := in.open(ctx)
	if err != nil {
		return t, err
	}
	defer o.Close()
	j, err := o.job(job)
	if err != nil {
		return t, err
	}
	err = o.with(ctx, j, func(p *backup.Pipeline, src backup.Source) error {
		if _, ok := src.(backup.Locator); !ok {
			return usagef(momentForms, "--at %q: the agent of %s knows times only", f.place, src.Describe().Application)
		}
		located, err := p.Locate(ctx, t, f.place)
		t = located
		return err
	})
	return t, err
}

// target reads the flags, but for a place in a log.
func (f *targetFlags) target(in *invocation) (backup.Target, error) {
	t := backup.Target{ID: backup.ID(f.id)}
	var err error
	if placeForm.MatchString(f.at) {
		f.place = f.at
	} else if t.Time, err = parseMoment(f.at, in.now()); err != nil {
		return t, err
	}
	if f.place != "" && len(f.items) != 1 {
		return t, usagef("name the item: --item NAME", "--at %q is a place in one item's log and needs exactly one --item", f.place)
	}
	if f.id != "" && !t.ID.Valid() {
		return t, usagef("list shows the ids", "%q is not the id of a backup", f.id)
	}
	if f.proof != "" {
		if t.MinProof, err = backup.ParseProof(f.proof); err != nil {
			return t, usagef("the levels are sealed, bytes, format and restored", "--min-proof: %w", err)
		}
	}
	for _, name := range f.items {
		t.Select = append(t.Select, backup.Selection{Name: name})
	}
	if f.as != "" {
		if len(t.Select) != 1 {
			return t, usagef("name the item: --item NAME --as OTHER", "--as needs exactly one --item")
		}
		t.Select[0].As = f.as
	}
	return t, nil
}

// ids completes a flag with the ids of the job's backups, newest first.
func (in *invocation) ids(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	const none = cobra.ShellCompDirectiveNoFileComp
	if len(args) == 0 {
		return nil, none
	}
	o, err := in.open(cmd.Context())
	if err != nil {
		return nil, none
	}
	defer o.Close()
	_, h, err := o.history(cmd.Context(), args[0])
	if err != nil {
		return nil, none
	}
	var ids []string
	for i := len(h) - 1; i >= 0; i-- {
		ids = append(ids, string(h[i].ID))
	}
	return ids, none | cobra.ShellCompDirectiveKeepOrder
}

// jobThenID completes the arguments JOB ID.
func (in *invocation) jobThenID(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 1 {
		return in.ids(cmd, args, typed)
	}
	return in.jobNames(cmd, args, typed)
}

// history reads the backups of a job.
func (o *opened) history(ctx context.Context, job string) (agent.Job, backup.History, error) {
	j, err := o.job(job)
	if err != nil {
		return j, nil, err
	}
	p, err := o.pipeline(j)
	if err != nil {
		return j, nil, err
	}
	h, err := p.History(ctx)
	return j, h, err
}

func (in *invocation) plan() *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "plan JOB",
		Short: "what a restore would do",
		Long: `Print the steps of a restore to a time, or to a backup, without touching anything. Where there is no way to it the
reason is named and the exit code is 4.

With --script the restore is printed as a script for the application's own tools instead, to be looked at, changed and run by people. It works on the files that
restore --files writes for the same target; an --option of the application's agent says where they lie. Not every agent has one; then the exit code is 2.`,
		Example: in.examples("plan shop", "plan shop --at '2026-11-22 14:05:00.25 Europe/Berlin'", "plan shop --at '2h ago' --item orders --json",
			"plan shop --item orders --as orders_before --script > restore.sql"),
		Args:              in.args(cobra.ExactArgs(1)),
		ValidArgsFunction: in.jobNames,
		RunE:              func(cmd *cobra.Command, args []string) error { return in.planOf(cmd.Context(), args[0], f) },
	}
	f.register(in, cmd, true)
	flags := cmd.Flags()
	flags.BoolVar(&f.script, "script", false, "print a script for the application's own tools (also: --sql)")
	flags.BoolVar(&f.overwrite, "overwrite", false, "of the script: replace what exists")
	flags.StringArrayVar(&f.options, "option", nil, "of the script: a switch of the application's agent, `name=value`; may be repeated")
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "sql" {
			name = "script"
		}
		return pflag.NormalizedName(name)
	})
	return cmd
}

// planFlags are what plan takes.
type planFlags struct {
	targetFlags
	script    bool
	overwrite bool
	options   []string
}

// planOf prints the plan of a job.
func (in *invocation) planOf(ctx context.Context, job string, f planFlags) error {
	t, err := in.target(ctx, job, f.targetFlags)
	if err != nil {
		return err
	}
	options, err := pairs(f.options)
	if err != nil {
		return err
	}
	if !f.script && (f.overwrite || len(options) > 0) {
		return usagef("add --script, or leave them out: a plan is the same with and without them", "--overwrite and --option change the script of a restore, not its plan")
	}
	o, err := in.open(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	j, h, err := o.history(ctx, job)
	if err != nil {
		return err
	}
	plan := h.Plan(t)
	plan.Job = job
	out, text := printedPlan(plan), ended(plan.Text())
	if f.script {
		if out.Script, err = o.script(ctx, j, &plan, backup.RestoreOptions{Overwrite: f.overwrite, Options: options}); err != nil {
			return err
		}
		text = out.Script
	}
	if err := in.print(out, func(w io.Writer) { fmt.Fprint(w, text) }); err != nil {
		return err
	}
	return plan.Err()
}

// script asks the job's application for a plan as a script, which is all of it or nothing. A plan with refusals has none.
func (o *opened) script(ctx context.Context, j agent.Job, plan *backup.RestorePlan, ro backup.RestoreOptions) (string, error) {
	if len(plan.Refused) > 0 {
		return "", nil
	}
	var script strings.Builder
	err := o.with(ctx, j, func(p *backup.Pipeline, src backup.Source) error {
		if _, ok := src.(backup.Scripter); !ok {
			return usagef("restore carries the plan out; restore --files fetches the files alone", "the agent of %s writes no scripts", src.Describe().Application)
		}
		return p.Script(ctx, plan, ro, &script)
	})
	if err != nil {
		return "", err
	}
	return ended(script.String()), nil
}

// ended is s with a newline at its end.
func ended(s string) string { return strings.TrimRight(s, "\n") + "\n" }

func printedPlan(p backup.RestorePlan) PrintedPlan {
	return PrintedPlan{Target: p.Target, Steps: plannedSteps(p), Refused: append([]backup.Refusal{}, p.Refused...), Skipped: p.Skipped, Notes: p.Notes}
}

func plannedSteps(p backup.RestorePlan) []PlannedStep {
	steps := []PlannedStep{}
	for _, s := range p.Steps {
		steps = append(steps, PlannedStep{ID: s.ID, Item: s.Item.Name, Kind: s.Item.Kind, Artifacts: s.Item.Artifacts, Bytes: s.Item.Bytes,
			Until: s.Until, UntilPosition: s.UntilPosition})
	}
	return steps
}
