package domino

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// file is a file of the server as a walk found it.
type file struct {
	// name is below the data directory, with slashes; behind a link, by the link's name.
	name string
	// path is where it lies.
	path     string
	size     int64
	modified time.Time
}

// inventory is what lies in the data directory.
type inventory struct {
	data      string
	databases []file
	files     []file
	// left are databases that options leave out.
	left []string
	// attachments is the directory of the attachment store, empty without one.
	attachments string
	ini         *ini
	warnings    []string
}

func (v *inventory) warn(format string, args ...any) {
	v.warnings = append(v.warnings, fmt.Sprintf(format, args...))
}

// look walks the data directory, following links, and names what belongs to a backup.
func (s *capiSource) look(ctx, calls context.Context, t *thread) (*inventory, error) {
	data, err := t.DataDirectory(calls)
	if err != nil {
		return nil, fmt.Errorf("ask for the data directory: %w", err)
	}
	return s.lookIn(ctx, data, func(_ *ini, key string) (string, error) {
		value, _, err := t.Environment(calls, key)
		return value, err
	})
}

// lookIn is look where the data directory is known. value is of notes.ini, which may be nil.
func (s *capiSource) lookIn(ctx context.Context, data string, value func(n *ini, key string) (string, error)) (*inventory, error) {
	v := &inventory{data: filepath.Clean(data)}
	if err := s.configuration(v); err != nil {
		return nil, err
	}
	w := &walk{s: s, v: v, seen: map[string]bool{}, apart: map[string]bool{}}
	for _, key := range []string{"TRANSLOG_Path", "DAOSBasePath", "NIFBasePath"} {
		value, err := value(v.ini, key)
		if err != nil {
			return nil, fmt.Errorf("ask for %s: %w", key, err)
		}
		if value == "" {
			continue
		}
		dir := fromSlash(value)
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(v.data, dir)
		}
		w.apart[filepath.Clean(dir)] = true
		if key == "DAOSBasePath" {
			v.attachments = filepath.Clean(dir)
		}
	}
	if err := w.directory(ctx, v.data, ""); err != nil {
		return nil, err
	}
	byName := func(a, b file) int { return strings.Compare(a.name, b.name) }
	slices.SortFunc(v.databases, byName)
	slices.SortFunc(v.files, byName)
	return v, s.found(v)
}

// configuration reads notes.ini where it is.
func (s *capiSource) configuration(v *inventory) error {
	at := s.opt.NotesINI
	if at == "" {
		at = filepath.Join(v.data, "notes.ini")
	}
	n, missing, err := readINI(at)
	switch {
	case errors.Is(err, fs.ErrNotExist) && s.opt.NotesINI == "":
		v.warn("there is no %s, and it is not backed up: say where notes.ini is (notes_ini)", at)
		return nil
	case err != nil:
		return fmt.Errorf("read notes.ini: %w", err)
	}
	for _, m := range missing {
		v.warn("notes.ini includes %s, which is not there", m)
	}
	v.ini = n
	return nil
}

// found refuses names in Options.Include that are not there.
func (s *capiSource) found(v *inventory) error {
	if len(s.pick.include) == 0 {
		return nil
	}
	have := map[string]bool{}
	for _, db := range v.databases {
		have[strings.ToLower(db.name)] = true
	}
	if gone := s.pick.missing(func(lower string) bool { return have[lower] }); len(gone) > 0 {
		return s.refuse("look at the data directory of", "", "correct the names in include, or use patterns, which may match nothing", "there is no database %s", strings.Join(gone, ", "))
	}
	return nil
}

// walk is one pass over the data directory.
type walk struct {
	s *capiSource
	v *inventory
	// seen are real directories, so that links do not lead in circles; apart are those that are not part of the tree.
	seen, apart map[string]bool
}

func (w *walk) directory(ctx context.Context, dir, name string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if w.apart[filepath.Clean(dir)] || name != "" && rebuiltDirectory(name) {
		return nil
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil || w.seen[real] {
		return w.gone(dir, err)
	}
	w.seen[real] = true
	entries, err := os.ReadDir(dir)
	if err != nil {
		return w.gone(dir, err)
	}
	for _, e := range entries {
		if err := w.entry(ctx, filepath.Join(dir, e.Name()), path.Join(name, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// gone passes over what vanished, and says what cannot be read. The data directory itself must be there.
func (w *walk) gone(at string, err error) error {
	switch {
	case err == nil:
		return nil
	case at == w.v.data:
		return fmt.Errorf("read the data directory: %w", err)
	case !errors.Is(err, fs.ErrNotExist):
		w.v.warn("left out, since it cannot be read: %v", err)
	}
	return nil
}

func (w *walk) entry(ctx context.Context, at, name string) error {
	info, err := os.Stat(at)
	if err != nil {
		return w.gone(at, err)
	}
	f := file{name, at, info.Size(), info.ModTime()}
	switch {
	case info.IsDir():
		return w.directory(ctx, at, name)
	case info.Mode().IsRegular() && strings.HasSuffix(name, replaced):
		w.v.warn("%s is a database that a restore set aside; when none is under way one was killed: restore again, which puts it back or says what to do, or rename it back by hand", name)
		return nil
	case !info.Mode().IsRegular() || rebuilt(name):
		return nil
	case strings.EqualFold(path.Ext(name), ".dir"):
		w.v.files = append(w.v.files, f)
		return w.linkedDirectory(ctx, f)
	case isDatabase(name):
		return w.database(f)
	}
	if w.v.ini == nil || !slices.Contains(w.v.ini.paths, at) {
		w.v.files = append(w.v.files, f)
	}
	return nil
}

func (w *walk) linkedDirectory(ctx context.Context, link file) error {
	target, ok, err := linkTarget(link.path, link.size)
	if err != nil || !ok || w.s.opt.SkipLinks {
		return w.gone(link.path, err)
	}
	if _, err := os.Stat(target); errors.Is(err, fs.ErrNotExist) {
		w.v.warn("link %s leads to %s, which is not there", link.name, target)
		return nil
	}
	return w.directory(ctx, target, strings.TrimSuffix(link.name, path.Ext(link.name)))
}

// database takes a database, or the one that a link leads to.
func (w *walk) database(f file) error {
	target, ok, err := linkTarget(f.path, f.size)
	if err != nil {
		// What cannot be read here fails by its name when it is copied.
		ok = false
	}
	if ok {
		w.v.files = append(w.v.files, f)
		if w.s.opt.SkipLinks {
			return nil
		}
		info, err := os.Stat(target)
		if err != nil {
			w.v.warn("link %s leads to %s, which cannot be looked at: %v", f.name, target, err)
			return nil
		}
		f.path, f.size, f.modified = target, info.Size(), info.ModTime()
	}
	if !w.s.pick.takes(f.name) {
		w.v.left = append(w.v.left, f.name)
		return nil
	}
	w.v.databases = append(w.v.databases, f)
	return nil
}
