package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"
)

// unit is work for the shipper: a part in memory, a part spooled to the stage, or a whole file of the stage, which is
// cut into parts on its way.
type unit struct {
	a       *artifact
	n       int
	size    int64
	mem     []byte
	spooled bool
	crc     uint32
}

// shipper carries parts to the target: seal, put, read back, record. Parts in memory come in by send, which blocks; parts and files of a
// stage wait in the backlog, which is bounded by the stage's quota alone.
type shipper struct {
	r       *run
	work    chan unit
	end     chan struct{} // closed when no more work will come
	backlog *backlog
	group   errgroup.Group
	cancel  context.CancelCauseFunc

	mu     sync.Mutex
	err    error
	failed chan struct{}
}

func newShipper(r *run) *shipper {
	return &shipper{r: r, work: make(chan unit), end: make(chan struct{}), backlog: newBacklog(), failed: make(chan struct{})}
}

// start runs the workers. onFail is called once, with the first failure.
func (s *shipper) start(ctx context.Context, onFail func(error)) {
	ctx, s.cancel = context.WithCancelCause(ctx)
	for range s.r.p.cfg.Workers {
		s.group.Go(func() error {
			s.worker(ctx, onFail)
			return nil
		})
	}
	if s.r.staged() {
		s.group.Go(func() error {
			defer close(s.end)
			if err := s.feed(ctx); err != nil {
				s.fail(err, onFail)
			}
			return nil
		})
	}
}

func (s *shipper) worker(ctx context.Context, onFail func(error)) {
	var buf bytes.Buffer // the stored form; it grows to what the data need and stays
	for {
		select {
		case u := <-s.work:
			if err := s.ship(ctx, u, &buf); err != nil {
				s.fail(err, onFail)
				return
			}
		case <-s.end:
			return
		case <-s.failed:
			return
		case <-ctx.Done():
			s.fail(context.Cause(ctx), onFail)
			return
		}
	}
}

// fail records the first error and stops the others.
func (s *shipper) fail(err error, onFail func(error)) {
	s.mu.Lock()
	first := s.err == nil
	if first {
		s.err = err
		close(s.failed)
	}
	s.mu.Unlock()
	if !first {
		return
	}
	s.r.quota.fail(err)
	s.cancel(err)
	onFail(err)
}

func (s *shipper) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// finish says that the source is done, waits until all is shipped and returns the first failure.
func (s *shipper) finish() error {
	if s.r.staged() {
		s.backlog.close()
	} else {
		close(s.end)
	}
	_ = s.group.Wait() // failure has the first error
	s.cancel(nil)
	return s.failure()
}

// abandon stops shipping and waits for the workers. It may follow finish.
func (s *shipper) abandon(err error) {
	s.fail(err, func(error) {})
	s.backlog.close()
	_ = s.group.Wait() // failure has the first error
}

