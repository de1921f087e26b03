package backup_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/sink"
)

// wreck is a world whose application gave its log up in a run that was dead in the same moment.
type wreck struct {
	*world
	id       backup.ID // of the dead run
	moment   time.Time // that only the log of the dead run leads to
	warnings []string
	answer   func(context.Context, *backup.DeadRun) (backup.Salvaged, error) // nil means that of the agent
}

// salvager lets a test answer for the agent.
type salvager struct {
	*backuptest.LedgerSalvager
	w *wreck
}

func (s salvager) Salvage(ctx context.Context, d *backup.DeadRun) (backup.Salvaged, error) {
	if s.w.answer != nil {
		return s.w.answer(ctx, d)
	}
	return s.LedgerSalvager.Salvage(ctx, d)
}

// newWreck lets a run die at its last truncation. With sent, what was committed until then is at the target already.
func newWreck(t *testing.T, files, sent bool) *wreck {
	w := &wreck{world: newWorld(t, true)}
	w.l = backuptest.NewLedger(&backuptest.LedgerOptions{TruncatesItself: true, Ballast: 90 << 10})
	agent := w.l.SalvagingSource(&backuptest.LedgerSourceOptions{ServerFiles: files})
	w.source = salvager{agent, w}
	w.change = func(c *backup.Config) {
		c.Events = func(e backup.Event) {
			if warning, ok := e.(backup.Warning); ok {
				w.warnings = append(w.warnings, warning.Text)
			}
		}
	}
	w.backup(t, backup.Full)
	w.backup(t, backup.Log)
	require.NoError(t, w.l.Mutate(5))
	w.moment = w.l.Now()
	require.NoError(t, w.l.Mutate(5))
	left := w.stage + "-left"
	w.l.AtTruncation(func() {
		if sent {
			time.Sleep(50 * time.Millisecond) // parts of the log before are on their way; how many arrive does not matter
		}
		require.NoError(t, os.RemoveAll(left))
		require.NoError(t, os.CopyFS(left, os.DirFS(w.stage)))
	})
	// The last seal fails, so that the run ends; its parts stay at the target if sent, else none arrives.
	fault := backuptest.Fault{Op: backuptest.OpPut, Key: "/runs/", Times: -1}
	if sent {
		fault = backuptest.Fault{Op: backuptest.OpPutIfAbsent, Key: "/manifests/", Times: -1}
	}
	w.sink.Script(fault)
	_, err := w.pipeline(t).Backup(t.Context(), backup.Log)
	require.ErrorIs(t, err, backuptest.ErrFault)
	w.sink.Script()
	w.l.AtTruncation(nil)
	require.NoError(t, os.RemoveAll(w.stage))
	require.NoError(t, os.Rename(left, w.stage))
	stages, err := backup.DirStager{Dir: w.stage}.Leftovers(t.Context(), worldJob)
	require.NoError(t, err)
	require.Len(t, stages, 1)
	w.id, w.warnings = stages[0].ID, nil
	return w
}

// saved makes the next run and checks that nothing was lost.
func (w *wreck) saved(t *testing.T) *backup.Manifest {
	t.Helper()
	m, err := w.pipeline(t).Backup(t.Context(), backup.Log)
	require.NoError(t, err)
	for _, it := range m.Items {
		require.Equal(t, backup.Log, it.Kind, "%s: %s", it.Name, it.Reason)
	}
	h, err := w.pipeline(t).History(t.Context())
	require.NoError(t, err)
	dead, ok := h.Find(w.id)
	require.True(t, ok)
	require.True(t, dead.Resumed)
	require.Len(t, dead.Items, 2)
	require.Contains(t, dead.Warnings[0], "saved from its stage: ")
	require.Equal(t, worldJob, dead.Job)
	require.Equal(t, backup.Log, dead.Kind)
	for _, name := range []string{"shop", "bank"} {
		require.True(t, h.Coverage(name).Contains(w.moment))
	}
	w.whole(t)
	requireTidy(t, t.Context(), w.mem)
	requireEmptyStage(t, w.stage)
	want := w.l.At(w.moment)
	scratch := &world{l: backuptest.NewLedger(&backuptest.LedgerOptions{Databases: []string{}}), mem: w.mem, sink: w.sink}
	p := scratch.pipeline(t)
	plan, err := p.Plan(t.Context(), backup.Target{Time: w.moment})
	require.NoError(t, err)
	require.NoError(t, p.Restore(t.Context(), plan, backup.RestoreOptions{}))
	require.Empty(t, want.Diff(scratch.l.Current()))
	w.goesOn(t)
	return &dead.Manifest
}

