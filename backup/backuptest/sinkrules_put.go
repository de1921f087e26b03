package backuptest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// putRules are about single puts.
func putRules(o SinkOptions) []rule[backup.Sink] {
	return []rule[backup.Sink]{
		{"put-then-seen", "When Put has returned, the next Get and List see the object: the pipeline proves a part right after sending it.",
			checkPutThenSeen},
		{"put-replaces", "Put replaces what was there, whole: a shorter object must not keep the tail of a longer one, or a lease is not JSON any more.",
			checkPutReplaces},
		{"put-empty-object", "An object of no bytes is an object. An empty table or log has one.",
			func(ctx context.Context, s backup.Sink) error {
				return firstErr(
					func() error { return put(ctx, s, "run/empty", 1, 0) },
					func() error { return holds(ctx, s, "run/empty", strings.NewReader("")) })
			}},
		{"put-big-object", "Objects above the multipart threshold arrive whole and in order.",
			func(ctx context.Context, s backup.Sink) error {
				size := o.Big + 4321
				return firstErr(
					func() error { return put(ctx, s, "run/big", 2, size) },
					func() error { return holds(ctx, s, "run/big", content(2, size)) })
			}},
		{"put-odd-keys", "Keys carry the names of databases and files. Each key is an object of its own and is listed as it was given; on Windows too, where CON and x:y are no files.",
			checkOddKeys},
		{"put-leaves-reader-open", "Put does not close its reader: the pipeline sends the same buffer again.",
			checkReaderLeftOpen},
		{"put-whole-or-absent", "A reader that dies half-way leaves nothing at the key. A truncated object looks like a backup and is none; this is how most of them are lost.",
			func(ctx context.Context, s backup.Sink) error { return checkDyingReader(ctx, s, s.Put, o) }},
		{"put-failed-keeps-old", "A failed replacement leaves the old object as it was.",
			func(ctx context.Context, s backup.Sink) error { return checkFailedReplacement(ctx, s, o) }},
		{"put-cancelled", "When the context ends during Put, Put fails and nothing is at the key: the operator who cancelled thinks it is not there, the next run must not find half of it.",
			func(ctx context.Context, s backup.Sink) error { return checkCancelledPut(ctx, s, s.Put, o) }},
		{"put-ended-context", "A context that has ended modifies nothing any more, not even small objects.",
			func(ctx context.Context, s backup.Sink) error { return checkEndedPut(ctx, s, s.Put) }},
	}
}

func checkPutThenSeen(ctx context.Context, s backup.Sink) error {
	for i := range 5 {
		key := fmt.Sprintf("job/runs/1/part-%d", i)
		size := int64(1) << (4 * i)
		err := firstErr(
			func() error { return put(ctx, s, key, uint64(i), size) },
			func() error { return holds(ctx, s, key, content(uint64(i), size)) })
		if err != nil {
			return err
		}
		keys, err := listed(ctx, s, key)
		if err != nil {
			return err
		}
		if !slices.Equal(keys, []string{key}) {
			return fmt.Errorf("List(%q) right after Put = %q, want the key", key, keys)
		}
	}
	return nil
}

func checkPutReplaces(ctx context.Context, s backup.Sink) error {
	for i, size := range []int64{100_000, 3_000_000, 10, 0, 100_000} {
		err := firstErr(
			func() error { return put(ctx, s, "job/lease.json", uint64(i), size) },
			func() error { return holds(ctx, s, "job/lease.json", content(uint64(i), size)) })
		if err != nil {
			return fmt.Errorf("replacement %d: %w", i, err)
		}
	}
	return nil
}

// oddKeys are names that file systems, URLs and shells are known to trip over.
func oddKeys() []string {
	keys := []string{
		"plain", "two words", "dots.in.a.name", ".hidden", "trailing.", "trailing ", "-dash", "_", "~tilde", "plus+and&amp",
		"hash#mark", "question?mark", "semi;colon", "colon:colon", `back\slash`, `quote"quote`, "apostrophe'", "star*", "pipe|pipe",
		"less<more>", "percent%", "percent%20", "percent%2F", "percent%252F", "equals=equals", "at@at", "dollar$HOME", "(brackets)[x]{y}",
		"CON", "con.txt", "aux", "NUL.ndf", "COM1", "LPT9.log", "lost+found", "x.tmp", "x.attrs.json", "UPPER", "grüße", "日本語", "emoji-🗄️",
		strings.Repeat("long", 50), "...", "..two", "a..b",
	}
	out := make([]string, 0, len(keys)+2)
	for _, k := range keys {
		out = append(out, "odd/"+k+"/part")
	}
	return append(out, "odd/deep/"+strings.Repeat("d/", 20)+"part", "odd-toplevel.txt")
}

