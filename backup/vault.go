package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
)

// vault is a job's sink taken apart: the sealers from the outside in, and the sink under them.
type vault struct {
	base   Sink
	seals  []Sealer
	suffix string // of all sealers
}

func openVault(s Sink) *vault {
	v := &vault{base: s}
	for {
		sealer, ok := v.base.(Sealer)
		if !ok {
			return v
		}
		v.seals = append(v.seals, sealer)
		v.suffix += sealer.Suffix()
		v.base = sealer.Under()
	}
}

// sealed is an object in the form it will have at the target.
type sealed struct {
	key    string
	data   []byte
	digest Digest
}

// seal works through plain in memory. buf receives the stored form; without sealers plain itself is used.
func (v *vault) seal(key string, plain []byte, buf *bytes.Buffer) (sealed, error) {
	if len(v.seals) == 0 {
		return sealed{key, plain, sha256.Sum256(plain)}, nil
	}
	// A *bytes.Buffer lets a sealer look at the plain bytes in place, by Next.
	var r io.Reader = bytes.NewBuffer(plain)
	var err error
	for _, s := range v.seals {
		if key, r, err = s.Seal(key, r); err != nil {
			return sealed{}, fmt.Errorf("seal %s: %w", key, err)
		}
	}
	buf.Reset()
	if _, err := buf.ReadFrom(r); err != nil {
		return sealed{}, fmt.Errorf("seal %s: %w", key, err)
	}
	return sealed{key, buf.Bytes(), sha256.Sum256(buf.Bytes())}, nil
}

// storedMax is the room the stored form of a part takes when it does not compress: zstd and age add less than one byte in 256 and a header, and
// bytes.Buffer wants some space to spare at the end.
func storedMax(partSize int) int { return partSize + partSize/256 + 8192 }

// unseal opens the stored form of an object.
func (v *vault) unseal(stored io.Reader) (io.ReadCloser, error) {
	var chain readChain
	r := stored
	for _, s := range slices.Backward(v.seals) {
		rc, err := s.Unseal(r)
		if err != nil {
			return nil, errors.Join(err, chain.Close())
		}
		chain.closers = append(chain.closers, rc)
		r = rc
	}
	chain.Reader = r
	return &chain, nil
}

// readChain closes what it reads through, outermost first.
type readChain struct {
	io.Reader
	closers []io.Closer
}

func (c *readChain) Close() error {
	var errs []error
	for _, cl := range slices.Backward(c.closers) {
		errs = append(errs, cl.Close())
	}
	c.closers = nil
	return errors.Join(errs...)
}

// put stores a plain object, such as a header.
func (v *vault) put(ctx context.Context, key string, data []byte) error {
	return v.base.Put(ctx, key, bytes.NewReader(data))
}

// putIfAbsent creates a plain object, atomically where the target can.
func (v *vault) putIfAbsent(ctx context.Context, key string, data []byte) error {
	if p, ok := v.base.(PutIfAbsenter); ok {
		return p.PutIfAbsent(ctx, key, bytes.NewReader(data))
	}
	rc, err := v.base.Get(ctx, key)
	if err == nil {
		rc.Close()
		return fmt.Errorf("create %s: %w", key, fs.ErrExist)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return v.put(ctx, key, data)
}

// maxHeader bounds the plain objects read whole, against a target that answers with anything.
const maxHeader = 64 << 20

// get reads a plain object whole.
func (v *vault) get(ctx context.Context, key string) ([]byte, error) {
	rc, err := v.base.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	data, err := io.ReadAll(io.LimitReader(rc, maxHeader+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxHeader {
		return nil, fmt.Errorf("%s is larger than %d bytes: %w", key, maxHeader, ErrCorrupt)
	}
	return data, nil
}

// open opens an object as stored.
func (v *vault) open(ctx context.Context, storedKey string) (io.ReadCloser, error) {
	return v.base.Get(ctx, storedKey)
}

func (v *vault) list(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return v.base.List(ctx, prefix)
}

func (v *vault) delete(ctx context.Context, key string) error { return v.base.Delete(ctx, key) }

// hashStored reads a stored object to its end without keeping it.
func (v *vault) hashStored(ctx context.Context, storedKey string) (Digest, int64, error) {
	rc, err := v.open(ctx, storedKey)
	if err != nil {
		return Digest{}, 0, err
	}
	defer rc.Close()
	h := sha256.New()
	n, err := io.Copy(h, rc)
	if err != nil {
		return Digest{}, n, err
	}
	return Digest(h.Sum(nil)), n, nil
}
