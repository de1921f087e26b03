package backup

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestQuotaWaitsForWhatMoves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuota(100, 10)
		require.NoError(t, q.claim(t.Context(), 90))
		q.move(90)
		begun := time.Now()
		go func() {
			time.Sleep(time.Minute)
			q.free(50)
		}()
		require.NoError(t, q.claim(t.Context(), 60))
		assert.Equal(t, time.Minute, time.Since(begun))
	})
}

func TestQuotaNeverWaitsForNothing(t *testing.T) {
	t.Parallel()
	q := newQuota(100, 10)
	require.NoError(t, q.claim(t.Context(), 95))
	require.NoError(t, q.claim(t.Context(), 10), "a part of an artifact being written: nothing moves, so waiting could not end")
	err := q.claim(t.Context(), 50)
	require.ErrorIs(t, err, ErrStageFull)
	assert.NotEmpty(t, Hint(err))
	err = newQuota(100, 10).claim(t.Context(), 101)
	require.ErrorIs(t, err, ErrStageFull, "larger than the whole stage")
}

func TestQuotaEndsItsWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQuota(100, 10)
		require.NoError(t, q.claim(t.Context(), 100))
		q.move(100)
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("stop")
		go func() {
			time.Sleep(time.Second)
			cancel(stop)
		}()
		require.ErrorIs(t, q.claim(ctx, 5), stop)
		broken := errors.New("target gone")
		go func() {
			time.Sleep(time.Second)
			q.fail(broken)
		}()
		require.ErrorIs(t, q.claim(t.Context(), 5), broken)
	})
}
