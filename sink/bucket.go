package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"regexp"
	"syscall"

	"gocloud.dev/blob"

	"github.com/quiesce-go/quiesce/backup"
)

// Options tunes a bucket. The zero Options is good for parts of up to some hundred MiB.
type Options struct {
	// PartSize is the size in bytes of the pieces a large object is sent in; 0 leaves it to the driver (S3: 8 MiB). It is not the
	// pipeline's part, which is one object here. S3 takes at most 10,000 pieces of at least 5 MiB, so a single object above 78 GiB needs more.
	PartSize int
	// Concurrency is how many pieces of one object travel at once; 0 leaves it to the driver (S3: 5). Memory is about
	// PartSize x (Concurrency + 1) for every object in flight.
	Concurrency int
	// Tune is called before each write and may set what only one driver knows. Programs that link S3 set it to s3.Tune, without
	// which a cancelled upload leaves its pieces behind. Nil changes nothing.
	Tune func(b *blob.Bucket, w *blob.WriterOptions)
}

// New makes a Target of a bucket that is already open, and which Close closes. A nil opts means all defaults.
//
// The Target implements backup.PutIfAbsenter by the driver's IfNotExist, except over fileblob, whose IfNotExist lets several
// writers win (seen with v0.47.0); OpenDir is the directory target that keeps the promise.
func New(b *blob.Bucket, opts *Options) Target {
	if opts == nil {
		opts = &Options{}
	}
	t := &bucket{b: b, opts: *opts}
	var info os.FileInfo
	if b.As(&info) {
		return &fileBucket{bucket: t} // only fileblob has a FileInfo
	}
	return &atomicBucket{bucket: t}
}

// bucket is a gocloud.dev bucket as a Sink.
type bucket struct {
	b    *blob.Bucket
	opts Options
}

// Put implements backup.Sink.
func (t *bucket) Put(ctx context.Context, key string, r io.Reader) error {
	return t.write(ctx, "put", key, r, false)
}

// write stores r whole or not at all. The portable layer commits what it has when a reader fails (fileblob, memblob, gcsblob: seen
// with v0.47.0), so the write's own context is cancelled before the driver sees the failure. Upload rather than a Writer, because
// azureblob's Writer panics when a conditional write fails on Close.
func (t *bucket) write(ctx context.Context, op, key string, r io.Reader, create bool) error {
	wctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := &blob.WriterOptions{
		ContentType:    "application/octet-stream",
		BufferSize:     t.opts.PartSize,
		MaxConcurrency: t.opts.Concurrency,
		IfNotExist:     create,
	}
	if t.opts.Tune != nil {
		t.opts.Tune(t.b, w)
	}
	err := context.Cause(ctx)
	if err == nil {
		src := &cancellingReader{ctx: wctx, r: r, cancel: cancel}
		err = t.b.Upload(wctx, key, src, w)
		if err == nil && src.err == nil {
			return nil
		}
		if cause := context.Cause(wctx); cause != nil {
			err = cause // what ended the write says more than how the driver felt it
		}
	}
	return &backup.Error{Op: op, Artifact: key, Err: classify(err)}
}

// cancellingReader cancels the write it feeds before it reports a failure of r.
type cancellingReader struct {
	ctx    context.Context
	r      io.Reader
	cancel context.CancelCauseFunc
	err    error
}

func (c *cancellingReader) Read(p []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	if err != nil && err != io.EOF {
		c.err = err
		c.cancel(err)
		// Disguised, because a driver may take an io.ErrUnexpectedEOF of the reader for its end.
		err = fmt.Errorf("read: %w", err)
	}
	return n, err
}

// Get implements backup.Sink.
func (t *bucket) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	r, err := t.b.NewReader(ctx, key, nil)
	if err != nil {
		return nil, &backup.Error{Op: "get", Artifact: key, Err: classify(err)}
	}
	return &wholeReader{ReadCloser: r, key: key, left: r.Size(), known: r.Size() >= 0}, nil
}

