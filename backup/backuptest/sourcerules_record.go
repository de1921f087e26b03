package backuptest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

func recordRules() []sourceRule {
	diff, log := []backup.Kind{backup.Differential}, []backup.Kind{backup.Log}
	return []sourceRule{
		{name: "log-without-anchor-becomes-full", kinds: log, restore: true,
			why:   "A log run on a job without a full must not store log that nothing can be restored with. It takes a full and says why.",
			check: func(ctx context.Context, tr *trial) error { return withoutAnchor(ctx, tr, backup.Log) }},
		{name: "differential-without-anchor-becomes-full", kinds: diff, restore: true,
			why:   "A differential without its full cannot be restored. The run takes a full and says why.",
			check: func(ctx context.Context, tr *trial) error { return withoutAnchor(ctx, tr, backup.Differential) }},
		{name: "new-item-becomes-full", kinds: log, restore: true, check: newItem,
			why: "A database created since the last full is in no backup. The log run takes it whole, and only it."},
		{name: "reset-log-becomes-full", kinds: log, restore: true, check: resetLog,
			why: "After a restore or a repair the old log does not lead to the new state. A link across the break restores nonsense without an error."},
		{name: "items-have-artifacts", check: itemsHaveArtifacts,
			why: "An item without an artifact, or with the name of another one, is a green line with nothing behind it."},
		{name: "windows-by-the-applications-clock", check: windowsByClock,
			why: "People ask for times as the application knew them. Our clock, in another zone or minutes off, dates the wrong state."},
		{name: "windows-and-positions-advance", check: recordsAdvance,
			why: "Chains are built from positions and windows alone: they never go back within a stream, and a link begins no later than where the one before ended."},
		{name: "failed-item-spares-others", check: failedItem, restore: true,
			why: "One damaged database must not cost the backup of the others, and must not pass as a success."},
	}
}

// fulls tells which item is not a full with a reason.
func fulls(m *backup.Manifest) error {
	if len(m.Items) == 0 {
		return errors.New("the backup has no items")
	}
	for _, it := range m.Items {
		if it.Kind != backup.Full {
			return fmt.Errorf("item %q became a %s, want a full", it.Name, it.Kind)
		}
		if it.Reason == "" {
			return fmt.Errorf("item %q became a full and does not say why", it.Name)
		}
	}
	return nil
}

func withoutAnchor(ctx context.Context, tr *trial, kind backup.Kind) error {
	list, err := tr.series(ctx, kind)
	if err != nil {
		return err
	}
	if err := fulls(list[0]); err != nil {
		return err
	}
	return tr.roundTrip(ctx, kind)
}

func newItem(ctx context.Context, tr *trial) error {
	app, err := ability[Growing](tr.app, "Growing")
	if err != nil {
		return err
	}
	if _, err := tr.series(ctx, backup.Full, backup.Log); err != nil {
		return err
	}
	name, err := app.AddItem(ctx)
	if err != nil {
		return fmt.Errorf("add an item: %w", err)
	}
	list, err := tr.series(ctx, backup.Log)
	if err != nil {
		return err
	}
	it, ok := list[0].Item(name)
	if !ok || it.Kind != backup.Full || it.Reason == "" {
		return fmt.Errorf("the new item %q became %+v, want a full with a reason", name, it)
	}
	for _, it := range list[0].Items {
		if it.Name != name && it.Kind != backup.Log {
			return fmt.Errorf("item %q became a %s (%q), though its chain is whole", it.Name, it.Kind, it.Reason)
		}
	}
	return tr.roundTrip(ctx, backup.Log)
}

func resetLog(ctx context.Context, tr *trial) error {
	app, err := ability[Resetting](tr.app, "Resetting")
	if err != nil {
		return err
	}
	if _, err := tr.series(ctx, backup.Full, backup.Log); err != nil {
		return err
	}
	if err := app.ResetLog(ctx); err != nil {
		return fmt.Errorf("reset log: %w", err)
	}
	list, err := tr.series(ctx, backup.Log)
	if err != nil {
		return err
	}
	if err := fulls(list[0]); err != nil {
		return fmt.Errorf("after its log was reset: %w", err)
	}
	return tr.roundTrip(ctx, backup.Log)
}

