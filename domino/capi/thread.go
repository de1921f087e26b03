//go:build (linux && (amd64 || arm64)) || (darwin && (amd64 || arm64)) || (windows && (amd64 || 386))

package capi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/quiesce-go/quiesce/domino/notes"
)

// thread is one of Domino's.
type thread struct {
	*library
	work chan func()
	buf  []byte // of change information, used on the thread alone

	mu   sync.Mutex // held during a call
	over error
}

var (
	errEnded = errors.New("the thread has been ended")
	errLost  = errors.New("the thread is lost in a call that was given up")
)

// run has f run on the thread. When ctx ends first, the thread is lost, and what f writes is nobody's: its caller must not look at it.
func (t *thread) run(ctx context.Context, f func() error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over != nil {
		return t.over
	}
	done := make(chan error, 1)
	t.work <- func() { done <- f() }
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		t.over = fmt.Errorf("%w; %w", context.Cause(ctx), errLost)
		t.library.mu.Lock()
		t.lost = true
		t.library.mu.Unlock()
		close(t.work) // when the call comes back
		return t.over
	}
}

// call runs a function on ctx's time and returns its results.
func call[T any](ctx context.Context, t *thread, name string, f func(out *T) (uint16, error)) (T, error) {
	out := new(T)
	err := t.run(ctx, func() error {
		word, err := f(out)
		if err != nil {
			return err
		}
		return t.status(name, word, true)
	})
	if errors.Is(err, errLost) {
		var none T
		return none, err
	}
	return *out, err
}

// simply is a call whose only result is its status.
func (t *thread) simply(ctx context.Context, name string, f func() (uint16, error)) error {
	_, err := call(ctx, t, name, func(*struct{}) (uint16, error) { return f() })
	return err
}

// End is NotesTermThread.
func (t *thread) End() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case errors.Is(t.over, errEnded):
		return nil
	case t.over != nil:
		return t.over
	}
	t.over = errEnded
	close(t.work)
	return nil
}

func (t *thread) DataDirectory(ctx context.Context) (string, error) {
	return call(ctx, t, "OSGetDataDirectory", func(out *string) (uint16, error) {
		buf := make([]byte, pathBuffer)
		t.OSGetDataDirectory(&buf[0]) // answers a length
		*out = t.fromLMBCS(text(buf))
		return 0, nil
	})
}

func (t *thread) Environment(ctx context.Context, name string) (string, bool, error) {
	type value struct {
		text string
		is   bool
	}
	v, err := call(ctx, t, "OSGetEnvironmentString", func(out *value) (uint16, error) {
		n, err := t.toLMBCS(name, maxEnvironment)
		if err != nil {
			return 0, err
		}
		buf := make([]byte, pathBuffer)
		out.is = t.OSGetEnvironmentString(&n[0], &buf[0], maxEnvironment-1) != 0
		if out.is {
			out.text = t.fromLMBCS(text(buf))
		}
		return 0, nil
	})
	return v.text, v.is, err
}

func (t *thread) Open(ctx context.Context, path string) (notes.Handle, error) {
	h, err := call(ctx, t, "NSFDbOpen", func(h *uint64) (uint16, error) {
		p, err := t.path(path)
		if err != nil {
			return 0, err
		}
		return t.NSFDbOpen(&p[0], h), nil
	})
	return notes.Handle(h), err
}

func (t *thread) Close(ctx context.Context, h notes.Handle) error {
	return t.simply(ctx, "NSFDbClose", func() (uint16, error) { return t.NSFDbClose(uintptr(h)), nil })
}

func (t *thread) IsDirectory(ctx context.Context, h notes.Handle) (bool, error) {
	mode, err := call(ctx, t, "NSFDbModeGet", func(mode *uint16) (uint16, error) { return t.NSFDbModeGet(uintptr(h), mode), nil })
	return err == nil && mode == modeDirectory, err
}

func (t *thread) Path(ctx context.Context, h notes.Handle) (string, error) {
	return call(ctx, t, "NSFDbPathGet", func(out *string) (uint16, error) {
		buf := make([]byte, pathBuffer)
		word := t.NSFDbPathGet(uintptr(h), nil, &buf[0])
		*out = t.fromLMBCS(text(buf))
		return word, nil
	})
}

func (t *thread) LogInfo(ctx context.Context, h notes.Handle) (notes.LogInfo, error) {
	return call(ctx, t, "NSFDbGetLogInfo", func(out *notes.LogInfo) (uint16, error) {
		var logged int32
		word := t.NSFDbGetLogInfo(uintptr(h), 0, &logged, &out.LogID, &out.DBIID, &out.Extent)
		out.Logged = logged != 0
		return word, nil
	})
}

// begun is a context with its size.
type begun struct {
	context   uint64
	low, high uint32
}

