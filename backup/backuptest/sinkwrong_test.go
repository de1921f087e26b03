package backuptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

// wrong is a MemSink with some methods replaced by wrong ones.
type wrong struct {
	*MemSink
	put    putFunc
	create putFunc
	get    func(ctx context.Context, key string) (io.ReadCloser, error)
	list   func(ctx context.Context, prefix string) iter.Seq2[backup.Object, error]
	del    func(ctx context.Context, key string) error
}

func (w *wrong) Put(ctx context.Context, key string, r io.Reader) error {
	if w.put != nil {
		return w.put(ctx, key, r)
	}
	return w.MemSink.Put(ctx, key, r)
}

func (w *wrong) PutIfAbsent(ctx context.Context, key string, r io.Reader) error {
	if w.create != nil {
		return w.create(ctx, key, r)
	}
	return w.MemSink.PutIfAbsent(ctx, key, r)
}

func (w *wrong) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if w.get != nil {
		return w.get(ctx, key)
	}
	return w.MemSink.Get(ctx, key)
}

func (w *wrong) List(ctx context.Context, prefix string) iter.Seq2[backup.Object, error] {
	if w.list != nil {
		return w.list(ctx, prefix)
	}
	return w.MemSink.List(ctx, prefix)
}

func (w *wrong) Delete(ctx context.Context, key string) error {
	if w.del != nil {
		return w.del(ctx, key)
	}
	return w.MemSink.Delete(ctx, key)
}

// wrongSinks holds, for each rule, sinks that break it in the way the rule is there for.
func wrongSinks() map[string][]func(w *wrong) {
	all := map[string][]func(w *wrong){}
	for _, m := range []map[string][]func(w *wrong){
		wrongAtKeys(), wrongAtFailures(), wrongAtGet(), wrongAtList(), wrongAtDelete(), wrongAtCreate(),
	} {
		maps.Copy(all, m)
	}
	return all
}

