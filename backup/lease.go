package backup

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"
)

// The lease keeps two runs off one job. Leases are objects numbered by their fence; the highest number holds the job. To take the job is to create
// the next number, which create-if-absent gives to one caller only; nobody ever writes another's record. The highest
// record stays after its release so that fences only grow.

// leaseRecord is the lease as stored, in plain JSON.
type leaseRecord struct {
	Fence    uint64    `json:"fence"`
	Token    string    `json:"token"`
	Holder   string    `json:"holder"` // host and process, for people
	Renewed  time.Time `json:"renewed"`
	Expires  time.Time `json:"expires"` // by the holder's clock
	Released bool      `json:"released,omitempty"`
	// Runs may have objects at the target without a manifest. Whoever takes the job next buries them, or completes them from their stage.
	Runs []ID `json:"runs,omitempty"`
}

// lease is a job held by this process.
type lease struct {
	vault *vault
	keys  layout
	ttl   time.Duration
	now   func() time.Time

	mu   sync.Mutex
	rec  leaseRecord
	stop func()
	done chan struct{}
}

// leaseClaim is what acquire needs to know.
type leaseClaim struct {
	vault *vault
	keys  layout
	ttl   time.Duration
	now   func() time.Time
	runs  []ID
	// dead reports whether the holder with that token is known to have died on this machine.
	dead func(token string) bool
}

// acquire takes the job, or fails with ErrBusy. orphans are runs that earlier holders left behind.
func (c leaseClaim) acquire(ctx context.Context) (l *lease, orphans []ID, err error) {
	old, err := c.records(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("read lease: %w", err)
	}
	var fence uint64
	if len(old) > 0 {
		top := old[len(old)-1]
		if err := c.free(ctx, top); err != nil {
			return nil, nil, err
		}
		fence = top.Fence
	}
	host, _ := os.Hostname() // only shown to people
	l = &lease{vault: c.vault, keys: c.keys, ttl: c.ttl, now: c.now, rec: leaseRecord{
		Fence: fence + 1, Token: rand.Text(), Holder: fmt.Sprintf("%s pid %d", host, os.Getpid()), Runs: c.runs,
	}}
	data := l.stamp()
	if err := c.vault.putIfAbsent(ctx, c.keys.lease(l.rec.Fence), data); errors.Is(err, fs.ErrExist) {
		return nil, nil, &Error{Op: "take the lease of job", Artifact: c.keys.job, Err: ErrBusy,
			Advice: "another run took the job in the same moment; try again"}
	} else if err != nil {
		return nil, nil, fmt.Errorf("create lease: %w", err)
	}
	// Between our look and our create others may have come and gone; then our number is not the highest.
	if err := l.check(ctx); err != nil {
		return nil, nil, errors.Join(err, c.vault.delete(context.WithoutCancel(ctx), c.keys.lease(l.rec.Fence)))
	}
	for _, r := range old {
		orphans = append(orphans, r.Runs...)
	}
	slices.Sort(orphans)
	return l, slices.Compact(orphans), nil
}

// records reads the leases of the job, lowest fence first.
func (c leaseClaim) records(ctx context.Context) ([]leaseRecord, error) {
	var recs []leaseRecord
	for o, err := range c.vault.list(ctx, c.keys.leases()) {
		if err != nil {
			return nil, err
		}
		if _, ok := fenceOf(o.Key, c.keys.leases()); !ok {
			continue
		}
		r, err := readLease(ctx, c.vault, o.Key)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its successor removed it since the listing
		}
		if err != nil {
			return nil, err
		}
		recs = append(recs, r)
	}
	slices.SortFunc(recs, func(a, b leaseRecord) int { return cmp.Compare(a.Fence, b.Fence) })
	return recs, nil
}

func readLease(ctx context.Context, v *vault, key string) (leaseRecord, error) {
	data, err := v.get(ctx, key)
	if err != nil {
		return leaseRecord{}, err
	}
	var r leaseRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return leaseRecord{}, &Error{Op: "read lease", Artifact: key, Err: fmt.Errorf("%w: %w", ErrCorrupt, err),
			Advice: "when no run of this job is active, remove that object"}
	}
	return r, nil
}

