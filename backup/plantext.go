package backup

import (
	"fmt"
	"io"
	"strings"
)

// RefusedError lists why a plan is not executed. It wraps ErrRefused, and ErrNoBackup or ErrChainBroken where these
// are the reason.
type RefusedError struct {
	Job     string
	Refused []Refusal
}

// Error reads `restore of shop refused: "orders": nothing that old: ...; "crm": ...`.
func (e *RefusedError) Error() string {
	var b strings.Builder
	b.WriteString("restore")
	if e.Job != "" {
		b.WriteString(" of " + e.Job)
	}
	b.WriteString(" refused")
	sep := ": "
	for _, r := range e.Refused {
		b.WriteString(sep + r.String())
		sep = "; "
	}
	return b.String()
}

// Unwrap returns ErrRefused and what else the refusals amount to.
func (e *RefusedError) Unwrap() []error {
	errs := []error{ErrRefused}
	var none, broken bool
	for _, r := range e.Refused {
		switch r.Cause {
		case CauseGap, CauseDamaged:
			broken = true
		case CauseUnproven, CauseAmbiguous:
		default:
			none = true
		}
	}
	if none {
		errs = append(errs, ErrNoBackup)
	}
	if broken {
		errs = append(errs, ErrChainBroken)
	}
	return errs
}

// Hint says what to try instead, by the first refusal.
func (e *RefusedError) Hint() string {
	if len(e.Refused) == 0 {
		return ""
	}
	if r := e.Refused[0]; r.Name == "" && r.Cause == CauseAmbiguous {
		return "name one state: a time, or a backup, or one item with a position of its log"
	}
	switch e.Refused[0].Cause {
	case CauseUnknown, CauseAmbiguous, CauseAbsent:
		return "select items by the names the backups list"
	case CauseTooOld, CauseTooNew, CauseBetween, CauseGap:
		return "choose one of the restorable times, or select the items that can be restored"
	case CauseUnproven:
		return "verify the backups named, or ask for less proof"
	}
	return "select the items that can be restored, and take a full of the others"
}

// String reads `"orders": nothing that old: ...`.
func (r Refusal) String() string {
	if r.Name == "" {
		return r.Why
	}
	return fmt.Sprintf("%q: %s", r.Name, r.Why)
}

// Err returns a *RefusedError when something is refused, else nil.
func (p RestorePlan) Err() error {
	if len(p.Refused) == 0 {
		return nil
	}
	return &RefusedError{p.Job, p.Refused}
}

// Text prints the plan for people: its target, its steps in order, and what is refused and skipped.
func (p RestorePlan) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Restore of %s to %s", p.subject(), p.Target.moment())
	if p.Target.MinProof > ProofSealed {
		fmt.Fprintf(&b, ", from backups proven %s or more", p.Target.MinProof)
	}
	b.WriteString("\n")
	p.writeSteps(&b)
	writeRefusals(&b, "Refused", p.Refused)
	writeRefusals(&b, "Skipped", p.Skipped)
	for _, n := range p.Notes {
		b.WriteString("Note: " + n + "\n")
	}
	return b.String()
}

// WriteTo writes the plan's Text.
func (p RestorePlan) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, p.Text())
	if err != nil {
		err = fmt.Errorf("write restore plan: %w", err)
	}
	return int64(n), err
}

var _ io.WriterTo = RestorePlan{}

func (p RestorePlan) subject() string {
	job := p.Job
	if job == "" {
		job = "an unknown job"
	}
	if len(p.Target.Select) == 0 {
		return job
	}
	names := make([]string, len(p.Target.Select))
	for i, s := range p.Target.Select {
		if names[i] = s.Name; s.As != "" && s.As != s.Name {
			names[i] += " as " + s.As
		}
	}
	return strings.Join(names, ", ") + " from " + job
}

func (t Target) moment() string {
	switch {
	case t.ID != "":
		return "the end of backup " + string(t.ID)
	case t.Position != "":
		return t.place()
	case !t.Time.IsZero():
		return stamp(t.Time)
	}
	return "the latest state"
}

// place reads "just before position 20 of stream s".
func (t Target) place() string {
	side, of := "before", ""
	if t.After {
		side = "after"
	}
	if t.Stream != "" {
		of = " of stream " + t.Stream
	}
	return fmt.Sprintf("just %s position %s%s", side, t.Position, of)
}

func (p RestorePlan) writeSteps(b *strings.Builder) {
	rows := make([][]string, len(p.Steps))
	var bytes int64
	for i, s := range p.Steps {
		until := stamp(s.Item.Window.To)
		switch {
		case !s.Until.IsZero():
			until = "stop at " + stamp(s.Until)
		case s.UntilPosition != "":
			until = "stop " + Target{Position: s.UntilPosition, After: p.Target.After}.place()
		}
		rows[i] = []string{fmt.Sprintf("%d.", i+1), string(s.Item.Kind), s.Item.Name, string(s.ID), s.Proof.String(), until}
		if f := strings.Join(s.For, ", "); f != s.Item.Name {
			rows[i] = append(rows[i], "for "+f)
		}
		bytes += s.Item.Bytes
	}
	alignRows(b, rows)
	if len(rows) > 0 && len(p.Refused) == 0 {
		steps := "steps"
		if len(rows) == 1 {
			steps = "step"
		}
		fmt.Fprintf(b, "%d %s, %d bytes.\n", len(rows), steps, bytes)
	}
}

func writeRefusals(b *strings.Builder, title string, rs []Refusal) {
	if len(rs) == 0 {
		return
	}
	b.WriteString(title + ":\n")
	for _, r := range rs {
		b.WriteString("  " + r.String() + "\n")
	}
}

// alignRows writes the rows as columns, each line without trailing blanks.
func alignRows(b *strings.Builder, rows [][]string) {
	var widths []int
	for _, row := range rows {
		for k, cell := range row {
			if k == len(widths) {
				widths = append(widths, 0)
			}
			widths[k] = max(widths[k], len(cell))
		}
	}
	for _, row := range rows {
		line := ""
		for k, cell := range row {
			line += "  " + cell + strings.Repeat(" ", widths[k]-len(cell))
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}
