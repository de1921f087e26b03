package backup

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// Writer is an artifact being written. It keeps the context of Create, because it lives within one call of Source.Backup.
// It is not for concurrent use.
type Writer struct {
	ctx  context.Context
	r    *run
	a    *artifact
	hash hash.Hash
	size int64
	next int       // number of the part being filled
	part *openPart // nil between parts
	err  error
	done bool
}

func newWriter(ctx context.Context, r *run, a *artifact) *Writer {
	return &Writer{ctx: ctx, r: r, a: a, hash: sha256.New()}
}

// Write adds to the artifact. It blocks while the stage is full or the workers are busy.
func (w *Writer) Write(p []byte) (n int, err error) {
	if w.done {
		return 0, fmt.Errorf("write %s: artifact is already committed or closed", w.a.Name)
	}
	for len(p) > 0 && w.err == nil {
		var k int
		k, w.err = w.fill(p)
		w.hash.Write(p[:k])
		w.size += int64(k)
		n, p = n+k, p[k:]
	}
	w.r.meter.stagedBytes(int64(n))
	if w.err != nil {
		return n, w.wrap(w.err)
	}
	return n, nil
}

// fill puts the beginning of p into the current part and passes the part on when it is full.
func (w *Writer) fill(p []byte) (int, error) {
	if w.part == nil {
		part, err := w.r.openPart(w.ctx, w.a, w.next)
		if err != nil {
			return 0, err
		}
		w.part, w.next = part, w.next+1
	}
	room := w.r.partSize - w.part.size
	p = p[:min(len(p), room)]
	if err := w.part.write(p); err != nil {
		return 0, err
	}
	if len(p) == room {
		return len(p), w.flush()
	}
	return len(p), nil
}

func (w *Writer) flush() error {
	part := w.part
	w.part = nil
	if part == nil {
		return nil
	}
	return part.handOver(w.ctx)
}

// Annotate adds to the artifact's Meta, for facts known only once it was written, such as a row count. Call it before Commit.
func (w *Writer) Annotate(key, value string) { w.a.annotate(key, value) }

// Commit keeps the artifact. It does not wait until the bytes are offsite. After an error the artifact is discarded.
func (w *Writer) Commit() error {
	if w.done {
		return fmt.Errorf("commit %s: artifact is already committed or closed", w.a.Name)
	}
	if w.err == nil {
		w.err = w.flush()
	}
	if w.err == nil && w.ctx.Err() != nil {
		w.err = context.Cause(w.ctx)
	}
	if w.err == nil {
		w.err = w.r.commit(w.a, commitRecord{N: w.a.n, Size: w.size, SHA256: Digest(w.hash.Sum(nil))})
	}
	if w.err != nil {
		w.Close()
		return w.wrap(w.err)
	}
	w.done = true
	return nil
}

// Close discards the artifact unless it was committed. It is idempotent, so `defer w.Close()` is always right.
func (w *Writer) Close() error {
	if w.done {
		return nil
	}
	w.done = true
	var err error
	if w.part != nil {
		err = w.part.discard()
		w.part = nil
	}
	w.r.discard(w.a)
	return err
}

func (w *Writer) wrap(err error) error { return fmt.Errorf("stage %s: %w", w.a.Name, err) }

// openPart is the part being filled: in memory while streaming, else in a file of the stage.
type openPart struct {
	r    *run
	a    *artifact
	n    int
	size int

	mem []byte

	f   *os.File
	buf *bufio.Writer
	crc uint32
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (r *run) openPart(ctx context.Context, a *artifact, n int) (*openPart, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	p := &openPart{r: r, a: a, n: n}
	if !r.staged() {
		p.mem = r.buffers.get(0)
		return p, nil
	}
	if err := r.quota.claim(ctx, int64(r.partSize)); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(r.spoolPath(a, n), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		r.quota.unclaim(int64(r.partSize))
		return nil, stageError(err)
	}
	p.f, p.buf = f, bufio.NewWriterSize(f, 128<<10)
	return p, nil
}

func (r *run) spoolPath(a *artifact, n int) string {
	return filepath.Join(r.dir.Path, fmt.Sprintf("%06d.%08d", a.n, n))
}

func (p *openPart) write(b []byte) error {
	p.size += len(b)
	if p.f == nil {
		p.mem = p.r.buffers.append(p.mem, b)
		return nil
	}
	p.crc = crc32.Update(p.crc, castagnoli, b)
	if _, err := p.buf.Write(b); err != nil {
		p.discard()
		return stageError(err)
	}
	return nil
}

// handOver passes the part on to the workers, by way of the stage where there is one.
func (p *openPart) handOver(ctx context.Context) error {
	if p.f == nil {
		return p.r.ship.send(ctx, unit{a: p.a, n: p.n, size: int64(p.size), mem: p.mem})
	}
	err := p.buf.Flush()
	if cerr := p.f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = p.r.journal.write(record{Spooled: &spooledRecord{N: p.a.n, Part: p.n, Size: int64(p.size), CRC: p.crc}})
	}
	if err != nil {
		p.discard()
		return stageError(err)
	}
	p.r.quota.unclaim(int64(p.r.partSize - p.size))
	p.r.quota.move(int64(p.size))
	p.r.ship.backlog.push(unit{a: p.a, n: p.n, size: int64(p.size), spooled: true, crc: p.crc})
	return nil
}

func (p *openPart) discard() error {
	if p.f == nil {
		p.r.buffers.put(p.mem)
		p.mem = nil
		return nil
	}
	p.f.Close()
	p.r.quota.unclaim(int64(p.r.partSize))
	return os.Remove(p.f.Name())
}

// buffers recycles part-sized buffers, so that a long run makes no garbage.
type buffers struct {
	size int
	free chan []byte
}

func newBuffers(size, keep int) *buffers { return &buffers{size, make(chan []byte, keep)} }

// get returns a buffer of length n. A small one is not worth keeping, a larger one than usual is made for once.
func (b *buffers) get(n int) []byte {
	if n > 0 && n < b.size/8 || n > b.size {
		return make([]byte, n)
	}
	select {
	case buf := <-b.free:
		return buf[:n]
	default:
	}
	if n == 0 {
		return nil
	}
	return make([]byte, n, b.size)
}

// append grows buf by doubling up to the size of a part, so that many small artifacts do not hold a part each.
func (b *buffers) append(buf, p []byte) []byte {
	need := len(buf) + len(p)
	if need > cap(buf) {
		grown := make([]byte, len(buf), min(max(need, 2*cap(buf), 64<<10), b.size))
		copy(grown, buf)
		buf = grown
	}
	return append(buf, p...)
}

func (b *buffers) put(buf []byte) {
	if cap(buf) < b.size {
		return
	}
	select {
	case b.free <- buf:
	default:
	}
}

var _ io.WriteCloser = (*Writer)(nil)
