package backuptest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// MemSink is a Sink in memory, with atomic PutIfAbsent. It keeps every rule of TestSink. Objects can be looked at and
// damaged behind its back. The zero MemSink is not usable; call NewMemSink.
type MemSink struct {
	mu      sync.Mutex
	objects map[string]memObject
}

type memObject struct {
	body     []byte
	modified time.Time
}

// NewMemSink returns an empty MemSink.
func NewMemSink() *MemSink { return &MemSink{objects: map[string]memObject{}} }

// Put implements backup.Sink.
func (s *MemSink) Put(ctx context.Context, key string, r io.Reader) error {
	return s.put(ctx, key, r, false)
}

// PutIfAbsent implements backup.PutIfAbsenter.
func (s *MemSink) PutIfAbsent(ctx context.Context, key string, r io.Reader) error {
	return s.put(ctx, key, r, true)
}

func (s *MemSink) put(ctx context.Context, key string, r io.Reader, create bool) error {
	body, err := io.ReadAll(&ctxReader{ctx: ctx, r: r})
	if err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	if _, there := s.objects[key]; there && create {
		return fmt.Errorf("create %s: %w", key, fs.ErrExist)
	}
	s.objects[key] = memObject{body: body, modified: time.Now()}
	return nil
}

// Get implements backup.Sink.
func (s *MemSink) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[key]
	if !ok {
		return nil, fmt.Errorf("get %s: %w", key, fs.ErrNotExist)
	}
	return io.NopCloser(&ctxReader{ctx: ctx, r: bytes.NewReader(o.body)}), nil
}

// List implements backup.Sink. It yields keys in order, as they were when the listing began.
func (s *MemSink) List(ctx context.Context, prefix string) iter.Seq2[backup.Object, error] {
	return func(yield func(backup.Object, error) bool) {
		for _, o := range s.snapshot(prefix) {
			if err := context.Cause(ctx); err != nil {
				yield(backup.Object{}, fmt.Errorf("list %s: %w", prefix, err))
				return
			}
			if !yield(o, nil) {
				return
			}
		}
	}
}

func (s *MemSink) snapshot(prefix string) []backup.Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []backup.Object
	for k, o := range s.objects {
		if strings.HasPrefix(k, prefix) {
			list = append(list, backup.Object{Key: k, Size: int64(len(o.body)), Modified: o.modified})
		}
	}
	slices.SortFunc(list, func(a, b backup.Object) int { return strings.Compare(a.Key, b.Key) })
	return list
}

// Delete implements backup.Sink.
func (s *MemSink) Delete(ctx context.Context, key string) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key)
	return nil
}

// Keys returns the keys that begin with prefix, sorted.
func (s *MemSink) Keys(prefix string) []string {
	var keys []string
	for _, o := range s.snapshot(prefix) {
		keys = append(keys, o.Key)
	}
	return keys
}

// Object returns a copy of the bytes at key, and whether it is there.
func (s *MemSink) Object(key string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[key]
	return slices.Clone(o.body), ok
}

// Damage replaces the bytes at key by what change makes of a copy of them, as a failing disk would. It reports whether the object is there.
func (s *MemSink) Damage(key string, change func([]byte) []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[key]
	if ok {
		o.body = change(slices.Clone(o.body))
		s.objects[key] = o
	}
	return ok
}

// Clone returns a MemSink with the same objects. Tests of crashes keep one state and try several futures of it.
func (s *MemSink) Clone() *MemSink {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := NewMemSink()
	for k, o := range s.objects {
		c.objects[k] = memObject{body: slices.Clone(o.body), modified: o.modified}
	}
	return c
}

// ctxReader fails once its context ended, so that a transfer without a network stops like one with it.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

var _ interface {
	backup.Sink
	backup.PutIfAbsenter
} = (*MemSink)(nil)