func (b begun) size() (int64, error) {
	if b.high > math.MaxInt32 {
		return 0, fmt.Errorf("a size of 0x%08X%08X bytes", b.high, b.low)
	}
	return int64(b.high)<<32 | int64(b.low), nil
}

func halves(n int64) (low, high uint32) { return uint32(n), uint32(uint64(n) >> 32) }

func (t *thread) BackupStart(ctx context.Context, h notes.Handle) (notes.BackupContext, int64, error) {
	b, err := call(ctx, t, "NSFBackupStart", func(b *begun) (uint16, error) {
		return t.NSFBackupStart(uintptr(h), 0, &b.context, &b.low, &b.high), nil
	})
	if err != nil {
		return 0, 0, err
	}
	size, err := b.size()
	return notes.BackupContext(b.context), size, err
}

func (t *thread) BackupHighWater(ctx context.Context, h notes.Handle, c notes.BackupContext, offset int64) error {
	low, high := halves(offset)
	return t.simply(ctx, "NSFBackupSetHighWaterMark", func() (uint16, error) {
		return t.NSFBackupSetHighWaterMark(uintptr(h), uintptr(c), low, high), nil
	})
}

func (t *thread) BackupStop(ctx context.Context, h notes.Handle, c notes.BackupContext) error {
	return t.simply(ctx, "NSFBackupStop", func() (uint16, error) { return t.NSFBackupStop(uintptr(h), uintptr(c)), nil })
}

func (t *thread) ChangeInfoSize(ctx context.Context, h notes.Handle, c notes.BackupContext) (int64, error) {
	b, err := call(ctx, t, "NSFBackupGetChangeInfoSize", func(b *begun) (uint16, error) {
		return t.NSFBackupGetChangeInfoSize(uintptr(h), uintptr(c), 0, &b.low, &b.high), nil
	})
	if err != nil {
		return 0, err
	}
	return b.size()
}

// NextChangeInfo has C write into a buffer of the thread, since buf is the caller's again when it is given up.
func (t *thread) NextChangeInfo(ctx context.Context, h notes.Handle, c notes.BackupContext, buf []byte) (int, error) {
	if len(buf) == 0 {
		return 0, errors.New("NSFBackupGetNextChangeInfo: no buffer")
	}
	size := min(len(buf), math.MaxInt32)
	info, err := call(ctx, t, "NSFBackupGetNextChangeInfo", func(info *[]byte) (uint16, error) {
		if len(t.buf) < size {
			t.buf = make([]byte, size)
		}
		var filled uint32
		word := t.NSFBackupGetNextChangeInfo(uintptr(h), uintptr(c), 0, &t.buf[0], uint32(size), &filled)
		if word == 0 && filled > uint32(size) {
			return 0, fmt.Errorf("NSFBackupGetNextChangeInfo filled %d bytes of %d", filled, size)
		}
		*info = t.buf[:min(int(filled), size)]
		return word, nil
	})
	if err != nil {
		return 0, err
	}
	return copy(buf, info), nil
}

func (t *thread) BackupEnd(ctx context.Context, h notes.Handle, c notes.BackupContext, abort bool) error {
	return t.simply(ctx, "NSFBackupEnd", func() (uint16, error) { return t.NSFBackupEnd(uintptr(h), uintptr(c), option(abort, endAbort)), nil })
}

func option(set bool, value uint32) uint32 {
	if set {
		return value
	}
	return 0
}

func (t *thread) ApplyStart(ctx context.Context, copyPath string, size int64) (notes.ApplyContext, error) {
	low, high := halves(size)
	a, err := call(ctx, t, "NSFBackupStartApplyChangeInfo", func(a *uint64) (uint16, error) {
		p, err := t.path(copyPath)
		if err != nil {
			return 0, err
		}
		return t.NSFBackupStartApplyChangeInfo(a, &p[0], 0, low, high), nil
	})
	return notes.ApplyContext(a), err
}

// Apply has C read a copy, for the reason of NextChangeInfo.
func (t *thread) Apply(ctx context.Context, a notes.ApplyContext, info []byte) error {
	if len(info) == 0 {
		return nil // the same as no block at all
	}
	b := append([]byte(nil), info...)
	return t.simply(ctx, "NSFBackupApplyNextChangeInfo", func() (uint16, error) {
		return t.NSFBackupApplyNextChangeInfo(uintptr(a), 0, &b[0], uint32(len(b))), nil
	})
}

func (t *thread) ApplyEnd(ctx context.Context, a notes.ApplyContext, abort bool) error {
	return t.simply(ctx, "NSFBackupEndApplyChangeInfo", func() (uint16, error) {
		return t.NSFBackupEndApplyChangeInfo(uintptr(a), option(abort, endAbort)), nil
	})
}