func itemsHaveArtifacts(ctx context.Context, tr *trial) error {
	list, err := tr.series(ctx, tr.app.Source().Describe().Kinds...)
	if err != nil {
		return err
	}
	for _, m := range list {
		if len(m.Items) == 0 {
			return fmt.Errorf("the %s has no items", m.Kind)
		}
		seen := map[string]bool{}
		for _, it := range m.Items {
			switch {
			case seen[it.Name]:
				return fmt.Errorf("the %s has two items %q", m.Kind, it.Name)
			case it.Failed():
				return fmt.Errorf("item %q of the %s failed: %s", it.Name, m.Kind, it.Error)
			case it.Artifacts == 0:
				return fmt.Errorf("item %q of the %s has no artifact", it.Name, m.Kind)
			}
			seen[it.Name] = true
		}
	}
	return nil
}

func windowsByClock(ctx context.Context, tr *trial) error {
	clock, err := ability[Clocked](tr.app, "Clocked")
	if err != nil {
		return err
	}
	for _, k := range tr.app.Source().Describe().Kinds {
		if err := tr.app.Mutate(ctx, 3); err != nil {
			return fmt.Errorf("mutate: %w", err)
		}
		before, err := clock.Now(ctx)
		if err != nil {
			return fmt.Errorf("now: %w", err)
		}
		m, err := tr.backup(ctx, k)
		if err != nil {
			return err
		}
		after, err := clock.Now(ctx)
		if err != nil {
			return fmt.Errorf("now: %w", err)
		}
		for _, it := range m.Items {
			if it.Window.To.Before(before) || it.Window.To.After(after) {
				return fmt.Errorf("the window of item %q (%s) ends at %s; by the application's clock the backup ran from %s to %s",
					it.Name, it.Kind, it.Window.To, before, after)
			}
		}
	}
	return nil
}

func recordsAdvance(ctx context.Context, tr *trial) error {
	d := tr.app.Source().Describe()
	kinds := []backup.Kind{backup.Full}
	for range 2 {
		kinds = append(kinds, d.Kinds...)
	}
	list, err := tr.series(ctx, kinds...)
	if err != nil {
		return err
	}
	last := map[string]backup.Item{} // by stream
	for _, m := range list {
		for _, it := range m.Items {
			if err := advances(last[it.Stream], it); err != nil {
				return fmt.Errorf("item %q of the %s %s: %w", it.Name, m.Kind, m.ID, err)
			}
		}
		for _, it := range m.Items {
			if it.Stream != "" && it.End >= last[it.Stream].End {
				last[it.Stream] = it
			}
		}
	}
	return nil
}

// advances compares an item with the one that reached furthest in its stream before.
func advances(before, it backup.Item) error {
	switch {
	case it.Window.From.IsZero() || it.Window.To.Before(it.Window.From):
		return fmt.Errorf("window from %s to %s", it.Window.From, it.Window.To)
	case it.Stream == "" || before.Name == "":
		return nil
	case it.End < before.End:
		return fmt.Errorf("ends at %s, the link before at %s", it.End, before.End)
	case it.Window.To.Before(before.Window.To):
		return fmt.Errorf("its window ends at %s, the one before at %s", it.Window.To, before.Window.To)
	case it.Kind != backup.Log:
		return nil
	case it.Begin > before.End:
		return fmt.Errorf("begins at %s, the link before ends at %s: there is a gap", it.Begin, before.End)
	case it.Window.From.After(before.Window.To):
		return fmt.Errorf("its window begins at %s, the one before ends at %s: there is a gap", it.Window.From, before.Window.To)
	case it.Parent == "":
		return errors.New("a log names the link it was taken after as its parent")
	}
	return nil
}

func failedItem(ctx context.Context, tr *trial) error {
	app, err := ability[Failing](tr.app, "Failing")
	if err != nil {
		return err
	}
	name, heal, err := app.FailItem(ctx)
	if err != nil {
		return fmt.Errorf("fail an item: %w", err)
	}
	m, err := tr.backup(ctx, backup.Full)
	if !errors.Is(err, backup.ErrPartial) || m == nil {
		return fmt.Errorf("with item %q failing the run gives manifest %t and error %v; want a manifest and ErrPartial", name, m != nil, err)
	}
	good := 0
	for _, it := range m.Items {
		switch {
		case it.Failed() != (it.Name == name):
			return fmt.Errorf("item %q: failed is %t (%s); only %q was made to fail", it.Name, it.Failed(), it.Error, name)
		case !it.Failed():
			good++
		}
	}
	if good == 0 || len(m.Items) == good {
		return fmt.Errorf("%d of %d items are good", good, len(m.Items))
	}
	if !strings.Contains(err.Error(), name) {
		return fmt.Errorf("the error does not name %q: %w", name, err)
	}
	if err := quiesced(ctx, tr.app, "after an item failed"); err != nil {
		return err
	}
	if err := heal(ctx); err != nil {
		return fmt.Errorf("heal: %w", err)
	}
	return tr.roundTrip(ctx, backup.Full)
}
