package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
)

func (in *invocation) list() *cobra.Command {
	return &cobra.Command{
		Use:               "list [JOB]",
		Short:             "the backups of a job, or of all, oldest first",
		Long:              "List the backups at the target with kind, items, size and proof. Only headers are read; no key is needed.",
		Example:           in.examples("list", "list shop", "list shop --json | jq -r '.[] | select(.proof == \"sealed\") | .id'"),
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
			all := []ListedBackup{}
			failed := each(cmd.Context(), jobs, func(j agent.Job) error {
				_, h, err := o.history(cmd.Context(), j.Name)
				for _, b := range h {
					all = append(all, listed(j.Name, b))
				}
				return err
			})
			return errors.Join(in.print(all, func(w io.Writer) { printList(w, all) }), failed)
		},
	}
}

func listed(job string, b backup.Backup) ListedBackup {
	l := ListedBackup{ID: b.ID, Job: job, Application: b.Application, Instance: b.Instance, Kind: b.Kind, Started: b.Started, Finished: b.Finished,
		Proof: b.Proof, Bytes: b.Bytes, StoredBytes: b.StoredBytes, Parts: b.Parts, Items: []ListedItem{}, Damaged: b.Damaged, Held: b.Held}
	for _, it := range b.Items {
		l.Items = append(l.Items, ListedItem{Name: it.Name, Kind: it.Kind, Parent: it.Parent, Window: it.Window, Reason: it.Reason, Error: it.Error})
	}
	return l
}

func printList(w io.Writer, all []ListedBackup) {
	if len(all) == 0 {
		fmt.Fprintln(w, "no backups")
		return
	}
	rows := [][]string{{"JOB", "ID", "STARTED", "KIND", "PROOF", "ITEMS", "SIZE", "STORED", "NOTE"}}
	for _, b := range all {
		rows = append(rows, []string{b.Job, string(b.ID), b.Started.UTC().Format(time.RFC3339), became(b), b.Proof.String(),
			items(b), size(b.Bytes), size(b.StoredBytes), note(b)})
	}
	table(w, rows)
}

// became is the kind asked for, and what the items became where that differs.
func became(b ListedBackup) string {
	for _, it := range b.Items {
		if it.Kind != b.Kind && it.Error == "" {
			return fmt.Sprintf("%s (%s)", b.Kind, it.Kind)
		}
	}
	return string(b.Kind)
}

func items(b ListedBackup) string {
	var good []string
	for _, it := range b.Items {
		if it.Error == "" {
			good = append(good, it.Name)
		}
	}
	const few = 4
	if len(good) > few {
		return fmt.Sprintf("%s and %d more", strings.Join(good[:few], ","), len(good)-few)
	}
	return strings.Join(good, ",")
}

// note is what the operator should know of a backup.
func note(b ListedBackup) string {
	var notes []string
	if b.Damaged != "" {
		notes = append(notes, "DAMAGED: "+b.Damaged)
	}
	if b.Held != "" {
		notes = append(notes, "held: "+b.Held)
	}
	for _, it := range b.Items {
		if it.Error != "" {
			notes = append(notes, fmt.Sprintf("%s failed: %s", it.Name, it.Error))
		}
	}
	return strings.Join(notes, "; ")
}
