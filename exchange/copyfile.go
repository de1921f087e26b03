package exchange

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"strconv"

	"github.com/quiesce-go/quiesce/backup"
)

// proof reads what passes to its end and judges it, and returns what the artifact is to say of itself.
type proof func(ctx context.Context, r io.Reader) (meta map[string]string, err error)

// plain judges nothing.
func plain(_ context.Context, r io.Reader) (map[string]string, error) {
	_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, plainBlock))
	return nil, err
}

const plainBlock = 256 << 10

// store copies in into the stage while judge reads it: one reading of the source. It holds no more of it in memory than judge does.
func (r *run) store(ctx context.Context, a backup.Artifact, in io.Reader, judge proof) (int64, error) {
	w, err := r.st.Create(ctx, a)
	if err != nil {
		return 0, stageFailure{err}
	}
	defer func() { _ = w.Close() }() // discards, unless it was committed
	to := &staged{w: w, sum: newSum()}
	meta, err := judge(ctx, io.TeeReader(&heard{ctx, in}, to))
	if err != nil {
		return to.n, err
	}
	for k, v := range meta {
		w.Annotate(k, v)
	}
	w.Annotate(metaSize, strconv.FormatInt(to.n, 10))
	w.Annotate(metaSum, sumText(to.sum))
	if err := w.Commit(); err != nil {
		return to.n, stageFailure{err}
	}
	return to.n, nil
}

// staged is an artifact being written, with the sum of what passes.
type staged struct {
	w   io.Writer
	sum hash.Hash32
	n   int64
}

func (s *staged) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if err != nil {
		return n, stageFailure{err}
	}
	_, _ = s.sum.Write(p)
	s.n += int64(n)
	return n, nil
}

// heard is a reader that ends with its context. It lives within one call of store.
type heard struct {
	ctx context.Context
	r   io.Reader
}

func (h *heard) Read(p []byte) (int, error) {
	if h.ctx.Err() != nil {
		return 0, context.Cause(h.ctx)
	}
	return h.r.Read(p)
}

func newSum() hash.Hash32 { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }

func sumText(h hash.Hash32) string { return fmt.Sprintf("%08x", h.Sum32()) }

// disk is an origin: paths of the server as this process sees them, or as at finds them in a snapshot.
type disk struct {
	at func(path string) (string, error)
}

// live is the disk as it is.
func live() disk { return disk{func(path string) (string, error) { return path, nil }} }

func (d disk) open(_ context.Context, path string) (io.ReadCloser, int64, error) {
	at, err := d.at(path)
	if err != nil {
		return nil, 0, err
	}
	f, err := os.Open(at)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// list names the files in a folder by their paths on the server.
func (d disk) list(dir string) ([]string, error) {
	at, err := d.at(dir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(at)
	var out []string
	for _, e := range entries {
		if !e.IsDir() {
			out = append(out, join(dir, e.Name()))
		}
	}
	return out, err
}

// join appends a name to a path of the server, by the separator that it has.
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	last := dir[len(dir)-1]
	if last == '/' || last == '\\' {
		return dir + name
	}
	for i := range len(dir) {
		if dir[i] == '\\' {
			return dir + `\` + name
		}
	}
	return dir + "/" + name
}
