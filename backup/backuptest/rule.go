package backuptest

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"testing"
	"time"
)

// Result is the outcome of one rule. The suites report results to a testing.T; programs that are no tests read them from the
// Check functions, such as CheckSink.
type Result struct {
	Rule string // the rule's name
	Why  string // what the rule is for, and who loses data without it
	Err  error  // how the rule was broken; nil when it holds
	Skip string // why the rule was not asked; empty when it was
}

// Broken reports whether the rule was asked and does not hold.
func (r Result) Broken() bool { return r.Err != nil }

// String reads "put-whole-or-absent: broken: ...".
func (r Result) String() string {
	switch {
	case r.Skip != "":
		return r.Rule + ": not asked: " + r.Skip
	case r.Err != nil:
		return fmt.Sprintf("%s: broken: %v\nThe rule: %s", r.Rule, r.Err, r.Why)
	default:
		return r.Rule + ": holds"
	}
}

// rule is one promise of a contract, checked against a subject of its own.
type rule[S any] struct {
	name string
	why  string
	// check returns nil when the promise holds, skip(reason) when it cannot be asked of this subject, else what
	// was asked, got and wanted.
	check func(ctx context.Context, subject S) error
}

// ruleLimit is how long one rule may take before its subject counts as hung. Rules over a slow network move some tens of MiB.
const ruleLimit = 3 * time.Minute

// run checks the rule. A panic or a hang of the subject breaks the rule instead of ending the process.
func (r rule[S]) run(ctx context.Context, subject S) Result {
	ctx, cancel := context.WithTimeout(ctx, ruleLimit)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- func() (err error) {
			defer func() {
				if p := recover(); p != nil {
					err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
				}
			}()
			return r.check(ctx, subject)
		}()
	}()
	res := Result{Rule: r.name, Why: r.why}
	select {
	case res.Err = <-done:
	case <-ctx.Done():
		// A subject that honours its context comes back now and says more than the clock does.
		select {
		case res.Err = <-done:
		case <-time.After(5 * time.Second):
			res.Err = fmt.Errorf("still not back 5 s after its context ended (%w)", context.Cause(ctx))
		}
	}
	var s skipped
	if errors.As(res.Err, &s) {
		res.Err, res.Skip = nil, string(s)
	}
	return res
}

// evaluate runs every rule on a fresh subject and returns all results in order.
func evaluate[S any](ctx context.Context, rules []rule[S], fresh func() S) []Result {
	results := make([]Result, 0, len(rules))
	for _, r := range rules {
		results = append(results, r.run(ctx, fresh()))
	}
	return results
}

// testRules runs every rule as a subtest, each on a fresh subject made with the subtest's own t.
func testRules[S any](t *testing.T, rules []rule[S], fresh func(t *testing.T) S) {
	t.Helper()
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			res := r.run(t.Context(), fresh(t))
			switch {
			case res.Skip != "":
				t.Skip(res.Skip)
			case res.Broken():
				t.Error(res)
			}
		})
	}
}

// skipped is the error of a rule that cannot be asked of its subject.
type skipped string

func (s skipped) Error() string { return string(s) }

// skip is what a check returns when its promise cannot be asked of this subject.
func skip(reason string) error { return skipped(reason) }
