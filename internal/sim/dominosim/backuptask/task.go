package backuptask

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/domino/notes"
)

// Task is Domino's backup and restore with its inventory, which dominobackup.nsf holds.
type Task struct {
	// API is the server's.
	API notes.API
	// DataDir is its data directory.
	DataDir string
	// Command calls the external command with its parameters and returns what it printed. Post is the command for the end, nil when none is configured.
	Command func(ctx context.Context, args []string) string
	Post    func(ctx context.Context, args []string) string
	// Clock dates backups.
	Clock func() time.Time
	// Exclude are names that are left out.
	Exclude func(name string) bool
	// DropEmptyDelta leaves out change information that is empty, which is Domino's default.
	DropEmptyDelta bool

	mu        sync.Mutex
	databases map[string]string // DBIID by name
	extents   map[extentKey]extent
	files     []Entry
}

// Entry is a database in the inventory.
type Entry struct {
	Name, Start, Reference, DeltaReference, Mode string
	DBIID                                        string
	Logged                                       bool
	delta                                        bool
}

type extentKey struct {
	id     string
	number uint32
}

// extent is what the inventory has of one.
type extent struct{ name, ref, start string }

// Entries are the databases in the inventory, oldest first.
func (k *Task) Entries() []Entry {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.files)
}

// Load is "load backup" with its options: -b, -t or -i. It returns what the console would show as errors.
func (k *Task) Load(ctx context.Context, options string) error {
	start := k.Clock().UTC().Format("20060102150405.000000000")
	t, err := k.API.Thread(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = t.End() }()
	mode := map[string]string{"-b": "FULL", "-i": "INCR", "-t": "TRANSLOG"}[options]
	switch options {
	case "-t":
		err = k.translog(ctx, t, start)
	case "-b", "-i":
		err = k.all(ctx, t, mode, start)
	default:
		return fmt.Errorf("backup: unknown options %q", options)
	}
	if k.Post != nil {
		_, _, perr := outcome(k.Post(ctx, []string{"", "", "", "mail1", "Default", mode, start, "", ""}))
		err = errors.Join(err, perr)
	}
	return err
}

// outcome reads what the command printed as a configuration says that looks for "Return: ERROR", "Return: PROCESSED" and "BackupRef:".
func outcome(out string) (ref string, ok bool, err error) {
	for line := range strings.Lines(out) {
		if r, is := strings.CutPrefix(strings.TrimSpace(line), "BackupRef:"); is {
			ref = strings.TrimSpace(r)
		}
	}
	if strings.Contains(out, "Return: ERROR") || !strings.Contains(out, "Return: PROCESSED") {
		return ref, false, fmt.Errorf("backup: %s", strings.TrimSpace(out))
	}
	return ref, true, nil
}

