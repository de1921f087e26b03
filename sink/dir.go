package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// Dir is a directory as a Target: a disk, a mounted share. What Put returned nil for survives a power failure, as far as
// the file system and the disk honour fsync (with backup.DeferDurability, once the next Put without it has returned nil); replaced objects are seen old or new, never mixed; PutIfAbsent is atomic.
//
// Each object is one file, named by its key, readable by stock tools. Characters no file name can hold on every system are written as
// %XX. Keys must be clean relative paths, and as on any file system "a" and "a/b" cannot both be objects. On
// file systems that do not tell case apart (usual on Windows and macOS), keys must differ by more than case.
//
// A write in progress lies in the directory .quiesce-tmp of the root and is never listed. What a killed process
// left there is removed by the first Put an hour later.
type Dir struct {
	root string
	// durable holds directories that exist and whose entry in their parent is on disk.
	durable sync.Map
	// made holds directories that exist and whose entry may not be on disk yet.
	made     sync.Map
	deferred group
	// publishing is held shared while an object is moved to its place and exclusively while empty directories are pruned,
	// so that none is pruned between its creation and its first object.
	publishing sync.RWMutex
	sweep      sync.Once
	link       func(oldname, newname string) error // os.Link; tests stand in a file system without it
}

const (
	tempDir = ".quiesce-tmp" // no key maps to a name with a leading dot
	// staleAfter is how long a temporary file must lie untouched before it counts as left over. A live write touches
	// its file all the time; should one stall for longer, its rename fails and the put reports it.
	staleAfter = time.Hour
)

// OpenDir makes a Target of the directory at path, which is created, readable by its owner only, when it is absent.
func OpenDir(path string) (*Dir, error) {
	root, err := filepath.Abs(path)
	if err == nil {
		err = makeDurable(root)
	}
	if err != nil {
		return nil, &backup.Error{Op: "open sink", Artifact: path, Err: err, Advice: "the parent directory must exist and be writable"}
	}
	return &Dir{root: root, link: os.Link, deferred: group{toDisk: syncFile}}, nil
}

