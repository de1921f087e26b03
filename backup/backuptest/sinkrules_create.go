package backuptest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"

	"github.com/quiesce-go/quiesce/backup"
)

// createRules are the rules of PutIfAbsenter.
func createRules(o SinkOptions) []rule[backup.Sink] {
	rules := []rule[backup.Sink]{
		{"create-absent", "PutIfAbsent stores where nothing is, also after a Delete: a lease is taken, given up and taken again.",
			checkCreate},
		{"create-existing", "Where something is, PutIfAbsent gives fs.ErrExist and changes nothing: a manifest is never replaced, a lease never stolen. Also above the multipart threshold, where some servers forget the condition.",
			func(ctx context.Context, s backup.Sink) error { return checkCreateExisting(ctx, s, o) }},
		{"create-race", "Of eight that race for a key exactly one wins, the others learn that they lost, and the winner's bytes stay. With two winners, two machines back up one job into each other.",
			checkCreateRace},
		{"create-whole-or-absent", "A create whose reader dies leaves nothing, not even a claim on the key.",
			func(ctx context.Context, s backup.Sink) error { return checkFailedCreate(ctx, s, o) }},
		{"create-cancelled", "A create whose context ends leaves nothing.",
			func(ctx context.Context, s backup.Sink) error {
				c := s.(backup.PutIfAbsenter)
				return firstErr(
					func() error { return checkEndedPut(ctx, s, c.PutIfAbsent) },
					func() error { return checkCancelledPut(ctx, s, c.PutIfAbsent, o) })
			}},
	}
	for i, r := range rules {
		rules[i].check = func(ctx context.Context, s backup.Sink) error {
			if _, ok := s.(backup.PutIfAbsenter); !ok {
				return skip("the sink does not implement backup.PutIfAbsenter")
			}
			return r.check(ctx, s)
		}
	}
	return rules
}

func checkCreate(ctx context.Context, s backup.Sink) error {
	c := s.(backup.PutIfAbsenter)
	for round := range 3 {
		err := firstErr(
			func() error { return c.PutIfAbsent(ctx, "job/lease.json", content(uint64(round), 200)) },
			func() error { return holds(ctx, s, "job/lease.json", content(uint64(round), 200)) },
			func() error { return s.Delete(ctx, "job/lease.json") })
		if err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
	}
	return nil
}

func checkCreateExisting(ctx context.Context, s backup.Sink, o SinkOptions) error {
	c := s.(backup.PutIfAbsenter)
	if err := put(ctx, s, "job/manifest", 1, 500); err != nil {
		return err
	}
	for _, size := range []int64{0, 500, o.Big} {
		err := c.PutIfAbsent(ctx, "job/manifest", content(2, size))
		if !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("PutIfAbsent of %d bytes onto an object = %v, want an error that wraps fs.ErrExist", size, err)
		}
		if err := holds(ctx, s, "job/manifest", content(1, 500)); err != nil {
			return fmt.Errorf("after a refused create of %d bytes: %w", size, err)
		}
	}
	return nil
}

func checkCreateRace(ctx context.Context, s backup.Sink) error {
	const rounds, writers = 20, 8
	for round := range rounds {
		key := fmt.Sprintf("job/%d/lease.json", round)
		errs := make([]error, writers)
		var wg sync.WaitGroup
		start := make(chan struct{})
		for w := range writers {
			wg.Go(func() {
				<-start
				errs[w] = s.(backup.PutIfAbsenter).PutIfAbsent(ctx, key, strings.NewReader(ticket(w)))
			})
		}
		close(start)
		wg.Wait()
		winner := -1
		for w, err := range errs {
			switch {
			case err == nil && winner >= 0:
				return fmt.Errorf("round %d: writers %d and %d both won", round, winner, w)
			case err == nil:
				winner = w
			case !errors.Is(err, fs.ErrExist):
				return fmt.Errorf("round %d: writer %d = %v, want nil or an error that wraps fs.ErrExist", round, w, err)
			}
		}
		if winner < 0 {
			return fmt.Errorf("round %d: nobody won", round)
		}
		if err := holds(ctx, s, key, strings.NewReader(ticket(winner))); err != nil {
			return fmt.Errorf("round %d, writer %d won: %w", round, winner, err)
		}
	}
	return nil
}

// ticket is what writer w writes.
func ticket(w int) string { return strings.Repeat(fmt.Sprintf("writer %d;", w), 100+w) }

func checkFailedCreate(ctx context.Context, s backup.Sink, o SinkOptions) error {
	c := s.(backup.PutIfAbsenter)
	if err := checkDyingReader(ctx, s, c.PutIfAbsent, o); err != nil {
		return err
	}
	if err := c.PutIfAbsent(ctx, "run/lease", io.MultiReader(content(1, 10), failing{errDied})); err == nil {
		return errors.New("the reader failed and PutIfAbsent returned nil")
	}
	if err := c.PutIfAbsent(ctx, "run/lease", content(2, 10)); err != nil {
		return fmt.Errorf("PutIfAbsent after one that failed = %v, want nil", err)
	}
	return holds(ctx, s, "run/lease", content(2, 10))
}
