package agent

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// noticeTime prints a time in a notice. It is read by people in several zones, so it names its own.
func noticeTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// span prints a duration as coarsely as people speak of it.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		h := int(d.Hours())
		if m := int(d.Minutes()) - 60*h; m > 0 {
			return fmt.Sprintf("%dh%dm", h, m)
		}
		return fmt.Sprintf("%dh", h)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// lines builds the text of a notice: one fact a line, those that are empty left out.
type lines struct{ strings.Builder }

func (l *lines) add(name, value string) {
	if value != "" {
		fmt.Fprintf(l, "%s: %s\n", name, value)
	}
}

func (l *lines) job(job, application, instance string) {
	switch {
	case application == "":
	case instance == "":
		job += " (" + application + ")"
	default:
		job += " (" + application + ", " + instance + ")"
	}
	l.add("Job", job)
}

// what names the action of a record: "full backup", "verify".
func what(r Record) string {
	if k := cmpKind(r.Asked, r.Kind); r.Action == ActionBackup && k != "" {
		return string(k) + " backup"
	}
	return string(r.Action)
}

func failedNotice(r Record, success time.Time) Notice {
	n := Notice{Kind: NoticeFailed, Job: r.Job, Time: r.Finished, Record: &r}
	damage := r.Verified != nil && len(r.Verified.Bad) > 0
	switch {
	case damage:
		n.Title = fmt.Sprintf("%s: verify found damage", r.Job)
	case r.Outcome == OutcomePartial:
		n.Title = fmt.Sprintf("%s: %s is partial: %s", r.Job, what(r), failedItems(r))
	case r.Outcome == OutcomeRefused:
		n.Title = fmt.Sprintf("%s: %s was refused", r.Job, what(r))
	default:
		n.Title = fmt.Sprintf("%s: %s failed", r.Job, what(r))
	}
	var l lines
	l.job(r.Job, r.Application, r.Instance)
	l.add("What", what(r)+", "+string(r.Outcome))
	if r.Kind != r.Asked && r.Kind != "" && r.Asked != "" {
		l.add("Ran as", fmt.Sprintf("%s: %s", r.Kind, r.Reason))
	}
	l.add("When", noticeTime(r.Started)+" to "+noticeTime(r.Finished))
	if success.IsZero() {
		l.add("Last success", "none known")
	} else {
		l.add("Last success", noticeTime(success))
	}
	l.add("Backup", string(r.ID))
	l.add("Error", r.Error)
	l.add("Hint", r.Hint)
	if damage {
		for i, b := range r.Verified.Bad {
			if i == maxNamed {
				l.add("Damaged", fmt.Sprintf("and %d more", len(r.Verified.Bad)-i))
				break
			}
			l.add("Damaged", strings.TrimSpace(fmt.Sprintf("%s %s %s: %s", b.ID, b.Artifact, b.Part, b.Reason)))
		}
	}
	for i, it := range r.failedItems() {
		if i == maxNamed {
			l.add("Failed", fmt.Sprintf("and %d more", len(r.failedItems())-i))
			break
		}
		l.add("Failed", it.Name+": "+it.Error)
	}
	l.add("To do", advice(r, damage))
	n.Text = l.String()
	return n
}

// maxNamed is how many items or parts a notice names one by one.
const maxNamed = 10

func (r Record) failedItems() (failed []backup.Item) {
	for _, it := range r.Items {
		if it.Failed() {
			failed = append(failed, it)
		}
	}
	return failed
}

func failedItems(r Record) string {
	if n := len(r.failedItems()); n > 0 {
		return fmt.Sprintf("%d of %d items failed", n, len(r.Items))
	}
	return "some items failed"
}

// advice says what to do beside the hint of the error itself.
func advice(r Record, damage bool) string {
	switch {
	case damage:
		return "Damaged backups serve no restore any more. Take a full backup now, then look for the cause at the target."
	case errors.Is(r.Err(), backup.ErrCorrupt):
		return "Verify the job to learn which backups are damaged, and take a full backup."
	}
	switch r.Action {
	case ActionBackup:
		if r.Outcome == OutcomePartial {
			return "The other items are safe. Remove the cause for those above; the next run takes them again."
		}
		return "Remove the cause; the next scheduled run tries again. Older backups are untouched."
	case ActionRehearse:
		return "The latest state could not be brought up. Find out why before you need it: check the scratch place first, then the backups."
	case ActionVerify:
		return "It is not known whether the stored backups are whole. Check that the target can be reached and read."
	case ActionPrune:
		return "Nothing that is needed was removed, but the target fills up. Check that it allows deletion."
	case ActionRestore:
		return "What was restored may be incomplete. Do not use it before another restore succeeded."
	}
	return ""
}

func recoveredNotice(r Record, since time.Time) Notice {
	n := Notice{Kind: NoticeRecovered, Job: r.Job, Time: r.Finished, Record: &r, Title: fmt.Sprintf("%s: %s works again", r.Job, what(r))}
	var l lines
	l.job(r.Job, r.Application, r.Instance)
	l.add("What", what(r)+", "+string(r.Outcome))
	l.add("When", noticeTime(r.Started)+" to "+noticeTime(r.Finished))
	l.add("Backup", string(r.ID))
	l.add("Failing since", noticeTime(since))
	l.add("To do", "Nothing.")
	n.Text = l.String()
	return n
}

func absentNotice(a absence, now time.Time) Notice {
	n := Notice{Kind: NoticeAbsent, Job: a.job, Time: now}
	var l lines
	l.job(a.job, a.application, "")
	newest := a.oldest.point()
	switch {
	case !a.read:
		n.Title = fmt.Sprintf("%s: no proven backup known for %s (objective %s)", a.job, span(now.Sub(a.since())), span(a.objective))
		l.add("What", "the target could not be read since this agent started, so that nothing is known of its backups")
	case newest.IsZero():
		n.Title = fmt.Sprintf("%s: no proven backup for %s (objective %s)", a.job, span(now.Sub(a.since())), span(a.objective))
		l.add("What", "there is no proven backup to restore from")
	default:
		n.Title = fmt.Sprintf("%s: newest proven backup is %s old (objective %s)", a.job, span(now.Sub(newest)), span(a.objective))
		l.add("What", "what changed since then would be lost")
	}
	l.add("Item", a.oldest.name)
	if a.items > 1 {
		l.add("Items concerned", fmt.Sprint(a.items))
	}
	if newest.IsZero() {
		l.add("Since", noticeTime(a.since()))
	} else {
		l.add("Newest proven recovery point", noticeTime(newest))
	}
	l.add("Objective", span(a.objective))
	l.add("To do", "Look at the job's last runs. If they went right, their backups were not proven or were found damaged since: "+
		"verify the job, and take a full backup.")
	n.Text = l.String()
	return n
}

func presentNotice(a absence, now time.Time) Notice {
	n := Notice{Kind: NoticePresent, Job: a.job, Time: now, Title: fmt.Sprintf("%s: proven backups are within the objective again", a.job)}
	var l lines
	l.job(a.job, a.application, "")
	l.add("What", "every item has a proven recovery point within the objective")
	l.add("Oldest of them", noticeTime(a.since()))
	l.add("Objective", span(a.objective))
	l.add("To do", "Nothing.")
	n.Text = l.String()
	return n
}
