package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/quiesce-go/quiesce/backup"
)

// Rate is a bound on the transfers of a sink, in bytes per second. Zero means no bound.
type Rate struct {
	Up   int64 // towards the target
	Down int64 // from it
	Both int64 // the two together, besides their own bounds
}

// Profile is a rate that depends on the time of day.
type Profile struct {
	// Rate holds outside all windows.
	Rate
	// Windows are asked in order; the first that covers the moment decides.
	Windows []RateWindow
	// Location is the time zone of the windows; nil means the machine's.
	Location *time.Location
}

// RateWindow is a daily span with a rate of its own, such as the office hours.
type RateWindow struct {
	// Days it holds on; none means every day. A window over midnight belongs to the day it begins on.
	Days []time.Weekday
	// From and To are times since midnight by the clock on the wall. To before From spans midnight; equal means the whole day.
	From, To time.Duration
	Rate
}

// at returns the rate that holds at t.
func (p *Profile) at(t time.Time) Rate {
	loc := p.Location
	if loc == nil {
		loc = time.Local
	}
	t = t.In(loc)
	for _, w := range p.Windows {
		if w.covers(t) {
			return w.Rate
		}
	}
	return p.Rate
}

func (w *RateWindow) covers(t time.Time) bool {
	h, m, s := t.Clock()
	now := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second
	on := func(d time.Weekday) bool { return len(w.Days) == 0 || slices.Contains(w.Days, d) }
	today, yesterday := t.Weekday(), (t.Weekday()+6)%7
	if w.From < w.To {
		return on(today) && now >= w.From && now < w.To
	}
	return on(today) && now >= w.From || on(yesterday) && now < w.To
}

// validate reports everything wrong with the profile.
func (p *Profile) validate() error {
	var errs []error
	check := func(what string, r Rate) {
		if r.Up < 0 || r.Down < 0 || r.Both < 0 {
			errs = append(errs, fmt.Errorf("%s: a rate is negative", what))
		}
	}
	check("profile", p.Rate)
	for i, w := range p.Windows {
		what := fmt.Sprintf("window %d", i+1)
		check(what, w.Rate)
		if w.From < 0 || w.From > 24*time.Hour || w.To < 0 || w.To > 24*time.Hour {
			errs = append(errs, fmt.Errorf("%s: from %v to %v is not within a day", what, w.From, w.To))
		}
	}
	return errors.Join(errs...)
}

// Limiter holds sinks to a Profile. Sinks that share a Limiter share the rate: one Limiter for a machine's line.
type Limiter struct {
	mu      sync.Mutex
	profile Profile
	up      pace
	down    pace
	both    pace
}

// NewLimiter makes a Limiter. It fails for negative rates and windows outside a day.
func NewLimiter(p Profile) (*Limiter, error) {
	l := &Limiter{up: newPace(), down: newPace(), both: newPace()}
	return l, l.Set(p)
}

// Set changes the profile. Transfers under way follow within about a second, as they do when a window begins or ends.
func (l *Limiter) Set(p Profile) error {
	if err := p.validate(); err != nil {
		return &backup.Error{Op: "set throttle", Err: err}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.profile = p
	return nil
}

// pace is one bound.
type pace struct {
	limiter *rate.Limiter
	now     int64
}

func newPace() pace { return pace{limiter: rate.NewLimiter(rate.Inf, maxGulp)} }

// A gulp is what a transfer moves at once: a tenth of a second's worth, so that changes of the rate are felt soon, and at most maxGulp.
const maxGulp = 256 << 10

func gulp(bytesPerSecond int64) int {
	if bytesPerSecond == 0 {
		return maxGulp
	}
	return int(min(max(bytesPerSecond/10, 1), maxGulp))
}

// set makes the bound current and returns the largest gulp it allows.
func (p *pace) set(bytesPerSecond int64) int {
	if p.now != bytesPerSecond {
		p.now = bytesPerSecond
		limit := rate.Inf
		if bytesPerSecond > 0 {
			limit = rate.Limit(bytesPerSecond)
		}
		p.limiter.SetLimit(limit)
		p.limiter.SetBurst(gulp(bytesPerSecond))
	}
	return gulp(bytesPerSecond)
}

// allow returns how many bytes may move next in one direction, and the bounds to ask for what was moved.
func (l *Limiter) allow(up bool) (int, [2]*rate.Limiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.profile.at(time.Now())
	n, own := l.down.set(r.Down), l.down.limiter
	if u := l.up.set(r.Up); up {
		n, own = u, l.up.limiter
	}
	return min(n, l.both.set(r.Both)), [2]*rate.Limiter{own, l.both.limiter}
}

// Throttle bounds the bytes per second of Put, PutIfAbsent and Get. The returned Sink implements backup.PutIfAbsenter exactly when under does.
func Throttle(under backup.Sink, l *Limiter) backup.Sink {
	t := &throttled{Sink: under, limiter: l}
	if c, ok := under.(backup.PutIfAbsenter); ok {
		return &atomicThrottled{throttled: t, create: c}
	}
	return t
}

// throttled passes List and Delete through.
type throttled struct {
	backup.Sink
	limiter *Limiter
}

// Put implements backup.Sink.
func (t *throttled) Put(ctx context.Context, key string, r io.Reader) error {
	return t.Sink.Put(ctx, key, t.slow(ctx, r, true))
}

// Get implements backup.Sink.
func (t *throttled) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	rc, err := t.Sink.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{t.slow(ctx, rc, false), rc}, nil
}

type atomicThrottled struct {
	*throttled
	create backup.PutIfAbsenter
}

// PutIfAbsent implements backup.PutIfAbsenter.
func (t *atomicThrottled) PutIfAbsent(ctx context.Context, key string, r io.Reader) error {
	return t.create.PutIfAbsent(ctx, key, t.slow(ctx, r, true))
}

// slow returns r at the limiter's pace, which can be rewound when r can.
func (t *throttled) slow(ctx context.Context, r io.Reader, up bool) io.Reader {
	s := &slowReader{ctx: ctx, r: r, l: t.limiter, up: up}
	if seeker, ok := r.(io.Seeker); ok {
		return struct {
			io.Reader
			io.Seeker
		}{s, seeker}
	}
	return s
}

type slowReader struct {
	ctx context.Context
	r   io.Reader
	l   *Limiter
	up  bool
}

// Read moves one gulp and then waits for its time, so that the bytes a reader does not have cost nothing.
func (s *slowReader) Read(p []byte) (int, error) {
	most, bounds := s.l.allow(s.up)
	n, err := s.r.Read(p[:min(len(p), most)])
	for _, b := range bounds {
		// The burst may have shrunk meanwhile; then the gulp is paid for in pieces.
		for left := n; left > 0; {
			pay := min(left, max(b.Burst(), 1))
			if werr := b.WaitN(s.ctx, pay); werr != nil {
				if s.ctx.Err() != nil {
					return n, context.Cause(s.ctx)
				}
				if pay > b.Burst() {
					continue
				}
				// WaitN does not begin to wait for what its context's deadline will not let it finish.
				return n, fmt.Errorf("throttle: %w: %w", context.DeadlineExceeded, werr)
			}
			left -= pay
		}
	}
	return n, err
}

var (
	_ backup.Sink          = (*throttled)(nil)
	_ backup.PutIfAbsenter = (*atomicThrottled)(nil)
)
