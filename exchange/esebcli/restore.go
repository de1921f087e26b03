package esebcli

import (
	"context"
	"errors"
	"math"

	"github.com/quiesce-go/quiesce/backup"
)

// RestoreOpen implements API.
func (l *Library) RestoreOpen(ctx context.Context, machine, annotation, source, logPath string) (Restore, error) {
	return l.restore(ctx, restoreOpen, source, func(machine string) *frame {
		return newFrame().text(machine).text(annotation).text(source).text(logPath)
	}, machine)
}

// RestoreReopen implements API.
func (l *Library) RestoreReopen(ctx context.Context, machine, annotation, logPath string) (Restore, error) {
	return l.restore(ctx, restoreReopen, logPath, func(machine string) *frame {
		return newFrame().text(machine).text(annotation).text(logPath)
	}, machine)
}

func (l *Library) restore(ctx context.Context, fn function, object string, args func(machine string) *frame, machine string) (Restore, error) {
	machine, err := server(machine)
	if err == nil {
		err = l.dll.ready()
	}
	if err != nil {
		return nil, &backup.Error{App: "exchange", Op: fn.String(), Artifact: object, Advice: backup.Hint(err), Err: err}
	}
	hccx := new(uintptr)
	if err := l.invoke(ctx, fn, object, out(args(machine), hccx)); err != nil {
		return nil, err
	}
	return &restore{lib: l, object: object, hccx: *hccx}, nil
}

// restore is an HCCX of a restore.
type restore struct {
	lib    *Library
	object string // the instance, or the path of its environment
	hccx   uintptr
	over   bool
}

func (r *restore) ask(ctx context.Context, fn function, object string, f *frame) error {
	if r.over {
		f.release()
		return over(fn, object)
	}
	return r.lib.invoke(ctx, fn, object, f)
}

func (r *restore) frame() *frame { return newFrame().handle(r.hccx) }

func (r *restore) Environment(ctx context.Context) (Environment, error) {
	addr := new(uintptr)
	if err := r.ask(ctx, restoreGetEnvironment, r.object, out(r.frame(), addr)); err != nil {
		return Environment{}, err
	}
	if *addr != 0 {
		defer r.lib.free(restoreFreeEnvironment, newFrame().handle(*addr))
	}
	e, err := native().environment(uint64(*addr))
	if err != nil {
		return Environment{}, &backup.Error{App: "exchange", Op: restoreGetEnvironment.String(), Artifact: r.object, Err: err}
	}
	return e, nil
}

func (r *restore) AddDatabase(ctx context.Context, name string, id GUID, streams []string) ([]string, error) {
	to := new(uintptr)
	if err := r.ask(ctx, restoreAddDatabase, name, out(r.frame().text(name).guid(id).multi(streams), to)); err != nil {
		return nil, err
	}
	if *to == 0 {
		return nil, nil
	}
	defer r.lib.free(restoreFree, newFrame().handle(*to))
	list, err := native().list(uint64(*to), maxChars)
	if err != nil {
		return nil, &backup.Error{App: "exchange", Op: restoreAddDatabase.String(), Artifact: name, Err: err}
	}
	return list, nil
}

func (r *restore) AddDatabaseTo(ctx context.Context, name string, id GUID, streams, destinations []string) error {
	return r.ask(ctx, restoreAddDatabaseNS, name, r.frame().text(name).guid(id).multi(streams).multi(destinations))
}

func (r *restore) OpenFile(ctx context.Context, path string) (RestoreFile, bool, error) {
	handle := new(uintptr)
	const sections = 1
	err := r.ask(ctx, restoreOpenFile, path, out(r.frame().text(path).u32(sections), handle))
	switch {
	case errors.Is(err, HrRestoreAtFileLevel):
		return nil, true, nil
	case err != nil:
		return nil, false, err
	}
	return &restoreFile{r: r, handle: *handle, path: path}, false, nil
}

func (r *restore) SaveEnvironment(ctx context.Context) error {
	return r.ask(ctx, restoreSaveEnvironment, r.object, r.frame())
}

func (r *restore) Complete(ctx context.Context, checkpointPath, logPath, target string, flags CompleteFlags) error {
	return r.ask(ctx, restoreComplete, r.object, r.frame().text(checkpointPath).text(logPath).text(target).u32(uint32(flags)))
}

func (r *restore) Close(_ context.Context, abort bool) error {
	if r.over {
		return nil
	}
	r.over = true
	const closeNormal, closeAbort = 0, 1 // RESTORE_CLOSE_
	how := uint32(closeNormal)
	if abort {
		how = closeAbort
	}
	return r.lib.must(restoreClose, r.object, r.frame().u32(how))
}

// restoreFile is written by the library.
type restoreFile struct {
	r      *restore
	handle uintptr
	path   string
	closed bool
}

func (f *restoreFile) Write(ctx context.Context, p []byte) (int, error) {
	if f.closed {
		return 0, over(restoreWriteFile, f.path)
	}
	written := 0
	for written < len(p) {
		part := p[written:]
		if len(part) > math.MaxInt32 {
			part = part[:math.MaxInt32]
		}
		args := out(f.r.frame().handle(f.handle), &part[0]).u32(uint32(len(part)))
		if err := f.r.ask(ctx, restoreWriteFile, f.path, args); err != nil {
			return written, err
		}
		written += len(part)
	}
	return written, nil
}

func (f *restoreFile) Close(context.Context) error {
	if f.closed || f.r.over {
		return nil
	}
	f.closed = true
	return f.r.lib.must(restoreCloseFile, f.path, f.r.frame().handle(f.handle))
}

var (
	_ Restore     = (*restore)(nil)
	_ RestoreFile = (*restoreFile)(nil)
)
