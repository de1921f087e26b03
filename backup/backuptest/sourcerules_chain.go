package backuptest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

func describeRules() []sourceRule {
	return []sourceRule{
		{name: "describe-is-constant", check: describeConstant,
			why: "Describe is called while the server is down, by status pages and before every run. It does no I/O and always says the same."},
		{name: "check-passes-and-leaves-nothing", check: checkPasses,
			why: "A check that fails on a healthy server stops every run; one that leaves files fills the stage."},
		{name: "estimate-is-near", check: estimateNear,
			why: "A run is refused when its estimate does not fit on the stage: one that is far too large stops good runs, one far too small fills the disk."},
	}
}

func chainRules() []sourceRule {
	full, diff, log := backup.Full, backup.Differential, backup.Log
	trip := func(kinds ...backup.Kind) func(context.Context, *trial) error {
		return func(ctx context.Context, tr *trial) error { return tr.roundTrip(ctx, kinds...) }
	}
	return []sourceRule{
		{name: "full-restores-all", check: trip(full), restore: true,
			why: "This is what a backup is for."},
		{name: "streaming-restores-all", check: streamingRestores, restore: true,
			why: "A job without a stage must give the same backup as one with a stage, or say that it needs one."},
		{name: "log-chain-restores-latest", check: trip(full, log, log, full, log, log), kinds: []backup.Kind{log}, restore: true,
			why: "A full with its logs must lead to the last change before the last log backup."},
		{name: "log-chain-restores-to-a-time", check: restoresToATime, kinds: []backup.Kind{log}, restore: true,
			why: "After a wrong DELETE people need the state of one moment before it, from any link of the chain."},
		{name: "log-chain-restores-to-a-position", check: restoresToAPosition, kinds: []backup.Kind{log}, restore: true,
			why: "Who knows which transaction did the damage wants all before it and nothing else; a time is too coarse for that."},
		{name: "empty-log-link-restores", check: emptyLink, kinds: []backup.Kind{log}, restore: true,
			why: "At night nothing changes. A log run without changes must neither fail nor tear the chain."},
		{name: "differential-restores-latest", check: trip(full, diff, diff), kinds: []backup.Kind{diff}, restore: true,
			why: "A full with its newest differential must lead to the state at that differential."},
		{name: "log-after-differential-restores", check: trip(full, log, diff, log, log), kinds: []backup.Kind{diff, log}, restore: true,
			why: "Logs must go on across a differential, which shortens a restore and is no end of the log chain."},
		{name: "backup-changes-nothing", check: backupChangesNothing,
			why: "A backup reads. Content that differs after it was damaged by it."},
		{name: "writers-go-on", check: writersGoOn, restore: true,
			why: "Applications are backed up while they work. Writers must not be locked out for the time of a transfer, and the backup must be a state that was committed."},
		{name: "restart-continues-the-chain", check: restartContinues, kinds: []backup.Kind{log}, restore: true,
			why: "The process that takes the next link is another one. What an agent keeps in memory is gone by then; checkpoints are for that."},
	}
}

func describeConstant(ctx context.Context, tr *trial) error {
	want := tr.app.Source().Describe()
	if want.Application == "" || want.Instance == "" {
		return fmt.Errorf("application %q, instance %q: both must be named", want.Application, want.Instance)
	}
	if !slices.Contains(want.Kinds, backup.Full) {
		return fmt.Errorf("kinds %v: every agent takes a full", want.Kinds)
	}
	for _, k := range want.Kinds {
		if _, err := backup.ParseKind(string(k)); err != nil {
			return err
		}
	}
	if err := tr.app.Lose(ctx); err != nil {
		return fmt.Errorf("lose: %w", err)
	}
	src := tr.app.Source()
	got := make([]backup.Description, 8)
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range got {
		wg.Go(func() { got[i] = src.Describe() })
	}
	wg.Wait()
	if d := time.Since(begin); d > time.Second {
		return fmt.Errorf("took %v after the application was lost: it does I/O", d)
	}
	for _, d := range got {
		if !reflect.DeepEqual(d, want) {
			return fmt.Errorf("got %+v, before it was %+v", d, want)
		}
	}
	return nil
}