func wrongAtKeys() map[string][]func(w *wrong) {
	return map[string][]func(w *wrong){
		"put-then-seen": {func(w *wrong) { // an eventually consistent listing
			born := map[string]bool{}
			w.put = func(ctx context.Context, key string, r io.Reader) error {
				born[key] = true
				return w.MemSink.Put(ctx, key, r)
			}
			w.list = filtered(w, func(o *backup.Object) bool { seen := !born[o.Key]; delete(born, o.Key); return seen })
		}},
		"put-replaces": {func(w *wrong) { // writes into the old file without truncating it
			w.put = func(ctx context.Context, key string, r io.Reader) error {
				body, err := io.ReadAll(r)
				if old, ok := w.Object(key); ok && len(old) > len(body) {
					body = append(body, old[len(body):]...)
				}
				return errors.Join(err, w.MemSink.Put(ctx, key, bytes.NewReader(body)))
			}
		}},
		"put-empty-object": {func(w *wrong) { // nothing to write, nothing written
			w.put = func(ctx context.Context, key string, r io.Reader) error {
				body, err := io.ReadAll(r)
				if err != nil || len(body) == 0 {
					return err
				}
				return w.MemSink.Put(ctx, key, bytes.NewReader(body))
			}
		}},
		"put-big-object": {func(w *wrong) { // sends the first piece only
			w.put = func(ctx context.Context, key string, r io.Reader) error {
				return w.MemSink.Put(ctx, key, io.LimitReader(r, 8<<20))
			}
		}},
		"put-odd-keys": {
			func(w *wrong) { w.renameKeys(strings.ToLower) },
			func(w *wrong) { w.renameKeys(func(k string) string { return strings.ReplaceAll(k, "%20", " ") }) },
			func(w *wrong) { w.renameKeys(func(k string) string { return strings.ReplaceAll(k, `\`, "/") }) },
			func(w *wrong) {
				w.list = filtered(w, func(o *backup.Object) bool { return !strings.Contains(o.Key, ".tmp") })
			},
		},
	}
}

func wrongAtFailures() map[string][]func(w *wrong) {
	return map[string][]func(w *wrong){
		"put-leaves-reader-open": {func(w *wrong) {
			w.put = func(ctx context.Context, key string, r io.Reader) error {
				if c, ok := r.(io.Closer); ok {
					defer c.Close()
				}
				return w.MemSink.Put(ctx, key, r)
			}
		}},
		"put-whole-or-absent": {
			func(w *wrong) { // gocloud's Upload over several drivers
				w.put = func(ctx context.Context, key string, r io.Reader) error {
					body, err := io.ReadAll(r)
					return errors.Join(w.MemSink.Put(ctx, key, bytes.NewReader(body)), err)
				}
			},
			func(w *wrong) { // fills buffers by io.ReadFull
				w.put = func(ctx context.Context, key string, r io.Reader) error {
					buf := make([]byte, 40<<20)
					n, err := io.ReadFull(r, buf)
					if err == io.EOF || err == io.ErrUnexpectedEOF {
						err = w.MemSink.Put(ctx, key, bytes.NewReader(buf[:n]))
					}
					return err
				}
			},
		},
		"put-failed-keeps-old": {func(w *wrong) { // makes room first
			w.put = func(ctx context.Context, key string, r io.Reader) error {
				return errors.Join(w.MemSink.Delete(ctx, key), w.MemSink.Put(ctx, key, r))
			}
		}},
		"put-cancelled": {func(w *wrong) {
			w.put = func(ctx context.Context, key string, r io.Reader) error {
				return w.MemSink.Put(context.WithoutCancel(ctx), key, r)
			}
		}},
		"put-ended-context": {func(w *wrong) { // small objects are sent without looking
			w.put = func(ctx context.Context, key string, r io.Reader) error {
				head, err := io.ReadAll(io.LimitReader(r, 100))
				if err == nil && len(head) < 100 {
					return w.MemSink.Put(context.WithoutCancel(ctx), key, bytes.NewReader(head))
				}
				return w.MemSink.Put(ctx, key, io.MultiReader(bytes.NewReader(head), r))
			}
		}},
	}
}

func wrongAtGet() map[string][]func(w *wrong) {
	return map[string][]func(w *wrong){
		"get-absent": {
			func(w *wrong) {
				w.get = func(ctx context.Context, key string) (io.ReadCloser, error) {
					rc, err := w.MemSink.Get(ctx, key)
					if err != nil {
						err = errors.New("404")
					}
					return rc, err
				}
			},
			func(w *wrong) { // a directory opens like a file
				w.get = func(ctx context.Context, key string) (io.ReadCloser, error) {
					if len(w.Keys(key+"/")) > 0 {
						return io.NopCloser(strings.NewReader("")), nil
					}
					return w.MemSink.Get(ctx, key)
				}
			},
		},
		"get-never-ends-early": {func(w *wrong) { // the connection closes, the reader ends
			w.get = func(ctx context.Context, key string) (io.ReadCloser, error) {
				rc, err := w.MemSink.Get(ctx, key)
				return readFunc{rc, func(p []byte) (int, error) {
					n, err := rc.Read(p)
					if err != nil {
						err = io.EOF
					}
					return n, err
				}}, err
			}
		}},
		"get-closed-early": {func(w *wrong) {
			w.get = func(ctx context.Context, key string) (io.ReadCloser, error) {
				rc, err := w.MemSink.Get(ctx, key)
				return closeFunc{rc, func() error {
					if n, _ := io.Copy(io.Discard, rc); n > 0 {
						return errors.New("closed before the end")
					}
					return nil
				}}, err
			}
		}},
		"get-while-replaced": {func(w *wrong) { // the file is opened by name for each block
			w.get = func(ctx context.Context, key string) (io.ReadCloser, error) {
				off := 0
				return readFunc{io.NopCloser(nil), func(p []byte) (int, error) {
					time.Sleep(100 * time.Microsecond)
					body, ok := w.Object(key)
					if !ok {
						return 0, fs.ErrNotExist
					}
					if off >= len(body) {
						return 0, io.EOF
					}
					n := copy(p[:min(len(p), 100_000)], body[off:])
					off += n
					return n, nil
				}}, nil
			}
		}},
	}
}

func wrongAtList() map[string][]func(w *wrong) {
	return map[string][]func(w *wrong){
		"list-prefix": {func(w *wrong) { // a prefix is taken for a directory
			w.list = func(ctx context.Context, prefix string) iter.Seq2[backup.Object, error] {
				return w.MemSink.List(ctx, strings.TrimSuffix(prefix, "/")+"/")
			}
		}},
		"list-rows": {
			func(w *wrong) { w.list = filtered(w, func(o *backup.Object) bool { o.Size = 0; return true }) },
			func(w *wrong) {
				w.list = filtered(w, func(o *backup.Object) bool { o.Modified = time.Unix(0, 0); return true })
			},
		},
		"list-many": {
			func(w *wrong) { // the first page only
				w.list = func(ctx context.Context, prefix string) iter.Seq2[backup.Object, error] {
					n := 0
					return filtered(w, func(*backup.Object) bool { n++; return n <= 1000 })(ctx, prefix)
				}
			},
			func(w *wrong) { // the last row of a page comes again
				w.list = func(ctx context.Context, prefix string) iter.Seq2[backup.Object, error] {
					return func(yield func(backup.Object, error) bool) {
						n := 0
						for o, err := range w.MemSink.List(ctx, prefix) {
							if n++; n == 1000 && !yield(o, err) || !yield(o, err) {
								return
							}
						}
					}
				}
			},
		},
		"list-early-break": {func(w *wrong) {
			w.list = func(ctx context.Context, prefix string) iter.Seq2[backup.Object, error] {
				return func(yield func(backup.Object, error) bool) {
					for o, err := range w.MemSink.List(ctx, prefix) {
						yield(o, err)
					}
				}
			}
		}},
		"list-failure-is-told": {func(w *wrong) { // what cannot be read is left out
			w.list = func(ctx context.Context, prefix string) iter.Seq2[backup.Object, error] {
				return func(yield func(backup.Object, error) bool) {
					for o, err := range w.MemSink.List(ctx, prefix) {
						if err != nil || !yield(o, nil) {
							return
						}
					}
				}
			}
		}},
	}
}

func wrongAtDelete() map[string][]func(w *wrong) {
	return map[string][]func(w *wrong){
		"delete-removes": {
			func(w *wrong) { // rm -r
				w.del = func(ctx context.Context, key string) error {
					for _, k := range w.Keys(key) {
						if err := w.MemSink.Delete(ctx, k); err != nil {
							return err
						}
					}
					return nil
				}
			},
			func(w *wrong) { w.del = func(ctx context.Context, _ string) error { return nil } },
		},
		"delete-absent": {func(w *wrong) {
			w.del = func(ctx context.Context, key string) error {
				if _, ok := w.Object(key); !ok {
					return fs.ErrNotExist
				}
				return w.MemSink.Delete(ctx, key)
			}
		}},
		"delete-ended-context": {func(w *wrong) {
			w.del = func(ctx context.Context, key string) error {
				return w.MemSink.Delete(context.WithoutCancel(ctx), key)
			}
		}},
		"concurrent-use": {func(w *wrong) { // one connection for all
			var busy atomic.Bool
			w.put = func(ctx context.Context, key string, r io.Reader) error {
				if !busy.CompareAndSwap(false, true) {
					return errors.New("commands out of sync")
				}
				defer busy.Store(false)
				time.Sleep(time.Millisecond)
				return w.MemSink.Put(ctx, key, r)
			}
		}},
		"concurrent-same-key": {func(w *wrong) { // writers share the file
			w.put = func(ctx context.Context, key string, r io.Reader) error {
				body, err := io.ReadAll(r)
				if err == nil {
					err = w.MemSink.Put(ctx, key, bytes.NewReader(body))
				}
				time.Sleep(time.Millisecond)
				w.Damage(key, func(b []byte) []byte { return append(b[:len(body)/2], body[len(body)/2:]...) })
				return err
			}
		}},
	}
}

func wrongAtCreate() map[string][]func(w *wrong) {
	return map[string][]func(w *wrong){
		"create-absent": {func(w *wrong) { // a tombstone stays
			var once sync.Map
			w.create = func(ctx context.Context, key string, r io.Reader) error {
				if _, taken := once.LoadOrStore(key, true); taken {
					return fs.ErrExist
				}
				return w.MemSink.PutIfAbsent(ctx, key, r)
			}
		}},
		"create-existing": {func(w *wrong) { // the condition is forgotten when the object is sent in pieces, as by gofakes3
			w.create = func(ctx context.Context, key string, r io.Reader) error {
				body, err := io.ReadAll(r)
				if err != nil {
					return err
				}
				if len(body) > 16<<20 {
					return w.MemSink.Put(ctx, key, bytes.NewReader(body))
				}
				return w.MemSink.PutIfAbsent(ctx, key, bytes.NewReader(body))
			}
		}},
		"create-race": {func(w *wrong) { // looks, then writes, as fileblob does
			w.create = func(ctx context.Context, key string, r io.Reader) error {
				if _, there := w.Object(key); there {
					return fs.ErrExist
				}
				time.Sleep(time.Millisecond)
				return w.MemSink.Put(ctx, key, r)
			}
		}},
		"create-whole-or-absent": {func(w *wrong) { // O_EXCL on the final name
			w.create = func(ctx context.Context, key string, r io.Reader) error {
				if err := w.MemSink.PutIfAbsent(ctx, key, strings.NewReader("")); err != nil {
					return err
				}
				return w.MemSink.Put(ctx, key, r)
			}
		}},
		"create-cancelled": {func(w *wrong) {
			w.create = func(ctx context.Context, key string, r io.Reader) error {
				return w.MemSink.PutIfAbsent(context.WithoutCancel(ctx), key, r)
			}
		}},
	}
}

// renameKeys makes the sink store under other keys than it was given.
func (w *wrong) renameKeys(f func(string) string) {
	w.put = func(ctx context.Context, key string, r io.Reader) error { return w.MemSink.Put(ctx, f(key), r) }
	w.get = func(ctx context.Context, key string) (io.ReadCloser, error) { return w.MemSink.Get(ctx, f(key)) }
	w.del = func(ctx context.Context, key string) error { return w.MemSink.Delete(ctx, f(key)) }
}

// filtered is MemSink's listing with rows changed or left out.
func filtered(w *wrong, keep func(o *backup.Object) bool) func(context.Context, string) iter.Seq2[backup.Object, error] {
	return func(ctx context.Context, prefix string) iter.Seq2[backup.Object, error] {
		return func(yield func(backup.Object, error) bool) {
			for o, err := range w.MemSink.List(ctx, prefix) {
				if (err != nil || keep(&o)) && !yield(o, err) {
					return
				}
			}
		}
	}
}

type readFunc struct {
	io.Closer
	read func(p []byte) (int, error)
}

func (f readFunc) Read(p []byte) (int, error) { return f.read(p) }

type closeFunc struct {
	io.Reader
	close func() error
}

func (f closeFunc) Close() error { return f.close() }

// TestEveryRuleRejectsItsWrongSinks is the test of the suite: each rule of Sink and PutIfAbsenter must find the sinks made to break it.
func TestEveryRuleRejectsItsWrongSinks(t *testing.T) {
	wrongs := wrongSinks()
	for _, r := range sinkRules() {
		if strings.HasPrefix(r.name, "seal-") {
			continue // TestEverySealRuleRejectsItsWrongSealers
		}
		require.Contains(t, wrongs, r.name, "a rule without a wrong sink is not tested")
		for i, spoil := range wrongs[r.name] {
			t.Run(fmt.Sprintf("%s/%d", r.name, i), func(t *testing.T) {
				t.Parallel()
				w := &wrong{MemSink: NewMemSink()}
				spoil(w)
				res := r.run(t.Context(), w)
				assert.True(t, res.Broken(), "the rule accepts a sink made to break it")
				assert.Contains(t, res.String(), r.name)
				assert.Contains(t, res.String(), r.why)
			})
		}
		delete(wrongs, r.name)
	}
	assert.Empty(t, slices.Collect(maps.Keys(wrongs)), "wrong sinks for rules that do not exist")
}

func TestSuiteSkipsWhatASinkDoesNotPromise(t *testing.T) {
	plain := func() backup.Sink { return struct{ backup.Sink }{NewMemSink()} }
	results := CheckSink(t.Context(), plain, SinkOptions{Big: 1 << 20, Many: 10, Skip: map[string]string{"list-many": "slow"}})
	for _, r := range results {
		assert.False(t, r.Broken(), r)
		optional := strings.HasPrefix(r.Rule, "create-") || strings.HasPrefix(r.Rule, "seal-") || r.Rule == "list-many"
		assert.Equal(t, optional, r.Skip != "", r)
	}
}

func TestRulePanicsAndHangsAreFindings(t *testing.T) {
	r := rule[func()]{name: "n", why: "w", check: func(_ context.Context, f func()) error { f(); return nil }}
	assert.ErrorContains(t, r.run(t.Context(), func() { panic("boom") }).Err, "boom")
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		assert.ErrorContains(t, r.run(t.Context(), func() { <-release }).Err, "still not back")
		close(release)
	})
}