// send gives a part in memory to a worker.
func (s *shipper) send(ctx context.Context, u unit) error {
	s.r.handed(u.a, u.n, u.size)
	select {
	case s.work <- u:
		return nil
	case <-s.failed:
		return s.failure()
	case <-s.end:
		return errors.New("the run is over")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// feed takes units from the backlog to the workers.
func (s *shipper) feed(ctx context.Context) error {
	for {
		u, ok := s.backlog.pop(ctx)
		if !ok {
			return context.Cause(ctx) // nil at the true end
		}
		var err error
		if u.a.file != "" {
			err = s.feedFile(ctx, u)
		} else {
			s.r.handed(u.a, u.n, u.size)
			err = s.pass(ctx, u)
		}
		if err != nil {
			return err
		}
	}
}

func (s *shipper) pass(ctx context.Context, u unit) error {
	select {
	case s.work <- u:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// feedFile cuts a file of the stage into parts, hashing it as it is read. Parts that an earlier process shipped are only hashed.
func (s *shipper) feedFile(ctx context.Context, u unit) error {
	if s.r.isDiscarded(u.a) {
		s.r.dropFile(u.a)
		return nil
	}
	f, err := os.Open(filepath.Join(s.r.dir.Path, u.a.file))
	if err != nil {
		return fmt.Errorf("ship %s: %w", u.a.Name, err)
	}
	defer f.Close()
	h := sha256.New()
	var size int64
	for n := 0; size < u.size; n++ {
		buf := s.r.buffers.get(int(min(int64(s.r.partSize), u.size-size)))
		if _, err := io.ReadFull(f, buf); err != nil {
			return fmt.Errorf("ship %s: file of %d bytes changed after it was committed: %w", u.a.Name, u.size, err)
		}
		h.Write(buf)
		size += int64(len(buf))
		if s.r.isStored(u.a, n) {
			s.r.buffers.put(buf)
			continue
		}
		s.r.handed(u.a, n, int64(len(buf)))
		if err := s.pass(ctx, unit{a: u.a, n: n, size: int64(len(buf)), mem: buf}); err != nil {
			return err
		}
	}
	return s.r.hashed(u.a, commitRecord{N: u.a.n, Size: size, SHA256: Digest(h.Sum(nil))})
}

// ship carries one part to the target.
func (s *shipper) ship(ctx context.Context, u unit, buf *bytes.Buffer) error {
	if s.r.isDiscarded(u.a) {
		s.drop(u)
		return nil
	}
	plain, err := s.load(u)
	if err != nil {
		return fmt.Errorf("ship %s part %d: %w", u.a.Name, u.n, err)
	}
	key := s.r.p.keys.run(s.r.id) + partName(u.a.key, u.n)
	obj, err := s.r.p.vault.seal(key, plain, buf)
	if err != nil {
		return fmt.Errorf("ship %s part %d: %w", u.a.Name, u.n, err)
	}
	sealed := len(s.r.p.vault.seals) > 0
	if sealed {
		s.r.buffers.put(plain) // only the stored form is needed from here on, also to repeat the transfer
	}
	if err := s.put(ctx, obj, s.r.precious(u.a)); err != nil {
		return &Error{Op: "put part", App: s.r.p.app(), ID: s.r.id, Artifact: fmt.Sprintf("%s part %d", u.a.Name, u.n), Err: err, Advice: Hint(err)}
	}
	if !sealed {
		s.r.buffers.put(plain)
	}
	return s.stored(u, obj)
}

// load returns the part's bytes, from the stage if they lie there.
func (s *shipper) load(u unit) ([]byte, error) {
	if !u.spooled {
		return u.mem, nil
	}
	f, err := os.Open(s.r.spoolPath(u.a, u.n))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buf := s.r.buffers.get(int(u.size))
	if _, err := io.ReadFull(f, buf); err != nil {
		return nil, fmt.Errorf("%w: staged part: %w", ErrCorrupt, err)
	}
	if crc32.Checksum(buf, castagnoli) != u.crc {
		return nil, fmt.Errorf("%w: staged part is not what was written", ErrCorrupt)
	}
	return buf, nil
}

// put stores the part and, by policy, reads it back. A part that reads back wrong is stored once more before the run gives up.
// A precious one is durable when put returns, any other with the listings, which are put without the mark before the manifest.
func (s *shipper) put(ctx context.Context, obj sealed, precious bool) error {
	putCtx := ctx
	if !precious {
		putCtx = DeferDurability(ctx)
	}
	check := s.r.p.cfg.Prove.wants(rand.Float64)
	for try := 0; ; try++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := s.r.p.vault.base.Put(putCtx, obj.key, bytes.NewReader(obj.data)); err != nil {
			return err
		}
		if !check {
			return nil
		}
		digest, n, err := s.r.p.vault.hashStored(ctx, obj.key)
		switch {
		case err == nil && digest == obj.digest:
			return nil
		case err != nil && !errors.Is(err, ErrCorrupt):
			return fmt.Errorf("read back: %w", err)
		case try > 0:
			return errors.Join(fmt.Errorf("%w: stored %d bytes with sha256 %s, read back %d with %s", ErrCorrupt, len(obj.data), obj.digest, n, digest), err)
		}
	}
}

// stored records an accepted part and frees what it occupied.
func (s *shipper) stored(u unit, obj sealed) error {
	e := EntryPart{Size: u.size, Stored: int64(len(obj.data)), SHA256: obj.digest}
	if err := s.r.journal.write(record{Stored: &storedRecord{N: u.a.n, Part: u.n, EntryPart: e}}); err != nil {
		return err
	}
	if err := s.r.beforeDrop(u.a); err != nil {
		return err
	}
	s.r.meter.shippedBytes(u.size, e.Stored)
	allStored := s.r.markStored(u.a, u.n, e)
	if u.spooled {
		s.drop(u)
	}
	if allStored && u.a.file != "" {
		s.r.dropFile(u.a)
	}
	return nil
}

// drop removes a part from the stage or memory.
func (s *shipper) drop(u unit) {
	if u.spooled {
		os.Remove(s.r.spoolPath(u.a, u.n)) // what stays behind goes with the stage
		s.r.quota.free(u.size)
	} else {
		s.r.buffers.put(u.mem)
	}
}

// backlog is the queue of what lies in the stage.
type backlog struct {
	mu     sync.Mutex
	units  []unit
	closed bool
	wake   chan struct{}
}

func newBacklog() *backlog { return &backlog{wake: make(chan struct{}, 1)} }

func (b *backlog) push(u unit) {
	b.mu.Lock()
	b.units = append(b.units, u)
	b.mu.Unlock()
	b.signal()
}

func (b *backlog) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.signal()
}

func (b *backlog) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// pop waits for the next unit; ok is false at the end, or when ctx ends.
func (b *backlog) pop(ctx context.Context) (u unit, ok bool) {
	for {
		b.mu.Lock()
		if len(b.units) > 0 {
			u, b.units = b.units[0], b.units[1:]
			b.mu.Unlock()
			return u, true
		}
		closed := b.closed
		b.mu.Unlock()
		if closed {
			return unit{}, false
		}
		select {
		case <-b.wake:
		case <-ctx.Done():
			return unit{}, false
		}
	}
}
