package agent

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// attemptTimeout is how long one call of a Notifier may take.
	attemptTimeout = 30 * time.Second
	// firstRetry and lastRetry are the pauses after failed calls, doubled in between.
	firstRetry = 5 * time.Second
	lastRetry  = 15 * time.Minute
	// lastWords is how long notices may still be brought after the agent was told to stop.
	lastWords = 5 * time.Second
)

var errStuck = errors.New("an earlier call has not returned")

// courier brings one notifier what it is owed. A notifier that fails or hangs delays neither runs nor other notifiers.
type courier struct {
	board    *noticeBoard
	name     string
	notifier Notifier
	awake    chan struct{}
	busy     chan struct{} // held while delivering
	call     chan struct{} // closed when the latest call returned; nil before the first
}

func newCourier(b *noticeBoard, i int, n Notifier) *courier {
	return &courier{board: b, name: whom(i, n), notifier: n, awake: make(chan struct{}, 1), busy: make(chan struct{}, 1)}
}

// wake tells the courier that something may be owed. A pause after failures ends by it: the next occasion is an occasion to try again.
func (c *courier) wake() {
	select {
	case c.awake <- struct{}{}:
	default:
	}
}

// run delivers until ctx ends, and then once more within lastWords.
func (c *courier) run(ctx context.Context) {
	working, cancel := lingering(ctx, lastWords)
	defer cancel()
	pause := &backoff.ExponentialBackOff{InitialInterval: firstRetry, MaxInterval: lastRetry, Multiplier: 2, RandomizationFactor: 0.2}
	pause.Reset()
	for ctx.Err() == nil {
		wait := forever
		if c.deliver(working) {
			pause.Reset()
		} else {
			wait = pause.NextBackOff()
		}
		timer := c.board.clock.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-c.awake:
		case <-timer.C():
		}
		timer.Stop()
	}
	c.deliver(working)
}

// lingering returns a context that ends d after ctx has.
func lingering(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(d, cancel)
		context.AfterFunc(out, func() { timer.Stop() })
	})
	return out, func() { stop(); cancel() }
}

// deliver tries everything that is owed once and reports whether nothing is owed any more.
func (c *courier) deliver(ctx context.Context) bool {
	select {
	case c.busy <- struct{}{}:
		defer func() { <-c.busy }()
	case <-ctx.Done():
		return false
	}
	all := true
	for _, o := range c.board.owes(c.name) {
		if ctx.Err() != nil {
			return false
		}
		err := c.attempt(ctx, o.notice)
		if c.board.count != nil {
			c.board.count(ctx, o.notice, err)
		}
		if err != nil {
			all = false
			c.board.log.Warn("a notice was not taken; it will be tried again", "job", o.notice.Job, "notice", o.notice.Kind, "notifier", c.name, "err", err)
			continue
		}
		c.board.took(c.name, o)
	}
	return all
}

// attempt calls the notifier. A call that does not heed its context is left behind, and no other is made until it has returned.
func (c *courier) attempt(ctx context.Context, n Notice) error {
	if c.call != nil {
		select {
		case <-c.call:
		default:
			return errStuck
		}
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	returned := make(chan struct{})
	c.call = returned
	var err error
	go func() {
		defer close(returned)
		err = calmly(c.board.log, "the notifier "+c.name, func() error { return c.notifier.Notify(ctx, n) })
	}()
	select {
	case <-returned:
		return err
	case <-ctx.Done():
	}
	select { // it may have heeded the context, and knows more than the context does
	case <-returned:
		return err
	default:
		return ctx.Err()
	}
}
