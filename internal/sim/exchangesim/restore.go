package exchangesim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/exchange/esebcli"
)

const environmentFile = "restore.env"

// environment is what restore.env has; the content is the model's own.
type environment struct {
	Source, Target string
	Databases      []restored
	Files          []string
}

// restored is a database of a restore.
type restored struct {
	Name    string
	GUID    esebcli.GUID
	Streams []string // where they go
}

// restore is a restore.
type restore struct {
	c       *Client
	dir     string
	env     environment
	saved   bool
	over    bool
	writers int
}

// RestoreOpen begins a restore.
func (a *streaming) RestoreOpen(ctx context.Context, server, annotation, source, logPath string) (esebcli.Restore, error) {
	r := &restore{c: a.c, dir: logPath, env: environment{Source: source}}
	err := a.c.library(ctx, "API.RestoreOpen", []string{server, annotation, source, logPath}, func() error {
		s := a.c.s
		if err := s.unavailable(server, annotation); err != nil {
			return err
		}
		if source == "" {
			return fmt.Errorf("no name of the instance that was backed up: %w", esebcli.HrInvalidArgument)
		}
		if r.dir == "" {
			r.dir = filepath.Join(s.dir, "E", "restore", fmt.Sprint(s.newSerial()))
		}
		a.c.restores[r] = true
		return os.MkdirAll(r.dir, 0o700)
	})
	if err != nil {
		return nil, r.lost(err)
	}
	return r, nil
}

// RestoreReopen continues one whose environment was saved.
func (a *streaming) RestoreReopen(ctx context.Context, server, annotation, logPath string) (esebcli.Restore, error) {
	r := &restore{c: a.c, dir: logPath, saved: true}
	err := a.c.library(ctx, "API.RestoreReopen", []string{server, annotation, logPath}, func() error {
		if err := a.c.s.unavailable(server, annotation); err != nil {
			return err
		}
		b, err := os.ReadFile(filepath.Join(logPath, environmentFile))
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(logPath, environmentFile), esebcli.HrFileNotFound)
		}
		if err := json.Unmarshal(b, &r.env); err != nil {
			return fmt.Errorf("%s: %w", environmentFile, esebcli.HrInvalidArgument)
		}
		a.c.restores[r] = true
		return nil
	})
	if err != nil {
		return nil, r.lost(err)
	}
	return r, nil
}

// lost ends a restore of which the caller was never told.
func (r *restore) lost(err error) error {
	return errors.Join(err, r.c.s.locked(func() error {
		r.over = true
		delete(r.c.restores, r)
		return nil
	}))
}

func (r *restore) do(ctx context.Context, name string, args []string, f func() error) error {
	return r.c.library(ctx, "Restore."+name, args, func() error {
		if r.over {
			return fmt.Errorf("the restore was closed: %w", esebcli.HrInvalidArgument)
		}
		return f()
	})
}

// Environment tells where logs go, and what is known of them.
func (r *restore) Environment(ctx context.Context) (e esebcli.Environment, err error) {
	err = r.do(ctx, "Environment", nil, func() error {
		e = esebcli.Environment{RestoreLogPath: r.dir, SourceInstance: r.env.Source, TargetInstance: r.env.Target}
		e.LogBase = r.base()
		logs, err := closedLogs(r.dir, e.LogBase)
		if n := len(logs); n > 0 {
			e.First, e.Last = logs[0].generation, logs[n-1].generation
		}
		return err
	})
	return e, err
}

// base is the base name of the logs: of those that were opened, or else of the group.
func (r *restore) base() string {
	for _, f := range r.env.Files {
		if strings.HasSuffix(f, ".log") {
			return filepath.Base(f)[:3]
		}
	}
	if g, err := r.c.s.group(r.env.Source); err == nil {
		return g.base
	}
	return "E00"
}

// AddDatabase adds a database to where the server has it.
func (r *restore) AddDatabase(ctx context.Context, name string, id esebcli.GUID, streams []string) (to []string, err error) {
	err = r.do(ctx, "AddDatabase", []string{name}, func() error {
		d, err := r.c.s.byGUID(id.String())
		if err != nil {
			return err
		}
		to = []string{d.file}
		if d.stm != "" {
			to = append(to, d.stm)
		}
		return r.add(name, id, streams, to)
	})
	if err != nil {
		return nil, err
	}
	return to, nil
}

// AddDatabaseTo adds a database to where the caller says.
func (r *restore) AddDatabaseTo(ctx context.Context, name string, id esebcli.GUID, streams, destinations []string) error {
	return r.do(ctx, "AddDatabaseTo", append([]string{name}, destinations...), func() error {
		for _, d := range destinations {
			if !filepath.IsAbs(d) {
				return fmt.Errorf("%q is no path: %w", d, esebcli.HrInvalidArgument)
			}
		}
		return r.add(name, id, streams, destinations)
	})
}

