package mysql

import (
	"bytes"
	"context"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"sync"

	"github.com/quiesce-go/quiesce/backup"
)

// stage is the use this package makes of a backup.Stage.
type stage interface {
	create(ctx context.Context, a backup.Artifact) (artifact, error)
	// moved tells that work goes on though no byte passes.
	moved()
}

// artifact is one being written; see backup.Writer.
type artifact interface {
	io.Writer
	Annotate(key, value string)
	Commit() error
	Close() error
}

type pipelineStage struct{ st *backup.Stage }

func (p pipelineStage) create(ctx context.Context, a backup.Artifact) (artifact, error) {
	return p.st.Create(ctx, a)
}

func (p pipelineStage) moved() { p.st.Moved() }

// material is the use this package makes of one step of a backup.RestoreSet.
type material interface {
	open(ctx context.Context, name string) (io.ReadCloser, error)
	// sums lists the artifacts with their sizes and, where their Meta has one, checksums.
	sums() map[string]sum
}

type stepMaterial struct {
	set  *backup.RestoreSet
	step *backup.RestoreStep
}

func (m stepMaterial) open(ctx context.Context, name string) (io.ReadCloser, error) {
	e, ok := m.step.Find(name)
	if !ok {
		return nil, fmt.Errorf("artifact %q is not in the backup: %w", name, backup.ErrCorrupt)
	}
	return m.set.Open(ctx, m.step, e)
}

func (m stepMaterial) sums() map[string]sum {
	all := make(map[string]sum, len(m.step.Entries))
	for _, e := range m.step.Entries {
		all[e.Name] = sum{e.Size, e.Meta[sumKey]}
	}
	return all
}

// summing is a stage that notes size and checksum of every artifact committed.
type summing struct {
	stage
	mu   sync.Mutex
	sums map[string]sum
}

// sumKey is where the checksum also stands in an artifact's Meta.
const sumKey = "crc32c"

func (s *summing) create(ctx context.Context, a backup.Artifact) (artifact, error) {
	w, err := s.stage.create(ctx, a)
	if err != nil {
		return nil, err
	}
	return &summed{artifact: w, s: s, name: a.Name, check: newCRC()}, nil
}

func newCRC() hash.Hash32 { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }

type summed struct {
	artifact
	s     *summing
	name  string
	size  int64
	check hash.Hash32
}

func (w *summed) Write(p []byte) (int, error) {
	n, err := w.artifact.Write(p)
	w.check.Write(p[:n])
	w.size += int64(n)
	return n, err
}

func (w *summed) Commit() error {
	v := sum{w.size, fmt.Sprintf("%08x", w.check.Sum32())}
	w.artifact.Annotate(sumKey, v.CRC)
	if err := w.artifact.Commit(); err != nil {
		return err
	}
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	w.s.sums[w.name] = v
	return nil
}

// checked is material whose artifacts are compared with their sums as they are read.
type checked struct {
	material
	want map[string]sum
}

func (c checked) open(ctx context.Context, name string) (io.ReadCloser, error) {
	want, ok := c.want[name]
	if !ok {
		return nil, fmt.Errorf("artifact %q is not in the index: %w", name, backup.ErrCorrupt)
	}
	r, err := c.material.open(ctx, name)
	if err != nil {
		return nil, err
	}
	return &checkedReader{ReadCloser: r, name: name, want: want, check: newCRC()}, nil
}

type checkedReader struct {
	io.ReadCloser
	name  string
	want  sum
	size  int64
	check hash.Hash32
}

// Read hands out io.EOF only when the whole artifact was what it must be.
func (r *checkedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.check.Write(p[:n])
	r.size += int64(n)
	if err != io.EOF {
		return n, err
	}
	if got := (sum{r.size, fmt.Sprintf("%08x", r.check.Sum32())}); got != r.want {
		return n, fmt.Errorf("%s: %d bytes with checksum %s, the index says %d with %s: %w", r.name, got.Bytes, got.CRC, r.want.Bytes, r.want.CRC, backup.ErrCorrupt)
	}
	return n, io.EOF
}

// put writes a small artifact whole.
func put(ctx context.Context, st stage, name string, role backup.Role, content []byte) error {
	w, err := st.create(ctx, backup.Artifact{Name: name, Item: ItemName, Role: role})
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := io.Copy(w, bytes.NewReader(content)); err != nil {
		return err
	}
	return w.Commit()
}

// get reads a small artifact whole.
func get(ctx context.Context, m material, name string) ([]byte, error) {
	r, err := m.open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}

// in cuts the span out of an artifact.
func (s span) in(name string, b []byte) (string, error) {
	if s.From < 0 || s.To <= s.From || s.To > int64(len(b)) {
		return "", fmt.Errorf("%s: statement at %d to %d of %d bytes: %w", name, s.From, s.To, len(b), backup.ErrCorrupt)
	}
	return string(b[s.From:s.To]), nil
}