func (k *Task) all(ctx context.Context, t notes.Thread, mode, start string) error {
	var errs []error
	err := filepath.WalkDir(k.DataDir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		ext := strings.ToLower(filepath.Ext(path))
		if ext != ".nsf" && ext != ".ntf" && ext != ".box" {
			return nil
		}
		rel, err := filepath.Rel(k.DataDir, path)
		if err != nil {
			return err
		}
		if name := filepath.ToSlash(rel); k.Exclude == nil || !k.Exclude(name) {
			if err := k.one(ctx, t, name, mode, start); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

// one backs one database up [UG].
func (k *Task) one(ctx context.Context, t notes.Thread, name, mode, start string) (err error) {
	h, err := t.Open(ctx, name)
	if err != nil {
		return err
	}
	undo := context.WithoutCancel(ctx)
	defer func() { err = errors.Join(err, t.Close(undo, h)) }()
	info, err := t.LogInfo(ctx, h)
	if err != nil {
		return err
	}
	id := ""
	if info.Logged {
		id = info.DBIID.String()
	}
	k.mu.Lock()
	was, known := k.databases[name]
	k.mu.Unlock()
	if mode == "INCR" && known && was == id {
		return nil
	}
	path, err := t.Path(ctx, h)
	if err != nil {
		return err
	}
	c, _, err := t.BackupStart(ctx, h)
	if err != nil {
		return err
	}
	ended := false
	defer func() {
		if !ended {
			err = errors.Join(err, t.BackupEnd(undo, h, c, true))
		}
	}()
	e := Entry{Name: name, Start: start, Mode: mode, DBIID: id, Logged: info.Logged}
	native := filepath.FromSlash(name)
	args := func(file, name string) []string {
		return []string{file, name, id, "mail1", "Default", mode, start, "/target", "30"}
	}
	if e.Reference, _, err = outcome(k.Command(ctx, args(path, native))); err != nil {
		return err
	}
	if err := t.BackupStop(ctx, h, c); err != nil {
		return err
	}
	delta := path + ".DELTA"
	size, err := changes(ctx, t, h, c, delta)
	if err != nil {
		return err
	}
	defer os.Remove(delta)
	if size > 0 || !k.DropEmptyDelta {
		e.delta = true
		if e.DeltaReference, _, err = outcome(k.Command(ctx, args(delta, native+".DELTA"))); err != nil {
			return err
		}
	}
	ended = true
	if err := t.BackupEnd(undo, h, c, false); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.databases == nil {
		k.databases = map[string]string{}
	}
	k.databases[name] = id
	k.files = append(k.files, e)
	return nil
}

// changes writes the change information to a file.
func changes(ctx context.Context, t notes.Thread, h notes.Handle, c notes.BackupContext, to string) (n int64, err error) {
	f, err := os.Create(to)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := t.ChangeInfoSize(ctx, h, c); err != nil {
		return 0, err
	}
	buf := make([]byte, 64<<10)
	for {
		got, err := t.NextChangeInfo(ctx, h, c, buf)
		if err != nil || got == 0 {
			return n, err
		}
		if _, err := f.Write(buf[:got]); err != nil {
			return n, err
		}
		n += int64(got)
	}
}

// translog archives full extents.
func (k *Task) translog(ctx context.Context, t notes.Thread, start string) (err error) {
	if err := t.ArchivingBegin(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.ArchivingEnd(context.WithoutCancel(ctx))) }()
	next := t.FirstLog
	for {
		e, err := next(ctx)
		if errors.Is(err, notes.StatusNoTransLogsToArchive) {
			return nil
		}
		if err != nil {
			return err
		}
		next = t.NextLog
		name := filepath.Base(e.Path)
		ref, _, err := outcome(k.Command(ctx, []string{e.Path, name, e.LogID.String(), "mail1", "Default", "TRANSLOG", start, "/target", "30"}))
		if err != nil {
			return err
		}
		k.mu.Lock()
		if k.extents == nil {
			k.extents = map[extentKey]extent{}
		}
		k.extents[extentKey{e.LogID.String(), e.Number}] = extent{name, ref, start}
		k.mu.Unlock()
		if err := t.LogDone(ctx, e.LogID, e.Number); err != nil {
			return err
		}
	}
}

// Restore is what the restore task does for one request: an entry of the inventory, to a time or, when it is zero, with log up to where there is no more.
func (k *Task) Restore(ctx context.Context, e Entry, until time.Time) (err error) {
	t, err := k.API.Thread(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = t.End() }()
	to := filepath.Join(k.DataDir, filepath.FromSlash(e.Name))
	temp := to + ".DAD"
	native := filepath.FromSlash(e.Name)
	bring := func(name, reference, mode, start, to, ref string) error {
		_, _, err := outcome(k.Command(ctx, []string{"", name, reference, "mail1", "Default", mode, start, "/target", to, ref}))
		return err
	}
	if err := bring(native, e.DBIID, e.Mode, e.Start, temp, e.Reference); err != nil {
		return err
	}
	defer os.Remove(temp)
	if e.delta {
		if err := bring(native+".DELTA", e.DBIID, e.Mode, e.Start, temp+".DELTA", e.DeltaReference); err != nil {
			return err
		}
		defer os.Remove(temp + ".DELTA")
		if err := apply(ctx, t, temp, temp+".DELTA"); err != nil {
			return err
		}
	}
	if e.Logged {
		flags := notes.RecoverZapID
		if !until.IsZero() {
			flags = notes.RecoverPointInTime
		}
		_, err := t.Recover(ctx, []string{temp}, flags, until, func(_ context.Context, id notes.UNID, number uint32, path string) error {
			k.mu.Lock()
			have, ok := k.extents[extentKey{id.String(), number}]
			k.mu.Unlock()
			if !ok {
				return fmt.Errorf("restore: extent %d of log %s is not in the inventory", number, id)
			}
			return bring(have.name, id.String(), "TRANSLOG", have.start, path, have.ref)
		})
		if err != nil {
			return err
		}
	}
	if _, err := os.Stat(to); err == nil {
		if err := t.TakeOffline(ctx, to, time.Second); err != nil {
			return err
		}
	}
	return errors.Join(os.Rename(temp, to), t.BringOnline(ctx, to))
}

func apply(ctx context.Context, t notes.Thread, to, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	a, err := t.ApplyStart(ctx, to, info.Size())
	if err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(f, buf)
		if n > 0 {
			if err := t.Apply(ctx, a, buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return t.ApplyEnd(ctx, a, false)
		}
	}
}
