package notes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// thread is a thread of the other side.
type thread struct {
	client *client
	number uint64

	mu    sync.Mutex // held during a call
	over  error      // why none can be made
	ended bool
}

var errEnded = errors.New("the thread has been ended")

// call makes one call. Results may come beside an error.
func (t *thread) call(ctx context.Context, name string, in input, body []byte) (output, []byte, error) {
	return t.callWith(ctx, name, in, body, nil)
}

func (t *thread) callWith(ctx context.Context, name string, in input, body []byte, put placer) (output, []byte, error) {
	for _, s := range append([]string{in.Path}, in.Paths...) {
		if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			return output{}, nil, fmt.Errorf("%s: the name %q is not text that Notes can have: rename it", name, s)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over != nil {
		return output{}, nil, fmt.Errorf("%s: %w", name, t.over)
	}
	k := kindCall
	if name == callInit {
		k = kindThread
	}
	f, lost, err := t.client.call(ctx, &frame{head: head{Kind: k, Thread: t.number, Call: name, In: &in}, body: body}, put)
	if lost {
		t.over = err
	}
	if f == nil {
		return output{}, nil, err
	}
	out := output{}
	if f.Out != nil {
		out = *f.Out
	}
	return out, f.body, err
}

func (t *thread) DataDirectory(ctx context.Context) (string, error) {
	out, _, err := t.call(ctx, callDataDirectory, input{}, nil)
	return out.Text, err
}

func (t *thread) Environment(ctx context.Context, name string) (string, bool, error) {
	out, _, err := t.call(ctx, callEnvironment, input{Path: name}, nil)
	return out.Text, out.Yes, err
}

func (t *thread) Open(ctx context.Context, path string) (Handle, error) {
	out, _, err := t.call(ctx, callOpen, input{Path: path}, nil)
	return Handle(out.Handle), err
}

func (t *thread) Close(ctx context.Context, h Handle) error {
	_, _, err := t.call(ctx, callClose, input{Handle: uint64(h)}, nil)
	return err
}

func (t *thread) IsDirectory(ctx context.Context, h Handle) (bool, error) {
	out, _, err := t.call(ctx, callMode, input{Handle: uint64(h)}, nil)
	return out.Yes, err
}

func (t *thread) Path(ctx context.Context, h Handle) (string, error) {
	out, _, err := t.call(ctx, callPath, input{Handle: uint64(h)}, nil)
	return out.Text, err
}

func (t *thread) LogInfo(ctx context.Context, h Handle) (LogInfo, error) {
	out, _, err := t.call(ctx, callLogInfo, input{Handle: uint64(h)}, nil)
	if out.Info == nil {
		return LogInfo{}, err
	}
	return *out.Info, err
}

func (t *thread) BackupStart(ctx context.Context, h Handle) (BackupContext, int64, error) {
	out, _, err := t.call(ctx, callBackupStart, input{Handle: uint64(h)}, nil)
	return BackupContext(out.Context), out.Size, err
}

func (t *thread) BackupHighWater(ctx context.Context, h Handle, c BackupContext, offset int64) error {
	_, _, err := t.call(ctx, callHighWater, input{Handle: uint64(h), Context: uint64(c), Size: offset}, nil)
	return err
}

func (t *thread) BackupStop(ctx context.Context, h Handle, c BackupContext) error {
	_, _, err := t.call(ctx, callBackupStop, input{Handle: uint64(h), Context: uint64(c)}, nil)
	return err
}

func (t *thread) ChangeInfoSize(ctx context.Context, h Handle, c BackupContext) (int64, error) {
	out, _, err := t.call(ctx, callChangeInfoSize, input{Handle: uint64(h), Context: uint64(c)}, nil)
	return out.Size, err
}

// NextChangeInfo fills at most 16 MiB at a time.
func (t *thread) NextChangeInfo(ctx context.Context, h Handle, c BackupContext, buf []byte) (int, error) {
	_, body, err := t.call(ctx, callNextChangeInfo, input{Handle: uint64(h), Context: uint64(c), Size: int64(min(len(buf), maxBody))}, nil)
	if len(body) > len(buf) {
		return 0, fmt.Errorf("%s: %d bytes for a buffer of %d", callNextChangeInfo, len(body), len(buf))
	}
	return copy(buf, body), err
}

func (t *thread) BackupEnd(ctx context.Context, h Handle, c BackupContext, abort bool) error {
	_, _, err := t.call(ctx, callBackupEnd, input{Handle: uint64(h), Context: uint64(c), Abort: abort}, nil)
	return err
}

func (t *thread) ApplyStart(ctx context.Context, copyPath string, size int64) (ApplyContext, error) {
	out, _, err := t.call(ctx, callApplyStart, input{Path: copyPath, Size: size}, nil)
	return ApplyContext(out.Context), err
}

// Apply keeps no part of info, also when it is given up.
func (t *thread) Apply(ctx context.Context, a ApplyContext, info []byte) error {
	_, _, err := t.call(ctx, callApply, input{Context: uint64(a)}, slices.Clone(info))
	return err
}

func (t *thread) ApplyEnd(ctx context.Context, a ApplyContext, abort bool) error {
	_, _, err := t.call(ctx, callApplyEnd, input{Context: uint64(a), Abort: abort}, nil)
	return err
}

func (t *thread) LogStyle(ctx context.Context) (LogStyle, error) {
	out, _, err := t.call(ctx, callLogStyle, input{}, nil)
	return LogStyle(out.Style), err
}

func (t *thread) ArchivingBegin(ctx context.Context) error {
	_, _, err := t.call(ctx, callArchivingBegin, input{}, nil)
	return err
}

func (t *thread) ArchivingEnd(ctx context.Context) error {
	_, _, err := t.call(ctx, callArchivingEnd, input{}, nil)
	return err
}

func (t *thread) FirstLog(ctx context.Context) (Extent, error) {
	out, _, err := t.call(ctx, callFirstLog, input{}, nil)
	return out.Extent, err
}

func (t *thread) NextLog(ctx context.Context) (Extent, error) {
	out, _, err := t.call(ctx, callNextLog, input{}, nil)
	return out.Extent, err
}

func (t *thread) LogDone(ctx context.Context, id UNID, number uint32) error {
	_, _, err := t.call(ctx, callLogDone, input{LogID: id, Number: number}, nil)
	return err
}

func (t *thread) TakeOffline(ctx context.Context, path string, wait time.Duration) error {
	_, _, err := t.call(ctx, callTakeOffline, input{Path: path, Wait: wait}, nil)
	return err
}

func (t *thread) BringOnline(ctx context.Context, path string) error {
	_, _, err := t.call(ctx, callBringOnline, input{Path: path}, nil)
	return err
}

func (t *thread) Recover(ctx context.Context, paths []string, flags RecoverFlags, until time.Time,
	put func(ctx context.Context, id UNID, number uint32, path string) error,
) (Recovered, error) {
	out, _, err := t.callWith(ctx, callRecover, input{Paths: paths, Flags: uint32(flags), Until: until, Put: put != nil}, nil, put)
	if out.Result == nil {
		return Recovered{Failed: -1}, err
	}
	return *out.Result, err
}

// End waits for the call under way. A second End does nothing.
func (t *thread) End() error {
	t.mu.Lock()
	ended, over := t.ended, t.over
	t.ended = true
	t.mu.Unlock()
	if ended {
		return nil
	}
	if over != nil {
		t.client.leave(t.number)
		return fmt.Errorf("%s: %w", callTerm, over)
	}
	ctx, cancel := context.WithTimeout(context.Background(), t.client.grace)
	defer cancel()
	_, _, err := t.call(ctx, callTerm, input{}, nil)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over == nil {
		t.over = errEnded
	}
	return err
}
