package sink_test

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/sink"
)

func throttled(t *testing.T, p sink.Profile) (*sink.Limiter, backup.Sink) {
	t.Helper()
	l, err := sink.NewLimiter(p)
	require.NoError(t, err)
	return l, sink.Throttle(backuptest.NewMemSink(), l)
}

// putTakes returns how long workers puts of size bytes each take together.
func putTakes(t *testing.T, s backup.Sink, workers, size int) time.Duration {
	t.Helper()
	began := time.Now()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() { assert.NoError(t, s.Put(t.Context(), "k", bytes.NewReader(make([]byte, size)))) })
	}
	wg.Wait()
	return time.Since(began)
}

func TestThrottleHoldsItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := throttled(t, sink.Profile{Rate: sink.Rate{Up: 1 << 20}})
		assert.InDelta(t, 10, putTakes(t, s, 1, 10<<20).Seconds(), 0.5)
		assert.InDelta(t, 40, putTakes(t, s, 4, 10<<20).Seconds(), 0.5, "workers share the rate")
		began := time.Now()
		rc, err := s.Get(t.Context(), "k")
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, rc)
		require.NoError(t, err)
		assert.Zero(t, time.Since(began), "down is free")
	})
}

func TestThrottleDownAndBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := throttled(t, sink.Profile{Rate: sink.Rate{Down: 1 << 20, Both: 2 << 20}})
		assert.InDelta(t, 5, putTakes(t, s, 1, 10<<20).Seconds(), 0.5, "up is bound by both")
		began := time.Now()
		rc, err := s.Get(t.Context(), "k")
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, rc)
		require.NoError(t, err)
		assert.InDelta(t, 10, time.Since(began).Seconds(), 0.5)
	})
}

func TestThrottleFollowsChangesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s := throttled(t, sink.Profile{Rate: sink.Rate{Up: 1000}})
		go func() {
			time.Sleep(10 * time.Second)
			assert.NoError(t, l.Set(sink.Profile{Rate: sink.Rate{Up: 1 << 20}}))
		}()
		// At the first rate these 10 MiB would take almost three hours.
		assert.InDelta(t, 20, putTakes(t, s, 2, 5<<20).Seconds(), 1.5)
	})
}

func TestThrottleFollowsTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble's clock begins on Saturday 2000-01-01, midnight UTC
		office := sink.RateWindow{From: 8 * time.Hour, To: 18 * time.Hour, Rate: sink.Rate{Up: 1 << 10},
			Days: []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}}
		_, s := throttled(t, sink.Profile{Location: time.UTC, Windows: []sink.RateWindow{office}})
		time.Sleep(9 * time.Hour)
		assert.Zero(t, putTakes(t, s, 1, 1<<20), "on Saturday the line is free")
		time.Sleep(48*time.Hour + 8*time.Hour) // Monday 17:00
		took := putTakes(t, s, 1, 10<<20)
		assert.InDelta(t, time.Hour.Seconds(), took.Seconds(), 2, "slow until 18:00, then free")
	})
}

func TestRateWindowOverMidnight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		night := sink.RateWindow{From: 22 * time.Hour, To: 6 * time.Hour, Days: []time.Weekday{time.Saturday}, Rate: sink.Rate{Up: 1 << 10}}
		_, s := throttled(t, sink.Profile{Location: time.UTC, Windows: []sink.RateWindow{night}})
		slow := func() bool { return putTakes(t, s, 1, 10<<10) > time.Second }
		assert.False(t, slow(), "Saturday 00:00 belongs to Friday's night")
		time.Sleep(22*time.Hour + time.Minute)
		assert.True(t, slow(), "Saturday 22:00")
		time.Sleep(7 * time.Hour)
		assert.True(t, slow(), "Sunday 05:00 belongs to Saturday's night")
		time.Sleep(time.Hour)
		assert.False(t, slow(), "Sunday 06:00")
		time.Sleep(17 * time.Hour)
		assert.False(t, slow(), "Sunday 23:00")
	})
}

func TestThrottleEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := throttled(t, sink.Profile{Rate: sink.Rate{Up: 100}})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		began := time.Now()
		assert.ErrorIs(t, s.Put(ctx, "k", bytes.NewReader(make([]byte, 1<<20))), context.Canceled)
		assert.Equal(t, 3*time.Second, time.Since(began))
	})
}

func TestThrottleRefusesNonsense(t *testing.T) {
	_, err := sink.NewLimiter(sink.Profile{Rate: sink.Rate{Up: -1}, Windows: []sink.RateWindow{{From: 25 * time.Hour}}})
	assert.ErrorContains(t, err, "negative")
	assert.ErrorContains(t, err, "window 1", "everything wrong is told at once")
}