func (r *restore) add(name string, id esebcli.GUID, streams, to []string) error {
	if len(streams) != len(to) || len(to) == 0 {
		return fmt.Errorf("%s: %d streams for %d files: %w", name, len(streams), len(to), esebcli.HrInvalidArgument)
	}
	if slices.ContainsFunc(r.env.Databases, func(d restored) bool { return d.Streams[0] == to[0] }) {
		return fmt.Errorf("%s was added already: %w", name, esebcli.HrInvalidArgument)
	}
	for _, g := range r.c.s.groups {
		for _, d := range g.dbs {
			if !slices.Contains(to, d.file) && (d.stm == "" || !slices.Contains(to, d.stm)) {
				continue
			}
			if d.mounted || !d.allow && !d.recovery {
				return fmt.Errorf("%s/%s is mounted, or may not be overwritten by a restore: %w", g.name, d.name, esebcli.HrDatabaseInUse)
			}
		}
	}
	r.env.Databases = append(r.env.Databases, restored{name, id, to})
	r.saved = false
	return nil
}

// OpenFile declares a file of the set.
func (r *restore) OpenFile(ctx context.Context, path string) (w esebcli.RestoreFile, atFileLevel bool, err error) {
	err = r.do(ctx, "OpenFile", []string{path}, func() error {
		log := filepath.Dir(path) == r.dir && strings.HasSuffix(path, ".log") && len(filepath.Base(path)) > len("E00.log")
		db := slices.ContainsFunc(r.env.Databases, func(d restored) bool { return slices.Contains(d.Streams, path) })
		if !log && !db {
			return fmt.Errorf("%s is neither a stream of a database that was added nor a log in %s: %w", path, r.dir, esebcli.HrInvalidArgument)
		}
		if !slices.Contains(r.env.Files, path) {
			r.env.Files = append(r.env.Files, path)
		}
		r.saved = false
		if atFileLevel = !r.c.s.through; atFileLevel {
			return nil
		}
		f, err := os.Create(path)
		if err == nil {
			r.writers++
			w = &restoreFile{r: r, f: f}
		}
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return w, atFileLevel, nil
}

// SaveEnvironment writes restore.env.
func (r *restore) SaveEnvironment(ctx context.Context) error {
	return r.do(ctx, "SaveEnvironment", nil, func() error {
		r.saved = true
		b, err := json.MarshalIndent(r.env, "", " ")
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(r.dir, environmentFile), b, 0o600)
	})
}

// Complete is hard recovery.
func (r *restore) Complete(ctx context.Context, checkpointPath, logPath, target string, flags esebcli.CompleteFlags) error {
	return r.do(ctx, "Complete", []string{checkpointPath, logPath, target, fmt.Sprint(flags)}, func() error {
		switch {
		case !r.saved:
			return sequence("the environment was not saved")
		case r.writers > 0:
			return sequence("%d files are open", r.writers)
		case filepath.Clean(logPath) != filepath.Clean(r.dir) || checkpointPath == "":
			return fmt.Errorf("checkpoint path %q, log path %q: the logs are in %s: %w", checkpointPath, logPath, r.dir, esebcli.HrInvalidArgument)
		case flags&^(esebcli.CompleteAttach|esebcli.CompleteKeepLogs) != 0:
			return fmt.Errorf("flags %#x: %w", flags, esebcli.HrInvalidArgument)
		case len(r.env.Databases) == 0:
			return fmt.Errorf("no database was added: %w", esebcli.HrInvalidArgument)
		}
		images, err := r.recoverHard(target)
		if err != nil {
			return err
		}
		if flags&esebcli.CompleteKeepLogs == 0 {
			for _, f := range append(slices.DeleteFunc(slices.Clone(r.env.Files), func(f string) bool { return filepath.Dir(f) != r.dir || !strings.HasSuffix(f, ".log") }), filepath.Join(r.dir, environmentFile)) {
				if err := os.Remove(f); err != nil {
					return err
				}
			}
		}
		if flags&esebcli.CompleteAttach == 0 {
			return nil
		}
		return r.mount(images)
	})
}

// recoverHard replays the logs into the copies.
func (r *restore) recoverHard(target string) (map[byte]*image, error) {
	s, base := r.c.s, r.base()
	images, first, last, err := r.copies()
	if err != nil {
		return nil, err
	}
	files, err := r.declared(base)
	if err != nil {
		return nil, err
	}
	n := len(files)
	if n == 0 || files[0].generation > first || files[n-1].generation < last {
		return nil, jet(errRestoreLogs, "the copies need the logs %d-%d, and not all are there", first, last)
	}
	if target != "" {
		g, err := s.group(target)
		if err != nil {
			return nil, fmt.Errorf("no instance %q: %w", target, esebcli.HrInvalidArgument)
		}
		own, err := seriesIn(g.logDir, g.base)
		if err != nil {
			return nil, err
		}
		for _, f := range own {
			if f.generation > files[n-1].generation {
				files = append(files, f)
			}
		}
	}
	entries, err := readLogs(files, esebcli.HrLogNotContiguous, esebcli.HrLogBadSignature)
	if err != nil {
		return nil, err
	}
	for _, img := range images {
		if img.header.LogSignature != entries[0].log.Header.Signature {
			return nil, fmt.Errorf("%s needs logs of another series: %w", img.path, esebcli.HrLogBadSignature)
		}
	}
	if err := replay(images, entries); err != nil {
		return nil, err
	}
	end := entries[len(entries)-1].log.End()
	for _, img := range images {
		if err := errors.Join(img.finish(end, s.stamp(), true), img.finishStream(s.streamOf(img.path))); err != nil {
			return nil, err
		}
	}
	return images, nil
}

// copies loads the databases, and tells which generations they need.
func (r *restore) copies() (images map[byte]*image, first, last uint32, err error) {
	images = map[byte]*image{}
	first = 1<<32 - 1
	for _, d := range r.env.Databases {
		for _, f := range d.Streams {
			if !slices.Contains(r.env.Files, f) {
				return nil, 0, 0, sequence("%s: the file was never opened", f)
			}
			if r.c.s.isMounted(f) {
				return nil, 0, 0, fmt.Errorf("%s: %w", f, esebcli.HrDatabaseInUse)
			}
		}
		img, err := loadImage(d.Streams[0])
		if err != nil {
			return nil, 0, 0, err
		}
		h := img.header
		switch t := img.trailer; {
		case h.FullCur.First == 0:
			return nil, 0, 0, jet(errNotABackup, "%s is no copy by the streaming API", img.path)
		case t == nil:
			return nil, 0, 0, jet(errDatabaseCorrupted, "%s: the copy was not finished, it has no trailer", img.path)
		case t.Signature != h.Signature || t.LogSignature != h.LogSignature || t.Full.At != h.FullCur.At:
			return nil, 0, 0, jet(errDatabaseSignature, "%s: the trailer is of another copy", img.path)
		case images[byte(h.ID)] != nil:
			return nil, 0, 0, jet(errDatabaseSignature, "%s and %s are the same database", img.path, images[byte(h.ID)].path)
		default:
			first, last = min(first, t.Full.First), max(last, t.Full.Last)
		}
		images[byte(h.ID)] = img
	}
	return images, first, last, nil
}

// declared are the logs of the set. Others in their folder are refused.
func (r *restore) declared(base string) ([]logFile, error) {
	files, err := closedLogs(r.dir, base)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if !slices.Contains(r.env.Files, f.path) {
			return nil, sequence("%s: the file was never opened", f.path)
		}
	}
	for _, f := range r.env.Files {
		if filepath.Dir(f) == r.dir && strings.HasSuffix(f, ".log") && !slices.ContainsFunc(files, func(l logFile) bool { return l.path == f }) {
			return nil, jet(errRestoreLogs, "%s was opened, and is not there", f)
		}
	}
	return files, nil
}

