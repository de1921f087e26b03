package oracle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

// Redo is dated by the second, commits are not: a time brings back all that was committed before its second, and nothing of that or later.
func TestTimesOnBothSidesOfASecond(t *testing.T) {
	t.Parallel()
	for _, execute := range []string{"sql", "sqlplus"} {
		t.Run(execute, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nil, nil)
			l.programs()
			l.clock.mu.Lock()
			l.clock.step = 70 * time.Millisecond // several commits a second
			l.clock.mu.Unlock()
			truth := l.history(1)
			first, last := l.window()
			inside, shared := 0, 0
			for n, r := range truth[6:] {
				second := r.At.Truncate(time.Second)
				if n%6 != 0 || !second.Add(-time.Nanosecond).After(first.Add(time.Second)) || second.Add(time.Second).After(last) {
					continue
				}
				for _, c := range []struct {
					at   time.Time
					with bool
				}{{second.Add(-time.Nanosecond), false}, {second, false}, {r.At, false}, {second.Add(time.Second - time.Nanosecond), false}, {second.Add(time.Second), true}} {
					l.lose()
					if execute == "sql" {
						l.nomount("")
					}
					require.NoError(t, l.restore(backup.Target{Time: c.at}, false, with(open, "execute", execute)), "%s", c.at)
					want := below(truth, func(o oraclesim.Record) bool { return o.At.Before(c.at.Truncate(time.Second)) })
					have := l.contents()
					require.Equal(t, want, have, "%s", c.at)
					assert.Equal(t, c.with, contains(have, r.Text), "%s committed at %s, restored to %s", r.Text, r.At, c.at)
					inside++
				}
				for _, o := range truth {
					if o.SCN != r.SCN && o.At.Truncate(time.Second).Equal(second) {
						shared++
					}
				}
			}
			assert.Positive(t, inside)
			assert.Positive(t, shared, "there are several commits in one second")
		})
	}
}

func contains(all []string, text string) bool {
	for _, s := range all {
		if s == text {
			return true
		}
	}
	return false
}

// A time in the second in which the full ended is behind its end, and UNTIL TIME would stop before that.
func TestTheSecondInWhichAFullEnded(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, nil)
	l.programs()
	l.clock.mu.Lock()
	l.clock.step = 10 * time.Millisecond
	l.clock.mu.Unlock()
	l.commit("before")
	m := l.take(backup.Full)
	end := m.Items[0].Window.To
	_, err := ParsePosition(m.Items[0].End)
	require.NoError(t, err)
	for range 150 {
		l.commit("after")
	}
	l.take(backup.Log)
	truth := l.truth()
	n, err := ParsePosition(m.Items[0].End)
	require.NoError(t, err)
	for _, at := range []time.Time{end, end.Add(time.Millisecond), end.Truncate(time.Second).Add(time.Second - time.Millisecond)} {
		require.Equal(t, end.Truncate(time.Second), at.Truncate(time.Second))
		l.lose()
		require.NoError(t, l.restore(backup.Target{Time: at}, false, with(open, "execute", "sqlplus")), "%s", at)
		assert.Equal(t, below(truth, func(r oraclesim.Record) bool { return SCN(r.SCN) < n }), l.contents())
	}
	next := end.Truncate(time.Second).Add(time.Second)
	l.lose()
	require.NoError(t, l.restore(backup.Target{Time: next}, false, with(open, "execute", "sqlplus")))
	have := l.contents()
	assert.Equal(t, below(truth, func(r oraclesim.Record) bool { return r.At.Before(next) }), have)
	assert.Greater(t, len(have), 1)
}
