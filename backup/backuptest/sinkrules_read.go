package backuptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/quiesce-go/quiesce/backup"
)

// getRules are about reading.
func getRules(o SinkOptions) []rule[backup.Sink] {
	return []rule[backup.Sink]{
		{"get-absent", "An absent object is fs.ErrNotExist, so that it is told from a target that cannot be reached. What lies below or above a key is not the key.",
			checkGetAbsent},
		{"get-never-ends-early", "A transfer that breaks off is an error of Read, never an early end: a short part must not pass for a whole one.",
			func(ctx context.Context, s backup.Sink) error { return checkBrokenGet(ctx, s, o) }},
		{"get-closed-early", "A reader may be closed before its end, and the sink works on: sampled verification reads beginnings.",
			func(ctx context.Context, s backup.Sink) error { return checkClosedEarly(ctx, s, o) }},
		{"get-while-replaced", "A Get that runs while the object is replaced gives the old bytes or the new ones, never some of each.",
			checkGetWhileReplaced},
	}
}

func checkGetAbsent(ctx context.Context, s backup.Sink) error {
	if err := put(ctx, s, "run/a/part", 1, 10); err != nil {
		return err
	}
	for _, key := range []string{"nothing", "run/nothing", "run/a/par", "run/a/part2", "run/a", "run", "run/a/part/below"} {
		rc, err := s.Get(ctx, key)
		if err == nil {
			// A target may only find out when it is read.
			_, err = io.Copy(io.Discard, rc)
			rc.Close()
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("Get(%q) = %v, want an error that wraps fs.ErrNotExist", key, err)
		}
	}
	return nil
}

func checkBrokenGet(ctx context.Context, s backup.Sink, o SinkOptions) error {
	if err := put(ctx, s, "run/big", 8, o.Big); err != nil {
		return err
	}
	for _, at := range []int64{0, 100, o.Big / 3} {
		gctx, cancel := context.WithCancel(ctx)
		rc, err := s.Get(gctx, "run/big")
		if err != nil {
			cancel()
			return fmt.Errorf("Get: %w", err)
		}
		got, err := io.Copy(io.Discard, &atByte{Reader: rc, n: at, do: cancel})
		cancel()
		rc.Close()
		// A target that had all bytes at hand may go on to the end.
		if err == nil && got != o.Big {
			return fmt.Errorf("broken off after %d bytes, the reader ended without an error at %d of %d", at, got, o.Big)
		}
	}
	return nil
}

func checkClosedEarly(ctx context.Context, s backup.Sink, o SinkOptions) error {
	if err := put(ctx, s, "run/big", 9, o.Big); err != nil {
		return err
	}
	for i := range 20 {
		rc, err := s.Get(ctx, "run/big")
		if err != nil {
			return fmt.Errorf("Get %d: %w", i, err)
		}
		if err := same(io.LimitReader(rc, 1000), content(9, 1000)); err != nil {
			return err
		}
		if err := rc.Close(); err != nil {
			return fmt.Errorf("Close half-way: %w", err)
		}
	}
	return holds(ctx, s, "run/big", content(9, o.Big))
}

func checkGetWhileReplaced(ctx context.Context, s backup.Sink) error {
	const size = 1 << 20
	version := func(i int) []byte { return bytes.Repeat([]byte{'a' + byte(i%26)}, size) }
	if err := s.Put(ctx, "lease", bytes.NewReader(version(0))); err != nil {
		return fmt.Errorf("Put: %w", err)
	}
	g, gctx := errgroup.WithContext(ctx)
	done := make(chan struct{})
	g.Go(func() error {
		defer close(done)
		for i := range 25 {
			if err := s.Put(gctx, "lease", bytes.NewReader(version(i))); err != nil {
				return fmt.Errorf("Put: %w", err)
			}
		}
		return nil
	})
	for range 3 {
		g.Go(func() error {
			for {
				if err := oneVersion(gctx, s, size); err != nil {
					return err
				}
				select {
				case <-done:
					return nil
				default:
				}
			}
		})
	}
	return g.Wait()
}

// oneVersion reads the object and checks that all its bytes are of one version. That the read fails is allowed: it says so.
func oneVersion(ctx context.Context, s backup.Sink, size int) error {
	rc, err := s.Get(ctx, "lease")
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("Get during a replacement: %w", err)
	}
	if err != nil {
		return nil
	}
	defer rc.Close()
	body, err := io.ReadAll(rc)
	if err != nil {
		return nil
	}
	if len(body) != size || bytes.Count(body, body[:1]) != size {
		return fmt.Errorf("Get during a replacement gave a mixture, or %d bytes instead of %d", len(body), size)
	}
	return nil
}

