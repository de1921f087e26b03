package agent

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/quiesce-go/quiesce/backup"
)

// inbox is a Notifier that keeps what it is told, unless answer says otherwise.
type inbox struct {
	mu     sync.Mutex
	got    []Notice
	calls  int
	answer func(ctx context.Context) error
}

func (b *inbox) Notify(ctx context.Context, n Notice) error {
	b.mu.Lock()
	b.calls++
	answer := b.answer
	b.mu.Unlock()
	if answer != nil {
		if err := answer(ctx); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, n)
	return nil
}

func (b *inbox) answers(f func(ctx context.Context) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = f
}

// titles are those that came in since the last call.
func (b *inbox) titles() (titles []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.got {
		titles = append(titles, n.Title)
	}
	b.got = nil
	return titles
}

// live runs the observer until the returned function is called, which waits for its end.
func (w *watching) live(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.run(ctx) }()
	synctest.Wait()
	return func() { cancel(); <-done }
}

func (w *watching) ends(t *testing.T, r Record) {
	t.Helper()
	w.finished(w.begin(t.Context(), &w.job, r.Action, r.Asked), &w.job, r, nil)
	synctest.Wait()
}

func TestNoticesOfChangeOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, in := forgetful(), &inbox{}
		o := Options{Jobs: []Job{{Name: "shop"}}, Notifiers: []Notifier{in}}
		w := watch(t, o, st)
		stop := w.live(t)
		w.ends(t, ran(ActionBackup, backup.Log, OutcomeOK, time.Minute))
		assert.Empty(t, in.titles(), "nobody is told that all is well")
		w.ends(t, ran(ActionBackup, backup.Log, OutcomeFailed, time.Minute))
		assert.Equal(t, []string{"shop: log backup failed"}, in.titles())
		w.ends(t, ran(ActionBackup, backup.Log, OutcomeFailed, time.Minute))
		w.ends(t, ran(ActionBackup, backup.Log, OutcomePartial, time.Minute))
		w.ends(t, ran(ActionBackup, backup.Log, OutcomeBusy, time.Minute))
		w.ends(t, ran(ActionBackup, backup.Log, OutcomeCancelled, time.Minute))
		assert.Empty(t, in.titles(), "the same state is told once")
		w.ends(t, ran(ActionBackup, backup.Full, OutcomeFailed, time.Minute))
		assert.Equal(t, []string{"shop: full backup failed"}, in.titles(), "another kind is another matter")
		w.ends(t, ran(ActionRestore, "", OutcomeRefused, time.Minute))
		assert.Empty(t, in.titles(), "who asked for a restore was answered")
		stop()

		w = watch(t, o, st)
		stop = w.live(t)
		assert.Equal(t, map[string]float64{"backup/full": 1, "backup/log": 1}, w.values(t, "quiesce.last_run.failed"), "known over a restart")
		w.ends(t, ran(ActionBackup, backup.Log, OutcomeFailed, time.Minute))
		assert.Empty(t, in.titles(), "nor is it told again after a restart")
		promoted := ran(ActionBackup, backup.Full, OutcomeOK, time.Minute)
		promoted.Asked = backup.Log
		w.ends(t, promoted)
		assert.Equal(t, []string{"shop: log backup works again"}, in.titles())
		w.ends(t, ran(ActionBackup, backup.Log, OutcomeOK, time.Minute))
		assert.Empty(t, in.titles())
		w.ends(t, ran(ActionBackup, backup.Log, OutcomeRefused, time.Minute))
		assert.Equal(t, []string{"shop: log backup was refused"}, in.titles(), "what failed once may fail again")
		stop()
	})
}

