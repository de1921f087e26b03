package oracle

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/quiesce-go/quiesce/backup"
)

// readBuffer is how much of a file is read at once.
const readBuffer = 1 << 20

// passing is a file on its way into the stage: what reads it, to check it, writes it. The bytes are read once.
type passing struct {
	io.Reader
	run  *run
	w    *backup.Writer
	path string
	// artifact is the name of the copy.
	artifact string
}

// pass copies the server's file at path into an artifact while check reads it, and keeps the artifact when check finds nothing.
func (r *run) pass(ctx context.Context, a backup.Artifact, path string, check func(in *passing) error) error {
	f, err := r.files.open(ctx, path)
	if err != nil {
		return r.s.forbidden(path, err)
	}
	defer func() { _ = f.Close() }() // it was read to its end, or its error is known
	w, err := r.st.Create(ctx, a)
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }() // discards, unless it was committed
	sum := newSum()
	in := &passing{Reader: io.TeeReader(until{ctx, f}, io.MultiWriter(w, sum)), run: r, w: w, path: path, artifact: a.Name}
	if err := check(in); err != nil {
		return err
	}
	return keep(w, sum)
}

// metaSum is the note on each artifact with the checksum of the bytes that the server gave: damage on their way through the stage is found by it, also in blocks that may be fractured.
const metaSum = "crc32c"

func newSum() hash.Hash32 { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }

func sumText(sum hash.Hash32) string { return fmt.Sprintf("%08x", sum.Sum32()) }

func keep(w *backup.Writer, sum hash.Hash32) error {
	w.Annotate(metaSum, sumText(sum))
	return w.Commit()
}

// until ends a read when its context does.
type until struct {
	ctx context.Context
	io.Reader
}

func (u until) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.Reader.Read(p)
}

// doubt decides what becomes of a copy that is not as it should be. Only what is wrong with the bytes can be kept, as Options says, and then all of it is read.
func (p *passing) doubt(err error) error {
	if !errors.Is(err, backup.ErrCorrupt) || !p.run.s.opt.KeepDoubtful {
		return err
	}
	if _, cerr := io.CopyBuffer(struct{ io.Writer }{io.Discard}, p, make([]byte, readBuffer)); cerr != nil {
		return cerr
	}
	p.run.warn("%s was kept though it does not look right: %v", p.path, err)
	p.run.doubts(p.artifact, err)
	return nil
}

// doubts notes in the inventory that a copy is doubtful.
func (r *run) doubts(artifact string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.doubtful == nil {
		r.doubtful = map[string]string{}
	}
	r.doubtful[artifact] = err.Error()
}