func checkOddKeys(ctx context.Context, s backup.Sink) error {
	keys := oddKeys()
	for i, k := range keys {
		if err := put(ctx, s, k, uint64(i), int64(i+1)); err != nil {
			return err
		}
	}
	for i, k := range keys {
		if err := holds(ctx, s, k, content(uint64(i), int64(i+1))); err != nil {
			return err
		}
	}
	got, err := listed(ctx, s, "odd")
	if err != nil {
		return err
	}
	slices.Sort(keys)
	for _, k := range keys {
		if !slices.Contains(got, k) {
			return fmt.Errorf("List does not show %q", k)
		}
	}
	if len(got) != len(keys) {
		return fmt.Errorf("List shows %d keys, want the %d that were put", len(got), len(keys))
	}
	for _, k := range keys {
		if err := s.Delete(ctx, k); err != nil {
			return fmt.Errorf("Delete(%q): %w", k, err)
		}
		if err := empty(ctx, s, k); err != nil {
			return fmt.Errorf("after Delete: %w", err)
		}
	}
	return nil
}

// closeSpy notices being closed.
type closeSpy struct {
	io.Reader
	closed bool
}

func (c *closeSpy) Close() error {
	c.closed = true
	return nil
}

func checkReaderLeftOpen(ctx context.Context, s backup.Sink) error {
	for _, r := range []*closeSpy{{Reader: content(3, 1000)}, {Reader: dying(1000, errDied)}} {
		err := s.Put(ctx, "run/part", r)
		if r.closed {
			return fmt.Errorf("Put (which returned %v) closed its reader", err)
		}
	}
	return nil
}

// A putFunc is Put or PutIfAbsent.
type putFunc = func(ctx context.Context, key string, r io.Reader) error

// deaths are how far a reader gets, and how it fails. Readers often fail with io.ErrUnexpectedEOF, which code that fills buffers takes
// for the end.
func deaths(big int64) []struct {
	at  int64
	err error
} {
	return []struct {
		at  int64
		err error
	}{
		{0, errDied}, {100, errDied}, {1 << 20, errDied}, {big, errDied},
		{100, io.ErrUnexpectedEOF}, {1<<20 + 1, io.ErrUnexpectedEOF}, {big, io.ErrUnexpectedEOF},
	}
}

func checkDyingReader(ctx context.Context, s backup.Sink, put putFunc, o SinkOptions) error {
	for i, d := range deaths(o.Big) {
		key := fmt.Sprintf("run/part-%d", i)
		if err := put(ctx, key, dying(d.at, d.err)); err == nil {
			return fmt.Errorf("the reader failed after %d bytes with %q and the put returned nil", d.at, d.err)
		}
		if err := empty(ctx, s, key); err != nil {
			return fmt.Errorf("the reader failed after %d bytes with %q: %w", d.at, d.err, err)
		}
	}
	return nil
}

func checkFailedReplacement(ctx context.Context, s backup.Sink, o SinkOptions) error {
	if err := put(ctx, s, "run/part", 4, 50_000); err != nil {
		return err
	}
	for _, d := range deaths(o.Big) {
		if err := s.Put(ctx, "run/part", dying(d.at, d.err)); err == nil {
			return fmt.Errorf("the reader failed after %d bytes with %q and Put returned nil", d.at, d.err)
		}
		if err := holds(ctx, s, "run/part", content(4, 50_000)); err != nil {
			return fmt.Errorf("after a replacement that failed at byte %d: %w", d.at, err)
		}
	}
	return nil
}

func checkCancelledPut(ctx context.Context, s backup.Sink, put putFunc, o SinkOptions) error {
	for i, at := range []int64{1, 100, 1 << 20, o.Big} {
		key := fmt.Sprintf("run/part-%d", i)
		pctx, cancel := context.WithCancel(ctx)
		err := put(pctx, key, &atByte{Reader: content(5, 2*at+1<<20), n: at, do: cancel})
		cancel()
		if err == nil {
			return fmt.Errorf("the context ended after %d of %d bytes and the put returned nil", at, 2*at+1<<20)
		}
		if err := empty(ctx, s, key); err != nil {
			return fmt.Errorf("the context ended after %d bytes: %w", at, err)
		}
	}
	return nil
}

func checkEndedPut(ctx context.Context, s backup.Sink, put putFunc) error {
	pctx, cancel := context.WithCancel(ctx)
	cancel()
	for _, size := range []int64{0, 10} {
		if err := put(pctx, "run/part", content(6, size)); err == nil {
			return errors.New("the context had ended and the put returned nil")
		}
		if err := empty(ctx, s, "run/part"); err != nil {
			return fmt.Errorf("the context had ended: %w", err)
		}
	}
	return nil
}
