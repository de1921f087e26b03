package notes_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/domino/notes"
)

// fake is an API that answers what a test can check, notes what it was asked, and does what the test says at a call.
type fake struct {
	at func(ctx context.Context, call string) error // nil: nothing happens

	mu    sync.Mutex
	calls []string
}

func (f *fake) called() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.calls...)
}

func (f *fake) do(ctx context.Context, call string, args ...any) error {
	f.mu.Lock()
	f.calls = append(f.calls, call+fmt.Sprint(args...))
	f.mu.Unlock()
	if f.at == nil {
		return nil
	}
	return f.at(ctx, call)
}

func (f *fake) Thread(ctx context.Context) (notes.Thread, error) {
	if err := f.do(ctx, "Thread"); err != nil {
		return nil, err
	}
	return &fakeThread{f}, nil
}

func (f *fake) Close() error { return f.do(context.Background(), "CloseAPI") }

type fakeThread struct{ *fake }

var (
	logID = notes.UNID{1, 2, 0xFF}
	dbiid = notes.UNID{9, 15: 8}
)

const (
	handle = notes.Handle(0x80000001_F0000002)
	backup = notes.BackupContext(0xFFFFFFFF)
	apply  = notes.ApplyContext(0x80000000)
	huge   = int64(5)<<32 | 0xFFFFFFF0
)

func (t *fakeThread) DataDirectory(ctx context.Context) (string, error) {
	return "/local/däta", t.do(ctx, "DataDirectory")
}

func (t *fakeThread) Environment(ctx context.Context, name string) (string, bool, error) {
	return "v", name == "is", t.do(ctx, "Environment", name)
}

func (t *fakeThread) Open(ctx context.Context, path string) (notes.Handle, error) {
	return handle, t.do(ctx, "Open", path)
}
func (t *fakeThread) Close(ctx context.Context, h notes.Handle) error { return t.do(ctx, "Close", h) }
func (t *fakeThread) IsDirectory(ctx context.Context, h notes.Handle) (bool, error) {
	return true, t.do(ctx, "IsDirectory", h)
}

func (t *fakeThread) Path(ctx context.Context, h notes.Handle) (string, error) {
	return "/local/x.nsf", t.do(ctx, "Path", h)
}

func (t *fakeThread) LogInfo(ctx context.Context, h notes.Handle) (notes.LogInfo, error) {
	return notes.LogInfo{Logged: true, LogID: logID, DBIID: dbiid, Extent: 0xFFFFFFFE}, t.do(ctx, "LogInfo", h)
}

func (t *fakeThread) BackupStart(ctx context.Context, h notes.Handle) (notes.BackupContext, int64, error) {
	return backup, huge, t.do(ctx, "BackupStart", h)
}

func (t *fakeThread) BackupHighWater(ctx context.Context, h notes.Handle, c notes.BackupContext, offset int64) error {
	return t.do(ctx, "BackupHighWater", h, c, offset)
}

func (t *fakeThread) BackupStop(ctx context.Context, h notes.Handle, c notes.BackupContext) error {
	return t.do(ctx, "BackupStop", h, c)
}

func (t *fakeThread) ChangeInfoSize(ctx context.Context, h notes.Handle, c notes.BackupContext) (int64, error) {
	return huge, t.do(ctx, "ChangeInfoSize", h, c)
}

func (t *fakeThread) NextChangeInfo(ctx context.Context, h notes.Handle, c notes.BackupContext, buf []byte) (int, error) {
	return fill(buf), t.do(ctx, "NextChangeInfo", h, c, len(buf))
}

// fill writes what Apply expects.
func fill(buf []byte) int {
	for i := range buf {
		buf[i] = byte(i * 7)
	}
	return max(0, len(buf)-1)
}

func (t *fakeThread) BackupEnd(ctx context.Context, h notes.Handle, c notes.BackupContext, abort bool) error {
	return t.do(ctx, "BackupEnd", h, c, abort)
}

func (t *fakeThread) ApplyStart(ctx context.Context, copyPath string, size int64) (notes.ApplyContext, error) {
	return apply, t.do(ctx, "ApplyStart", copyPath, size)
}

func (t *fakeThread) Apply(ctx context.Context, a notes.ApplyContext, info []byte) error {
	want := make([]byte, len(info)+1)
	if fill(want); string(want[:len(info)]) != string(info) {
		return errors.New("other bytes")
	}
	return t.do(ctx, "Apply", a, len(info))
}

func (t *fakeThread) ApplyEnd(ctx context.Context, a notes.ApplyContext, abort bool) error {
	return t.do(ctx, "ApplyEnd", a, abort)
}

func (t *fakeThread) LogStyle(ctx context.Context) (notes.LogStyle, error) {
	return notes.LogLinear, t.do(ctx, "LogStyle")
}
func (t *fakeThread) ArchivingBegin(ctx context.Context) error { return t.do(ctx, "ArchivingBegin") }
func (t *fakeThread) ArchivingEnd(ctx context.Context) error   { return t.do(ctx, "ArchivingEnd") }
func (t *fakeThread) FirstLog(ctx context.Context) (notes.Extent, error) {
	return notes.Extent{LogID: logID, Number: 7, Path: "/log/S0000007.TXN"}, t.do(ctx, "FirstLog")
}

// NextLog fills in the current extent beside the status.
func (t *fakeThread) NextLog(ctx context.Context) (notes.Extent, error) {
	e := notes.Extent{LogID: logID, Number: 8, Path: "/log/S0000008.TXN"}
	if err := t.do(ctx, "NextLog"); err != nil {
		return e, err
	}
	return e, &notes.CallError{Call: "other", Status: notes.StatusNoTransLogsToArchive, Detail: "Es gibt keine"}
}

func (t *fakeThread) LogDone(ctx context.Context, id notes.UNID, number uint32) error {
	return t.do(ctx, "LogDone", id, number)
}

func (t *fakeThread) TakeOffline(ctx context.Context, path string, wait time.Duration) error {
	return t.do(ctx, "TakeOffline", path, wait)
}

func (t *fakeThread) BringOnline(ctx context.Context, path string) error {
	return t.do(ctx, "BringOnline", path)
}

// Recover wants three extents.
func (t *fakeThread) Recover(ctx context.Context, paths []string, flags notes.RecoverFlags, until time.Time,
	put func(ctx context.Context, id notes.UNID, number uint32, path string) error,
) (notes.Recovered, error) {
	r := notes.Recovered{Failed: 1, Last: until.Add(-time.Second)}
	if err := t.do(ctx, "Recover", paths, flags, put != nil); err != nil {
		return r, err
	}
	for n := uint32(3); put != nil && n < 6; n++ {
		if err := put(ctx, logID, n, fmt.Sprintf("/log/%d", n)); err != nil {
			return r, fmt.Errorf("%w: %w", notes.StatusRMMQLogError, err)
		}
	}
	return notes.Recovered{Failed: -1, Last: until.Add(-time.Second)}, nil
}

func (t *fakeThread) End() error { return t.do(context.Background(), "End") }

var (
	_ notes.API    = (*fake)(nil)
	_ notes.Thread = (*fakeThread)(nil)
)
