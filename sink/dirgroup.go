package sink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// groupSize is how many deferred objects are brought to disk together. With parts of some MiB that bounds what waits in memory, while the file
// system's journal is committed once for all of them rather than twice for each.
const groupSize = 64

// group is what was put with backup.DeferDurability and may not be on disk yet.
type group struct {
	toDisk func(path string) error // syncFile; tests stand in a disk that fails

	mu     sync.Mutex
	files  map[string]struct{}
	dirs   map[string]struct{}
	failed map[string]error // files that did not get to disk, until they are replaced or deleted

	flushing sync.Mutex // held while a flush is under way, so that a barrier waits for it
}

// add notes a file and the directories that changed with it, and reports whether the group is full.
func (g *group) add(file string, dirs []string) (full bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.files == nil {
		g.files, g.dirs = make(map[string]struct{}), make(map[string]struct{})
	}
	g.files[file] = struct{}{}
	for _, d := range dirs {
		g.dirs[d] = struct{}{}
	}
	delete(g.failed, file)
	return len(g.files) >= groupSize
}

// forget drops a file that is replaced or deleted.
func (g *group) forget(file string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.files, file)
	delete(g.failed, file)
}

func (g *group) take() (files, dirs map[string]struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	files, dirs = g.files, g.dirs
	g.files, g.dirs = nil, nil
	return files, dirs
}

// flush brings the group to disk. A failure is remembered with its file: after a failed fsync the next one may say that all
// is well although the data are gone.
func (g *group) flush() {
	g.flushing.Lock()
	defer g.flushing.Unlock()
	files, dirs := g.take()
	for f := range files {
		if err := g.toDisk(f); err != nil {
			g.fail(f, err)
		}
	}
	for dir := range dirs {
		err := syncDir(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		for f := range files {
			if below(f, dir) {
				g.fail(f, err)
			}
		}
	}
}

func below(file, dir string) bool { return strings.HasPrefix(file, dir+string(filepath.Separator)) }

func (g *group) fail(file string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed == nil {
		g.failed = make(map[string]error)
	}
	g.failed[file] = err
}

// failure returns what went wrong with a file below dir.
func (g *group) failure(dir string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for f, err := range g.failed {
		if below(f, dir) {
			return fmt.Errorf("%s did not get to disk: %w", f, err)
		}
	}
	return nil
}

// barrier brings all that was deferred to disk and fails when something of the job of rel, its first element, did not get there.
func (d *Dir) barrier(rel string) error {
	d.deferred.flush()
	job, _, _ := strings.Cut(rel, "/")
	return d.deferred.failure(filepath.Join(d.root, job))
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0) // Windows flushes only what is open for writing
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted since
	}
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
