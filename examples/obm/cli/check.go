package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
)

func (in *invocation) check() *cobra.Command {
	return &cobra.Command{
		Use:   "check [JOB]",
		Short: "can a backup run succeed?",
		Long: `Try what a run needs, one line each: the target can be reached, written and creates objects atomically; nobody else holds the job;
the keys fit; the stage can be written and has room; the application can be reached with the rights needed.
Where something fails the line below says what to do, and the exit code is 1. Nothing is left behind.`,
		Example:           in.examples("check", "check shop", "check --json | jq '.[] | select(.ok | not)'"),
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
			lines, broken := []CheckLine{}, 0
			for _, j := range jobs {
				c := &checker{o: o, job: j}
				c.all(cmd.Context())
				lines, broken = append(lines, c.lines...), broken+c.broken
			}
			if err := in.print(lines, func(w io.Writer) { printChecks(w, lines) }); err != nil {
				return err
			}
			if err := context.Cause(cmd.Context()); err != nil {
				return err
			}
			if broken > 0 {
				return &backup.Error{Op: "check", Err: fmt.Errorf("%d of %d checks failed", broken, len(lines)),
					Advice: "the line below each says what to do"}
			}
			return nil
		},
	}
}

// printChecks writes one line for each check and, where it failed, why and what to do.
func printChecks(w io.Writer, lines []CheckLine) {
	for _, l := range lines {
		mark := "ok  "
		if !l.OK {
			mark = "FAIL"
		}
		fmt.Fprintf(w, "%s  %s  %s\n", mark, l.Job, l.What)
		if !l.OK {
			fmt.Fprintf(w, "      %s\n      %s\n", l.Error, l.Hint)
		}
	}
}

// checker gathers the lines of one job.
type checker struct {
	o      *opened
	job    agent.Job
	lines  []CheckLine
	broken int
}

// add notes a check with its outcome and reports whether it holds. advice is the hint when the error has none.
func (c *checker) add(what string, err error, advice string) bool {
	return c.line(what, err, orElse(backup.Hint(err), advice))
}

func (c *checker) line(what string, err error, hint string) bool {
	l := CheckLine{Job: c.job.Name, What: what, OK: err == nil}
	if err != nil {
		c.broken++
		l.Error, l.Hint = err.Error(), hint
	}
	c.lines = append(c.lines, l)
	return err == nil
}

func (c *checker) all(ctx context.Context) {
	if c.target(ctx) {
		c.keys(ctx)
	}
	dir, ok := c.stage(ctx)
	if ok {
		c.application(ctx, dir)
	}
	if dir.Path != "" {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkPatience)
		defer cancel()
		if err := c.job.Config.Stager.Release(ctx, dir); err != nil {
			c.add("stage: is cleaned up", err, "remove the directory "+dir.Path)
		}
	}
}

// application asks the source itself.
func (c *checker) application(ctx context.Context, dir backup.StageDir) {
	src, err := c.job.Open(ctx)
	if !c.add("application: settings are valid", err, "see the settings of the job") {
		return
	}
	if closer, ok := src.(io.Closer); ok {
		defer closer.Close()
	}
	d := src.Describe()
	for _, kind := range c.kinds() {
		var err error
		if !slices.Contains(d.Kinds, kind) {
			err = fmt.Errorf("%s takes no %s backups, only %v", d.Application, kind, d.Kinds)
		}
		if err != nil {
			c.add(fmt.Sprintf("application: takes backups of kind %s", kind), err, "take schedule."+string(kind)+" out of the job")
		}
	}
	fits := true
	if checks, ok := src.(backup.Checker); ok {
		for _, f := range checks.Check(ctx, dir) {
			fits = c.line("application: "+f.What, f.Err, orElse(f.Hint, orElse(backup.Hint(f.Err), "see the documentation of the application's agent"))) && fits
		}
	}
	estimator, ok := src.(backup.Estimator)
	if !ok || !fits || dir.Path == "" {
		return
	}
	need, err := estimator.Estimate(ctx, backup.Request{Job: c.job.Name, Kind: backup.Full, Log: c.o.in.logger()})
	if err != nil {
		c.add("application: tells its size", err, "see the documentation of the application's agent")
		return
	}
	c.room(dir, need)
}

// kinds are those the schedule asks for.
func (c *checker) kinds() []backup.Kind {
	var kinds []backup.Kind
	for _, s := range []struct {
		when string
		kind backup.Kind
	}{{c.job.Schedule.Full, backup.Full}, {c.job.Schedule.Differential, backup.Differential}, {c.job.Schedule.Log, backup.Log}} {
		if s.when != "" {
			kinds = append(kinds, s.kind)
		}
	}
	return kinds
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// keys tries to seal, and to open what is there.
func (c *checker) keys(ctx context.Context) {
	sealer, ok := c.job.Config.Sink.(backup.Sealer)
	if !ok {
		return
	}
	const advice = "seal.recipients in the configuration must hold what keygen printed"
	if _, stored, err := sealer.Seal("check", newGreeting()); err != nil {
		c.add("keys: a backup can be sealed", err, advice)
		return
	} else if _, err := io.Copy(io.Discard, stored); !c.add("keys: a backup can be sealed", err, advice) {
		return
	}
	p, err := c.o.pipeline(c.job)
	if err != nil {
		c.add("keys: backups can be listed", err, "see the settings of the job")
		return
	}
	h, err := p.History(ctx)
	if err != nil || len(h) == 0 { // a target without backups has nothing to open
		return
	}
	newest := h[len(h)-1]
	err = readAll(ctx, sealer, c.job.Name+"/runs/"+string(newest.ID)+"/entries.jsonl")
	if errors.Is(err, backup.ErrKey) && !errors.As(err, new(*age.NoIdentityMatchError)) {
		c.add("keys: none to open backups here, as it should be on a machine that only writes", nil, "")
		return
	}
	c.add(fmt.Sprintf("keys: the newest backup, %s, can be opened", newest.ID), err, "seal.identity_file must name the identity it was made for")
}

func readAll(ctx context.Context, s backup.Sink, key string) error {
	r, err := s.Get(ctx, key)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}