// wholeReader turns a transfer that ends early into an error.
type wholeReader struct {
	io.ReadCloser
	key   string
	left  int64
	known bool
}

func (w *wholeReader) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.left -= int64(n)
	switch {
	case err == io.EOF && w.known && w.left > 0:
		err = &backup.Error{Op: "get", Artifact: w.key, Err: fmt.Errorf("%d bytes missing: %w", w.left, io.ErrUnexpectedEOF)}
	case err != nil && err != io.EOF:
		err = &backup.Error{Op: "get", Artifact: w.key, Err: classify(err)}
	}
	return n, err
}

// List implements backup.Sink.
func (t *bucket) List(ctx context.Context, prefix string) iter.Seq2[backup.Object, error] {
	return func(yield func(backup.Object, error) bool) {
		it := t.b.List(&blob.ListOptions{Prefix: prefix})
		for {
			// Not every driver asks for itself.
			err := context.Cause(ctx)
			var o *blob.ListObject
			if err == nil {
				o, err = it.Next(ctx)
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(backup.Object{}, &backup.Error{Op: "list", Artifact: prefix, Err: classify(err)})
				return
			}
			if o.IsDir {
				continue
			}
			if !yield(backup.Object{Key: o.Key, Size: o.Size, Modified: o.ModTime}, nil) {
				return
			}
		}
	}
}

// Delete implements backup.Sink.
func (t *bucket) Delete(ctx context.Context, key string) error {
	err := context.Cause(ctx)
	if err == nil {
		err = classify(t.b.Delete(ctx, key))
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return &backup.Error{Op: "delete", Artifact: key, Err: err}
}

// As gives access to the driver's own types, as blob.Bucket.As does.
func (t *bucket) As(i any) bool { return t.b.As(i) }

// Close implements Target.
func (t *bucket) Close() error { return t.b.Close() }

// atomicBucket is a bucket whose driver creates atomically.
type atomicBucket struct{ *bucket }

// PutIfAbsent implements backup.PutIfAbsenter.
func (t *atomicBucket) PutIfAbsent(ctx context.Context, key string, r io.Reader) error {
	err := t.write(ctx, "create", key, r, true)
	if err == nil || errors.Is(err, fs.ErrExist) || !isConflict(err) {
		return err
	}
	// S3 answers 409 while another conditional write to the key is under way. Once that one is through, we lost.
	if there, xerr := t.b.Exists(ctx, key); xerr == nil && there {
		return &backup.Error{Op: "create", Artifact: key, Err: &kindError{kind: fs.ErrExist, err: err}}
	}
	return err
}

// fileBucket is fileblob: a directory without atomic creation and without fsync.
type fileBucket struct{ *bucket }

// Get implements backup.Sink. To fileblob a key below an object is a failure of its own.
func (t *fileBucket) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	rc, err := t.bucket.Get(ctx, key)
	return rc, absent(err)
}

// Delete implements backup.Sink. A key that is a directory is absent.
func (t *fileBucket) Delete(ctx context.Context, key string) error {
	err := t.bucket.Delete(ctx, key)
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(absent(err), fs.ErrNotExist) {
		return nil
	}
	return err
}

// fileblobTemp is the name of fileblob's temporary files. With no_tmp_dir they lie among the objects, and after a crash they
// stay there and would be listed as such.
var fileblobTemp = regexp.MustCompile(`\.[0-9a-f]{15,17}\.tmp$`)

// List implements backup.Sink.
func (t *fileBucket) List(ctx context.Context, prefix string) iter.Seq2[backup.Object, error] {
	return func(yield func(backup.Object, error) bool) {
		for o, err := range t.bucket.List(ctx, prefix) {
			if err == nil && fileblobTemp.MatchString(o.Key) {
				continue
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

var (
	_ Target               = (*bucket)(nil)
	_ backup.PutIfAbsenter = (*atomicBucket)(nil)
)
