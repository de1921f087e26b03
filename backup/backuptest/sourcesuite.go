package backuptest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/quiesce-go/quiesce/backup"
)

// TestSource asks an agent every rule of the contract, each on a fresh application, and reports the broken ones with the reason
// why they matter. The agent runs in a real pipeline against a sink in memory, staged and streaming.
func TestSource(t *testing.T, fresh NewApplication) {
	t.Helper()
	testRules(t, sourceRules(), func(*testing.T) NewApplication { return fresh })
}

// CheckSource gives the answers of TestSource as values.
func CheckSource(ctx context.Context, fresh NewApplication) []Result {
	return evaluate(ctx, sourceRules(), func() NewApplication { return fresh })
}

// sourceRule is a rule over one trial.
type sourceRule struct {
	name, why string
	check     func(context.Context, *trial) error
	// kinds, restore: what the agent must be able to do for the rule to be asked.
	kinds   []backup.Kind
	restore bool
}

func sourceRules() []rule[NewApplication] {
	var rules []rule[NewApplication]
	for _, r := range slices.Concat(describeRules(), chainRules(), safetyRules(), salvageRules(), recordRules(), restoreRules()) {
		rules = append(rules, rule[NewApplication]{r.name, r.why, func(ctx context.Context, fresh NewApplication) error {
			return r.run(ctx, fresh)
		}})
	}
	return append(rules, rule[NewApplication]{"agents-do-not-share",
		"One process backs up many servers. What two agents share, a variable or a file name, mixes their backups.", sourcesApart})
}

func (r sourceRule) run(ctx context.Context, fresh NewApplication) (err error) {
	tr, err := newTrial(fresh)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tr.close()) }()
	d := tr.app.Source().Describe()
	for _, k := range r.kinds {
		if !slices.Contains(d.Kinds, k) {
			return skip(fmt.Sprintf("the agent does not take kind %s", k))
		}
	}
	if _, ok := tr.app.Source().(backup.Restorer); r.restore && !ok {
		return skip("the agent is no Restorer")
	}
	return r.check(ctx, tr)
}

// ability returns what more an application or agent can do, or the error that skips the rule.
func ability[T any](v any, what string) (T, error) {
	a, ok := v.(T)
	if !ok {
		return a, skip(fmt.Sprintf("%T is not %s", v, what))
	}
	return a, nil
}

// closeApplication closes an application that wants it.
func closeApplication(app Application) error {
	if c, ok := app.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// quiesced adds when to what is left open.
func quiesced(ctx context.Context, app Application, when string) error {
	if err := app.Quiesced(ctx); err != nil {
		return fmt.Errorf("%s, the application is not as it was found: %w", when, err)
	}
	return nil
}