// free returns nil when the holder of r has given up the job or is dead.
//
// A holder is dead when its record has expired by our clock and then stays unchanged for one full ttl of
// ours: clocks may disagree, but a living holder renews three times in that span. A record that expires later than a whole lifetime from now was
// written by a clock ahead of ours, so its time says nothing; then only the watching decides, for the longer of the two lifetimes.
func (c leaseClaim) free(ctx context.Context, r leaseRecord) error {
	if r.Released || c.dead != nil && c.dead(r.Token) {
		return nil
	}
	busy := &Error{Op: "take the lease of job", Artifact: c.keys.job, Err: fmt.Errorf("%w: %s until %s", ErrBusy, r.Holder, r.Expires.UTC().Format(time.RFC3339)),
		Advice: "wait for that run, or until its lease has expired if it died"}
	life, watch := r.Expires.Sub(r.Renewed), c.ttl
	if left := r.Expires.Sub(c.now()); left > life {
		watch = max(watch, life)
	} else if left > 0 {
		return busy
	}
	for range 4 {
		if err := sleep(ctx, watch/4); err != nil {
			return err
		}
		seen, err := readLease(ctx, c.vault, c.keys.lease(r.Fence))
		if errors.Is(err, fs.ErrNotExist) {
			return busy // a successor is at work
		}
		if err != nil {
			return err
		}
		if !seen.Renewed.Equal(r.Renewed) {
			return busy
		}
	}
	return nil
}

// stamp renews the record in memory and returns it as stored.
func (l *lease) stamp() []byte {
	now := l.now()
	l.rec.Renewed, l.rec.Expires = now.UTC(), now.Add(l.ttl).UTC()
	data, err := json.MarshalIndent(l.rec, "", "  ")
	if err != nil {
		panic(err) // a struct of strings, numbers and times
	}
	return data
}

// fence is the number under which this run writes.
func (l *lease) fence() uint64 { return l.rec.Fence }

// check fails with ErrLeaseLost when another holder has a higher fence.
func (l *lease) check(ctx context.Context) error {
	for o, err := range l.vault.list(ctx, l.keys.leases()) {
		if err != nil {
			return fmt.Errorf("check lease: %w", err)
		}
		if n, ok := fenceOf(o.Key, l.keys.leases()); ok && n > l.rec.Fence {
			return &Error{Op: "hold job", Artifact: l.keys.job, Err: fmt.Errorf("%w to fence %d", errors.Join(ErrLeaseLost, ErrBusy), n),
				Advice: "this run was silent for longer than the lease lasts; the other run goes on"}
		}
	}
	return nil
}

// write stores the record with the given runs.
func (l *lease) write(ctx context.Context, runs []ID, released bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rec.Runs, l.rec.Released = runs, released
	if err := l.vault.put(ctx, l.keys.lease(l.rec.Fence), l.stamp()); err != nil {
		return fmt.Errorf("renew lease: %w", err)
	}
	return nil
}

// keep renews the lease until release, and calls lost when another holder has taken the job. A target that cannot be reached is no reason to
// give up: the run may ride the outage out. Should the lease expire meanwhile and another run begin, then this one can no longer publish,
// because it looks for a higher fence before it does and because its manifest's key is taken by the other.
func (l *lease) keep(ctx context.Context, lost func(error)) {
	ctx, l.stop = context.WithCancel(ctx)
	l.done = make(chan struct{})
	go func() {
		defer close(l.done)
		for sleep(ctx, l.ttl/3) == nil {
			if err := l.renew(ctx); errors.Is(err, ErrLeaseLost) && ctx.Err() == nil {
				lost(err)
				return
			}
		}
	}()
}

func (l *lease) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.ttl/3)
	defer cancel()
	if err := l.check(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	runs := l.rec.Runs
	l.mu.Unlock()
	return l.write(ctx, runs, false)
}

// release gives the job up. runs are those that still lie at the target without a manifest.
func (l *lease) release(ctx context.Context, runs []ID) error {
	if l.stop != nil {
		l.stop()
		<-l.done
	}
	if err := l.check(ctx); err != nil {
		return err
	}
	return l.write(ctx, runs, true)
}

// dropOlder removes the records of earlier holders, once what they left is on the record of this one.
func (l *lease) dropOlder(ctx context.Context) error {
	var errs []error
	for o, err := range l.vault.list(ctx, l.keys.leases()) {
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		if n, ok := fenceOf(o.Key, l.keys.leases()); ok && n < l.rec.Fence {
			errs = append(errs, l.vault.delete(ctx, o.Key))
		}
	}
	return errors.Join(errs...)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