// lost makes the next run and checks that the dead one was cleared away and the application begins anew.
func (w *wreck) lost(t *testing.T, warning string) {
	t.Helper()
	m, err := w.pipeline(t).Backup(t.Context(), backup.Log)
	require.NoError(t, err)
	require.Contains(t, strings.Join(w.warnings, "\n"), warning)
	require.Equal(t, backup.Full, m.Items[0].Kind)
	h, err := w.pipeline(t).History(t.Context())
	require.NoError(t, err)
	_, ok := h.Find(w.id)
	require.False(t, ok)
	require.False(t, h.Coverage("shop").Contains(w.moment))
	w.goesOn(t)
}

// forms calls the test for log that the server wrote and log that went through us, sent and not sent.
func forms(t *testing.T, test func(t *testing.T, w *wreck)) {
	for _, files := range []bool{true, false} {
		for _, sent := range []bool{true, false} {
			t.Run(fmt.Sprintf("server writes %t, sent %t", files, sent), func(t *testing.T) {
				t.Parallel()
				test(t, newWreck(t, files, sent))
			})
		}
	}
}

func TestLogThatWasGivenUpIsSalvaged(t *testing.T) {
	t.Parallel()
	forms(t, func(t *testing.T, w *wreck) {
		var seen *backup.DeadRun
		w.answer = func(ctx context.Context, d *backup.DeadRun) (backup.Salvaged, error) {
			seen = d
			return w.source.(salvager).LedgerSalvager.Salvage(ctx, d)
		}
		m := w.saved(t)
		require.Equal(t, w.id, seen.ID)
		require.Equal(t, backup.Log, seen.Kind)
		require.Equal(t, worldJob, seen.Job)
		require.NotNil(t, seen.Anchors["shop"].Last)
		require.Len(t, seen.Artifacts, 2)
		require.Contains(t, w.warnings, m.Warnings[0])
		for _, a := range seen.Artifacts {
			require.NotEmpty(t, a.Item)
			require.Positive(t, a.Size)
		}
	})
}

// What fails while it is salvaged and may pass keeps the stage: the log is saved by the run after.
func TestASalvageThatFailsIsRepeated(t *testing.T) {
	t.Parallel()
	for name, op := range map[string]backuptest.Fault{
		"target cannot be listed": {Op: backuptest.OpList, Key: "/runs/"},
		"target cannot be read":   {Op: backuptest.OpGet, Key: "/runs/"},
		"part cannot be sent":     {Op: backuptest.OpPut, Key: "/runs/", Times: -1},
		"part is torn":            {Op: backuptest.OpPut, Key: "/runs/", Action: backuptest.Tear, After: 1},
		"manifest cannot be sent": {Op: backuptest.OpPutIfAbsent, Key: "/manifests/"},
		"answer is lost":          {Op: backuptest.OpPutIfAbsent, Key: "/manifests/", Action: backuptest.Lost},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forms(t, func(t *testing.T, w *wreck) {
				w.sink.Script(op)
				_, err := w.pipeline(t).Backup(t.Context(), backup.Log)
				w.sink.Script()
				if err != nil {
					require.ErrorIs(t, err, backuptest.ErrFault)
				}
				w.saved(t)
			})
		})
	}
}

