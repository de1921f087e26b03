package sqlite

import (
	"compress/gzip"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/examples/customagent/keeper"
)

// artifact is the only one of a backup: pages as gob values, in a gzip file for its checksum. Sinks compress.
const artifact = "pages"

// stage writes pages as an artifact.
func stage(ctx context.Context, st *backup.Stage, a backup.Artifact, pages iter.Seq2[keeper.Page, error]) error {
	w, err := st.Create(ctx, a)
	if err != nil {
		return err
	}
	defer w.Close()
	zip, _ := gzip.NewWriterLevel(w, gzip.NoCompression) // the level is a good one
	out := gob.NewEncoder(zip)
	for p, err := range pages {
		if err == nil {
			err = out.Encode(p)
		}
		if err != nil {
			return err
		}
	}
	if err := zip.Close(); err != nil {
		return err
	}
	return w.Commit()
}

// read gives the pages of a step to use, in order.
func read(ctx context.Context, set *backup.RestoreSet, step *backup.RestoreStep, use func(keeper.Page) error) error {
	e, ok := step.Find(artifact)
	if !ok {
		return fmt.Errorf("%w: the artifact %q is missing", backup.ErrCorrupt, artifact)
	}
	r, err := set.Open(ctx, step, e)
	if err != nil {
		return err
	}
	defer r.Close()
	in := &transfer{Reader: r}
	zip, err := gzip.NewReader(in)
	for pages := gob.NewDecoder(zip); err == nil; {
		var p keeper.Page
		if err = pages.Decode(&p); err == nil {
			if err := use(p); err != nil {
				return err
			}
		}
	}
	switch {
	case in.err != nil:
		return in.err
	case errors.Is(err, io.EOF) && in.bytes > 0: // and the checksum was right
		return nil
	}
	return fmt.Errorf("%w: %w", backup.ErrCorrupt, err)
}

// transfer tells a transfer that broke off from content that is wrong.
type transfer struct {
	io.Reader
	bytes int
	err   error
}

func (t *transfer) Read(b []byte) (int, error) {
	n, err := t.Reader.Read(b)
	if t.bytes += n; err != nil && !errors.Is(err, io.EOF) {
		t.err = err
	}
	return n, err
}
