package backup_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/sink"
)

const rangedPart = 64 << 10

// looking is a source of files whose restore is a look at the set.
type looking struct {
	*files
	look func(ctx context.Context, set *backup.RestoreSet) error
}

func (l looking) Restore(ctx context.Context, _ backup.RestoreRequest, set *backup.RestoreSet) error {
	return l.look(ctx, set)
}

// ranged is a backup of one artifact, and the calls at its target.
type ranged struct {
	content []byte
	mem     *backuptest.MemSink
	sink    *backuptest.FaultySink
	src     looking
	conf    backup.Config
	calls   int // looked at
}

func newRanged(t *testing.T, size int, sealed bool) *ranged {
	r := &ranged{content: make([]byte, size), mem: backuptest.NewMemSink()}
	for i := range r.content {
		r.content[i] = byte(rand.Uint32() >> 24)
	}
	r.sink = backuptest.NewFaultySink(r.mem)
	r.src = looking{files: &files{content: map[string][]byte{"file": r.content}}}
	r.conf = backup.Config{Sink: r.sink, PartSize: rangedPart, Workers: 3}
	if sealed {
		r.conf.Sink = sink.Compress(r.sink, nil)
	}
	r.conf.Source = r.src
	_, err := newPipeline(t, r.conf).Backup(t.Context(), backup.Full)
	require.NoError(t, err)
	return r
}

// with looks at the artifact as a restore does.
func (r *ranged) with(t *testing.T, look func(open func(offset int64) (io.ReadCloser, error)) error) {
	t.Helper()
	r.src.look = func(ctx context.Context, set *backup.RestoreSet) error {
		for _, s := range set.Steps() {
			return look(func(offset int64) (io.ReadCloser, error) { return set.OpenAt(ctx, s, s.Entries[0], offset) })
		}
		return nil
	}
	r.conf.Source = r.src
	p := newPipeline(t, r.conf)
	plan, err := p.Plan(t.Context(), backup.Target{})
	require.NoError(t, err)
	require.NoError(t, p.Restore(t.Context(), plan, backup.RestoreOptions{}))
}

// fetched are the parts that were read since the last time.
func (r *ranged) fetched() []string {
	var parts []string
	all := r.sink.Calls()
	for _, c := range all[r.calls:] {
		if c.Op == backuptest.OpGet && strings.Contains(c.Key, "/file/") {
			_, part, _ := strings.Cut(c.Key, "/file/")
			parts = append(parts, part)
		}
	}
	r.calls = len(all)
	slices.Sort(parts)
	return parts
}

func part(n int) string { return fmt.Sprintf("%08d", n) }

func TestOpenAtStreamsFromThere(t *testing.T) {
	t.Parallel()
	for name, sealed := range map[string]bool{"plain": false, "sealed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{0, 1, 4*rangedPart - 1, 4 * rangedPart, 4*rangedPart + 1} {
				r := newRanged(t, size, sealed)
				for _, at := range []int{0, 1, rangedPart - 1, rangedPart, rangedPart + 1, 3*rangedPart + 7, size - 1, size} {
					if at < 0 || at > size {
						continue
					}
					r.fetched()
					r.with(t, func(open func(int64) (io.ReadCloser, error)) error {
						in, err := open(int64(at))
						if err != nil {
							return err
						}
						defer in.Close()
						got, err := io.ReadAll(in)
						assert.True(t, bytes.Equal(r.content[at:], got), "%d bytes from %d: got %d", size, at, len(got))
						return err
					})
					var want []string
					for n := at / rangedPart; n*rangedPart < size && at < size; n++ {
						want = append(want, part(n))
					}
					var got []string
					for _, p := range r.fetched() {
						got = append(got, strings.TrimSuffix(p, ".zst"))
					}
					assert.Equal(t, want, got, "parts from byte %d of %d on", at, size)
				}
				for _, at := range []int64{-1, int64(size) + 1} {
					r.with(t, func(open func(int64) (io.ReadCloser, error)) error {
						_, err := open(at)
						require.ErrorContains(t, err, fmt.Sprintf("from byte %d: it has %d bytes", at, size))
						assert.NotEmpty(t, backup.Hint(err))
						return nil
					})
				}
			}
		})
	}
}

func TestAShortRangeCostsOnePart(t *testing.T) {
	t.Parallel()
	r := newRanged(t, 9*rangedPart, false)
	r.fetched()
	r.with(t, func(open func(int64) (io.ReadCloser, error)) error {
		in, err := open(5*rangedPart + 100)
		if err != nil {
			return err
		}
		defer in.Close()
		got := make([]byte, rangedPart-100) // all of the part, but its end was not asked for
		_, err = io.ReadFull(in, got)
		assert.Equal(t, r.content[5*rangedPart+100:6*rangedPart], got)
		return err
	})
	assert.Equal(t, []string{part(5)}, r.fetched())
}

func TestManyRangesAtOnce(t *testing.T) {
	t.Parallel()
	r := newRanged(t, 7*rangedPart+99, true)
	r.with(t, func(open func(int64) (io.ReadCloser, error)) error {
		var g errgroup.Group
		for range 40 {
			at := rand.IntN(len(r.content))
			n := rand.IntN(len(r.content) - at + 1)
			g.Go(func() error {
				in, err := open(int64(at))
				if err != nil {
					return err
				}
				defer in.Close()
				got := make([]byte, n)
				_, err = io.ReadFull(in, got)
				assert.True(t, bytes.Equal(r.content[at:at+n], got), "bytes %d to %d", at, at+n)
				return err
			})
		}
		return g.Wait()
	})
}

// Damage is found in each part that is read, before a byte of it is handed out, and elsewhere it does not matter.
func TestOpenAtFindsDamage(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(data []byte) []byte{
		"a flipped bit": func(data []byte) []byte { data[len(data)/2] ^= 4; return data },
		"cut":           func(data []byte) []byte { return data[:len(data)-1] },
		"grown":         func(data []byte) []byte { return append(data, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRanged(t, 6*rangedPart, false)
			const bad = 3
			struck := 0
			for _, key := range r.mem.Keys("") {
				if strings.HasSuffix(key, "/file/"+part(bad)) {
					r.mem.Damage(key, harm)
					struck++
				}
			}
			require.Equal(t, 1, struck)
			r.with(t, func(open func(int64) (io.ReadCloser, error)) error {
				for at, want := range map[int]int{ // what comes before the damage
					0: bad * rangedPart, rangedPart + 5: 2*rangedPart - 5, bad * rangedPart: 0, (bad+1)*rangedPart - 1: 0,
				} {
					in, err := open(int64(at))
					require.NoError(t, err)
					got, err := io.ReadAll(in)
					require.ErrorIs(t, err, backup.ErrCorrupt, "from %d", at)
					assert.Contains(t, err.Error(), "file part 3")
					assert.True(t, bytes.Equal(r.content[at:at+want], got), "from %d: %d bytes", at, len(got))
					require.NoError(t, in.Close())
				}
				in, err := open((bad + 1) * rangedPart)
				require.NoError(t, err)
				defer in.Close()
				got, err := io.ReadAll(in)
				assert.Equal(t, r.content[(bad+1)*rangedPart:], got)
				return err
			})
		})
	}
}
