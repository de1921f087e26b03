package sink

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/quiesce-go/quiesce/backup"
)

// copyPiece is how much a copy moves between two looks at its context.
const copyPiece = 1 << 20

// copyTo copies r to w until r ends, fails or ctx ends. A reader that can write itself, such as bytes.Reader, does so without a buffer.
func copyTo(ctx context.Context, w io.Writer, r io.Reader) (int64, error) {
	cw := &ctxWriter{ctx: ctx, w: w}
	if wt, ok := r.(io.WriterTo); ok {
		return wt.WriteTo(cw)
	}
	buf := make([]byte, 256<<10)
	return io.CopyBuffer(cw, struct{ io.Reader }{r}, buf)
}

// ctxWriter asks its context before every piece.
type ctxWriter struct {
	ctx context.Context
	w   io.Writer
}

func (c *ctxWriter) Write(p []byte) (n int, err error) {
	for {
		if err := context.Cause(c.ctx); err != nil {
			return n, err
		}
		m, err := c.w.Write(p[n:min(n+copyPiece, len(p))])
		n += m
		if err != nil || n == len(p) {
			return n, err
		}
	}
}

// Get implements backup.Sink.
func (d *Dir) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	r, err := d.open(ctx, key)
	if err != nil {
		return nil, d.failed("get", key, err)
	}
	return r, nil
}

func (d *Dir) open(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	rel, err := keyPath(key)
	if err != nil {
		return nil, err
	}
	f, err := openShared(filepath.Join(d.root, filepath.FromSlash(rel)))
	if err != nil {
		return nil, absent(err)
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = &kindError{kind: fs.ErrNotExist, err: errors.New("is a directory")}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &wholeReader{ReadCloser: &ctxFile{ctx: ctx, f: f}, key: key, left: info.Size(), known: true}, nil
}

// absent translates "a part of the path is a file" into absence.
func absent(err error) error {
	if errors.Is(err, syscall.ENOTDIR) {
		return &kindError{kind: fs.ErrNotExist, err: err}
	}
	return err
}

// ctxFile is a file whose reads end with their context.
type ctxFile struct {
	ctx context.Context
	f   *os.File
}

func (c *ctxFile) Read(p []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	return c.f.Read(p)
}

func (c *ctxFile) Close() error { return c.f.Close() }

// Delete implements backup.Sink. Directories that become empty go too. The removal is on disk when it returns: a manifest that
// came back after its parts were deleted would promise what is not there.
func (d *Dir) Delete(ctx context.Context, key string) error {
	if err := d.remove(ctx, key); err != nil {
		return d.failed("delete", key, err)
	}
	return nil
}

func (d *Dir) remove(ctx context.Context, key string) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	rel, err := keyPath(key)
	if err != nil {
		return err
	}
	path := filepath.Join(d.root, filepath.FromSlash(rel))
	info, err := os.Lstat(path)
	if err == nil && !info.IsDir() {
		if err = os.Remove(path); err == nil {
			d.deferred.forget(path)
		}
	}
	if err = absent(err); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	dir := d.prune(filepath.Dir(path))
	if err := syncDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// prune removes dir and its parents as far as they are empty, and returns the first that stays.
func (d *Dir) prune(dir string) string {
	d.publishing.Lock()
	defer d.publishing.Unlock()
	for dir != d.root {
		if os.Remove(dir) != nil {
			break
		}
		d.durable.Delete(dir)
		d.made.Delete(dir)
		dir = filepath.Dir(dir)
	}
	return dir
}

// List implements backup.Sink. The order is the file system's. A directory that cannot be read is an error, because what is not
// seen would count as not there.
func (d *Dir) List(ctx context.Context, prefix string) iter.Seq2[backup.Object, error] {
	return func(yield func(backup.Object, error) bool) {
		base, rest := "", prefix
		if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
			base, rest = prefix[:i], prefix[i+1:]
		}
		dir := d.root
		if base != "" {
			rel, err := keyPath(base)
			if err != nil {
				return // no key begins like this
			}
			dir = filepath.Join(d.root, filepath.FromSlash(rel))
			base += "/"
		} else if strings.HasPrefix(prefix, "/") {
			return
		}
		w := &walk{ctx: ctx, yield: yield, root: d.root}
		if err := w.dir(dir, base, rest, nil); err != nil && !errors.Is(err, errStop) {
			yield(backup.Object{}, d.failed("list", prefix, err))
		}
	}
}

// walk is one listing.
type walk struct {
	ctx   context.Context
	yield func(backup.Object, error) bool
	root  string
}

var errStop = errors.New("the caller has seen enough")

// dir yields the objects below path, whose keys begin with base, as far as their next element begins with prefix. above are the
// directories on the way here, against links that lead in a circle.
func (w *walk) dir(path, base, prefix string, above []fs.FileInfo) error {
	f, err := os.Open(path)
	if err != nil {
		return ignoreAbsent(err)
	}
	defer f.Close()
	self, err := f.Stat()
	if err != nil {
		return err
	}
	for _, a := range above {
		if os.SameFile(a, self) {
			return nil
		}
	}
	above = append(above[:len(above):len(above)], self)
	for {
		if err := context.Cause(w.ctx); err != nil {
			return err
		}
		// In batches, so that a directory of any size costs little memory and an early end little time.
		entries, err := f.ReadDir(512)
		for _, e := range entries {
			name, ours := unescapeElement(e.Name())
			if !ours || !strings.HasPrefix(name, prefix) {
				continue
			}
			if err := w.entry(filepath.Join(path, e.Name()), base+name, e, above); err != nil {
				return err
			}
		}
		if err != nil {
			if err == io.EOF {
				return nil
			}
			return ignoreAbsent(err)
		}
	}
}

func (w *walk) entry(path, key string, e fs.DirEntry, above []fs.FileInfo) error {
	if e.IsDir() {
		return w.dir(path, key+"/", "", above)
	}
	info, err := e.Info()
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		info, err = os.Stat(path)
	}
	switch {
	case err != nil:
		return ignoreAbsent(err)
	case info.IsDir():
		return w.dir(path, key+"/", "", above)
	case !info.Mode().IsRegular():
		return nil
	}
	if !w.yield(backup.Object{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil) {
		return errStop
	}
	return nil
}

// ignoreAbsent takes what vanished during a listing for what was never there.
func ignoreAbsent(err error) error {
	if errors.Is(absent(err), fs.ErrNotExist) {
		return nil
	}
	return err
}
