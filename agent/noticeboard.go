package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// noticeBoard knows the state of everything that can be told of, and what each notifier was told last. A notifier is owed what differs. This
// makes the order of events unimportant: what failed and recovered while a notifier was out of reach is not told at all, what
// is still bad is told once, whether the agent was restarted in between or not.
//
// Both live in the notice memory of the jobs, as
//
//	watched              when the job was first seen
//	now/SUBJECT          the newest Notice on the subject, as JSON
//	told/SUBJECT@WHOM    the kind of the last notice on the subject that WHOM took, when that was a bad one
//	right/ACTION         when the action last went right, for actions that leave no backup to tell
type noticeBoard struct {
	clock    Clock
	log      *slog.Logger
	couriers []*courier
	count    func(ctx context.Context, n Notice, err error)

	mu   sync.Mutex
	mem  noticeMemory
	jobs []string
}

// noticeMemory is the part of the state that notices need: a few strings per job that outlive the process.
type noticeMemory interface {
	notices(job string) map[string]string
	setNotices(job string, m map[string]string)
}

// notices returns what setNotices kept.
func (s *stateStore) notices(job string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.job(job).Notices)
}

// setNotices keeps m with the job's state.
func (s *stateStore) setNotices(job string, m map[string]string) {
	s.change(context.Background(), job, func(st *jobState) { st.Notices = maps.Clone(m) })
}

const (
	subjectAbsent = "absent"
	keyWatched    = "watched"
	keyNow        = "now/"
	keyTold       = "told/"
	keyRight      = "right/"
)

// subject is what a record's notice is about; the kind is the one asked for, so that a log run that became a full clears the log runs before it.
func subject(r Record) string {
	if k := cmpKind(r.Asked, r.Kind); k != "" && r.Action == ActionBackup {
		return string(r.Action) + " " + string(k)
	}
	return string(r.Action)
}

// standing is what an outcome says about an action.
type standing int

const (
	unsaid standing = iota
	good
	bad
)

func verdict(r Record) standing {
	switch r.Outcome {
	case OutcomeOK:
		return good
	case OutcomePartial, OutcomeFailed:
		return bad
	case OutcomeRefused:
		if r.Action == ActionRestore { // the person who asked has the answer
			return unsaid
		}
		return bad
	}
	return unsaid
}

func (k NoticeKind) bad() bool { return k == NoticeFailed || k == NoticeAbsent }

func newNoticeBoard(mem noticeMemory, ns []Notifier, clock Clock, log *slog.Logger) *noticeBoard {
	b := &noticeBoard{clock: clock, log: log, mem: mem}
	for i, n := range ns {
		b.couriers = append(b.couriers, newCourier(b, i, n))
	}
	return b
}

func (b *noticeBoard) setJobs(names []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.jobs = slices.Sorted(slices.Values(names))
}

// watched returns when job was first seen, which is now when it never was.
func (b *noticeBoard) watched(job string, now time.Time) (first time.Time) {
	b.change(job, func(m map[string]string) bool {
		if t, err := time.Parse(time.RFC3339Nano, m[keyWatched]); err == nil {
			first = t
			return false
		}
		first, m[keyWatched] = now, now.Format(time.RFC3339Nano)
		return true
	})
	return first
}

// recall fills v with what is remembered of the job from before this process.
func (b *noticeBoard) recall(v *jobView) {
	v.watched = b.watched(v.name, v.started)
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.mem.notices(v.name)
	for k, text := range m {
		if a, ok := strings.CutPrefix(k, keyRight); ok {
			if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
				v.success[runKey{Action(a), ""}] = t
			}
		}
		if s, ok := strings.CutPrefix(k, keyNow); ok && s != subjectAbsent {
			n, known := b.current(m, s)
			a, kind, _ := strings.Cut(s, " ")
			v.failed[runKey{Action(a), backup.Kind(kind)}] = known && n.Kind.bad()
		}
	}
}

