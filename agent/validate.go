package agent

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

func problem(format string, args ...any) error { return fmt.Errorf(format, args...) }

// validate reports everything that is wrong with the options but the jobs.
func (o Options) validate() (errs []error) {
	if o.Concurrent < 0 {
		errs = append(errs, problem("Concurrent %d is negative", o.Concurrent))
	}
	if slices.Contains(o.Notifiers, nil) {
		errs = append(errs, problem("Notifiers holds a nil"))
	}
	return errs
}

// validateJobs reports everything that is wrong with the jobs, each problem with its job and field.
func validateJobs(jobs []Job, now time.Time) (errs []error) {
	seen := make(map[string]string)
	for i, j := range jobs {
		name := fmt.Sprintf("job %q", j.Name)
		if err := backup.ValidJob(j.Name); err != nil {
			name = fmt.Sprintf("job %d", i+1)
			errs = append(errs, problem("%s: Name: %w", name, err))
		}
		if other, ok := seen[strings.ToLower(j.Name)]; ok && j.Name != "" {
			why := "comes twice"
			if other != j.Name {
				why = fmt.Sprintf("differs from %q by case only, which not every target can tell apart", other)
			}
			errs = append(errs, problem("%s: Name: it %s", name, why))
		}
		seen[strings.ToLower(j.Name)] = j.Name
		for _, err := range j.validate(now) {
			errs = append(errs, problem("%s: %w", name, err))
		}
	}
	return errs
}

func (j Job) validate(now time.Time) (errs []error) {
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, problem(format, args...))
		}
	}
	add(j.Open == nil, "Open is missing")
	add(j.Config.Sink == nil, "Config.Sink is missing")
	if j.Config.Sink != nil && backup.ValidJob(j.Name) == nil {
		cfg := j.Config
		cfg.Job = j.Name
		if _, err := backup.New(cfg); err != nil {
			errs = append(errs, problem("Config: %w", err))
		}
	}
	_, wrong := j.Schedule.entries(now)
	errs = append(errs, wrong...)
	add(j.Schedule.Jitter < 0, "Schedule.Jitter %s is negative", j.Schedule.Jitter)
	add(j.Schedule.Prune != "" && keepsAll(j.Retention), "Schedule.Prune is set, but Retention keeps everything")
	add(j.Schedule.Rehearse != "" && j.Rehearse.Scratch == "", "Schedule.Rehearse is set, but Rehearse.Scratch is not")
	add(j.Promote.FullAfter < 0, "Promote.FullAfter %s is negative", j.Promote.FullAfter)
	add(j.Promote.LinksAfter < 0, "Promote.LinksAfter %d is negative", j.Promote.LinksAfter)
	if err := j.Retention.Validate(); err != nil {
		errs = append(errs, problem("Retention: %w", err))
	}
	add(j.Objective < 0, "Objective %s is negative", j.Objective)
	add(j.Verify.Level < 0 || j.Verify.Level > backup.ProofFormat, "Verify.Level %s: want bytes or format", j.Verify.Level)
	add(!(j.Verify.Sample >= 0 && j.Verify.Sample < 1), "Verify.Sample %v: want 0 to 1", j.Verify.Sample)
	return append(errs, j.Hooks.validate()...)
}

// keepsAll reports whether a policy has no rule.
func keepsAll(p backup.Policy) bool {
	p.Location, p.MinProof = nil, nil
	return p == backup.Policy{}
}

func joined(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("agent: configuration: %w", errors.Join(errs...))
}
