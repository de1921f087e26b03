package backup

import (
	"context"
	"fmt"
	"sync"
)

// quota bounds the bytes that lie in a stage at once. Bytes count as moving while they are on their way to the target and will be given back; a
// caller waits for those only. When nothing is moving a wait could never end: then a small claim, the next part of an
// artifact being written, is granted beyond the bound, and a large one fails.
type quota struct {
	max   int64 // 0: no bound
	small int64

	mu     sync.Mutex
	used   int64
	moving int64
	err    error // the target failed: nothing will be given back
	wake   chan struct{}
}

func newQuota(max, small int64) *quota {
	return &quota{max: max, small: small, wake: make(chan struct{})}
}

// claim waits until n more bytes fit.
func (q *quota) claim(ctx context.Context, n int64) error {
	for {
		q.mu.Lock()
		fits := q.max == 0 || q.used+n <= q.max
		stuck := q.moving <= 0
		if fits || stuck && n <= q.small && q.err == nil {
			q.used += n
			q.mu.Unlock()
			return nil
		}
		err, wake := q.err, q.wake
		q.mu.Unlock()
		switch {
		case err != nil:
			return err
		case n > q.max || stuck:
			return &Error{Op: "stage", Err: fmt.Errorf("%d bytes do not fit in a stage of %d: %w", n, q.max, ErrStageFull),
				Advice: "raise the stage's quota above the largest file the server writes, or stream"}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-wake:
		}
	}
}

// move says that n claimed bytes are complete and on their way out.
func (q *quota) move(n int64) { q.change(0, n) }

// free gives n moving bytes back.
func (q *quota) free(n int64) { q.change(-n, -n) }

// unclaim gives n bytes back that never moved.
func (q *quota) unclaim(n int64) { q.change(-n, 0) }

// add counts bytes that are there already, such as a file that grew larger than was claimed for it.
func (q *quota) add(n int64) { q.change(n, 0) }

func (q *quota) change(used, moving int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.used += used
	q.moving += moving
	q.broadcast()
}

// fail ends all waiting: the target takes nothing any more.
func (q *quota) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = err
	}
	q.broadcast()
}

func (q *quota) broadcast() {
	close(q.wake)
	q.wake = make(chan struct{})
}