func TestASalvagerThatCannotTellNowIsAskedAgain(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(context.Context, *backup.DeadRun) (backup.Salvaged, error){
		"not now": func(context.Context, *backup.DeadRun) (backup.Salvaged, error) {
			return backup.Salvaged{}, fmt.Errorf("the server does not answer: %w", backup.ErrNotNow)
		},
		"files that still grow": func(_ context.Context, d *backup.DeadRun) (got backup.Salvaged, err error) {
			for _, a := range d.Artifacts {
				if !a.Committed {
					err = errors.Join(err, os.Truncate(a.Path, a.Size+1), os.Truncate(a.Path, a.Size), os.Chtimes(a.Path, time.Time{}, time.Now().Add(time.Second)))
				}
				got.Items = append(got.Items, backup.Item{Name: a.Item, Kind: backup.Full, Window: backup.Window{From: time.Now(), To: time.Now()}})
				got.Items[len(got.Items)-1].Window.To = got.Items[len(got.Items)-1].Window.From
				got.Artifacts = append(got.Artifacts, a.Artifact)
			}
			return got, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWreck(t, true, false)
			w.answer = answer
			_, err := w.pipeline(t).Backup(t.Context(), backup.Log)
			require.ErrorIs(t, err, backup.ErrNotNow)
			require.ErrorContains(t, err, "whose stage is kept")
			w.answer = nil
			w.saved(t)
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		w := newWreck(t, true, false)
		ctx, cancel := context.WithCancelCause(t.Context())
		w.answer = func(context.Context, *backup.DeadRun) (backup.Salvaged, error) {
			cancel(errOperator)
			return backup.Salvaged{}, errors.New("connection lost")
		}
		_, err := w.pipeline(t).Backup(ctx, backup.Log)
		require.ErrorIs(t, err, errOperator)
		w.answer = nil
		w.saved(t)
	})
}

// An answer that makes no sense gives the dead run up, with a warning, and nothing of it gets in.
func TestAWrongAnswerGivesTheRunUp(t *testing.T) {
	t.Parallel()
	wrong := func(change func(*backup.Salvaged)) func(*wreck) {
		return func(w *wreck) {
			w.answer = func(ctx context.Context, d *backup.DeadRun) (backup.Salvaged, error) {
				got, err := w.source.(salvager).LedgerSalvager.Salvage(ctx, d)
				change(&got)
				return got, err
			}
		}
	}
	for warning, change := range map[string]func(*wreck){
		"disk is odd": func(w *wreck) {
			w.answer = func(context.Context, *backup.DeadRun) (backup.Salvaged, error) {
				return backup.Salvaged{}, errors.New("disk is odd")
			}
		},
		"nothing in it worth keeping":            wrong(func(s *backup.Salvaged) { *s = backup.Salvaged{} }),
		`artifact "else" is not in the stage`:    wrong(func(s *backup.Salvaged) { s.Artifacts[0].Name = "else" }),
		"named twice":                            wrong(func(s *backup.Salvaged) { s.Artifacts = append(s.Artifacts, s.Artifacts[0]) }),
		"has no artifact":                        wrong(func(s *backup.Salvaged) { s.Artifacts = s.Artifacts[1:] }),
		"which the source did not return":        wrong(func(s *backup.Salvaged) { s.Items = s.Items[1:] }),
		"a log link needs stream, begin and end": wrong(func(s *backup.Salvaged) { s.Items[0].Stream = "" }),
		"belongs to no item":                     wrong(func(s *backup.Salvaged) { s.Artifacts[0].Item = "" }),
		"every item it names has failed": wrong(func(s *backup.Salvaged) {
			for i := range s.Items {
				s.Items[i].Error = "torn"
			}
		}),
	} {
		t.Run(warning, func(t *testing.T) {
			t.Parallel()
			w := newWreck(t, true, false)
			change(w)
			w.lost(t, warning)
		})
	}
}

// A failed item is left out, the other is kept, and the manifest says so.
func TestWhatIsNotSavedIsSaid(t *testing.T) {
	t.Parallel()
	forms(t, func(t *testing.T, w *wreck) {
		change := w.change
		w.change = func(c *backup.Config) {
			change(c)
			c.Prove.Mode = backup.ProveLater // then the target's listing must fit
		}
		w.answer = func(ctx context.Context, d *backup.DeadRun) (backup.Salvaged, error) {
			got, err := w.source.(salvager).LedgerSalvager.Salvage(ctx, d)
			for i := range got.Items {
				if got.Items[i].Name == "shop" {
					got.Items[i].Error = "torn"
				}
			}
			return got, err
		}
		_, err := w.pipeline(t).Backup(t.Context(), backup.Log)
		require.NoError(t, err)
		h, err := w.pipeline(t).History(t.Context())
		require.NoError(t, err)
		b, ok := h.Find(w.id)
		require.True(t, ok)
		require.Len(t, b.Items, 1)
		require.False(t, b.Partial())
		require.Contains(t, b.Warnings[0], "saved from its stage: bank (log); begun and not in this backup: shop")
		require.True(t, h.Coverage("bank").Contains(w.moment))
		require.False(t, h.Coverage("shop").Contains(w.moment))
		requireTidy(t, t.Context(), w.mem)
		w.goesOn(t)
	})
}

