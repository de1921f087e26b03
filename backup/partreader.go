package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
)

// Open streams an artifact. Every part is checked against its digest before a byte of it is handed out, and the whole against the
// artifact's digest before io.EOF. Parts ahead are fetched side by side. Damage is an error that wraps ErrCorrupt. The caller closes the reader.
func (set *RestoreSet) Open(ctx context.Context, s *RestoreStep, e Entry) (io.ReadCloser, error) {
	return set.read(ctx, &partReader{set: set, m: s.Manifest, e: e, ahead: true, hash: sha256.New()})
}

// OpenAt streams an artifact from a byte offset, 0 to its size, for servers that ask for ranges of it. The part with that byte is fetched and those after it, none ahead before
// the first has been read to its end, so that short ranges cost one part.
//
// Every part is checked as by Open before a byte of it is handed out. The artifact's own digest is compared only when it is read from 0 to the end: from elsewhere it is known that
// each part is the one that was stored, in its place, but the agent's bytes are not hashed as one. The caller closes the reader.
func (set *RestoreSet) OpenAt(ctx context.Context, s *RestoreStep, e Entry, offset int64) (io.ReadCloser, error) {
	if offset < 0 || offset > e.Size {
		return nil, &Error{Op: "read", ID: s.ID, Artifact: e.Name, Err: fmt.Errorf("from byte %d: it has %d bytes", offset, e.Size),
			Advice: "ask for a range inside the artifact"}
	}
	r := &partReader{set: set, m: s.Manifest, e: e, from: int(offset / s.Manifest.PartSize), skip: int(offset % s.Manifest.PartSize)}
	if offset == e.Size {
		r.from = len(e.Parts)
	}
	if offset == 0 {
		r.hash = sha256.New()
	}
	return set.read(ctx, r)
}

// read sets a reader to work.
func (set *RestoreSet) read(ctx context.Context, r *partReader) (io.ReadCloser, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	ctx, r.cancel = context.WithCancel(ctx)
	r.queue, r.used = make(chan chan fetched, cap(set.ahead)+1), make(chan struct{}, 1)
	r.wg.Add(1)
	go r.fetchAhead(ctx)
	return r, nil
}

// partReader joins the parts of an artifact. The part it needs next it may always fetch; for those beyond it takes tokens
// shared by all readers of the set, so that memory is bounded and no reader waits for another.
type partReader struct {
	set    *RestoreSet
	m      *Manifest
	e      Entry
	from   int // the first part
	skip   int // bytes of it that are not asked for
	cancel context.CancelFunc
	wg     sync.WaitGroup
	queue  chan chan fetched // in the order of parts
	used   chan struct{}     // a part was handed out

	mu   sync.Mutex
	open int // parts fetched or being fetched, and not yet handed out
	// ahead says that parts beyond the one needed next may be fetched.
	ahead bool

	hash hash.Hash // nil when not all is read
	last fetched
	cur  []byte // what is left of last
	err  error
}

type fetched struct {
	data  []byte
	err   error
	token bool
}

func (r *partReader) fetchAhead(ctx context.Context) {
	defer r.wg.Done()
	defer close(r.queue)
	for n := r.from; n < len(r.e.Parts); n++ {
		token, err := r.admit(ctx)
		result := make(chan fetched, 1)
		r.queue <- result // has room: there are no more parts open than tokens and one
		if err != nil {
			result <- fetched{err: err}
			return
		}
		r.wg.Add(1)
		go func() {
			defer r.wg.Done()
			data, err := r.set.part(ctx, r.m, r.e, n)
			result <- fetched{data, err, token}
		}()
	}
}

