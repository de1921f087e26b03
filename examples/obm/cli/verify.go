package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
)

func (in *invocation) verify() *cobra.Command {
	var level, sample string
	var ids []string
	cmd := &cobra.Command{
		Use:   "verify [JOB]",
		Short: "check stored backups",
		Long: `Read stored backups back and compare every part with its digest; no key is needed for that. With --level format the
application's agent also reads the content, which needs the key. What is found is recorded at the target: a proof, or the
damage, after which no plan uses the backup. Damage makes the exit code 1. A sample finds damage but earns no proof.`,
		Example:           in.examples("verify", "verify shop --level format", "verify shop --id 20261122T020000123Z-9f8e7d6c", "verify --sample 5%"),
		Args:              in.args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: in.jobNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			vo, err := verifyOptions(level, sample, ids)
			if err != nil {
				return err
			}
			o, err := in.open(cmd.Context())
			if err != nil {
				return err
			}
			defer o.Close()
			jobs, err := o.jobs(args)
			if err != nil {
				return err
			}
			if len(args) == 0 && len(vo.IDs) > 0 {
				if jobs, err = o.jobsOf(cmd.Context(), vo.IDs); err != nil {
					return err
				}
			}
			return o.verify(cmd.Context(), jobs, vo)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&level, "level", "bytes", "bytes or format")
	flags.StringVar(&sample, "sample", "", "read only this `share` of the parts, such as 5%")
	flags.StringArrayVar(&ids, "id", nil, "only this `backup`; may be repeated")
	completeFlag(cmd, "level", words("bytes", "format"))
	completeFlag(cmd, "id", in.ids)
	return cmd
}

func verifyOptions(level, sample string, ids []string) (backup.VerifyOptions, error) {
	var o backup.VerifyOptions
	var err error
	if o.Level, err = backup.ParseProof(level); err != nil || (o.Level != backup.ProofBytes && o.Level != backup.ProofFormat) {
		return o, usagef("the levels are bytes and format; a rehearsal earns more", "--level %q", level)
	}
	if o.Sample, err = share(sample); err != nil {
		return o, err
	}
	for _, id := range ids {
		if !backup.ID(id).Valid() {
			return o, usagef("list shows the ids", "%q is not the id of a backup", id)
		}
		o.IDs = append(o.IDs, backup.ID(id))
	}
	return o, nil
}

// share reads "5%" or "0.05"; empty is 0, which means all.
func share(s string) (float64, error) {
	if s == "" {
		return 0, nil
	}
	text, percent := strings.CutSuffix(s, "%")
	f, err := strconv.ParseFloat(text, 64)
	if percent {
		f /= 100
	}
	if err != nil || !(f > 0 && f <= 1) {
		return 0, usagef("write --sample 5% or --sample 0.05", "%q is not a share between 0%% and 100%%", s)
	}
	return f, nil
}

// jobsOf are the jobs that have one of the backups, each of which must be somewhere.
func (o *opened) jobsOf(ctx context.Context, ids []backup.ID) ([]agent.Job, error) {
	found := map[backup.ID]bool{}
	var jobs []agent.Job
	for _, j := range o.built.Jobs {
		_, h, err := o.history(ctx, j.Name)
		if err != nil {
			return nil, err
		}
		any := false
		for _, id := range ids {
			if _, ok := h.Find(id); ok {
				found[id], any = true, true
			}
		}
		if any {
			jobs = append(jobs, j)
		}
	}
	for _, id := range ids {
		if !found[id] {
			return nil, &backup.Error{Op: "find", ID: id, Err: backup.ErrNoBackup, Advice: "list shows the backups of all jobs"}
		}
	}
	return jobs, nil
}

// verify checks jobs one after the other and prints all that was found.
func (o *opened) verify(ctx context.Context, jobs []agent.Job, vo backup.VerifyOptions) error {
	all := Verified{Bad: []DamagedBit{}}
	failed := each(ctx, jobs, func(j agent.Job) error {
		jo, err := o.idsOf(ctx, j, vo)
		if err != nil {
			return err
		}
		rec, err := o.do(func(a *agent.Agent) (agent.Record, error) { return a.Verify(ctx, j.Name, jo) })
		if v := rec.Verified; v != nil {
			all.CheckedParts += v.CheckedParts
			all.Bytes += v.Bytes
			for _, b := range v.Bad {
				all.Bad = append(all.Bad, DamagedBit{ID: b.ID, Artifact: b.Artifact, Part: b.Part, Reason: b.Reason})
			}
		}
		return err
	})
	return errors.Join(o.in.print(all, func(w io.Writer) { printVerified(w, all) }), failed)
}

// idsOf limits the options to what the job has.
func (o *opened) idsOf(ctx context.Context, j agent.Job, vo backup.VerifyOptions) (backup.VerifyOptions, error) {
	if len(vo.IDs) < 2 {
		return vo, nil
	}
	_, h, err := o.history(ctx, j.Name)
	if err != nil {
		return vo, err
	}
	all := vo.IDs
	vo.IDs = nil
	for _, id := range all {
		if _, ok := h.Find(id); ok {
			vo.IDs = append(vo.IDs, id)
		}
	}
	return vo, nil
}

func printVerified(w io.Writer, v Verified) {
	for _, b := range v.Bad {
		fmt.Fprintf(w, "DAMAGED %s %s %s: %s\n", b.ID, b.Artifact, b.Part, b.Reason)
	}
	fmt.Fprintf(w, "%d parts read, %s, %d damaged\n", v.CheckedParts, size(v.Bytes), len(v.Bad))
}