// listRules are about listing.
func listRules(o SinkOptions) []rule[backup.Sink] {
	return []rule[backup.Sink]{
		{"list-prefix", "A prefix is a prefix of the key as text, not a directory: it may end inside a name.",
			checkListPrefix},
		{"list-rows", "Size is the bytes as stored and Modified, where known, is about now: sweeps go by them.",
			checkListRows},
		{"list-many", "Every object is listed exactly once, beyond one page of any cloud.",
			func(ctx context.Context, s backup.Sink) error { return checkListMany(ctx, s, o.Many) }},
		{"list-early-break", "The caller may stop a listing at any row.",
			checkListBreak},
		{"list-failure-is-told", "A listing that fails ends in an error. An empty one would say that there are no backups, and a prune or a sweep would act on it.",
			checkListFails},
	}
}

func checkListPrefix(ctx context.Context, s backup.Sink) error {
	keys := []string{"job/a1", "job/a10", "job/a2", "job/b/1", "job/b/2", "job2/x", "q"}
	for i, k := range keys {
		if err := put(ctx, s, k, uint64(i), 5); err != nil {
			return err
		}
	}
	for _, prefix := range []string{"", "j", "job", "job/", "job/a", "job/a1", "job/a10", "job/b", "job/b/", "job/b/1", "job2/", "q", "q/", "none", "job/none/", "/"} {
		var want []string
		for _, k := range keys {
			if strings.HasPrefix(k, prefix) {
				want = append(want, k)
			}
		}
		got, err := listed(ctx, s, prefix)
		if err != nil {
			return err
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("List(%q) = %q, want %q", prefix, got, want)
		}
	}
	return nil
}

func checkListRows(ctx context.Context, s backup.Sink) error {
	_, sealed := s.(backup.Sealer)
	for i, size := range []int64{0, 1, 70_000, 6 << 20} {
		key := fmt.Sprintf("run/part-%d", i)
		if err := put(ctx, s, key, uint64(i), size); err != nil {
			return err
		}
		for o, err := range s.List(ctx, key) {
			if err != nil {
				return fmt.Errorf("List: %w", err)
			}
			if o.Size != size && !sealed || o.Size < size {
				return fmt.Errorf("List shows %q with %d bytes, want %d", o.Key, o.Size, size)
			}
			if age := time.Since(o.Modified); !o.Modified.IsZero() && (age > 48*time.Hour || age < -48*time.Hour) {
				return fmt.Errorf("List shows %q modified %v, want about now or zero", o.Key, o.Modified)
			}
		}
	}
	return nil
}

