package backup_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

// Processes are killed at random, as in TestKillAtAnyMoment, and the application gives its log up before it is told to. With a stage and a Salvager every
// moment can be restored all the same, and no item has to begin anew.
func TestKillLosesNoLogThatTheApplicationGaveUp(t *testing.T) {
	t.Parallel()
	for name, plan := range map[string]crashPlan{
		"the server writes":             {Files: true},
		"the server writes, shared log": {Files: true, Shared: true},
		"through us":                    {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan.Staged, plan.Own = true, true
			killAgainAndAgain(t, plan, crashPoints(t)/6)
		})
	}
}

// The process is killed at every single call to the application in a log run, and whenever it has given up log.
func TestKillAtEveryCallOfTheApplication(t *testing.T) {
	t.Parallel()
	for _, files := range []bool{true, false} {
		t.Run(fmt.Sprintf("server writes %t", files), func(t *testing.T) {
			t.Parallel()
			plan := crashPlan{Dir: t.TempDir(), Staged: true, Own: true, Files: files, Kind: backup.Log}
			plan.live(t)
			for plan.AppCall = 1; crash(t, plan); plan.AppCall++ {
				require.Less(t, plan.AppCall, 100)
				plan.live(t)
			}
			require.Greater(t, plan.AppCall, 8)
			for plan.AppCall, plan.Given = 0, 1; crash(t, plan); plan.Given++ {
				require.Less(t, plan.Given, 10)
				plan.live(t)
			}
			require.Equal(t, 3, plan.Given, "two databases, two logs")
		})
	}
}

// A run dies when the application has given up its log, and then the run that salvages it dies, at every call of its sink. The next but one has it all.
func TestKillWhileSalvaging(t *testing.T) {
	t.Parallel()
	step := 5
	if crashPoints(t) > 52 {
		step = 1
	}
	for _, files := range []bool{true, false} {
		t.Run(fmt.Sprintf("server writes %t", files), func(t *testing.T) {
			t.Parallel()
			plan := deadPlan(t, files)
			died := 0
			for n := 1; ; n += step {
				next := plan.copy(t)
				next.Given, next.Call = 0, n
				killed := crash(t, next)
				h := next.live(t)
				b, ok := h.Find(plan.dead(t))
				require.True(t, ok, "killed at call %d of the sink", n)
				require.True(t, b.Resumed)
				if !killed {
					break
				}
				died++
			}
			require.Greater(t, died, 20/step)
		})
	}
}

// What a Salvager said is one line of the journal. Cut anywhere, it is asked again; whole, it is not.
func TestTheDecisionOfASalvageIsTorn(t *testing.T) {
	t.Parallel()
	plan := deadPlan(t, true)
	id := plan.dead(t)
	journal := func(p crashPlan) string {
		return filepath.Join(p.Dir, "stage", worldJob, string(id), "journal.jsonl")
	}
	before, err := os.ReadFile(journal(plan))
	require.NoError(t, err)
	plan.Ahead += 10 * time.Minute
	w, err := openCrashWorld(plan)
	require.NoError(t, err)
	w.faults.Script(backuptest.Fault{Op: backuptest.OpPut, Key: "/runs/", Times: -1})
	_, err = w.p.Backup(t.Context(), backup.Log)
	require.ErrorIs(t, err, backuptest.ErrFault)
	require.NoError(t, w.l.Close())
	after, err := os.ReadFile(journal(plan))
	require.NoError(t, err)
	require.Greater(t, len(after), len(before)+100)
	require.Equal(t, before, after[:len(before)])
	for cut := len(before); ; cut = min(cut+97, len(after)) {
		next := plan.copy(t)
		require.NoError(t, os.Truncate(journal(next), int64(cut)))
		h := next.live(t)
		b, ok := h.Find(id)
		require.True(t, ok, "cut at %d", cut-len(before))
		require.Len(t, b.Items, 2)
		if cut == len(after) {
			break
		}
	}
}

// deadPlan is a world in which a log run died when the application had given up all log of the run.
func deadPlan(t *testing.T, files bool) crashPlan {
	plan := crashPlan{Dir: t.TempDir(), Staged: true, Own: true, Files: files, Kind: backup.Log}
	plan.live(t)
	plan.Given = 2
	require.True(t, crash(t, plan))
	return plan
}

// dead is the run whose stage is there.
func (p crashPlan) dead(t *testing.T) backup.ID {
	stages, err := os.ReadDir(filepath.Join(p.Dir, "stage", worldJob))
	require.NoError(t, err)
	require.Len(t, stages, 1)
	return backup.ID(stages[0].Name())
}

// copy is the same world again.
func (p crashPlan) copy(t *testing.T) crashPlan {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(p.Dir)))
	p.Dir = dir
	p.Ahead += 10 * time.Minute
	return p
}

// live makes a run that is not killed and checks that nothing is lost.
func (p *crashPlan) live(t *testing.T) backup.History {
	t.Helper()
	p.Ahead += 10 * time.Minute
	w, err := openCrashWorld(*p)
	require.NoError(t, err)
	w.lives(t)
	h := w.unbroken(t)
	require.NoError(t, w.l.Close())
	p.Ahead += 10 * time.Minute
	return h
}

// unbroken checks that no item had to begin anew, and that every moment since the last full or differential can be restored.
func (w *crashWorld) unbroken(t *testing.T) backup.History {
	t.Helper()
	h, err := w.p.History(t.Context())
	require.NoError(t, err)
	from := map[string]time.Time{}
	var last time.Time
	for _, b := range h {
		for _, it := range b.Items {
			if known := !from[it.Name].IsZero(); known && b.Kind == backup.Log && it.Kind == backup.Full {
				require.Fail(t, "log was lost", "%s in %s became a full: %s", it.Name, b.ID, it.Reason)
			}
			if it.Kind != backup.Log {
				from[it.Name] = it.Window.To // this agent takes log from there on
			}
			if it.Window.To.After(last) {
				last = it.Window.To
			}
		}
	}
	require.NotEmpty(t, from)
	start := slices.MaxFunc(slices.Collect(maps.Values(from)), time.Time.Compare)
	var moments []time.Time
	for _, at := range w.l.Moments() {
		if at.Before(start) || at.After(last) {
			continue
		}
		for name := range from {
			require.True(t, h.Coverage(name).Contains(at), "%s at %s is lost", name, at)
		}
		moments = append(moments, at)
	}
	w.restoresAt(t, moments[len(moments)/2])
	return h
}

// restoresAt restores a moment in another server.
func (w *crashWorld) restoresAt(t *testing.T, at time.Time) {
	t.Helper()
	scratch := backuptest.NewLedger(&backuptest.LedgerOptions{Databases: []string{}})
	cfg := w.cfg
	cfg.Source = scratch.Source(nil)
	p, err := backup.New(cfg)
	require.NoError(t, err)
	plan, err := p.Plan(t.Context(), backup.Target{Time: at})
	require.NoError(t, err)
	require.NoError(t, p.Restore(t.Context(), plan, backup.RestoreOptions{}))
	require.Empty(t, w.l.At(at).Diff(scratch.Current()), "restored to %s", at)
}
