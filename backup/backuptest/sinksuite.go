package backuptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/quiesce-go/quiesce/backup"
)

// SinkOptions fits the suite to a target.
type SinkOptions struct {
	// Big is the size in bytes of the largest object, and how far into an object a reader dies; 0 means 33 MiB, which crosses the
	// threshold of multipart uploads everywhere. A target behind a slow line may take less and then proves less.
	Big int64
	// Many is how many objects the listing rule stores; 0 means 1100, more than a page of any cloud.
	Many int
	// Skip leaves rules out, with the reason, which is reported.
	Skip map[string]string
}

// TestSink runs every rule of the Sink contract as a subtest, each on a fresh, empty sink, and the rules of PutIfAbsenter and Sealer when the
// sink is one.
func TestSink(t *testing.T, fresh func(t *testing.T) backup.Sink, opts ...SinkOptions) {
	t.Helper()
	testRules(t, sinkRules(opts...), fresh)
}

// CheckSink is TestSink for programs that are no tests, such as a check of a new kind of server: fresh returns an empty sink, for
// example one below a new prefix, for every rule.
func CheckSink(ctx context.Context, fresh func() backup.Sink, opts ...SinkOptions) []Result {
	return evaluate(ctx, sinkRules(opts...), fresh)
}

// sinkRules is the whole suite.
func sinkRules(opts ...SinkOptions) []rule[backup.Sink] {
	o := SinkOptions{}
	if len(opts) > 0 {
		o = opts[len(opts)-1]
	}
	if o.Big == 0 {
		o.Big = 33 << 20
	}
	if o.Many == 0 {
		o.Many = 1100
	}
	rules := slices.Concat(putRules(o), getRules(o), listRules(o), deleteRules(), concurrencyRules(), createRules(o), sealRules(o))
	for i := range rules {
		if reason, ok := o.Skip[rules[i].name]; ok {
			rules[i].check = func(context.Context, backup.Sink) error { return skip(reason) }
		}
	}
	return rules
}

// content is a stream of bytes that no compressor shrinks, the same for the same seed.
func content(seed uint64, size int64) io.Reader {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return io.LimitReader(rand.NewChaCha8(key), size)
}

// same reports where two streams differ. got's own errors are returned as they are.
func same(got, want io.Reader) error {
	a, b := make([]byte, 256<<10), make([]byte, 256<<10)
	for off := int64(0); ; {
		n, err := io.ReadFull(got, a)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return fmt.Errorf("reading failed at byte %d: %w", off+int64(n), err)
		}
		m, _ := io.ReadFull(want, b)
		for i := range min(n, m) {
			if a[i] != b[i] {
				return fmt.Errorf("byte %d differs from what was put", off+int64(i))
			}
		}
		off += int64(min(n, m))
		switch {
		case n < m:
			return fmt.Errorf("ended at byte %d, before the end of what was put", off)
		case n > m:
			return fmt.Errorf("more bytes than the %d that were put", off)
		case n < len(a):
			return nil
		}
	}
}

// holds checks that key holds exactly want.
func holds(ctx context.Context, s backup.Sink, key string, want io.Reader) error {
	rc, err := s.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("Get(%q): %w", key, err)
	}
	defer rc.Close()
	if err := same(rc, want); err != nil {
		return fmt.Errorf("Get(%q): %w", key, err)
	}
	return nil
}

// empty checks that neither Get nor List knows key.
func empty(ctx context.Context, s backup.Sink, key string) error {
	rc, err := s.Get(ctx, key)
	if err == nil {
		n, _ := io.Copy(io.Discard, rc)
		rc.Close()
		return fmt.Errorf("Get(%q) found an object of %d bytes, want none", key, n)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("Get(%q) = %v, want an error that wraps fs.ErrNotExist", key, err)
	}
	keys, err := listed(ctx, s, key)
	if err != nil {
		return err
	}
	if slices.Contains(keys, key) {
		return fmt.Errorf("List(%q) shows the key, want it absent", key)
	}
	return nil
}

// listed returns the keys under prefix, sorted.
func listed(ctx context.Context, s backup.Sink, prefix string) ([]string, error) {
	var keys []string
	for o, err := range s.List(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("List(%q): %w", prefix, err)
		}
		keys = append(keys, o.Key)
	}
	slices.Sort(keys)
	return keys, nil
}

// put stores content(seed, size) at key.
func put(ctx context.Context, s backup.Sink, key string, seed uint64, size int64) error {
	if err := s.Put(ctx, key, content(seed, size)); err != nil {
		return fmt.Errorf("Put(%q, %d bytes): %w", key, size, err)
	}
	return nil
}

// putPart puts as a part worker does: from memory, so that a sink may rewind the reader and send again.
func putPart(ctx context.Context, s backup.Sink, key string, seed uint64, size int64) error {
	part, err := io.ReadAll(content(seed, size))
	if err != nil {
		return err
	}
	if err := s.Put(ctx, key, bytes.NewReader(part)); err != nil {
		return fmt.Errorf("Put(%q, %d bytes): %w", key, size, err)
	}
	return nil
}

// errDied is how a test's reader fails.
var errDied = errors.New("the source died")

// dying is a reader that yields n bytes and then fails with err.
func dying(n int64, err error) io.Reader {
	return io.MultiReader(content(7, n), failing{err})
}

// failing always fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// atByte is a reader that calls do once, after n bytes have passed.
type atByte struct {
	io.Reader
	n  int64
	do func()
}

func (a *atByte) Read(p []byte) (int, error) {
	if a.do != nil && a.n > 0 && int64(len(p)) > a.n {
		p = p[:a.n]
	}
	n, err := a.Reader.Read(p)
	a.n -= int64(n)
	if a.n <= 0 && a.do != nil {
		a.do()
		a.do = nil
	}
	return n, err
}

// firstErr is the error of the first step that fails.
func firstErr(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