// makeDurable makes a directory and its missing parents, each durable in its parent.
func makeDurable(dir string) error {
	if isDir(dir) {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDurable(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !isDir(dir) {
		return err
	}
	return syncDir(parent)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Path is the root of the target.
func (d *Dir) Path() string { return d.root }

// Close implements Target. A Dir keeps nothing open.
func (d *Dir) Close() error { return nil }

// Put implements backup.Sink.
func (d *Dir) Put(ctx context.Context, key string, r io.Reader) error {
	if err := d.write(ctx, key, r, os.Rename); err != nil {
		return d.failed("put", key, err)
	}
	return nil
}

// PutIfAbsent implements backup.PutIfAbsenter. A hard link either makes the name or finds it taken; where the file system has no
// hard links, a directory held for the moment of the rename stands in for it.
func (d *Dir) PutIfAbsent(ctx context.Context, key string, r io.Reader) error {
	if err := d.write(ctx, key, r, d.moveIfAbsent); err != nil {
		return d.failed("create", key, err)
	}
	return nil
}

// failed dresses an error for the operator.
func (d *Dir) failed(op, key string, err error) error {
	e := &backup.Error{Op: op, Artifact: key, Err: err}
	if isDiskFull(err) {
		e.Advice = "the disk that holds " + d.root + " is full: free space, or prune old backups"
	}
	return e
}

// write makes a temporary file of r and lets move give it its name, both on disk before it returns. With backup.DeferDurability the disk may follow
// later, at the latest in the next write without.
func (d *Dir) write(ctx context.Context, key string, r io.Reader, move func(from, to string) error) (err error) {
	rel, err := keyPath(key)
	if err != nil {
		return err
	}
	d.sweep.Do(d.removeStale)
	later := backup.DurabilityDeferred(ctx)
	if !later {
		if err := d.barrier(rel); err != nil {
			return err
		}
	}
	temp, err := d.writeTemp(ctx, r, later)
	if err != nil {
		return err
	}
	// After a rename the name is gone and this does nothing.
	defer os.Remove(temp)
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return d.publish(temp, rel, move, later)
}

// writeTemp copies r into a new file and brings it to disk, or only on its way there.
func (d *Dir) writeTemp(ctx context.Context, r io.Reader, later bool) (name string, err error) {
	f, err := d.createTemp()
	if err != nil {
		return "", err
	}
	_, err = copyTo(ctx, f, r)
	switch {
	case err != nil:
	case later:
		startWriteback(f)
	default:
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

func (d *Dir) createTemp() (*os.File, error) {
	dir := filepath.Join(d.root, tempDir)
	f, err := os.CreateTemp(dir, "*.tmp")
	if errors.Is(err, fs.ErrNotExist) {
		// Not its parents: when the root itself is gone, the disk behind it was unmounted.
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		f, err = os.CreateTemp(dir, "*.tmp")
	}
	return f, err
}

// publish gives the file at temp the name path and brings that to disk too.
func (d *Dir) publish(temp, rel string, move func(from, to string) error, later bool) error {
	path := filepath.Join(d.root, filepath.FromSlash(rel))
	changed, err := d.publishNow(temp, path, move, later)
	if err != nil || !later {
		return err
	}
	if d.deferred.add(path, changed) {
		return d.barrier(rel)
	}
	return nil
}

// publishNow returns the directories that changed, which a deferred write brings to disk later.
func (d *Dir) publishNow(temp, path string, move func(from, to string) error, later bool) (changed []string, err error) {
	d.publishing.RLock()
	defer d.publishing.RUnlock()
	dir := filepath.Dir(path)
	d.deferred.forget(path)
	// Another process may prune a directory between our look at it and the move. It has to win this race every time to keep us here.
	for range 100 {
		if changed, err = d.place(temp, path, move, later); !errors.Is(err, fs.ErrNotExist) {
			return changed, err
		}
		d.forget(dir)
	}
	return changed, err
}

func (d *Dir) place(temp, path string, move func(from, to string) error, later bool) (changed []string, err error) {
	dir := filepath.Dir(path)
	if later {
		changed, err = d.makeDirs(dir, nil)
	} else {
		err = d.ensureDir(dir)
	}
	if err != nil {
		return nil, err
	}
	err = move(temp, path)
	if errors.Is(err, syscall.EXDEV) {
		err = d.moveAcross(temp, path, move)
	}
	if err != nil || later {
		return append(changed, dir), err
	}
	return nil, syncDir(dir)
}

// makeDirs makes dir and its parents up to the root and adds to changed those in which something was made that is not yet on disk.
func (d *Dir) makeDirs(dir string, changed []string) ([]string, error) {
	if dir == d.root {
		return changed, nil
	}
	if _, ok := d.durable.Load(dir); ok {
		return changed, nil
	}
	parent := filepath.Dir(dir)
	changed, err := d.makeDirs(parent, append(changed, parent))
	if err != nil {
		return nil, err
	}
	if _, ok := d.made.Load(dir); ok {
		return changed, nil
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	d.made.Store(dir, true)
	return changed, nil
}

// moveAcross serves a directory that is mounted or linked into the root from another file system: the file is
// copied beside its final name first, because only a rename inside one file system is whole or absent.
func (d *Dir) moveAcross(temp, path string, move func(from, to string) error) error {
	src, err := os.Open(temp)
	if err != nil {
		return err
	}
	defer src.Close()
	beside, err := os.CreateTemp(filepath.Dir(path), tempDir+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(beside.Name())
	_, err = io.Copy(beside, src)
	if err == nil {
		err = beside.Sync()
	}
	if cerr := beside.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return move(beside.Name(), path)
}

// ensureDir makes dir and its parents up to the root, each durable in its parent. A directory another process has just made is synced
// here too, since that process may not have got to it yet.
func (d *Dir) ensureDir(dir string) error {
	if _, ok := d.durable.Load(dir); ok {
		return nil
	}
	if dir == d.root {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := d.ensureDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := syncDir(parent); err != nil {
		return err
	}
	d.durable.Store(dir, true)
	return nil
}

// forget drops what is known of dir and its parents.
func (d *Dir) forget(dir string) {
	for ; dir != d.root && len(dir) > len(d.root); dir = filepath.Dir(dir) {
		d.durable.Delete(dir)
		d.made.Delete(dir)
	}
}

// moveIfAbsent gives the file at from the name to unless that is taken, atomically.
func (d *Dir) moveIfAbsent(from, to string) error {
	err := d.link(from, to)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		if sameFile(from, to) {
			return nil // an NFS server carried the request out, lost the answer and was asked again
		}
		return err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EXDEV), isDiskFull(err):
		return err
	}
	return d.moveUnderClaim(from, to)
}

func sameFile(a, b string) bool {
	ia, aerr := os.Lstat(a)
	ib, berr := os.Lstat(b)
	return aerr == nil && berr == nil && os.SameFile(ia, ib)
}

// claimWait is how long moveUnderClaim waits for another process that is just naming the same object.
const claimWait = 10 * time.Second

// moveUnderClaim is moveIfAbsent for file systems without hard links, such as FAT and some shares. To make a directory is atomic everywhere, so
// a directory beside the target marks who may look and rename. A process killed within that moment leaves it behind; nobody
// else may remove it on a guess, so the error names it.
func (d *Dir) moveUnderClaim(from, to string) error {
	claim := filepath.Join(filepath.Dir(to), tempDir+"-claim-"+filepath.Base(to))
	deadline := time.Now().Add(claimWait)
	for {
		err := os.Mkdir(claim, 0o700)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		if time.Now().After(deadline) {
			return &backup.Error{Op: "claim", Artifact: to, Err: fmt.Errorf("%s is held by another process", claim),
				Advice: "if no backup is running, a killed one left " + claim + ": remove it"}
		}
		time.Sleep(5 * time.Millisecond)
	}
	defer os.Remove(claim)
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%s: %w", to, fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(from, to)
}

// removeStale removes what killed processes left. The age is measured against a file of our own, by the clock of whoever
// keeps the directory. It is best effort: what it cannot remove disturbs nobody.
func (d *Dir) removeStale() {
	f, err := d.createTemp()
	if err != nil {
		return
	}
	defer os.Remove(f.Name())
	defer f.Close()
	now, err := f.Stat()
	if err != nil {
		return
	}
	entries, err := os.ReadDir(filepath.Join(d.root, tempDir))
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && now.ModTime().Sub(info.ModTime()) > staleAfter {
			os.Remove(filepath.Join(d.root, tempDir, e.Name()))
		}
	}
}

var _ interface {
	Target
	backup.PutIfAbsenter
} = (*Dir)(nil)