func TestNoticesOfAbsence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, in := forgetful(), &inbox{}
		o := Options{Notifiers: []Notifier{in}} // an objective of a day
		w := watch(t, o, st)
		w.seen(&w.job, nil)
		stop := w.live(t)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		assert.Empty(t, in.titles(), "an objective is missed when it is exceeded")
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		assert.Equal(t, []string{"shop: no proven backup for 24h (objective 24h)"}, in.titles())
		time.Sleep(100 * time.Hour)
		stop()

		w = watch(t, o, st)
		stop = w.live(t)
		w.seen(&w.job, nil)
		synctest.Wait()
		assert.Empty(t, in.titles(), "told before the restart")
		var s story
		s.take(backup.Full, backup.ProofSealed, "orders")
		w.seen(&w.job, s.History)
		synctest.Wait()
		assert.Empty(t, in.titles(), "a backup that nobody proved changes nothing")
		id := s.take(backup.Full, backup.ProofBytes, "orders")
		w.seen(&w.job, s.History)
		synctest.Wait()
		assert.Equal(t, []string{"shop: proven backups are within the objective again"}, in.titles())
		time.Sleep(23 * time.Hour)
		s.take(backup.Full, backup.ProofBytes, "orders", "crm")
		s.History[2].Items[1].Error = "no rights"
		w.seen(&w.job, s.History)
		time.Sleep(20 * time.Hour)
		synctest.Wait()
		assert.Empty(t, in.titles())
		time.Sleep(4*time.Hour + time.Nanosecond)
		synctest.Wait()
		assert.Equal(t, []string{"shop: no proven backup for 24h (objective 24h)"}, in.titles(), "crm never was there")
		s.take(backup.Full, backup.ProofBytes, "orders", "crm")
		w.seen(&w.job, s.History)
		synctest.Wait()
		assert.Equal(t, []string{"shop: proven backups are within the objective again"}, in.titles())
		for _, b := range s.History {
			if b.ID != id {
				s.damage(b.ID)
			}
		}
		w.seen(&w.job, s.History)
		synctest.Wait()
		assert.Len(t, in.titles(), 1, "damage takes the proof away at once")
		stop()
	})
}

func TestAbsenceWithATargetThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, in := forgetful(), &inbox{}
		o := Options{Notifiers: []Notifier{in}}
		w := watch(t, o, st)
		stop := w.live(t)
		time.Sleep(20 * time.Hour)
		stop()
		w = watch(t, o, st)
		stop = w.live(t)
		time.Sleep(20 * time.Hour)
		synctest.Wait()
		assert.Empty(t, in.titles(), "this agent has not tried for long enough to say")
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		assert.Equal(t, []string{"shop: no proven backup known for 24h (objective 24h)"}, in.titles())
		stop()
		w = watch(t, o, st)
		stop = w.live(t)
		assert.Empty(t, in.titles(), "an unread target proves no presence")
		w.setJobs([]Job{{Name: "shop"}}) // without an objective
		synctest.Wait()
		stop()
		assert.Empty(t, in.titles())
		assert.NotContains(t, st.notices("shop"), keyNow+subjectAbsent)
	})
}

func TestOneNotifierFailsAndTheOtherDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := func(context.Context) error { return errors.New("no route") }
		broken, whole, st := &inbox{answer: down}, &inbox{}, forgetful()
		var text bytes.Buffer
		o := Options{Jobs: []Job{{Name: "shop"}}, Notifiers: []Notifier{broken, whole}, Logger: slog.New(slog.NewTextHandler(&text, nil))}
		w := watch(t, o, st)
		stop := w.live(t)
		w.ends(t, ran(ActionVerify, "", OutcomeFailed, time.Minute))
		assert.Equal(t, []string{"shop: verify failed"}, whole.titles())
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Greater(t, broken.calls, 5, "tried again, with pauses that grow")
		assert.Less(t, broken.calls, 20)
		assert.Equal(t, map[string]float64{"failed/ok": 1, "failed/failed": float64(broken.calls)}, w.values(t, "quiesce.notices"))
		broken.answers(nil)
		time.Sleep(lastRetry * 2)
		synctest.Wait()
		assert.Equal(t, []string{"shop: verify failed"}, broken.titles())
		assert.Empty(t, whole.titles())

		broken.answers(down)
		w.ends(t, ran(ActionVerify, "", OutcomeOK, time.Minute))
		w.ends(t, ran(ActionVerify, "", OutcomeFailed, time.Minute))
		assert.Equal(t, []string{"shop: verify works again", "shop: verify failed"}, whole.titles())
		broken.answers(nil)
		time.Sleep(lastRetry * 2)
		stop()
		assert.Empty(t, broken.titles(), "who was out of reach while it went well knows already that it is bad")
		assert.Contains(t, text.String(), "no route")
	})
}

func TestUntoldNoticesOutliveTheAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, st := &inbox{answer: func(context.Context) error { return errors.New("no route") }}, forgetful()
		o := Options{Jobs: []Job{{Name: "shop"}}, Notifiers: []Notifier{in}}
		w := watch(t, o, st)
		stop := w.live(t)
		w.ends(t, ran(ActionBackup, backup.Full, OutcomeFailed, time.Minute))
		stop()
		in.answers(nil)
		w = watch(t, o, st)
		stop = w.live(t)
		assert.Equal(t, []string{"shop: full backup failed"}, in.titles())
		stop()
	})
}

func TestAHangingNotifierDelaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		hung := &inbox{answer: func(context.Context) error { <-release; return nil }} // does not heed its context
		whole := &inbox{}
		w := watch(t, Options{Jobs: []Job{{Name: "shop"}}, Notifiers: []Notifier{hung, whole}}, forgetful())
		stop := w.live(t)
		began := time.Now()
		w.ends(t, ran(ActionBackup, backup.Full, OutcomeFailed, time.Minute))
		w.ends(t, ran(ActionBackup, backup.Log, OutcomeFailed, time.Minute))
		assert.Zero(t, time.Since(began), "runs wait for no notifier")
		assert.Len(t, whole.titles(), 2)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		assert.Equal(t, 1, hung.calls, "no second call while the first has not returned")
		began = time.Now()
		stop()
		assert.LessOrEqual(t, time.Since(began), lastWords)

		began = time.Now() // nor does it hold up an action that is called while no agent runs
		w.finished(t.Context(), &w.job, ran(ActionBackup, backup.Full, OutcomeOK, time.Minute), nil)
		assert.LessOrEqual(t, time.Since(began), lastWords)
		assert.Equal(t, []string{"shop: full backup works again"}, whole.titles())
		close(release)
	})
}

func TestStoppingWaitsForTheLastNoticeButNotForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{answer: func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(3 * time.Second):
				return nil
			}
		}}
		w := watch(t, Options{Jobs: []Job{{Name: "shop"}}, Notifiers: []Notifier{in}}, forgetful())
		stop := w.live(t)
		began := time.Now()
		for _, a := range []Action{ActionBackup, ActionPrune, ActionVerify} {
			w.ends(t, ran(a, "", OutcomeFailed, time.Minute))
		}
		stop()
		assert.Equal(t, lastWords, time.Since(began))
		assert.Equal(t, []string{"shop: backup failed"}, in.titles(), "the second took too long; the next agent tells it")
	})
}

func TestTextOfNotices(t *testing.T) {
	at := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	r := Record{
		Job: "shop", Application: "mysql", Instance: "db1:3306", Action: ActionBackup, Asked: backup.Log, Kind: backup.Full, Reason: "no full to build on",
		Outcome: OutcomePartial, Started: at, Finished: at.Add(time.Minute), ID: "the-id", Error: "1 of 2 items failed", Hint: "grant SELECT",
		Items: []backup.Item{{Name: "orders"}, {Name: "crm", Error: "no rights"}},
	}
	n := failedNotice(r, at.Add(-time.Hour))
	assert.Equal(t, "shop: log backup is partial: 1 of 2 items failed", n.Title)
	assert.Equal(t, `Job: shop (mysql, db1:3306)
What: log backup, partial
Ran as: full: no full to build on
When: 2026-03-01 02:00:00 UTC to 2026-03-01 02:01:00 UTC
Last success: 2026-03-01 01:00:00 UTC
Backup: the-id
Error: 1 of 2 items failed
Hint: grant SELECT
Failed: crm: no rights
To do: The other items are safe. Remove the cause for those above; the next run takes them again.
`, n.Text)

	bad := Record{Job: "shop", Action: ActionVerify, Outcome: OutcomeFailed, Started: at, Finished: at, Error: "corrupt", Verified: &backup.VerifyReport{}}
	for range maxNamed + 3 {
		bad.Verified.Bad = append(bad.Verified.Bad, backup.Bad{ID: "b", Artifact: "orders.bak", Part: "p1", Reason: "other bytes"})
	}
	n = failedNotice(bad, time.Time{})
	assert.Equal(t, "shop: verify found damage", n.Title)
	assert.Contains(t, n.Text, "Last success: none known\n")
	assert.Contains(t, n.Text, "Damaged: b orders.bak p1: other bytes\nDamaged: and 3 more\n")
	assert.Contains(t, n.Text, "Take a full backup now")

	a := absence{job: "shop", objective: 24 * time.Hour, read: true, items: 2, oldest: itemPoints{
		name: "crm", newest: map[backup.Kind]time.Time{backup.Full: at},
	}}
	n = absentNotice(a, at.Add(3*24*time.Hour))
	assert.Equal(t, "shop: newest proven backup is 3 days old (objective 24h)", n.Title)
	assert.Contains(t, n.Text, "Item: crm\nItems concerned: 2\nNewest proven recovery point: 2026-03-01 02:00:00 UTC\n")
	for _, n := range []Notice{absentNotice(absence{job: "shop"}, at), presentNotice(a, at), recoveredNotice(r, at)} {
		assert.NotContains(t, n.Title, "\n")
		assert.Contains(t, n.Text, "To do: ", "%s", n.Title)
	}
}
