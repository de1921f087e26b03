package sink

import (
	"context"
	"io"
	"iter"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// Sealer is a decorator that stores another form of what it is given. Compress and Encrypt make one. It works as a Sink by
// itself; the pipeline uses Seal and Unseal instead, see backup.Sealer.
type Sealer struct {
	under  backup.Sink
	suffix string
	seal   func(plain io.Reader) (io.Reader, error)
	unseal func(stored io.Reader) (io.ReadCloser, error)
}

// Seal implements backup.Sealer.
func (s *Sealer) Seal(key string, plain io.Reader) (string, io.Reader, error) {
	stored, err := s.seal(plain)
	if err != nil {
		return "", nil, &backup.Error{Op: "seal", Artifact: key, Err: err, Advice: backup.Hint(err)}
	}
	return key + s.suffix, stored, nil
}

// Unseal implements backup.Sealer. Closing the returned reader does not close stored.
func (s *Sealer) Unseal(stored io.Reader) (io.ReadCloser, error) { return s.unseal(stored) }

// Suffix implements backup.Sealer.
func (s *Sealer) Suffix() string { return s.suffix }

// Under implements backup.Sealer.
func (s *Sealer) Under() backup.Sink { return s.under }

// Put implements backup.Sink.
func (s *Sealer) Put(ctx context.Context, key string, r io.Reader) error {
	storedKey, stored, err := s.Seal(key, r)
	if err != nil {
		return err
	}
	return s.under.Put(ctx, storedKey, stored)
}

// Get implements backup.Sink.
func (s *Sealer) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	stored, err := s.under.Get(ctx, key+s.suffix)
	if err != nil {
		return nil, err
	}
	plain, err := s.Unseal(stored)
	if err != nil {
		stored.Close()
		return nil, &backup.Error{Op: "unseal", Artifact: key + s.suffix, Err: err, Advice: backup.Hint(err)}
	}
	return &sealedReader{plain: plain, stored: stored, key: key + s.suffix}, nil
}

// sealedReader names the object in what goes wrong while it is read, and closes both ends.
type sealedReader struct {
	plain, stored io.ReadCloser
	key           string
}

func (r *sealedReader) Read(p []byte) (int, error) {
	n, err := r.plain.Read(p)
	if err != nil && err != io.EOF {
		err = &backup.Error{Op: "unseal", Artifact: r.key, Err: err, Advice: backup.Hint(err)}
	}
	return n, err
}

func (r *sealedReader) Close() error {
	err := r.plain.Close()
	if serr := r.stored.Close(); err == nil {
		err = serr
	}
	return err
}

// List implements backup.Sink. It yields the sealed objects, without the suffix; Size is what they occupy. What was written under
// the sealer, such as manifests, is not listed.
func (s *Sealer) List(ctx context.Context, prefix string) iter.Seq2[backup.Object, error] {
	return func(yield func(backup.Object, error) bool) {
		for o, err := range s.under.List(ctx, prefix) {
			if err == nil {
				key, sealed := strings.CutSuffix(o.Key, s.suffix)
				if !sealed || !strings.HasPrefix(key, prefix) {
					continue
				}
				o.Key = key
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

// Delete implements backup.Sink.
func (s *Sealer) Delete(ctx context.Context, key string) error {
	return s.under.Delete(ctx, key+s.suffix)
}

// errorTrap remembers how its reader failed, so that a transfer that broke off is told apart from damage in what arrived.
type errorTrap struct {
	r   io.Reader
	err error
}

func (t *errorTrap) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if err != nil && err != io.EOF {
		t.err = err
	}
	return n, err
}

var _ backup.Sealer = (*Sealer)(nil)
