package mysql

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"

	"github.com/quiesce-go/quiesce/backup"
)

// memStage is a stage and the material of a restore in one: what the engine needs of a pipeline, in memory.
type memStage struct {
	mu    sync.Mutex
	files map[string][]byte
	meta  map[string]map[string]string
	order []string
	// hook is called before every write; an error fails the write.
	hook func(name string, n int) error
}

func newMemStage() *memStage {
	return &memStage{files: map[string][]byte{}, meta: map[string]map[string]string{}}
}

func (m *memStage) create(ctx context.Context, a backup.Artifact) (artifact, error) {
	if a.Item != ItemName {
		return nil, fmt.Errorf("artifact %q belongs to item %q", a.Name, a.Item)
	}
	return &memArtifact{m: m, a: a, meta: map[string]string{}}, ctx.Err()
}

func (*memStage) moved() {}

type memArtifact struct {
	m    *memStage
	a    backup.Artifact
	buf  bytes.Buffer
	meta map[string]string
	done bool
}

func (w *memArtifact) Write(p []byte) (int, error) {
	if w.m.hook != nil {
		if err := w.m.hook(w.a.Name, w.buf.Len()); err != nil {
			return 0, err
		}
	}
	return w.buf.Write(p)
}

func (w *memArtifact) Annotate(k, v string) { w.meta[k] = v }

func (w *memArtifact) Commit() error {
	w.m.mu.Lock()
	defer w.m.mu.Unlock()
	if _, twice := w.m.files[w.a.Name]; twice || w.done {
		return fmt.Errorf("artifact %q exists", w.a.Name)
	}
	w.done = true
	w.m.files[w.a.Name] = w.buf.Bytes()
	w.m.meta[w.a.Name] = w.meta
	w.m.order = append(w.m.order, w.a.Name)
	return nil
}

func (w *memArtifact) Close() error { return nil }

func (m *memStage) open(_ context.Context, name string) (io.ReadCloser, error) {
	b, ok := m.files[name]
	if !ok {
		return nil, fmt.Errorf("artifact %q is not in the backup: %w", name, backup.ErrCorrupt)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (m *memStage) sums() map[string]sum {
	all := map[string]sum{}
	for n, b := range m.files {
		all[n] = sum{int64(len(b)), m.meta[n][sumKey]}
	}
	return all
}

// testLog prints what the agent says only when the test fails.
func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}