func checkPasses(ctx context.Context, tr *trial) error {
	c, err := ability[backup.Checker](tr.app.Source(), "a Checker")
	if err != nil {
		return err
	}
	stager := tr.stager()
	dir, err := stager.Stage(ctx, trialJob, testID(1))
	if err != nil {
		return err
	}
	for _, in := range []backup.StageDir{{}, dir} {
		found := c.Check(ctx, in)
		if len(found) == 0 {
			return fmt.Errorf("a check found nothing at all, not even what holds")
		}
		for _, f := range found {
			if in.Path == "" && errors.Is(f.Err, backup.ErrNoPath) {
				continue // the agent needs a stage, and says so
			}
			if f.Err != nil || f.What == "" {
				return fmt.Errorf("on a healthy application with stage %q: %q: %w", in.Path, f.What, f.Err)
			}
		}
	}
	if err := emptyDir(dir.Path); err != nil {
		return fmt.Errorf("after the check: %w", err)
	}
	return quiesced(ctx, tr.app, "after the check")
}

func estimateNear(ctx context.Context, tr *trial) error {
	e, err := ability[backup.Estimator](tr.app.Source(), "an Estimator")
	if err != nil {
		return err
	}
	n, err := e.Estimate(ctx, backup.Request{ID: testID(1), Job: trialJob, Kind: backup.Full, Log: discardLog()})
	if err != nil {
		return fmt.Errorf("estimate: %w", err)
	}
	m, err := tr.backup(ctx, backup.Full)
	if err != nil {
		return err
	}
	const slack = 4 << 20 // what a server reserves however small its content is
	if n < 0 || n > 10*m.Bytes+slack || 10*n+slack < m.Bytes {
		return fmt.Errorf("estimate of %d bytes for a full of %d", n, m.Bytes)
	}
	return quiesced(ctx, tr.app, "after the estimate")
}

func streamingRestores(ctx context.Context, tr *trial) error {
	tr.streaming = true
	err := tr.roundTrip(ctx, backup.Full)
	if errors.Is(err, backup.ErrNoPath) {
		return skip("the agent needs a stage, and says so")
	}
	return err
}

// moment is a time of the application with the content it had.
type moment struct {
	at   time.Time
	want string
}

func restoresToATime(ctx context.Context, tr *trial) error {
	clock, err := ability[Clocked](tr.app, "Clocked")
	if err != nil {
		return err
	}
	if !tr.app.Source().Describe().PointInTime {
		return skip("the agent does not restore to a time")
	}
	if _, err := tr.series(ctx, backup.Full); err != nil {
		return err
	}
	var moments []moment
	for range 2 {
		for range 2 {
			if err := tr.app.Mutate(ctx, 3); err != nil {
				return fmt.Errorf("mutate: %w", err)
			}
			want, err := tr.app.Fingerprint(ctx)
			if err != nil {
				return fmt.Errorf("fingerprint: %w", err)
			}
			at, err := clock.Now(ctx)
			if err != nil {
				return fmt.Errorf("now: %w", err)
			}
			moments = append(moments, moment{at, want})
		}
		if _, err := tr.series(ctx, backup.Log); err != nil {
			return err
		}
	}
	for _, m := range []moment{moments[2], moments[0], moments[3], moments[1]} {
		if err := tr.lost(ctx, backup.Target{Time: m.at}, m.want); err != nil {
			return fmt.Errorf("to %s: %w", m.at.Format(time.RFC3339Nano), err)
		}
	}
	return nil
}

