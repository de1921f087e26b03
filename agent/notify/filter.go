package notify

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/quiesce-go/quiesce/agent"
)

// Filter chooses notices. The zero Filter chooses all.
type Filter struct {
	// Kinds are the kinds that pass; empty means all.
	Kinds []agent.NoticeKind
	// Jobs are patterns as in path.Match, of which the job's name must match one; empty means all jobs.
	Jobs []string
}

// Validate reports every kind and pattern that does not exist.
func (f Filter) Validate() error {
	var errs []error
	for _, k := range f.Kinds {
		switch k {
		case agent.NoticeFailed, agent.NoticeRecovered, agent.NoticeAbsent, agent.NoticePresent:
		default:
			errs = append(errs, fmt.Errorf("kind %q: want failed, recovered, absent or present", k))
		}
	}
	for _, p := range f.Jobs {
		if _, err := path.Match(p, ""); err != nil {
			errs = append(errs, fmt.Errorf("job pattern %q: %w", p, err))
		}
	}
	return errors.Join(errs...)
}

// Match reports whether n passes.
func (f Filter) Match(n agent.Notice) bool {
	if len(f.Kinds) > 0 && !slices.Contains(f.Kinds, n.Kind) {
		return false
	}
	return len(f.Jobs) == 0 || slices.ContainsFunc(f.Jobs, func(p string) bool {
		ok, err := path.Match(p, n.Job)
		return ok && err == nil
	})
}

// Wrap returns a notifier that hands on to n what passes and takes the rest without a word.
func (f Filter) Wrap(n agent.Notifier) agent.Notifier {
	if len(f.Kinds) == 0 && len(f.Jobs) == 0 {
		return n
	}
	return filtered{f, n}
}

type filtered struct {
	filter Filter
	agent.Notifier
}

// Notify implements agent.Notifier.
func (f filtered) Notify(ctx context.Context, n agent.Notice) error {
	if !f.filter.Match(n) {
		return nil
	}
	return f.Notifier.Notify(ctx, n)
}

// String is the name of the notifier behind the filter.
func (f filtered) String() string {
	if s, ok := f.Notifier.(fmt.Stringer); ok {
		return s.String()
	}
	return fmt.Sprintf("%T", f.Notifier)
}

var _ agent.Notifier = filtered{}
