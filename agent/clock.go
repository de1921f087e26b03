package agent

import (
	"context"
	"time"
)

// Clock is where an agent takes its time from. Nil in Options means the machine's; tests stand in one that runs faster.
type Clock interface {
	Now() time.Time
	NewTimer(d time.Duration) Timer
}

// Timer is the part of time.Timer a Clock must offer.
type Timer interface {
	C() <-chan time.Time
	Stop() bool
	Reset(d time.Duration) bool
}

type machineClock struct{}

//nolint:forbidigo // this is the machine's clock, the default of Options.Clock
func (machineClock) Now() time.Time { return time.Now() }

func (machineClock) NewTimer(d time.Duration) Timer { return machineTimer{time.NewTimer(d)} }

type machineTimer struct{ *time.Timer }

func (t machineTimer) C() <-chan time.Time { return t.Timer.C }

// sleep waits for d by clock or until ctx ends.
func sleep(ctx context.Context, c Clock, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := c.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C():
		return nil
	}
}
