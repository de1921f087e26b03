package esebcli

import (
	"context"
	"fmt"
	"io"
	"math"

	"github.com/quiesce-go/quiesce/backup"
)

// Prepare implements API.
func (l *Library) Prepare(ctx context.Context, machine, annotation string) (Session, []Instance, error) {
	s := &session{lib: l, annotation: annotation}
	machine, err := server(machine)
	if err == nil {
		err = l.dll.ready()
	}
	if err != nil {
		return nil, nil, &backup.Error{App: "exchange", Op: backupPrepare.String(), Artifact: annotation, Advice: backup.Hint(err), Err: err}
	}
	r := &struct {
		count           uint32
		instances, hccx uintptr
	}{}
	f := out(out(out(newFrame().text(machine).text(annotation), &r.count), &r.instances), &r.hccx)
	if err := l.invoke(ctx, backupPrepare, annotation, f); err != nil {
		return nil, nil, err
	}
	s.hccx, s.info, s.count = r.hccx, r.instances, r.count
	list, err := native().instances(uint64(s.info), s.count)
	if err != nil {
		_ = s.End(ctx)
		return nil, nil, &backup.Error{App: "exchange", Op: backupPrepare.String(), Artifact: annotation, Err: err}
	}
	return s, list, nil
}

// session is an HCCX of a backup.
type session struct {
	lib        *Library
	annotation string
	hccx       uintptr
	info       uintptr // what Prepare returned, to be freed
	count      uint32
	over       bool
}

// ask calls a function of the session.
func (s *session) ask(ctx context.Context, fn function, object string, f *frame) error {
	if s.over {
		f.release()
		return over(fn, object)
	}
	return s.lib.invoke(ctx, fn, object, f)
}

// frame begins the arguments of a call of the session.
func (s *session) frame() *frame { return newFrame().handle(s.hccx) }

func (s *session) Setup(ctx context.Context, instance int64, t BackupType) error {
	return s.ask(ctx, backupSetup, fmt.Sprintf("instance %d", instance), s.frame().i64(instance).u32(uint32(t)))
}

func (s *session) OpenFile(ctx context.Context, path string, readHint uint32) (File, int64, error) {
	r := &struct {
		handle uintptr
		size   int64
	}{}
	const sections = 1
	f := out(out(s.frame().text(path).u32(readHint).u32(sections), &r.handle), &r.size)
	if err := s.ask(ctx, backupOpenFile, path, f); err != nil {
		return nil, 0, err
	}
	return &file{s: s, handle: r.handle, path: path}, r.size, nil
}

func (s *session) LogFiles(ctx context.Context) ([]string, error) {
	return s.list(ctx, backupGetLogAndPatchFiles)
}

func (s *session) TruncateLogFiles(ctx context.Context) ([]string, error) {
	return s.list(ctx, backupGetTruncateLogFiles)
}

func (s *session) list(ctx context.Context, fn function) ([]string, error) {
	files := new(uintptr)
	if err := s.ask(ctx, fn, s.annotation, out(s.frame(), files)); err != nil {
		return nil, err
	}
	if *files == 0 {
		return nil, nil
	}
	defer s.lib.free(backupFree, newFrame().handle(*files))
	list, err := native().list(uint64(*files), maxChars)
	if err != nil {
		return nil, &backup.Error{App: "exchange", Op: fn.String(), Artifact: s.annotation, Err: err}
	}
	return list, nil
}

func (s *session) TruncateLogs(ctx context.Context) error {
	return s.ask(ctx, backupTruncateLogs, s.annotation, s.frame())
}

func (s *session) EndInstance(ctx context.Context, success bool) error {
	const endError, endSuccess = 0, 1 // ESE_BACKUP_INSTANCE_END_
	how := uint32(endError)
	if success {
		how = endSuccess
	}
	return s.ask(ctx, backupInstanceEnd, s.annotation, s.frame().u32(how))
}

func (s *session) End(context.Context) error {
	if s.over {
		return nil
	}
	s.over = true
	err := s.lib.must(backupEnd, s.annotation, s.frame())
	if s.info != 0 {
		s.lib.free(backupFreeInstanceInfo, newFrame().u32(s.count).handle(s.info))
	}
	return err
}

// file is open in a backup.
type file struct {
	s      *session
	handle uintptr
	path   string
	closed bool
}

func (f *file) Read(ctx context.Context, p []byte) (int, error) {
	if f.closed {
		return 0, over(backupReadFile, f.path)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if len(p) > math.MaxInt32 {
		p = p[:math.MaxInt32]
	}
	n := new(uint32)
	args := out(out(f.s.frame().handle(f.handle), &p[0]).u32(uint32(len(p))), n)
	if err := f.s.ask(ctx, backupReadFile, f.path, args); err != nil {
		return 0, err
	}
	switch {
	case *n == 0: // [BAC]
		return 0, io.EOF
	case int64(*n) > int64(len(p)):
		return 0, &backup.Error{App: "exchange", Op: backupReadFile.String(), Artifact: f.path, Err: fmt.Errorf("%d bytes in a buffer of %d: %w", *n, len(p), errStructure)}
	}
	return int(*n), nil
}

func (f *file) Close(context.Context) error {
	if f.closed || f.s.over {
		return nil
	}
	f.closed = true
	return f.s.lib.must(backupCloseFile, f.path, f.s.frame().handle(f.handle))
}

var (
	_ Session = (*session)(nil)
	_ File    = (*file)(nil)
)
