package backuptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/quiesce-go/quiesce/backup"
)

// sealRules are the rules of Sealer.
func sealRules(o SinkOptions) []rule[backup.Sink] {
	sealers := []rule[backup.Sealer]{
		{"seal-round-trip", "Unseal gives back what was sealed, for every size around the borders of blocks and frames.",
			func(ctx context.Context, s backup.Sealer) error { return checkRoundTrip(s, o) }},
		{"seal-suffix", "Seal appends Suffix to the key and nothing else: the name says what the object is, and stock tools restore it.",
			checkSuffix},
		{"seal-is-put", "Put is Seal followed by Under().Put, and Get the way back: the pipeline does one, a tool the other.",
			checkSealIsPut},
		{"seal-tells-source-failure", "When the plain reader fails, so does the stored form, with that error: the end of a dead dump must not be sealed as an end.",
			func(ctx context.Context, s backup.Sealer) error { return checkSealDyingReader(s, o) }},
		{"seal-damage-is-found", "A flipped, missing or added byte is an error that wraps ErrCorrupt (or ErrKey, in a wrapped key), never other bytes and never a quiet end.",
			checkDamage},
		{"seal-tells-transfer-failure", "A transfer that broke off comes out as itself and not as ErrCorrupt, or a bad line would condemn a good backup.",
			func(ctx context.Context, s backup.Sealer) error { return checkBrokenTransfer(s) }},
		{"seal-bounded", "Sealing and unsealing hold a bounded piece of an object of any size.",
			func(ctx context.Context, s backup.Sealer) error { return checkBounded(s) }},
		{"seal-concurrent", "Many objects are sealed and unsealed at once: each part worker does.",
			checkSealConcurrent},
	}
	rules := make([]rule[backup.Sink], len(sealers))
	for i, r := range sealers {
		rules[i] = rule[backup.Sink]{name: r.name, why: r.why, check: func(ctx context.Context, s backup.Sink) error {
			sealer, ok := s.(backup.Sealer)
			if !ok {
				return skip("the sink does not implement backup.Sealer")
			}
			return r.check(ctx, sealer)
		}}
	}
	return rules
}

// roundTrip seals size bytes and compares what Unseal makes of them.
func roundTrip(s backup.Sealer, seed uint64, size int64) error {
	_, stored, err := s.Seal("run/part", content(seed, size))
	if err != nil {
		return fmt.Errorf("Seal: %w", err)
	}
	plain, err := s.Unseal(stored)
	if err != nil {
		return fmt.Errorf("Unseal of %d bytes: %w", size, err)
	}
	defer plain.Close()
	if err := same(plain, content(seed, size)); err != nil {
		return fmt.Errorf("Unseal of %d bytes: %w", size, err)
	}
	return nil
}

func checkRoundTrip(s backup.Sealer, o SinkOptions) error {
	sizes := []int64{0, 1, 15, 16, 17, o.Big}
	for _, border := range []int64{64 << 10, 128 << 10, 1 << 20, 4 << 20, 8 << 20} {
		sizes = append(sizes, border-1, border, border+1)
	}
	for i, size := range sizes {
		if err := roundTrip(s, uint64(i), size); err != nil {
			return err
		}
	}
	return nil
}

func checkSuffix(ctx context.Context, s backup.Sealer) error {
	if s.Suffix() == "" || s.Suffix()[0] != '.' {
		return fmt.Errorf("Suffix() = %q, want it to begin with a dot", s.Suffix())
	}
	key, _, err := s.Seal("run/part", content(1, 10))
	if err != nil {
		return fmt.Errorf("Seal: %w", err)
	}
	if want := "run/part" + s.Suffix(); key != want {
		return fmt.Errorf("Seal stores under %q, want %q", key, want)
	}
	if err := put(ctx, s, "run/part", 1, 10); err != nil {
		return err
	}
	keys, err := listed(ctx, s.Under(), "run/part"+s.Suffix())
	if err != nil {
		return err
	}
	if len(keys) != 1 {
		return fmt.Errorf("Put leaves %q under the sealer, want one key that begins with %q", keys, "run/part"+s.Suffix())
	}
	return nil
}

func checkSealIsPut(ctx context.Context, s backup.Sealer) error {
	const size = 5 << 20
	if err := put(ctx, s, "run/put", 1, size); err != nil {
		return err
	}
	stored, err := s.Under().Get(ctx, "run/put"+s.Suffix())
	if err != nil {
		return fmt.Errorf("Under().Get of what Put stored: %w", err)
	}
	defer stored.Close()
	plain, err := s.Unseal(stored)
	if err != nil {
		return fmt.Errorf("Unseal of what Put stored: %w", err)
	}
	defer plain.Close()
	if err := same(plain, content(1, size)); err != nil {
		return fmt.Errorf("Unseal of what Put stored: %w", err)
	}
	key, sealed, err := s.Seal("run/sealed", content(2, size))
	if err != nil {
		return fmt.Errorf("Seal: %w", err)
	}
	if err := s.Under().Put(ctx, key, sealed); err != nil {
		return fmt.Errorf("Under().Put: %w", err)
	}
	if err := holds(ctx, s, "run/sealed", content(2, size)); err != nil {
		return fmt.Errorf("what Seal and Under().Put stored: %w", err)
	}
	keys, err := listed(ctx, s, "run/")
	if err != nil {
		return err
	}
	if want := []string{"run/put", "run/sealed"}; !slices.Equal(keys, want) {
		return fmt.Errorf("List = %q, want %q", keys, want)
	}
	return nil
}