// admit waits until one more part may be fetched.
func (r *partReader) admit(ctx context.Context) (token bool, err error) {
	for {
		r.mu.Lock()
		if r.open == 0 {
			r.open++
			r.mu.Unlock()
			return false, nil
		}
		tokens := r.set.ahead
		if !r.ahead {
			tokens = nil
		}
		r.mu.Unlock()
		select {
		case tokens <- struct{}{}:
			r.mu.Lock()
			r.open++
			r.mu.Unlock()
			return true, nil
		case <-r.used:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// Read implements io.Reader.
func (r *partReader) Read(p []byte) (int, error) {
	for len(r.cur) == 0 && r.err == nil {
		r.next()
	}
	if len(r.cur) == 0 {
		return 0, r.err
	}
	n := copy(p, r.cur)
	r.cur = r.cur[n:]
	return n, nil
}

// WriteTo hands out whole parts without copying them.
func (r *partReader) WriteTo(w io.Writer) (n int64, err error) {
	for {
		if len(r.cur) > 0 {
			k, err := w.Write(r.cur)
			n += int64(k)
			r.cur = r.cur[k:]
			if err != nil {
				return n, err
			}
		}
		if r.err != nil {
			if errors.Is(r.err, io.EOF) {
				return n, nil
			}
			return n, r.err
		}
		r.next()
	}
}

// next moves on to the next part.
func (r *partReader) next() {
	r.drop()
	result, ok := <-r.queue
	if !ok {
		r.err = r.atEnd()
		return
	}
	f := <-result
	if f.err != nil {
		r.release(f)
		r.err = f.err
		return
	}
	r.last, r.cur = f, f.data
	if r.hash != nil {
		r.hash.Write(r.cur)
	}
	r.cur, r.skip = r.cur[r.skip:], 0
}

// drop gives back what the part handed out last occupied.
func (r *partReader) drop() {
	if r.last.data == nil {
		return
	}
	r.release(r.last)
	r.last, r.cur = fetched{}, nil
	r.mu.Lock()
	r.open--
	r.ahead = true
	r.mu.Unlock()
	select {
	case r.used <- struct{}{}:
	default:
	}
}

func (r *partReader) release(f fetched) {
	r.set.bufs.put(f.data)
	if f.token {
		<-r.set.ahead
	}
}

func (r *partReader) atEnd() error {
	if r.hash == nil {
		return io.EOF
	}
	if got := Digest(r.hash.Sum(nil)); got != r.e.SHA256 {
		return r.set.p.corrupt(r.m.ID, r.e.Name, fmt.Errorf("%w: content has sha256 %s, the entry says %s", ErrCorrupt, got, r.e.SHA256))
	}
	return io.EOF
}

// Close stops what is being fetched ahead.
func (r *partReader) Close() error {
	r.cancel()
	r.drop()
	for result := range r.queue {
		r.release(<-result)
	}
	r.wg.Wait()
	if r.err == nil {
		r.err = errors.New("artifact reader is closed")
	}
	return nil
}

// part fetches one part, checks it as stored, and opens it.
func (set *RestoreSet) part(ctx context.Context, m *Manifest, e Entry, n int) ([]byte, error) {
	p, want := set.p, e.Parts[n]
	name := fmt.Sprintf("%s part %d", e.Name, n)
	stored, err := p.readStored(ctx, p.keys.run(m.ID)+partName(e.Key, n)+m.Suffix, want, set.bufs)
	if err != nil {
		return nil, p.corrupt(m.ID, name, err)
	}
	if len(p.vault.seals) == 0 {
		set.meter.shippedBytes(want.Size, want.Stored)
		return stored, nil
	}
	rc, err := p.vault.unseal(bytes.NewReader(stored))
	if err != nil {
		return nil, p.corrupt(m.ID, name, err)
	}
	defer func() {
		rc.Close()
		set.bufs.put(stored)
	}()
	plain := set.bufs.get(int(want.Size))
	if _, err := io.ReadFull(rc, plain); err != nil {
		return nil, p.corrupt(m.ID, name, corruptUnless(err, ErrKey))
	}
	if k, err := io.ReadFull(rc, make([]byte, 1)); k != 0 || !errors.Is(err, io.EOF) {
		return nil, p.corrupt(m.ID, name, errors.Join(fmt.Errorf("%w: more than %d bytes of content", ErrCorrupt, want.Size), err))
	}
	set.meter.shippedBytes(want.Size, want.Stored)
	return plain, nil
}

// readStored reads an object of known size and digest.
func (p *Pipeline) readStored(ctx context.Context, key string, want EntryPart, bufs *buffers) ([]byte, error) {
	rc, err := p.vault.open(ctx, key)
	if err != nil {
		return nil, missingIsCorrupt(err)
	}
	defer rc.Close()
	data := bufs.get(int(want.Stored))
	if _, err := io.ReadFull(rc, data); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("%w: stored object is shorter than %d bytes", ErrCorrupt, want.Stored)
		}
		return nil, err
	}
	if k, err := rc.Read(make([]byte, 1)); k != 0 || err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(fmt.Errorf("%w: stored object is longer than %d bytes", ErrCorrupt, want.Stored), err)
	}
	if got := Digest(sha256.Sum256(data)); got != want.SHA256 {
		return nil, fmt.Errorf("%w: stored object has sha256 %s, the entry says %s", ErrCorrupt, got, want.SHA256)
	}
	return data, nil
}
