package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// backup makes one backup, with all that belongs to it; see the package comment.
func (t *turn) backup(ctx context.Context) error {
	return t.framed(ctx, "backup", t.job.Hooks.BeforeBackup, t.job.Hooks.AfterBackup, t.job.Hooks.BackupFailed, t.promote, t.ship)
}

// promote makes a full of a link that the history calls for. Options belong to the kind they were given with.
func (t *turn) promote(ctx context.Context) error {
	if t.rec.Asked == backup.Full || len(t.want.options) > 0 {
		return nil
	}
	if _, err := backup.ParseKind(string(t.rec.Asked)); err != nil {
		return t.fail("back up", err)
	}
	h := t.mem.seen()
	if !t.mem.recent(t.rec.Started) {
		var err error
		if h, err = t.history(ctx); err != nil {
			return err
		}
	}
	if why := promotion(t.job, h, t.rec.Started); why != "" {
		t.rec.Kind, t.rec.Reason = backup.Full, why
	}
	return nil
}

// ship makes the backup proper.
func (t *turn) ship(ctx context.Context) error {
	if err := t.open(ctx, t.job.Open); err != nil {
		return err
	}
	if d := t.src.Describe(); len(t.want.options) == 0 && !slices.Contains(d.Kinds, t.rec.Kind) && slices.Contains(d.Kinds, backup.Full) {
		t.rec.Reason = fmt.Sprintf("The application offers no %s backups.", t.rec.Kind)
		t.rec.Kind = backup.Full
	}
	p, err := t.pipeline()
	if err != nil {
		return err
	}
	t.fresh = false
	m, err := p.BackupWith(ctx, backup.BackupOptions{Kind: t.rec.Kind, Options: t.want.options})
	if m == nil {
		return err
	}
	t.rec.ID, t.rec.Proof, t.rec.Items = m.ID, &m.Proof, m.Items
	t.rec.Bytes, t.rec.StoredBytes, t.rec.Parts = m.Bytes, m.StoredBytes, m.Parts
	if last := t.a.state.lastBackup(t.job.Name); m.Previous == nil && last != "" {
		t.warn("the target held no backup of this job, but the last one was %s: if the target was not changed on purpose, the disk or bucket behind it may not be the right one", last)
	}
	if t.mem.recent(t.a.now()) {
		t.fresh = true
		t.a.obs.seen(t.job, t.mem.add(m))
	}
	if t.job.Schedule.Prune == "" && !keepsAll(t.job.Retention) && m.Proof >= needed(t.job.Retention) {
		t.retain(ctx, p)
	}
	return err
}

// needed is the proof that lets a backup stand for others.
func needed(p backup.Policy) backup.Proof {
	if p.MinProof != nil {
		return *p.MinProof
	}
	return backup.ProofBytes
}

// retain applies the retention after a proven backup. Whatever goes wrong is a warning: the backup is good.
func (t *turn) retain(ctx context.Context, p *backup.Pipeline) {
	var err error
	h := t.mem.seen()
	if !t.fresh {
		h, err = t.history(ctx)
	}
	if err == nil && len(h.PlanPrune(t.job.Retention, t.a.now()).Remove) > 0 {
		t.fresh = false
		t.rec.Pruned, err = p.Prune(ctx, t.job.Retention)
	}
	if err != nil {
		t.warn("the backup is good, but the retention could not be applied: %v", err)
	}
}

// promotion returns why the next run must be a full, as a sentence, or nothing.
func promotion(j *Job, h backup.History, now time.Time) string {
	base := proven(h, earned(j.Config))
	if !slices.ContainsFunc(slices.Collect(anchors(base)), func(a backup.Anchor) bool { return a.Full != nil }) {
		if earned(j.Config) > backup.ProofSealed {
			return "There is no proven full to build on."
		}
		return "There is no full to build on."
	}
	full, links := newestFull(base, h)
	if age := now.Sub(full); j.Promote.FullAfter > 0 && age >= j.Promote.FullAfter {
		return fmt.Sprintf("The newest proven full is %s old; Promote.FullAfter is %s.", rounded(age), rounded(j.Promote.FullAfter))
	}
	if n := j.Promote.LinksAfter; n > 0 && links >= n {
		return fmt.Sprintf("The newest full has %d links; Promote.LinksAfter is %d.", links, n)
	}
	return ""
}

// earned is the proof that a run of this configuration leaves with.
func earned(c backup.Config) backup.Proof {
	if c.Prove.Mode == backup.ProveAll {
		return backup.ProofBytes
	}
	return backup.ProofSealed
}

// proven is the part of a history that is whole and proven at least so far.
func proven(h backup.History, least backup.Proof) backup.History {
	var good backup.History
	for _, b := range h {
		if b.Damaged == "" && b.Proof >= least {
			good = append(good, b)
		}
	}
	return good
}

func anchors(h backup.History) func(yield func(backup.Anchor) bool) {
	return func(yield func(backup.Anchor) bool) {
		for _, a := range h.Anchors() {
			if !yield(a) {
				return
			}
		}
	}
}

// newestFull is when the newest full run of base was begun, and how many runs of all follow it. Without a full run it is the oldest backup.
func newestFull(base, all backup.History) (began time.Time, links int) {
	full := base[0]
	for _, b := range base {
		if b.Kind == backup.Full && !copyOnly(b) {
			full = b
		}
	}
	for _, b := range all {
		if b.ID > full.ID && b.Kind != backup.Full && b.Damaged == "" {
			links++
		}
	}
	return full.Started, links
}

// copyOnly reports whether nothing can build on any item of b.
func copyOnly(b backup.Backup) bool {
	return !slices.ContainsFunc(b.Items, func(it backup.Item) bool { return it.Kind == backup.Full && !it.CopyOnly && !it.Failed() })
}

// rounded prints a duration as people say it.
func rounded(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	}
	return d.Round(time.Second).String()
}

// partial reports whether a backup exists though err says that something failed.
func partial(err error) bool { return errors.Is(err, backup.ErrPartial) }