func checkSealDyingReader(s backup.Sealer, o SinkOptions) error {
	for _, d := range deaths(o.Big) {
		_, stored, err := s.Seal("run/part", dying(d.at, d.err))
		if err == nil {
			_, err = io.Copy(io.Discard, stored)
		}
		if !errors.Is(err, d.err) {
			return fmt.Errorf("the plain reader failed after %d bytes with %q; the stored form ended with %v", d.at, d.err, err)
		}
	}
	return nil
}

func checkDamage(_ context.Context, s backup.Sealer) error {
	// Text, so that a compressor makes real blocks of it, and long enough for several frames.
	plain := bytes.Repeat([]byte("INSERT INTO accounts VALUES (1, 'x', 100.00);\n"), 200_000)
	_, stored, err := s.Seal("run/part", bytes.NewReader(plain))
	if err != nil {
		return fmt.Errorf("Seal: %w", err)
	}
	whole, err := io.ReadAll(stored)
	if err != nil {
		return fmt.Errorf("Seal: %w", err)
	}
	for i := range 64 {
		at := i * (len(whole) - 1) / 63
		flipped := bytes.Clone(whole)
		flipped[at] ^= 0x10
		if err := mustFail(s, flipped, plain, at > len(whole)/4); err != nil {
			return fmt.Errorf("bit of byte %d of %d flipped: %w", at, len(whole), err)
		}
		if err := mustFail(s, whole[:at], plain, false); err != nil {
			return fmt.Errorf("cut to %d of %d bytes: %w", at, len(whole), err)
		}
		missing := slices.Delete(bytes.Clone(whole), at, at+1)
		if err := mustFail(s, missing, plain, false); err != nil {
			return fmt.Errorf("byte %d of %d removed: %w", at, len(whole), err)
		}
	}
	for _, extra := range [][]byte{{0}, []byte("junk"), whole} {
		if err := mustFail(s, append(bytes.Clone(whole), extra...), plain, false); err != nil {
			return fmt.Errorf("%d bytes added: %w", len(extra), err)
		}
	}
	return nil
}

// mustFail checks that Unseal finds the damage and yields no byte that is not plain's. corrupt asks for ErrCorrupt alone.
func mustFail(s backup.Sealer, stored, plain []byte, corrupt bool) error {
	rc, err := s.Unseal(bytes.NewReader(stored))
	var got []byte
	if err == nil {
		got, err = io.ReadAll(rc)
		rc.Close()
	}
	switch {
	case err == nil:
		return fmt.Errorf("unsealed without an error (%d bytes)", len(got))
	case !errors.Is(err, backup.ErrCorrupt) && (corrupt || !errors.Is(err, backup.ErrKey)):
		return fmt.Errorf("error %q does not wrap backup.ErrCorrupt", err)
	}
	return nil
}

func checkBrokenTransfer(s backup.Sealer) error {
	_, stored, err := s.Seal("run/part", content(3, 3<<20))
	if err != nil {
		return fmt.Errorf("Seal: %w", err)
	}
	whole, err := io.ReadAll(stored)
	if err != nil {
		return fmt.Errorf("Seal: %w", err)
	}
	for _, at := range []int{0, 10, 1000, len(whole) / 2, len(whole)} {
		for _, cause := range []error{errDied, io.ErrUnexpectedEOF} {
			rc, err := s.Unseal(io.MultiReader(bytes.NewReader(whole[:at]), failing{cause}))
			if err == nil {
				_, err = io.Copy(io.Discard, rc)
				rc.Close()
			}
			if !errors.Is(err, cause) || errors.Is(err, backup.ErrCorrupt) {
				return fmt.Errorf("the transfer failed with %q after %d of %d bytes; Unseal says %v", cause, at, len(whole), err)
			}
		}
	}
	return nil
}

// maxHeld is more than any sealer needs to hold of one object.
const maxHeld = 64 << 20

// checkBounded measures what a sealer has taken and not yet given. The content does not compress, so that is what it holds.
func checkBounded(s backup.Sealer) error {
	const size = 2 * maxHeld
	in := &counter{r: content(4, size)}
	_, stored, err := s.Seal("run/part", in)
	if err != nil {
		return fmt.Errorf("Seal: %w", err)
	}
	mid := &counter{r: stored, before: in}
	plain, err := s.Unseal(mid)
	if err != nil {
		return fmt.Errorf("Unseal: %w", err)
	}
	defer plain.Close()
	out := &counter{r: plain, before: mid}
	if _, err := io.Copy(struct{ io.Writer }{io.Discard}, out); err != nil {
		return fmt.Errorf("round trip of %d bytes: %w", int64(size), err)
	}
	if mid.held > maxHeld {
		return fmt.Errorf("Seal had taken %d bytes more than it had given", mid.held)
	}
	if out.held > maxHeld {
		return fmt.Errorf("Unseal had taken %d bytes more than it had given", out.held)
	}
	return nil
}

// counter counts the bytes that pass and how far the counter before it was ahead at most.
type counter struct {
	r      io.Reader
	n      int64
	before *counter
	held   int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.before != nil {
		c.held = max(c.held, c.before.n-c.n)
	}
	c.n += int64(n)
	return n, err
}

func checkSealConcurrent(_ context.Context, s backup.Sealer) error {
	var g errgroup.Group
	for w := range 8 {
		g.Go(func() error {
			for i := range 3 {
				if err := roundTrip(s, uint64(10*w+i), int64(900_000*(w+1))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}
