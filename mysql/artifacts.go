package mysql

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/quiesce-go/quiesce/backup"
)

// stage is the use this package makes of a backup.Stage.
type stage interface {
	create(ctx context.Context, a backup.Artifact) (artifact, error)
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

// material is the use this package makes of one step of a backup.RestoreSet.
type material interface {
	open(ctx context.Context, name string) (io.ReadCloser, error)
	// sizes lists the artifacts with their sizes.
	sizes() map[string]int64
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

func (m stepMaterial) sizes() map[string]int64 {
	all := make(map[string]int64, len(m.step.Entries))
	for _, e := range m.step.Entries {
		all[e.Name] = e.Size
	}
	return all
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