func restoresToAPosition(ctx context.Context, tr *trial) error {
	app, err := ability[Positioned](tr.app, "Positioned")
	if err != nil {
		return err
	}
	if !tr.app.Source().Describe().Positions {
		return skip("the agent does not restore to a position")
	}
	if _, err := tr.series(ctx, backup.Full); err != nil {
		return err
	}
	type place struct {
		at   map[string]backup.Position
		want string
	}
	var places []place
	for range 4 {
		if err := tr.app.Mutate(ctx, 3); err != nil {
			return fmt.Errorf("mutate: %w", err)
		}
		want, err := tr.app.Fingerprint(ctx)
		if err != nil {
			return fmt.Errorf("fingerprint: %w", err)
		}
		at, err := app.Positions(ctx)
		if err != nil {
			return fmt.Errorf("positions: %w", err)
		}
		if places = append(places, place{at, want}); len(places)%2 > 0 {
			continue // so that it lies inside a link
		}
		if _, err := tr.series(ctx, backup.Log); err != nil {
			return err
		}
	}
	for _, p := range []place{places[2], places[0], places[3], places[1]} {
		if err := tr.app.Lose(ctx); err != nil {
			return fmt.Errorf("lose: %w", err)
		}
		for _, item := range slices.Sorted(maps.Keys(p.at)) {
			to := backup.Target{Position: p.at[item], Select: []backup.Selection{{Name: item}}}
			if err := tr.restore(ctx, to, backup.RestoreOptions{}); err != nil {
				return fmt.Errorf("%s to %s: %w", item, p.at[item], err)
			}
		}
		if err := tr.holds(ctx, p.want, fmt.Sprintf("the content at %v", p.at)); err != nil {
			return err
		}
	}
	return nil
}

func emptyLink(ctx context.Context, tr *trial) error {
	if _, err := tr.series(ctx, backup.Full, backup.Log); err != nil {
		return err
	}
	want, err := tr.app.Fingerprint(ctx)
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	for range 2 {
		if _, err := tr.backup(ctx, backup.Log); err != nil {
			return fmt.Errorf("without changes: %w", err)
		}
	}
	if err := tr.lost(ctx, backup.Target{}, want); err != nil {
		return fmt.Errorf("over empty links: %w", err)
	}
	return nil
}

func backupChangesNothing(ctx context.Context, tr *trial) error {
	if err := tr.app.Mutate(ctx, 5); err != nil {
		return fmt.Errorf("mutate: %w", err)
	}
	want, err := tr.app.Fingerprint(ctx)
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	for _, k := range tr.app.Source().Describe().Kinds {
		if _, err := tr.backup(ctx, k); err != nil {
			return err
		}
		if err := tr.holds(ctx, want, "the content after a "+string(k)); err != nil {
			return err
		}
	}
	return nil
}

func writersGoOn(ctx context.Context, tr *trial) error {
	var mu sync.Mutex
	var failed error
	writes := 0
	// Every part and artifact on its way is a moment at which the application is in the middle of its backup.
	write := func() {
		mu.Lock()
		defer mu.Unlock()
		writing, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		if err := tr.app.Mutate(writing, 2); err != nil && failed == nil {
			failed = err
		}
		writes++
	}
	tr.sink.Script(Fault{Op: OpPut, Key: "/runs/", Times: -1, Action: Pass, Do: write})
	tr.events = func(e backup.Event) {
		if _, ok := e.(backup.ArtifactStaged); ok {
			write()
		}
	}
	if _, err := tr.series(ctx, backup.Full); err != nil {
		return err
	}
	tr.events = nil
	tr.sink.Script()
	switch {
	case failed != nil:
		return fmt.Errorf("a writer was not let in while the backup ran: %w", failed)
	case writes == 0:
		return errors.New("the backup staged no artifact")
	}
	if err := tr.app.Lose(ctx); err != nil {
		return fmt.Errorf("lose: %w", err)
	}
	if err := tr.restore(ctx, backup.Target{}, backup.RestoreOptions{}); err != nil {
		return err
	}
	past, ok := tr.app.(Remembering)
	if !ok {
		return nil
	}
	got, err := tr.app.Fingerprint(ctx)
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	if ok, err := past.Committed(ctx, got); err != nil || !ok {
		return errors.Join(err, errors.New("the restored content is a state that never was: it mixes moments of the backup"))
	}
	return nil
}

func restartContinues(ctx context.Context, tr *trial) error {
	// The pipeline of every run has a new agent; here one more is made and thrown away in between.
	if _, err := tr.series(ctx, backup.Full); err != nil {
		return err
	}
	_ = tr.app.Source()
	links, err := tr.series(ctx, backup.Log, backup.Log)
	if err != nil {
		return err
	}
	for _, m := range links {
		for _, it := range m.Items {
			if it.Kind != backup.Log {
				return fmt.Errorf("item %q became a %s (%q), though nothing broke its chain", it.Name, it.Kind, it.Reason)
			}
		}
	}
	want, err := tr.app.Fingerprint(ctx)
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	return tr.lost(ctx, backup.Target{}, want)
}