// mount mounts what was restored to where the server has it.
func (r *restore) mount(images map[byte]*image) error {
	for _, img := range images {
		for _, g := range r.c.s.groups {
			for _, d := range g.dbs {
				if d.file != img.path {
					continue
				}
				if err := mountOf(d); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Close ends the restore. Abort leaves files as they are.
func (r *restore) Close(ctx context.Context, abort bool) error {
	return r.c.call(ctx, "Restore.Close", []string{fmt.Sprint(abort)}, func() error {
		if r.over {
			return fmt.Errorf("the restore was closed: %w", esebcli.HrInvalidArgument)
		}
		r.over, r.writers = true, 0
		delete(r.c.restores, r)
		return nil
	})
}

// restoreFile is written by the library.
type restoreFile struct {
	r      *restore
	f      *os.File
	closed bool
}

// Write writes.
func (w *restoreFile) Write(ctx context.Context, p []byte) (n int, err error) {
	err = w.r.do(ctx, "Write", nil, func() error {
		n, err = w.f.Write(p)
		return err
	})
	return n, err
}

// Close closes the file.
func (w *restoreFile) Close(ctx context.Context) error {
	return w.r.do(ctx, "CloseFile", nil, func() error {
		if w.closed {
			return fmt.Errorf("the handle is not open: %w", esebcli.HrInvalidArgument)
		}
		w.closed = true
		w.r.writers--
		return w.f.Close()
	})
}

var (
	_ esebcli.Restore     = (*restore)(nil)
	_ esebcli.RestoreFile = (*restoreFile)(nil)
)