func checkListMany(ctx context.Context, s backup.Sink, many int) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	want := make([]string, many)
	for i := range many {
		want[i] = fmt.Sprintf("many/%d/part-%05d", i%7, i)
		g.Go(func() error { return put(gctx, s, want[i], 1, 3) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	got, err := listed(ctx, s, "many/")
	if err != nil {
		return err
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return fmt.Errorf("List shows %d rows, %d different, want %d", len(got), len(slices.Compact(got)), many)
	}
	return nil
}

func checkListBreak(ctx context.Context, s backup.Sink) error {
	for i := range 10 {
		if err := put(ctx, s, fmt.Sprintf("run/%d/part", i), 1, 3); err != nil {
			return err
		}
	}
	for stop := 1; stop <= 10; stop++ {
		n := 0
		for _, err := range s.List(ctx, "run/") {
			if err != nil {
				return fmt.Errorf("List: %w", err)
			}
			if n++; n == stop {
				break
			}
		}
		if n != stop {
			return fmt.Errorf("List shows %d rows, want 10", n)
		}
	}
	return put(ctx, s, "run/after", 1, 3)
}

func checkListFails(ctx context.Context, s backup.Sink) error {
	for i := range 10 {
		if err := put(ctx, s, fmt.Sprintf("run/part-%d", i), 1, 3); err != nil {
			return err
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	rows, failed := 0, false
	for _, err := range s.List(ended, "run/") {
		if failed {
			return errors.New("a row follows the error, want the error last")
		}
		if failed = err != nil; !failed {
			rows++
		}
	}
	if !failed {
		return fmt.Errorf("List on a context that has ended shows %d rows and no error", rows)
	}
	return nil
}

// deleteRules are about deleting.
func deleteRules() []rule[backup.Sink] {
	return []rule[backup.Sink]{
		{"delete-removes", "What was deleted is gone for Get and List at once, and its neighbours stay.",
			checkDelete},
		{"delete-absent", "Deleting what is absent is no error: a sweep that was interrupted is repeated.",
			func(ctx context.Context, s backup.Sink) error {
				for _, key := range []string{"never", "run/never/there", "run/never/there"} {
					if err := s.Delete(ctx, key); err != nil {
						return fmt.Errorf("Delete(%q) of an absent object = %v, want nil", key, err)
					}
				}
				return nil
			}},
		{"delete-ended-context", "A context that has ended deletes nothing.",
			func(ctx context.Context, s backup.Sink) error {
				if err := put(ctx, s, "run/part", 1, 10); err != nil {
					return err
				}
				ended, cancel := context.WithCancel(ctx)
				cancel()
				if err := s.Delete(ended, "run/part"); err == nil {
					return errors.New("the context had ended and Delete returned nil")
				}
				return holds(ctx, s, "run/part", content(1, 10))
			}},
	}
}

func checkDelete(ctx context.Context, s backup.Sink) error {
	keys := []string{"run/1/a", "run/1/ab", "run/1/b/c", "run/10/a", "run/2/only"}
	for i, k := range keys {
		if err := put(ctx, s, k, uint64(i), 20); err != nil {
			return err
		}
	}
	for _, k := range []string{"run/1/a", "run/2/only"} {
		err := firstErr(
			func() error { return s.Delete(ctx, k) },
			func() error { return empty(ctx, s, k) },
			func() error { return s.Delete(ctx, k) })
		if err != nil {
			return fmt.Errorf("Delete(%q): %w", k, err)
		}
	}
	if err := s.Delete(ctx, "run/1"); err != nil {
		return fmt.Errorf("Delete of a prefix that is no key = %v, want nil as for any absent key", err)
	}
	got, err := listed(ctx, s, "")
	if err != nil {
		return err
	}
	if want := []string{"run/1/ab", "run/1/b/c", "run/10/a"}; !slices.Equal(got, want) {
		return fmt.Errorf("after the deletes List shows %q, want %q", got, want)
	}
	return nil
}

// concurrencyRules are about many goroutines at once.
func concurrencyRules() []rule[backup.Sink] {
	return []rule[backup.Sink]{
		{"concurrent-use", "Many goroutines put, read and delete at once, next to each other, and none disturbs another: part workers do.",
			checkConcurrentUse},
		{"concurrent-same-key", "Of several puts to one key one wins whole.",
			checkSameKey},
	}
}

func checkConcurrentUse(ctx context.Context, s backup.Sink) error {
	g, ctx := errgroup.WithContext(ctx)
	for w := range 8 {
		g.Go(func() error {
			for i := range 25 {
				// The last of a directory goes while a neighbour's first comes: directory targets prune and make in the same moment.
				keep, drop := fmt.Sprintf("run/keep/%d-%d", w, i), fmt.Sprintf("run/drop/%d/part-%d", i%3, w)
				err := firstErr(
					func() error { return putPart(ctx, s, drop, 1, 100) },
					func() error { return putPart(ctx, s, keep, uint64(w), int64(1000+i)) },
					func() error { return holds(ctx, s, drop, content(1, 100)) },
					func() error { return s.Delete(ctx, drop) },
					func() error { return holds(ctx, s, keep, content(uint64(w), int64(1000+i))) })
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	got, err := listed(context.WithoutCancel(ctx), s, "run/")
	if err != nil {
		return err
	}
	if len(got) != 8*25 {
		return fmt.Errorf("%d objects are left, want the %d that were not deleted", len(got), 8*25)
	}
	return nil
}

func checkSameKey(ctx context.Context, s backup.Sink) error {
	for round := range 5 {
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for w := range 8 {
			wg.Go(func() { errs[w] = put(ctx, s, "run/part", uint64(w), int64(300_000+w)) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		won := false
		for w := range 8 {
			won = won || holds(ctx, s, "run/part", content(uint64(w), int64(300_000+w))) == nil
		}
		if !won {
			return fmt.Errorf("round %d: the object is none of the eight that were put", round)
		}
	}
	return nil
}