// Another machine has buried the run in the meantime: its grave stands.
func TestABuriedRunIsNotSalvaged(t *testing.T) {
	t.Parallel()
	w := newWreck(t, true, true)
	other := &world{l: w.l, source: w.l.SalvagingSource(nil), mem: w.mem, sink: w.sink, later: w.later, stage: t.TempDir()}
	other.backup(t, backup.Log)
	w.later = other.later
	asked := false
	w.answer = func(context.Context, *backup.DeadRun) (backup.Salvaged, error) {
		asked = true
		return backup.Salvaged{}, nil
	}
	_, err := w.pipeline(t).Backup(t.Context(), backup.Log)
	require.NoError(t, err)
	require.False(t, asked)
	require.Contains(t, strings.Join(w.warnings, "\n"), "another machine gave it up")
	w.goesOn(t)
}

// The only copy of log does not grow too old in a day. It does when the graves of dead runs are gone.
func TestHowLongLogCanBeSalvaged(t *testing.T) {
	t.Parallel()
	for age, saved := range map[time.Duration]bool{10 * 24 * time.Hour: true, 30 * 24 * time.Hour: false} {
		t.Run(age.String(), func(t *testing.T) {
			t.Parallel()
			w := newWreck(t, true, true)
			w.later += age
			if saved {
				w.saved(t)
			} else {
				w.lost(t, "older than")
			}
		})
	}
}

// The sink seals in another way since the run died. What lies whole in the stage is sealed anew, and what was sealed in the old way is removed.
func TestSalvageUnderAnotherSeal(t *testing.T) {
	t.Parallel()
	forms(t, func(t *testing.T, w *wreck) {
		old := w.mem.Keys(worldJob + "/runs/" + string(w.id) + "/")
		change := w.change
		w.change = func(c *backup.Config) {
			change(c)
			c.Sink = sink.Compress(c.Sink, nil)
		}
		m, err := w.pipeline(t).Backup(t.Context(), backup.Log)
		require.NoError(t, err)
		if len(old) == 0 {
			require.Equal(t, backup.Log, m.Items[0].Kind)
		}
		h, err := w.pipeline(t).History(t.Context())
		require.NoError(t, err)
		// Of what went through us and was sent nothing is left in the stage.
		if dead, ok := h.Find(w.id); ok {
			require.Equal(t, ".zst", dead.Suffix)
		} else {
			require.NotEmpty(t, old)
			require.Contains(t, strings.Join(w.warnings, "\n"), "is given up")
		}
		w.whole(t)
		requireTidy(t, t.Context(), w.mem)
		requireEmptyStage(t, w.stage)
	})
}

// A pending action makes no sense for a run whose process is dead. It is aborted.
func TestAPendingActionOfASalvageIsAborted(t *testing.T) {
	t.Parallel()
	w := newWreck(t, true, false)
	p := &pending{}
	w.answer = func(ctx context.Context, d *backup.DeadRun) (backup.Salvaged, error) {
		got, err := w.source.(salvager).LedgerSalvager.Salvage(ctx, d)
		got.Pending = p
		return got, err
	}
	w.saved(t)
	require.EqualValues(t, 1, p.aborts.Load())
	require.Zero(t, p.commits.Load())
}

// brokenOff is a Salvager whose Backup fails when all is done.
type brokenOff struct {
	*backuptest.LedgerSalvager
	err error
}

func (b *brokenOff) Backup(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
	res, err := b.LedgerSalvager.Backup(ctx, r, st)
	if b.err != nil && err == nil {
		err = errors.Join(b.err, res.Pending.Abort(ctx))
	}
	return res, err
}