// finished takes in how an action ended. success is when it last went right before.
func (b *noticeBoard) finished(r Record, success time.Time) {
	v := verdict(r)
	if v == unsaid {
		return
	}
	if v == good && r.Action != ActionBackup {
		b.change(r.Job, func(m map[string]string) bool {
			m[keyRight+string(r.Action)] = r.Finished.Format(time.RFC3339Nano)
			return true
		})
	}
	b.post(r.Job, subject(r), v == bad, func(before Notice) Notice {
		if v == bad {
			return failedNotice(r, success)
		}
		return recoveredNotice(r, before.Time)
	})
}

func (b *noticeBoard) absent(a absence, now time.Time) {
	b.post(a.job, subjectAbsent, true, func(Notice) Notice { return absentNotice(a, now) })
}

func (b *noticeBoard) present(a absence, now time.Time) {
	b.post(a.job, subjectAbsent, false, func(Notice) Notice { return presentNotice(a, now) })
}

// post puts up what make says when the subject's state changed. A subject that was never bad is not spoken of.
func (b *noticeBoard) post(job, subject string, isBad bool, make func(before Notice) Notice) {
	changed := b.change(job, func(m map[string]string) bool {
		before, known := b.current(m, subject)
		if known && before.Kind.bad() == isBad || !known && !isBad {
			return false
		}
		text, err := json.Marshal(make(before))
		if err != nil {
			b.log.Error("a notice cannot be kept", "job", job, "subject", subject, "err", err)
			return false
		}
		m[keyNow+subject] = string(text)
		return true
	})
	if changed {
		for _, c := range b.couriers {
			c.wake()
		}
	}
}

func (b *noticeBoard) current(m map[string]string, subject string) (n Notice, known bool) {
	text, ok := m[keyNow+subject]
	return n, ok && json.Unmarshal([]byte(text), &n) == nil
}

// forget drops a subject that is no longer judged, without a word.
func (b *noticeBoard) forget(job, subject string) {
	b.change(job, func(m map[string]string) bool {
		n := len(m)
		for k := range m {
			if k == keyNow+subject || strings.HasPrefix(k, keyTold+subject+"@") {
				delete(m, k)
			}
		}
		return len(m) != n
	})
}

// change alters a job's memory when f says that it did. A memory that cannot be written to disk still holds for this process.
func (b *noticeBoard) change(job string, f func(map[string]string) bool) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.mem.notices(job)
	if m == nil {
		m = map[string]string{}
	}
	if !f(m) {
		return false
	}
	b.mem.setNotices(job, m)
	return true
}

// owed is a notice that a notifier has not taken yet.
type owed struct {
	subject string
	notice  Notice
}

// owes lists what the notifier called whom is owed, by job and subject.
func (b *noticeBoard) owes(whom string) (all []owed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, job := range b.jobs {
		m := b.mem.notices(job)
		var subjects []string
		for k := range m {
			if s, ok := strings.CutPrefix(k, keyNow); ok {
				subjects = append(subjects, s)
			}
		}
		slices.Sort(subjects)
		for _, s := range subjects {
			n, known := b.current(m, s)
			told := NoticeKind(m[keyTold+s+"@"+whom])
			if known && n.Kind.bad() != told.bad() {
				all = append(all, owed{s, n})
			}
		}
	}
	return all
}

// took notes that whom was told o.
func (b *noticeBoard) took(whom string, o owed) {
	b.change(o.notice.Job, func(m map[string]string) bool {
		key := keyTold + o.subject + "@" + whom
		if o.notice.Kind.bad() {
			m[key] = string(o.notice.Kind)
		} else {
			delete(m, key)
		}
		return true
	})
}

// tell brings what is owed to all notifiers, once each and side by side, in at most lastWords.
func (b *noticeBoard) tell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	var wg sync.WaitGroup
	for _, c := range b.couriers {
		wg.Go(func() { c.deliver(ctx) })
	}
	wg.Wait()
}

// whom names a notifier in the memory: its place in the list and, when it says one, its name. A notifier put in another's place is a stranger who is
// told of all that is bad.
func whom(i int, n Notifier) string {
	if s, ok := n.(fmt.Stringer); ok {
		return fmt.Sprintf("%d %s", i, s)
	}
	return fmt.Sprintf("%d %T", i, n)
}
