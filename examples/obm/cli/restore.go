package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
)

// restoreFlags are what restore takes beside the target.
type restoreFlags struct {
	targetFlags
	to        string
	files     string
	overwrite bool
	options   []string
	yes       bool
}

func (in *invocation) restore() *cobra.Command {
	var f restoreFlags
	cmd := &cobra.Command{
		Use:   "restore JOB",
		Short: "bring a job back to a time",
		Long: `Restore a job, or some of its items, to a time or a backup: into the application it came from, or with --to into another place.
The plan is printed and a yes asked for before anything is touched; --yes answers it for scripts.
Nothing that exists is replaced without --overwrite. Without a way to the time the exit code is 4 and nothing was touched.

With --files the artifacts of the backups are only written below a directory, as <id>/<artifact>, and no application is needed.`,
		Example: in.examples("restore shop", "restore shop --at '2h ago' --item orders --as orders_before",
			"restore shop --to 'root@tcp(127.0.0.1:3307)/' --yes", "restore shop --id 20261122T020000123Z-9f8e7d6c --files /tmp/look"),
		Args:              in.args(cobra.ExactArgs(1)),
		ValidArgsFunction: in.jobNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := in.target(cmd.Context(), args[0], f.targetFlags)
			if err != nil {
				return err
			}
			if f.files != "" {
				return in.fetch(cmd.Context(), args[0], t, f.files)
			}
			return in.restoreTo(cmd.Context(), args[0], t, f)
		},
	}
	f.register(in, cmd, true)
	flags := cmd.Flags()
	flags.StringVar(&f.to, "to", "", "another `place` than the job's own, as the application's agent documents it: a DSN, a directory")
	flags.StringVar(&f.files, "files", "", "only write the artifacts below this `directory`")
	flags.BoolVar(&f.overwrite, "overwrite", false, "replace what exists")
	flags.StringArrayVar(&f.options, "option", nil, "a switch of the application's agent, `name=value`; may be repeated")
	flags.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	for _, other := range []string{"to", "as", "overwrite", "option"} {
		cmd.MarkFlagsMutuallyExclusive("files", other)
	}
	return cmd
}

func (in *invocation) restoreTo(ctx context.Context, job string, t backup.Target, f restoreFlags) error {
	options, err := pairs(f.options)
	if err != nil {
		return err
	}
	if !f.yes && !terminal(in.Stdin) {
		return usagef("look at it with plan, then say --yes", "restore asks before it touches anything, and there is no terminal to ask at")
	}
	o, err := in.open(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	if _, err := o.job(job); err != nil {
		return err
	}
	show := in.progress()
	defer show.Close()
	a, err := o.agent(show.event)
	if err != nil {
		return usage(err)
	}
	ro := agent.RestoreOptions{RestoreOptions: backup.RestoreOptions{Overwrite: f.overwrite, Options: options}}
	if f.to != "" {
		if ro.Open, err = o.elsewhere(job, f.to); err != nil {
			return err
		}
	}
	ro.Confirm = func(plan *backup.RestorePlan) error { return in.confirm(plan, f) }
	rec, err := a.Restore(ctx, job, t, ro)
	show.Close()
	if err != nil {
		err = &outcomeError{outcome: rec.Outcome, err: err}
	}
	if rec.Job == "" {
		return err
	}
	if perr := in.print(rec, func(w io.Writer) { printRecord(w, rec) }); perr != nil {
		return perr
	}
	return err
}

// elsewhere opens the job's application in another place.
func (o *opened) elsewhere(job, to string) (func(context.Context) (backup.Source, error), error) {
	if _, err := o.job(job); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (backup.Source, error) { return o.built.Open(ctx, job, to) }, nil
}

// confirm shows the plan and asks for a yes.
func (in *invocation) confirm(plan *backup.RestorePlan, f restoreFlags) error {
	w := in.stdout()
	if in.json { // only the record goes there
		w = in.stderr()
	}
	fmt.Fprint(w, ended(plan.Text()))
	if f.yes {
		return nil
	}
	where := "the application itself"
	if f.to != "" {
		where = "the place given by --to"
	}
	if f.overwrite {
		where += ", replacing what exists"
	}
	fmt.Fprintf(in.stderr(), "Restore into %s? Type yes to go on: ", where)
	answer, err := bufio.NewReader(in.stdin()).ReadString('\n')
	if strings.TrimSpace(answer) == "yes" {
		return nil
	}
	if err != nil && err != io.EOF {
		return fmt.Errorf("read the answer: %w", err)
	}
	return &backup.Error{Op: "restore", Artifact: plan.Job, Err: fmt.Errorf("not confirmed: %w", backup.ErrRefused),
		Advice: "nothing was touched; type yes in full to go on"}
}

// fetch writes the artifacts of a plan below dir.
func (in *invocation) fetch(ctx context.Context, job string, t backup.Target, dir string) error {
	o, err := in.open(ctx)
	if err != nil {
		return err
	}
	defer o.Close()
	j, err := o.job(job)
	if err != nil {
		return err
	}
	show := in.progress()
	defer show.Close()
	j.Config.Events = show.event
	p, err := o.pipeline(j)
	if err != nil {
		return err
	}
	plan, err := p.Plan(ctx, t)
	if err != nil {
		return err
	}
	if err := p.Fetch(ctx, plan, dir); err != nil {
		return err
	}
	show.Close()
	got := Fetched{Dir: dir, Steps: plannedSteps(*plan)}
	return in.print(got, func(w io.Writer) {
		for _, s := range got.Steps {
			fmt.Fprintf(w, "%s: %s of %s, %d artifacts, %s\n", s.ID, s.Kind, s.Item, s.Artifacts, size(s.Bytes))
		}
		fmt.Fprintf(w, "written below %s\n", dir)
	})
}

// pairs reads name=value switches.
func pairs(list []string) (map[string]string, error) {
	m := map[string]string{}
	for _, s := range list {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return nil, usagef("write --option name=value", "%q has no name or no value", s)
		}
		m[name] = value
	}
	return m, nil
}