// Not only a process may die: when Backup fails, the application may have given log up for it already.
func TestAFailedRunIsSalvaged(t *testing.T) {
	t.Parallel()
	w := &wreck{world: newWorld(t, true)}
	w.l = backuptest.NewLedger(&backuptest.LedgerOptions{TruncatesItself: true, Ballast: 90 << 10})
	src := &brokenOff{LedgerSalvager: w.l.SalvagingSource(&backuptest.LedgerSourceOptions{ServerFiles: true})}
	w.source = src
	w.backup(t, backup.Full)
	w.backup(t, backup.Log)
	require.NoError(t, w.l.Mutate(5))
	w.moment = w.l.Now()
	src.err = errors.New("the last database is gone")
	_, err := w.pipeline(t).Backup(t.Context(), backup.Log)
	require.ErrorIs(t, err, src.err)
	require.Empty(t, w.l.Open())
	stages, err := backup.DirStager{Dir: w.stage}.Leftovers(t.Context(), worldJob)
	require.NoError(t, err)
	require.Len(t, stages, 1)
	w.id, src.err = stages[0].ID, nil
	w.saved(t)
}

// A full that was salvaged lacks what the dead run had not come to, so it does not stand in for the full that is asked for.
func TestASalvagedFullIsNotTheFullThatWasAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	w.l = backuptest.NewLedger(&backuptest.LedgerOptions{TruncatesItself: true, Ballast: 90 << 10})
	src := &brokenOff{LedgerSalvager: w.l.SalvagingSource(nil), err: errors.New("broken off")}
	w.source = src
	_, err := w.pipeline(t).Backup(t.Context(), backup.Full)
	require.ErrorIs(t, err, src.err)
	src.err = nil
	m, err := w.pipeline(t).Backup(t.Context(), backup.Full)
	require.NoError(t, err)
	require.False(t, m.Resumed)
	h, err := w.pipeline(t).History(t.Context())
	require.NoError(t, err)
	require.Len(t, h, 2)
	require.True(t, h[0].Resumed)
	require.Len(t, h[0].Items, 2)
	w.goesOn(t)
}

// A part that the journal and the target know, and that is damaged in the stage, takes its item with it and no other.
func TestADamagedStageIsSalvagedInPart(t *testing.T) {
	t.Parallel()
	w := newWreck(t, false, false)
	parts, err := filepath.Glob(filepath.Join(w.stage, worldJob, "*", "000001.*"))
	require.NoError(t, err)
	require.NotEmpty(t, parts)
	require.NoError(t, os.Truncate(parts[0], 1))
	_, err = w.pipeline(t).Backup(t.Context(), backup.Log)
	require.NoError(t, err)
	h, err := w.pipeline(t).History(t.Context())
	require.NoError(t, err)
	b, ok := h.Find(w.id)
	require.True(t, ok)
	require.Len(t, b.Items, 1)
	w.goesOn(t)
}

// barrierLog notes of which artifacts the target was told that their durability may wait.
type barrierLog struct {
	*backuptest.FaultySink
	mu       sync.Mutex
	deferred map[string]bool // by the artifact's last element
}

func (b *barrierLog) Put(ctx context.Context, key string, r io.Reader) error {
	if rest, ok := strings.CutPrefix(key, worldJob+"/runs/"); ok {
		if parts := strings.Split(rest, "/"); len(parts) > 3 {
			b.mu.Lock()
			b.deferred[parts[2]] = backup.DurabilityDeferred(ctx)
			b.mu.Unlock()
		}
	}
	return b.FaultySink.Put(ctx, key, r)
}

// What may be the only copy leaves the stage when it is durable at the target, not before. Nothing else waits for that.
func TestGivenUpLogIsDurableBeforeItLeavesTheStage(t *testing.T) {
	t.Parallel()
	for _, own := range []bool{true, false} {
		w := newWorld(t, true)
		w.l = backuptest.NewLedger(&backuptest.LedgerOptions{TruncatesItself: own, Ballast: 90 << 10})
		if own {
			w.source = w.l.SalvagingSource(nil)
		}
		b := &barrierLog{FaultySink: w.sink, deferred: map[string]bool{}}
		w.change = func(c *backup.Config) { c.Sink = b }
		w.backup(t, backup.Full)
		w.backup(t, backup.Log)
		require.Equal(t, map[string]bool{"accounts": true, "ballast": true, "log": !own}, b.deferred)
	}
}
